"""Training of the translators: pairs made by rule as they are needed, reproducible and resumable."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import platform
import random
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
import torch.nn.functional as F
from torch import nn

from vizlib.errors import TrainingError
from vizlib.seq2seq.cards import Seq2SeqCard, card
from vizlib.seq2seq.decode import write_all
from vizlib.seq2seq.models import Translator, build, pad
from vizlib.seq2seq.task_registry import TASKS
from vizlib.stats import wilson

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHECKPOINT: Final = "last.pt"
IGNORED: Final = -100  # where a target is padding
STOPPING, TESTED = 1000, 2000  # fresh samples that decide when to end, and that the card tells of
TESTING_SEED: Final = 20_000
_BATCH: Final = 250


@dataclass(frozen=True)
class Recipe:
    """AdamW with a linear warm-up of ``warmup`` steps and a cosine to zero; every ``check`` steps exact match is measured."""

    steps: int = 2000
    batch: int = 128
    rate: float = 4e-3
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    check: int = 250
    enough: float = 0.999
    seed: int = 0


@dataclass(frozen=True)
class Seq2SeqProgress:
    """Where a run stands; ``exact_matches`` is the share of fresh samples that are right, None between the checks."""

    step: int
    steps: int
    loss: float
    rate: float
    seconds: float
    exact: float | None = None


def recipe(translator_card: Seq2SeqCard) -> Recipe:
    """How a translator is trained: the same steps for every model of a task, so that only the model differs."""
    steps = {"dates": 2000, "numbers": 2000, "digits": 1500, "reversal": 3000, "sorting": 3000}[translator_card.task]
    return Recipe(steps=steps, rate=2e-3 if translator_card.cell == "transformer" else 4e-3)


def train(
    name: str, folder: Path, plan: Recipe | None = None, report: Callable[[Seq2SeqProgress], None] = lambda _: None
) -> tuple[Translator, dict[str, Any]]:
    """Train a translator, going on from ``folder`` where it holds a stopped run of the same recipe: the model and what its card tells.

    A batch depends on the seed and its number alone, so a resumed run equals one that was never stopped. TrainingError when the folder
    holds another run.
    """
    translator_card = card(name)
    plan = recipe(translator_card) if plan is None else plan
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return _Run(translator_card, plan, folder, report).run()


class _Run:
    def __init__(self, translator_card: Seq2SeqCard, plan: Recipe, folder: Path, report: Callable[[Seq2SeqProgress], None]) -> None:
        self.plan, self.folder, self.report = plan, folder, report
        self.translator = Translator(translator_card, TASKS[translator_card.task], build(translator_card))
        self.module = self.translator.module
        self.optimiser = torch.optim.AdamW(self.module.parameters(), lr=plan.rate, weight_decay=plan.weight_decay, betas=(0.9, 0.98))
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0

    def run(self) -> tuple[Translator, dict[str, Any]]:
        step, plan = self._resume(), self.plan
        started, before, total = time.process_time(), self.seconds, 0.0
        while step < plan.steps and not self._enough():
            total += self._step(step)
            step += 1
            self.seconds = before + time.process_time() - started
            if step % 50 == 0 and step % plan.check:
                self.report(Seq2SeqProgress(step, plan.steps, total / (step % plan.check), self._rate(step), self.seconds))
            if step % plan.check == 0 or step == plan.steps:
                right, tested = exact_matches(self.translator, "stop", STOPPING, plan.seed)
                self.seconds = before + time.process_time() - started
                loss = total / (step % plan.check or plan.check)
                self.history.append({"step": step, "loss": round(loss, 5), "exact": right / tested})
                self._save(step)
                self.report(Seq2SeqProgress(step, plan.steps, loss, self._rate(step), self.seconds, right / tested))
                total = 0.0
        self.module.eval()
        return self.translator, {"steps": step, "seconds": round(self.seconds), "recipe": asdict(plan), "history": self.history}

    def _enough(self) -> bool:
        return bool(self.history) and self.history[-1]["exact"] >= self.plan.enough

    def _rate(self, step: int) -> float:
        plan = self.plan
        warm = min(1.0, (step + 1) / plan.warmup)
        return plan.rate * warm * 0.5 * (1 + math.cos(math.pi * step / plan.steps))

    def _step(self, step: int) -> float:
        source, lengths, target = batch(self.translator, self.plan, step)
        self.module.train()
        logits = self.module(source, lengths, target.clamp_min(0))
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=IGNORED)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), self.plan.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(step)
        self.optimiser.step()
        return float(loss.detach())

    def _identity(self) -> str:
        shapes = {key: list(value.shape) for key, value in self.module.state_dict().items()}
        return json.dumps([self.translator.card.name, asdict(self.plan), shapes], sort_keys=True)

    def _save(self, step: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "identity": self._identity(), "step": step, "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(), "history": self.history, "seconds": self.seconds,
        }  # fmt: skip
        part = self.folder / f"{CHECKPOINT}.part"
        torch.save(state, part)
        part.replace(self.folder / CHECKPOINT)

    def _resume(self) -> int:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return 0
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            identity = state["identity"]
        except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise TrainingError(f"{path} is damaged or no checkpoint of a run: remove it to begin again.") from error
        if identity != self._identity():
            raise TrainingError(f"{self.folder} holds a run of another model or recipe: give another folder, or remove it.")
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history, self.seconds = state["history"], state["seconds"]
        return int(state["step"])


def batch(translator: Translator, plan: Recipe, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The source ids (B, n), lengths (B,) and target ids (B, T), IGNORED behind their end, of one step: sources of the training part."""
    rng = random.Random(f"{plan.seed} {step}")
    pairs = [translator.task.sample_from("train", rng) for _ in range(plan.batch)]
    source, lengths = translator.batch([text for text, _ in pairs])
    return source, lengths, pad([translator.encode_target(target) for _, target in pairs], IGNORED)


