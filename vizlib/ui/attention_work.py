"""The attention page's work beside the page: one pass of a model over a picture, kept for all visitors, and what is asked of it."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

import vizlib
from vizlib.engine.cache import BoundedCache
from vizlib.engine.jobs import Job, JobState
from vizlib.engine.memory import available_memory
from vizlib.ui import words
from vizlib.ui.components.attention_canvas import pack
from vizlib.ui.work import engine, visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import torch

    from vizlib import Geometry, Model, ModelCard, Prediction, Trace
    from vizlib.analysis.artifacts import Norms
    from vizlib.analysis.payload import View
    from vizlib.engine.jobs import Progress
    from vizlib.ui.pictures import Picture

PATIENCE = 0.3  # seconds a run waits for an answer before it shows progress
T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Scene:
    """One model's pass over one picture: what was computed, and the bytes that the canvas draws it from.

    ``refusal`` says why there is nothing to draw where there is nothing; the rest is then empty.
    """

    identity: str
    x: torch.Tensor
    geometry: Geometry
    trace: Trace
    view: View
    norms: list[Norms]
    ranking: list[Prediction]
    payload: bytes
    refusal: str = ""

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        kept = [*self.trace.tokens.values(), *self.trace.features.values()]
        kept += [tensor for site in self.trace.attention for tensor in (site.q, site.k, site.v, site.output) if tensor is not None]
        return len(self.payload) + sum(tensor.numel() * tensor.element_size() for tensor in kept)


def keep(key: str) -> None:
    """Send a widget's value to the browser again: a run that is cut short may have sent it where nobody saw it."""
    st.session_state[key] = st.session_state[key]


@st.cache_resource(show_spinner=False)
def _scenes() -> BoundedCache[Hashable, Scene]:
    return BoundedCache(max_bytes=min(available_memory() // 8, 1 << 30), size=lambda scene: scene.bytes, max_count=64)


def ask_scene(model: str, picture: Picture, fit: str | None) -> Job[Scene]:
    """The job that runs a model over a picture and packs all of its attention."""
    key = (picture.identity, model, fit)

    def work(found: Model, progress: Progress) -> Scene:
        progress(0, None, "Reading the attention")
        return _scenes().get(key, lambda: _scene(found, picture, fit, key))

    return ask("scene", key, model, work)


def ask(what: str, key: Hashable, model: str, work: Callable[[Model, Progress], T]) -> Job[T]:
    """The job of this visitor that does ``work`` for ``key``; one for another key under the name ``what`` is replaced."""
    asked: dict[str, tuple[Hashable, Job[Any]]] = st.session_state.setdefault("attention.asked", {})
    known = asked.get(what)
    if known is not None and known[0] == (model, key):
        return known[1]
    job = engine().run(visitor(), model, f"attention.{what}", work)
    asked[what] = ((model, key), job)
    until = time.monotonic() + PATIENCE
    job.wait(max(0.0, until - time.monotonic()))
    return job


def settled(what: str, job: Job[T]) -> T | None:
    """The answer; where there is none yet, or none at all, say so on the page and give None."""
    if job.state is JobState.DONE:
        return job.result()
    if not job.done:
        _follow(what, job)
        return None
    error = job.exception()
    if error is None:
        st.info("Stopped.", icon=":material/stop_circle:")
    elif isinstance(error, vizlib.MethodError):
        st.info(str(error), icon=":material/block:")
        return None
    elif isinstance(error, vizlib.VizlibError):
        st.error(str(error), icon=":material/error:")
    else:
        _log.error("%s failed on the attention page", what, exc_info=error)
        st.error("Something went wrong inside vizlib; the server's log says what.", icon=":material/error:")
    st.button("Try again", key=f"attention.again.{what}", icon=":material/refresh:", on_click=_forget, args=(what,))
    return None


@st.fragment(run_every=0.3)
def _follow(what: str, job: Job[Any]) -> None:
    if job.done:
        st.rerun()
    message = f"{job.progress.message or ('Waiting for other visitors' if engine().awake else 'Waking up')} …"
    with st.container(horizontal=True, vertical_alignment="center"):
        if job.progress.fraction is None:
            st.markdown(f":material/hourglass_top: {message}")
        else:
            st.progress(job.progress.fraction, text=message)
        if st.button("Stop", key=f"attention.stop.{what}", icon=":material/stop_circle:", type="tertiary"):
            job.cancel()
            st.rerun()


def _forget(what: str) -> None:
    st.session_state["attention.asked"].pop(what, None)


def _scene(model: Model, picture: Picture, fit: str | None, key: Hashable) -> Scene:
    from vizlib.analysis import artifacts, payload
    from vizlib.explainers.run import ranked
    from vizlib.passes import traces

    x = model.prepare(picture.pixels, fit)
    geometry = model.geometry(picture.pixels.shape[:2], fit)
    trace = traces(model, x)[0]
    identity = hashlib.blake2b(repr(key).encode(), digest_size=8).hexdigest()
    ranking = ranked(model, trace.logits.float().cpu(), model.adapter.classes) if model.adapter.classes else []
    shown = payload.view(model, trace)
    if not shown.sites:
        return Scene(identity, x, geometry, trace, shown, [], ranking, b"", trace.unreadable or "it has no attention")
    norms = artifacts.norms(trace)
    odd = artifacts.odd_cells(norms)
    cells = [odd.get(site.query_grid.shape, []) for site in shown.sites]
    packed = pack(picture, geometry, payload.pack(shown), view=identity, odd=cells)
    return Scene(identity, x, geometry, trace, shown, norms, ranking, packed)


def may_load(card: ModelCard) -> bool:
    """Whether the model is here or the visitor wants it fetched; else offer to fetch it."""
    allowed: set[str] = st.session_state.setdefault("column.allowed", set())
    if card.name in allowed or engine().ready(card.name):
        return True
    st.markdown(
        f"This model is not here yet. Its weights are **{words.megabytes(card)}**, fetched once; their licence is **{card.licence}**. "
        f"{words.linked(card.paper)}."
    )
    st.button(f"Fetch {words.megabytes(card)}", key="attention.fetch", icon=":material/download:", on_click=allowed.add, args=(card.name,))
    return False
