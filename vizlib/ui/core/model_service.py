"""Where the app's work runs: models in memory and results that are kept, shared by all visitors, made beside the pages."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from uuid import uuid4

import streamlit as st

import vizlib
from vizlib.engine.cache import BoundedCache
from vizlib.engine.jobs import Job, Progress, Worker
from vizlib.engine.memory import available_memory, model_bytes
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from vizlib import Model, ModelCard

RESULT_BYTES = 1 << 30
BUNDLED, OTHERS, LIGHT, MEASURE = "bundled", "others", "light", "measure"
T = TypeVar("T")


class Sized(Protocol):
    """A result that is kept: it knows how many bytes it takes."""

    @property
    def nbytes(self) -> int: ...


class ModelService:
    """The models in memory, the results they gave, and the threads that make them.

    Threads stand in lanes, so that nobody waits behind something slow: one for bundled models, two for all others (somebody's download
    may take minutes), one for work without any of them, and one for measurements, which take half a minute and must not disturb each
    other. All results lie in one cache with one budget, by the models that gave them and what was asked.
    """

    def __init__(self) -> None:
        free = available_memory()
        self._models: BoundedCache[str, Model] = BoundedCache(
            max_bytes=free // 2, size=lambda model: model_bytes(model.module), on_evict=_collect
        )
        self._results: BoundedCache[tuple[tuple[str, ...], Hashable], Sized] = BoundedCache(
            max_bytes=min(free // 4, RESULT_BYTES), size=lambda result: result.nbytes, max_count=2048
        )
        self._lanes = {
            BUNDLED: Worker(name="bundled"),
            OTHERS: Worker(threads=2, name="others"),
            LIGHT: Worker(name="light"),
            MEASURE: Worker(name="measure"),
        }
        self._imports: dict[str, Job[None]] = {}
        self._loaded: set[str] = set()
        self._makers: dict[str, Callable[[Progress], Model]] = {}  # of models without a card: visitors' own, and untrained ones

    def wake(self, lane: str = BUNDLED, imports: Callable[[Progress], None] | None = None) -> None:
        """Have a lane import what its work needs, once: a page asks for it as soon as its heading is out."""
        if lane not in self._imports:
            self._imports[lane] = self._lanes[lane].submit("imports", imports or _import_vision)

    @property
    def awake(self) -> bool:
        """Whether the imports that pages asked for are done."""
        return all(job.done for job in self._imports.values())

    def ready(self, model: str) -> bool:
        """Whether asking for a model fetches nothing from the internet."""
        return model in self._makers or model in self._loaded or _at_hand(model)

    def open(self, identity: str, make: Callable[[Progress], Model]) -> Job[ModelCard]:
        """The job that loads a visitor's own model; requests then name it by ``identity``, which must be beyond guessing.

        When memory ran short and the model had to go, ``make`` is called again.
        """
        self._makers[identity] = make
        return self._lanes[OTHERS].submit(identity, self._opened, identity)

    def unload(self, identity: str) -> None:
        """Free the memory of a model and of every result that it had a part in; it is loaded again when asked for."""
        self._models.drop(lambda model: model == identity)
        self._results.drop(lambda key: identity in key[0])

    def forget(self, identity: str) -> None:
        """Let go of a visitor's own model for good."""
        self._makers.pop(identity, None)
        self.unload(identity)

    def run(
        self, visitor: str, slot: str, models: Sequence[str], work: Callable[..., T], *, key: Hashable = None, lane: str = ""
    ) -> Job[T]:
        """The job of ``work(*models, progress=...)``; it replaces what the same visitor last asked for in ``slot``.

        With a ``key`` the result is kept by it and the models, for all visitors, and must know its ``nbytes``.
        """
        identities = tuple(models)

        def compute(progress: Progress) -> T:
            def fresh() -> T:
                return work(*(self._model(identity, progress) for identity in identities), progress=progress)

            return fresh() if key is None else cast("T", self._results.get((identities, key), cast("Callable[[], Any]", fresh)))

        return self._lanes[lane or _lane_of(identities)].submit((visitor, slot), compute)

    def _opened(self, identity: str, progress: Progress) -> ModelCard:
        return self._model(identity, progress).card

    def _model(self, name: str, progress: Progress) -> Model:
        make = self._makers.get(name)
        if make is not None:
            return self._models.get(name, lambda: make(progress))
        if name not in all_cards():
            raise vizlib.CancelledError("This model was removed.")
        model = self._models.get(name, lambda: _load(name, progress))
        self._loaded.add(name)
        return model


@st.cache_resource(show_spinner=False)
def service() -> ModelService:
    """The one service of this server."""
    return ModelService()


def visitor() -> str:
    """A name for this session."""
    return st.session_state.setdefault("work.visitor", uuid4().hex)


def _lane_of(models: Sequence[str]) -> str:
    if not models:
        return LIGHT
    return BUNDLED if all(map(_at_hand, models)) else OTHERS


def _at_hand(model: str) -> bool:
    card = all_cards().get(model)
    return card is not None and bool(card.at_hand)


def _load(name: str, progress: Progress) -> Model:
    progress(0, None, "Loading the model")

    def report(fetched: int, total: int | None) -> None:
        of = f" of {total / 1e6:.0f}" if total else ""
        progress(fetched, total, f"Fetching {name}: {fetched / 1e6:.0f}{of} MB")

    return vizlib.load(name, progress=report)


def _import_vision(progress: Progress) -> None:  # noqa: ARG001  it has no steps
    # Thousands of new objects and no garbage: looking for some would take a quarter of the time.
    gc.disable()
    try:
        import timm  # noqa: F401

        import vizlib.explainers.api  # noqa: F401
        import vizlib.zoo.load  # noqa: F401
    finally:
        gc.enable()


def _collect(_: str) -> None:
    gc.collect()  # the app runs with postScriptGC off
    if "torch" in sys.modules:
        sys.modules["torch"].cuda.empty_cache()