def exact_matches(translator: Translator, part: str, samples: int, seed: int) -> tuple[int, int]:
    """How many of ``samples`` fresh sources of a part are translated without a mistake, and how many there were."""
    rng = random.Random(f"{part} {seed}")
    translator.module.eval()
    pairs = [translator.task.sample_from(part, rng) for _ in range(samples)]
    right = 0
    for start in range(0, samples, _BATCH):
        chunk = pairs[start : start + _BATCH]
        written = write_all(translator, [source for source, _ in chunk])
        right += sum(text == target for text, (_, target) in zip(written, chunk, strict=True))
    return right, samples


def export(translator: Translator, training: dict[str, Any], folder: Path, command: str) -> dict[str, Any]:
    """Write NAME.safetensors in float16 and NAME.json into ``folder``: the card's facts, measured from the weights as they are written.

    TrainingError when the folder cannot be written.
    """
    from safetensors.torch import save

    module, translator_card = translator.module, translator.card
    half = {key: value.detach().to(torch.float16).contiguous() for key, value in module.state_dict().items()}
    weights = save(half)
    module.load_state_dict({key: value.float() for key, value in half.items()})
    right, samples = exact_matches(translator, "test", TESTED, TESTING_SEED)
    facts = {
        "name": translator_card.name,
        "accuracy": {
            "exact": round(100 * right / samples, 3), "samples": samples,
            "interval": [round(100 * end, 3) for end in wilson(right, samples)], "seed": TESTING_SEED,
        },
        "parameters": translator_card.parameters,
        "training": {
            **training, "command": command, "sha256": hashlib.sha256(weights).hexdigest(),
            "versions": {"torch": torch.__version__, "python": platform.python_version()},
        },
        "terms": "Weights Apache-2.0; trained on texts made by rule, which come with the library.",
    }  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, content in (("safetensors", weights), ("json", (json.dumps(facts, indent=1) + "\n").encode())):
            path = folder / f"{translator_card.name}.{suffix}"
            part = path.with_name(f"{path.name}.part")
            part.write_bytes(content)
            part.replace(path)
    except OSError as error:
        raise TrainingError(f"{translator_card.name} cannot be written to {folder}: {error.strerror or error}.") from error
    return facts
