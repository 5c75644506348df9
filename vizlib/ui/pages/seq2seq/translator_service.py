"""Where the seq2seq page's work runs: small models shared by all visitors, and a thread each for answers and for measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from vizlib.engine.cache import BoundedCache
from vizlib.engine.jobs import Worker
from vizlib.ui.core import job_slots
from vizlib.ui.core.model_service import visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from vizlib.engine.jobs import Job, Progress
    from vizlib.seq2seq.models import Translator

SLOT = "seq2seq."
KEPT = 512  # answers of a few hundred kilobytes each
KEPT_BYTES = 64 << 20
MOST_MODELS = 32
_CELL = 64 << 10  # bytes that one step of an answer may take
T = TypeVar("T")


class TranslatorService:
    """The translators in memory, what they answered, and the threads that ask them.

    A measurement takes seconds and an answer milliseconds, so each has a thread of its own; neither waits for what vision models import.
    """

    def __init__(self) -> None:
        self._models: BoundedCache[str, Translator] = BoundedCache(
            max_bytes=KEPT_BYTES, size=lambda one: 4 * one.card.parameters, max_count=MOST_MODELS
        )
        self._answers: BoundedCache[Hashable, Any] = BoundedCache(max_bytes=KEPT * _CELL, size=lambda _: _CELL, max_count=KEPT)
        self._quick, self._slow = Worker(name="seq2seq"), Worker(name="seq2seq-measure")
        self._quick.submit("imports", _import)  # while the page draws its first words

    def ask(self, what: str, key: Hashable, model: str, work: Callable[[Translator], T]) -> Job[T]:
        """The job that answers; what it gives is kept for all visitors under ``model`` and ``key``."""

        def done(progress: Progress) -> T:
            progress(0, None, "Reading")
            return self._answers.get((what, model, key), lambda: work(self.translator(model)))

        return _waking(self._quick.submit((visitor(), what), done))

    def measure(self, what: str, work: Callable[[Progress], T]) -> Job[T]:
        """The job of a measurement, which reports its own progress; it replaces this visitor's last one under ``what``."""
        return _waking(self._slow.submit((visitor(), what), work))

    def translator(self, name: str) -> Translator:
        """A model; to be called from inside a job only."""
        return self._models.get(name, lambda: _load(name))


@st.cache_resource(show_spinner=False)
def translator_service() -> TranslatorService:
    """The one desk of this server."""
    return TranslatorService()


def submit(what: str, key: Hashable, model: str, work: Callable[[Translator], T]) -> Job[T]:
    """The job of this visitor that does ``work`` for ``key``; one for another key under the name ``what`` is replaced."""
    return job_slots.submit(SLOT + what, (model, key), lambda: translator_service().ask(what, key, model, work))


def result_or_status(what: str, job: Job[T]) -> T | None:
    """The answer; where there is none yet, or none at all, say so on the page and give None."""
    job_slots.wait_for([job])
    return job_slots.result_or_status(SLOT + what, job)


def _waking(job: Job[T]) -> Job[T]:
    # Said here, for a job without words would wake the engine of the vision models.
    job.progress.message = job.progress.message or "Waking up"
    return job


def _import(progress: Progress) -> None:  # noqa: ARG001  it has no steps
    import vizlib.seq2seq.decode
    import vizlib.seq2seq.models  # noqa: F401


def _load(name: str) -> Translator:
    from vizlib.seq2seq.models import load

    return load(name)
