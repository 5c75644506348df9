"""The work that asks translators, waited for on the page: without what vision models import."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from vizlib.ui.core import computations
from vizlib.ui.core.model_service import service
from vizlib.ui.pages.seq2seq.translation_work import ask_translator, import_translators

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

SLOT = "seq2seq."
T = TypeVar("T")


def wake_translators() -> None:
    """Have the imports of the translators begin."""
    service().wake(import_translators)


def result_or_status(what: str, key: Hashable, model: str, work: Callable[..., T]) -> T | None:
    """What ``work`` with a translator gives, once it is there; until then, drawn on the page, why not.

    ``key`` says of what, beside the model; work for another key under the name ``what`` is replaced.
    """
    answer = computations.compute_or_status(SLOT + what, (what, model, key), (), partial(ask_translator, work, model))
    return None if answer is None else cast("T", answer.result)
