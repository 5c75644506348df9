"""The translators in memory, shared by all visitors, and the work that asks them: without what vision models import."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import streamlit as st

from vizlib.engine.cache import BoundedCache
from vizlib.ui.core import computations
from vizlib.ui.core.model_service import LIGHT, service

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from vizlib.engine.jobs import Progress
    from vizlib.seq2seq.models import Translator

SLOT = "seq2seq."
MODEL_BYTES = 64 << 20
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class _Kept(Generic[T]):
    """A result about one text: a few hundred kilobytes at the most."""

    result: T
    nbytes: int = 64 << 10


def wake_translators() -> None:
    """Have the imports of the translators begin."""
    service().wake(LIGHT, _import)


def result_or_status(what: str, key: Hashable, model: str, work: Callable[[Translator], T]) -> T | None:
    """What ``work`` with a translator gives, once it is there; until then, drawn on the page, why not.

    ``key`` says of what, beside the model; work for another key under the name ``what`` is replaced.
    """

    def compute(progress: Progress) -> _Kept[T]:
        progress(0, None, "Reading")
        return _Kept(work(translator(model)))

    kept = computations.compute_or_status(SLOT + what, (what, model, key), (), compute)
    return None if kept is None else kept.result


def translator(name: str) -> Translator:
    """A model; to be called from inside a job only."""
    return _translators().get(name, partial(_load, name))


@st.cache_resource(show_spinner=False)
def _translators() -> BoundedCache[str, Translator]:
    return BoundedCache(max_bytes=MODEL_BYTES, size=lambda model: 4 * model.card.parameters, max_count=32)


def _import(progress: Progress) -> None:  # noqa: ARG001  it has no steps
    import vizlib.seq2seq.decode  # noqa: F401
    import vizlib.seq2seq.models  # noqa: F401


def _load(name: str) -> Translator:
    from vizlib.seq2seq.models import load

    return load(name)
