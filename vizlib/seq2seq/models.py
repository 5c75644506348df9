"""Translators: a network with its card, its task and the ids of its characters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from vizlib.errors import CheckpointError, ModelError, TextError, nearest
from vizlib.seq2seq.cards import EMBEDDING, FOLDER, HEADS, HIDDEN, LAYERS, MODEL_WIDTH, NAMES, WIDTH, Seq2SeqCard, card
from vizlib.seq2seq.recurrent import RecurrentTranslator
from vizlib.seq2seq.task_base import END, Task
from vizlib.seq2seq.task_registry import TASKS
from vizlib.seq2seq.transformer import TransformerTranslator
from vizlib.zoo.weights import fill_random, fingerprint, load_strict, read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Network = RecurrentTranslator | TransformerTranslator


@dataclass(frozen=True)
class Translator:
    """A network in evaluation mode, with its card and task. Target ids are places in ``vocabulary``, which begins with the end mark."""

    card: Seq2SeqCard
    task: Task
    module: Network

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The characters that can be written, the end mark first."""
        return (END, *self.task.target_alphabet)

    def encode(self, text: str) -> Tensor:
        """The ids (n,) of a checked source, from 1."""
        return torch.tensor([self.task.source_alphabet.index(letter) + 1 for letter in text])

    def encode_target(self, text: str) -> Tensor:
        """The ids (T,) of a target, the end mark behind it; TextError for characters that this model cannot write."""
        others = [letter for letter in dict.fromkeys(text) if letter not in self.task.target_alphabet]
        if others:
            raise TextError(f"This model cannot write {', '.join(map(repr, others[:3]))}: it writes {self.task.target_alphabet!r}.")
        return torch.tensor([*(self.task.target_alphabet.index(letter) + 1 for letter in text), 0])

    def decode(self, ids: Sequence[int]) -> str:
        """The text of target ids, up to the end mark."""
        whole = list(ids)
        return "".join(self.vocabulary[number] for number in (whole[: whole.index(0)] if 0 in whole else whole))

    def batch(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids (B, n) of checked sources, padded with 0, and their lengths (B,)."""
        return pad([self.encode(text) for text in texts], 0), torch.tensor([len(text) for text in texts])


def load(name: str, folder: str | Path = FOLDER) -> Translator:
    """A trained translator by its card's name, on the CPU in float32; ``folder`` is where its weights and card are.

    ModelError for an unknown name or one without weights, CheckpointError for weights that are damaged or not those of the card.
    """
    translator_card = _card(name, Path(folder))
    if translator_card.accuracy is None:
        raise ModelError(f"{name} is not trained yet: `vizlib train seq2seq {name}` does it in minutes.")
    path = Path(folder) / f"{name}.safetensors"
    if fingerprint(path) != translator_card.training["sha256"]:
        raise CheckpointError(f"{path} is not the file that its card {name}.json tells of: restore both, or train it again.")
    module = _empty(translator_card)
    load_strict(module, read_checkpoint(path), name)
    return Translator(translator_card, TASKS[translator_card.task], module.eval())


def untrained(name: str, seed: int = 0) -> Translator:
    """A translator whose weights nobody trained, the same on every machine; no global generator moves."""
    translator_card = _card(name, FOLDER)
    module = _empty(translator_card)
    fill_random(module, seed)
    return Translator(translator_card, TASKS[translator_card.task], module.eval())


def build(translator_card: Seq2SeqCard) -> Network:
    """The network of a card with fresh weights from the global generator."""
    task = TASKS[translator_card.task]
    sources, targets = len(task.source_alphabet), len(task.target_alphabet) + 1
    if translator_card.cell == "transformer":
        return TransformerTranslator(sources, targets, width=MODEL_WIDTH, heads=HEADS, hidden=HIDDEN, layers=LAYERS)
    return RecurrentTranslator(sources, targets, cell=translator_card.cell, score=translator_card.score, width=WIDTH, embedding=EMBEDDING)


def pad(rows: Sequence[Tensor], filler: int) -> Tensor:
    """Rows (n,) of different lengths as one tensor (B, longest), ``filler`` behind the shorter ones."""
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=filler)


def _card(name: str, folder: Path) -> Seq2SeqCard:
    if name not in NAMES:
        raise ModelError(f"There is no translator {name!r}.{nearest(name, list(NAMES))}")
    return card(name, folder)


def _empty(translator_card: Seq2SeqCard) -> Network:
    with _Unfilled():
        module = build(translator_card)
    return module.requires_grad_(requires_grad=False)


class _Unfilled(TorchFunctionMode):
    """New tensors keep what was in memory, and no generator moves. The meta device would do as well, and import a compiler for a second."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = kwargs or {}
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "kaiming_uniform_"):
            return keywords["tensor"] if "tensor" in keywords else args[0]
        return func(*args, **keywords)
