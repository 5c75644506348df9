"""Where the app's work runs: models in worker processes and results that are kept, shared by all visitors, made beside the pages."""

from __future__ import annotations

import gc
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import uuid4

import streamlit as st
from streamlit import runtime

import vizlib
from vizlib.engine.cluster_backend import ClusterBackend
from vizlib.engine.dispatcher import Dispatcher
from vizlib.engine.jobs import JobState
from vizlib.engine.limits import Limits
from vizlib.engine.local_backend import ThreadBackend
from vizlib.engine.work_order import Lane, WorkOrder
from vizlib.engine.worker_host import WorkerHost
from vizlib.ui.core import model_loading
from vizlib.ui.core.workers import processes
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from vizlib import Model, ModelCard
    from vizlib.engine.dispatcher import Backend
    from vizlib.engine.jobs import Job, Progress

T = TypeVar("T")


class Sized(Protocol):
    """A result that is kept: it knows how many bytes it takes."""

    @property
    def nbytes(self) -> int: ...


class ModelService:
    """What pages ask for work: which models there are, by identity, and the dispatcher that has it done."""

    def __init__(self, backend: Backend | None = None) -> None:
        self.backend = backend or ThreadBackend(WorkerHost())
        self.dispatcher = Dispatcher(self.backend, Limits.from_environment())
        if isinstance(self.backend, ClusterBackend):
            self.backend.changed = self.dispatcher.wake
        self._imports: dict[Callable[[Progress], None], Job[None]] = {}
        self._loaded: set[str] = set()
        self._makers: dict[str, Callable[[Progress], Model]] = {}  # of models without a card: visitors' own, and untrained ones

    def wake(self, imports: Callable[[Progress], None] = model_loading.import_vision) -> None:
        """Have what work needs imported, once: a page asks for it as soon as its heading is out. Processes do so when they start."""
        if isinstance(self.backend, ThreadBackend) and imports not in self._imports:
            self._imports[imports] = self.dispatcher.submit("vizlib", imports, WorkOrder(partial(model_loading.imported, imports)))

    @property
    def awake(self) -> bool:
        """Whether work can begin: the processes are there, and the imports that pages asked for are done."""
        return bool(self.backend.places()) and all(job.done for job in self._imports.values())

    @property
    def failure(self) -> str:
        """Why there is nobody to do work, empty where there is, or soon will be."""
        error = self.backend.failure if isinstance(self.backend, ClusterBackend) else None
        if error is None:
            return ""
        return str(error) if isinstance(error, vizlib.VizlibError) else "The processes that do the work could not be reached."

    def ready(self, model: str) -> bool:
        """Whether asking for a model fetches nothing from the internet."""
        return model in self._makers or model in self._loaded or _at_hand(model)

    def open(self, identity: str, make: Callable[[Progress], Model]) -> Job[ModelCard]:
        """The job that loads a visitor's own model; requests then name it by ``identity``, which must be beyond guessing.

        Where the model is not in a worker, or had to go when memory ran short, ``make`` is called again.
        """
        self._makers[identity] = make
        seconds = self.dispatcher.limits.opening_seconds
        return self.run(identity, identity, [identity], model_loading.card_of, lane=Lane.FETCH, seconds=seconds)

    def unload(self, identity: str) -> None:
        """Free the memory of a model and of every result that it had a part in; it is loaded again when asked for."""
        self.dispatcher.forget(identity)
        self.dispatcher.results.drop(lambda key: isinstance(key, tuple) and identity in key[0])

    def forget(self, identity: str) -> None:
        """Let go of a visitor's own model for good."""
        self._makers.pop(identity, None)
        self._loaded.discard(identity)
        self.unload(identity)

    def run(
        self,
        visitor: str,
        slot: str,
        models: Sequence[str],
        work: Callable[..., T],
        *,
        key: Hashable = None,
        lane: Lane | None = None,
        seconds: int | None = None,
    ) -> Job[T]:
        """The job of ``work(*models, progress=...)``; it replaces what the same visitor last asked for in ``slot``.

        With a ``key`` the result is kept by it and the models, for all visitors, and must know its ``nbytes``. Work whose models have
        to be fetched first waits for that with others of its kind, so that nobody waits behind somebody's download. ``seconds`` is what it
        may take, where that is not what its lane allows.
        """
        identities = tuple(models)
        order = WorkOrder(work, tuple((identity, self._maker(identity)) for identity in identities), seconds)
        where = (lane or Lane.LIGHT) if all(map(self.ready, identities)) else Lane.FETCH
        kept = None if key is None else (identities, key)
        job: Any = self.dispatcher.submit(visitor, slot, order, lane=where, key=kept)
        job.when_done(lambda: self._loaded.update(identities) if job.state is JobState.DONE else None)
        return job

    def arrive(self, visitor: str) -> None:
        """A visitor is there, until they ``leave``."""
        self.dispatcher.arrive(visitor)

    def leave(self, visitor: str) -> None:
        """A visitor is gone: stop what they waited for, unless somebody takes it up within seconds."""
        self.dispatcher.leave(visitor)

    def _maker(self, identity: str) -> Callable[[Progress], Any]:
        return self._makers.get(identity) or partial(model_loading.load_by_name, identity)


@st.cache_resource(show_spinner=False)
def service() -> ModelService:
    """The one service of this server."""
    made = ModelService(processes.take())
    if isinstance(made.backend, ClusterBackend):  # not in the tests' threads, where a stand-in serves
        made.dispatcher.on_tidy = _let_go_of_sessions
    return made


@dataclass(frozen=True)
class _Visit:
    """A session, for as long as its browser is there."""

    visitor: str

    def leave(self) -> None:
        """The browser is gone: what it waited for stops, unless it is back within seconds."""
        service().leave(self.visitor)


def visitor() -> str:
    """A name for this session."""
    return _visit(st.session_state.setdefault("work.visitor", uuid4().hex)).visitor


# Streamlit lets go of what a session cached when its browser disconnects, and calls on_release: that is the end of a visit.
@st.cache_resource(scope="session", show_spinner=False, on_release=_Visit.leave)
def _visit(identity: str) -> _Visit:
    service().arrive(identity)
    return _Visit(identity)


def _let_go_of_sessions() -> None:
    """Have Streamlit look which sessions it kept long enough for their browsers to come back.

    It does so only when another browser goes: the last ones, with three file handles and their state each, would stay for good. There is
    no public way to ask for it; tests/unit/ui/test_left_sessions.py says when the names below change.
    """
    with suppress(RuntimeError):  # there is no server yet, or it is ending
        running = runtime.get_instance()
        manager: Any = running._session_mgr
        running._get_async_objs().eventloop.call_soon_threadsafe(_expire, manager._session_storage._cache)


def _expire(sessions: Any) -> None:
    before = len(sessions._data)
    sessions.expire()
    if len(sessions._data) < before and not sessions._data:
        gc.collect()  # some are held by circles, and nobody is there whom a collection would keep waiting


def _at_hand(model: str) -> bool:
    card = all_cards().get(model)
    return card is not None and bool(card.at_hand)
