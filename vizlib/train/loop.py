"""The training loop: reproducible, resumable after a kill, the whole set on the device."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel

from vizlib.errors import TrainingError
from vizlib.train.augment import Augment, normalise
from vizlib.train.bf16_kernels import ProcessorKernels, has_bfloat16
from vizlib.train.muon import StackedMuon

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.datasets.tiny_imagenet import ImageSet
    from vizlib.train.recipes import Recipe

CHECKPOINT = "last.pt"


@dataclass(frozen=True)
class Progress:
    """Where a run stands: printed as it goes, and kept as the run's history."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    rate: float
    images_per_second: float
    top1: float | None = None
    top5: float | None = None


def train(
    module: nn.Module,
    recipe: Recipe,
    data: ImageSet,
    val: ImageSet,
    folder: Path,
    *,
    device: str = "cpu",
    report: Callable[[Progress], None] = lambda _: None,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train ``module`` by ``recipe``, resuming from ``folder`` when it holds a run of the same recipe: the averaged module and its history.

    Every epoch is seeded from the recipe's seed and its number, so a resumed run equals an uninterrupted one. The averaged weights of
    the last epoch are the result; nothing is selected on the validation images. TrainingError when the folder holds another run.
    """
    with torch.random.fork_rng(devices=[torch.device(device)] if device.startswith("cuda") else []):
        return _Run(module, recipe, data, val, folder, device, report).run()


class _Run:
    def __init__(
        self,
        module: nn.Module,
        recipe: Recipe,
        data: ImageSet,
        val: ImageSet,
        folder: Path,
        device: str,
        report: Callable[[Progress], None],
    ) -> None:
        self.recipe, self.folder, self.device, self.report = recipe, Path(folder), torch.device(device), report
        self.classes = len(data.classes)
        self.module = module.to(self.device).to(memory_format=torch.channels_last)
        self.average = AveragedModel(self.module, multi_avg_fn=moving_average(recipe.ema), use_buffers=True)
        self.optimisers = optimisers(self.module, recipe)
        self.images = torch.from_numpy(data.images).to(self.device)
        self.labels = torch.from_numpy(data.labels).to(self.device)
        self.val = val
        self.steps = len(data) // recipe.batch
        if self.steps == 0:
            raise TrainingError(f"{len(data)} training images do not fill one batch of {recipe.batch}; make the batch smaller.")
        self.augment = Augment(
            self.classes, smallest=recipe.smallest_crop, operations=recipe.operations, magnitude=recipe.magnitude, mix=recipe.mix
        )
        self.gentle = Augment(self.classes, smallest=recipe.smallest_crop, operations=0, magnitude=0, mix=0)
        self.identity = fingerprint(recipe, self.module, data)
        self.history: list[dict[str, Any]] = []

    def run(self) -> tuple[nn.Module, list[dict[str, Any]]]:
        for epoch in range(self._resume(), self.recipe.epochs):
            self._epoch(epoch)
            self._save(epoch + 1)
        return self.average.module.eval(), self.history

    def _epoch(self, epoch: int) -> None:
        recipe = self.recipe
        torch.manual_seed(recipe.seed * 100_003 + epoch)
        order = torch.randperm(len(self.labels), device=self.device)
        plain = epoch >= recipe.epochs * (1 - recipe.plain)
        augment = self.gentle if plain else self.augment
        started, total = time.perf_counter(), torch.zeros((), device=self.device)
        self.module.train()
        for step in range(self.steps):
            rows = order[step * recipe.batch : (step + 1) * recipe.batch]
            images, targets = augment(self.images[rows], self.labels[rows])
            rate = schedule(epoch * self.steps + step, recipe.epochs * self.steps, recipe.warmup)
            total += self._step(images, targets, rate)
            if (step + 1) % 20 == 0 or step + 1 == self.steps:
                speed = (step + 1) * recipe.batch / (time.perf_counter() - started)
                self.report(Progress(epoch, recipe.epochs, step + 1, self.steps, float(total) / (step + 1), rate * recipe.rate, speed))
        speed = self.steps * recipe.batch / (time.perf_counter() - started)
        top1, top5 = accuracy(self.average.module, self.val, self.device)
        progress = Progress(epoch, recipe.epochs, self.steps, self.steps, float(total) / self.steps, rate * recipe.rate, speed, top1, top5)
        self.history.append({"epoch": epoch + 1, "loss": progress.loss, "top1": top1, "top5": top5, "images_per_second": round(speed, 1)})
        self.report(progress)

    def _step(self, images: torch.Tensor, targets: torch.Tensor, rate: float) -> torch.Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=has_bfloat16(self.device)), ProcessorKernels():
            logits = self.module(images)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=self.recipe.smoothing)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * rate
            optimiser.step()
        self.module.zero_grad(set_to_none=True)
        self.average.update_parameters(self.module)
        return loss.detach()

    def _save(self, epochs_done: int) -> None:
        state = {
            "identity": self.identity,
            "epochs_done": epochs_done,
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "history": self.history,
        }
        write_checkpoint(self.folder, state)

    def _resume(self) -> int:
        state = read_checkpoint(self.folder, self.identity, self.device)
        if state is None:
            return 0
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.history = state["history"]
        return state["epochs_done"]


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Put a run's state, with its ``history``, into its folder; what was there stays until the new file is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{CHECKPOINT}.part"
    torch.save(state, part)
    part.replace(folder / CHECKPOINT)
    (folder / "history.json").write_text(json.dumps(state["history"], indent=1) + "\n", encoding="utf-8")


def read_checkpoint(folder: Path, identity: str, device: torch.device) -> dict[str, Any] | None:
    """The state that the run of this ``fingerprint`` left in its folder, None for a new one; TrainingError for damage or another run."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        stored_identity = state["identity"]
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path} is damaged or no checkpoint of a run: remove it to begin again.") from error
    if stored_identity != identity:
        raise TrainingError(f"{folder} holds a run of another recipe, model or data set; name another folder or remove it.")
    return state


def moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """An exponential moving average for AveragedModel; update n keeps at most (1 + n) / (10 + n), so that the start is soon forgotten."""

    @torch.no_grad()
    def update(average: list[torch.Tensor], current: list[torch.Tensor], updates: torch.Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(updates)) / (10 + int(updates)))
        for old, new in zip(average, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:
                old.copy_(new)

    return update


def fingerprint(recipe: Recipe, module: nn.Module, data: ImageSet) -> str:
    """The SHA-256, in hex, of what a resumed run must share with the run it resumes: recipe, shapes, classes, labels and some images."""
    shapes = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    text = json.dumps([asdict(recipe), shapes, len(data), data.classes], sort_keys=True)
    digest = hashlib.sha256(text.encode())
    digest.update(data.labels.tobytes())
    digest.update(data.images[:: max(1, len(data) // 64)].tobytes())
    return digest.hexdigest()


class MatrixMuon(torch.optim.Muon):
    """Muon over matrices and convolution kernels, a kernel (out, in, h, w) taken as the matrix (out, h w in)."""

    def __init__(self, parameters: list[nn.Parameter], rate: float, weight_decay: float) -> None:
        self.pairs = [(parameter, nn.Parameter(_as_matrix(parameter.detach()))) for parameter in parameters]
        for parameter, matrix in self.pairs:
            if parameter.data_ptr() != matrix.data_ptr():
                raise TrainingError("Muon needs convolution kernels in the channels-last layout, which train() gives them.")
        super().__init__([matrix for _, matrix in self.pairs], lr=rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    def step(self, closure: Any = None) -> Any:
        """One update; the gradients of kernels are taken as matrices."""
        for parameter, matrix in self.pairs:
            matrix.grad = None if parameter.grad is None else _as_matrix(parameter.grad)
        return super().step(closure)


def _as_matrix(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.ndim == 2 else tensor.permute(0, 2, 3, 1).reshape(len(tensor), -1)


def parameter_groups(module: nn.Module, recipe: Recipe) -> tuple[list[dict[str, Any]], list[nn.Parameter]]:
    """AdamW's groups, and Muon's inner matrices and kernels where the recipe says so; gains, biases and tables are not decayed."""
    muon, decayed, free = [], [], []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        inner = any(part in name for part in ("block", "layer", "attention")) and not name.startswith("tokenizer")
        if recipe.muon and inner and parameter.ndim in (2, 4) and min(parameter.shape[:2]) > 1:
            muon.append(parameter)
        elif parameter.ndim >= 2 and not any(part in name.rsplit(".", 1)[-1] for part in ("emb", "token")):
            decayed.append(parameter)
        else:
            free.append(parameter)
    return [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free, "weight_decay": 0.0}], muon


def optimisers(module: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """AdamW over all, or over what Muon does not take."""
    groups, muon = parameter_groups(module, recipe)
    chosen: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=recipe.rate)]
    if muon:
        # Torch's Muon multiplies in bfloat16 alone, which some processors only emulate.
        kind = MatrixMuon if has_bfloat16(muon[0].device) else StackedMuon
        chosen.append(kind(muon, recipe.rate, recipe.weight_decay))
    for optimiser in chosen:
        for group in optimiser.param_groups:
            group["initial_lr"] = group["lr"]
    return chosen


def schedule(step: int, steps: int, warmup: float) -> float:
    """The learning rate's share of its peak: linear warm-up, then half a cosine to zero."""
    ahead = max(1, round(warmup * steps))
    if step < ahead:
        return (step + 1) / ahead
    return 0.5 * (1 + math.cos(math.pi * (step - ahead) / max(1, steps - ahead)))


@torch.inference_mode()
def accuracy(
    module: nn.Module, data: ImageSet, device: torch.device | str = "cpu", batch: int = 250, side: int | None = None
) -> tuple[float, float]:
    """Top-1 and top-5 on a set as shares, 0 to 1, in float32 with the images as they are, or resized to ``side``; its mode stays."""
    was_training = module.training
    module.eval()
    first = fifth = 0
    for start in range(0, len(data), batch):
        images = normalise(_resized(torch.from_numpy(data.images[start : start + batch]).to(device), side))
        labels = torch.from_numpy(data.labels[start : start + batch]).to(device)
        ranked = module(images).float().topk(min(5, len(data.classes)), dim=1).indices
        first += int((ranked[:, 0] == labels).sum())
        fifth += int((ranked == labels[:, None]).sum())
    module.train(was_training)
    return first / len(data), fifth / len(data)


def _resized(images: torch.Tensor, side: int | None) -> torch.Tensor:
    """Photographs (B, 3, H, W), 0 to 255, as the app resizes them."""
    if side is None or images.shape[-1] == side:
        return images
    return F.interpolate(images.float(), (side, side), mode="bicubic", antialias=True).round().clamp(0, 255)
