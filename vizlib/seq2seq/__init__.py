"""Where attention began: small encoder-decoders that are trained on texts made by rule. Cards and tasks import no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vizlib.seq2seq.cards import Seq2SeqCard, cards
from vizlib.seq2seq.options import Options
from vizlib.seq2seq.task_base import END, Task
from vizlib.seq2seq.task_registry import TASKS

if TYPE_CHECKING:
    from vizlib.seq2seq.decode import force, translate
    from vizlib.seq2seq.length_study import accuracy_by_length, gradient_by_distance, leave_one_out, permuted
    from vizlib.seq2seq.models import Translator, load, untrained
    from vizlib.seq2seq.translation import Step, Translation

_HOMES = {
    **dict.fromkeys(("load", "untrained", "Translator"), "models"),
    **dict.fromkeys(("translate", "force"), "decode"),
    **dict.fromkeys(("Translation", "Step"), "translation"),
    **dict.fromkeys(("accuracy_by_length", "gradient_by_distance", "leave_one_out", "permuted"), "length_study"),
}
__all__ = [
    "END", "TASKS", "Options", "Seq2SeqCard", "Step", "Task", "Translation", "Translator", "accuracy_by_length", "cards", "force",
    "gradient_by_distance", "leave_one_out", "load", "permuted", "translate", "untrained",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vizlib.seq2seq' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"vizlib.seq2seq.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
