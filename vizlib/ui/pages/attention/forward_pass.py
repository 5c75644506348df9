"""The attention page's work beside the page: one pass of a model over a picture, kept for all visitors, and what is asked of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from vizlib.engine.cache import BoundedCache
from vizlib.engine.memory import available_memory
from vizlib.ui.components.attention_canvas import pack
from vizlib.ui.core import job_slots
from vizlib.ui.core.model_service import service, visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import torch

    from vizlib import Geometry, Model, Prediction, Trace
    from vizlib.analysis.attention.artifact_tokens import Norms
    from vizlib.engine.jobs import Job, Progress
    from vizlib.ui.components.attention_canvas.payload import View
    from vizlib.ui.core.pictures import Picture

SLOT = "attention."
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class AttentionPass:
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


def resend(key: str) -> None:
    """Send a widget's value to the browser again: a run that is cut short may have sent it where nobody saw it."""
    st.session_state[key] = st.session_state[key]


@st.cache_resource(show_spinner=False)
def _kept_passes() -> BoundedCache[Hashable, AttentionPass]:
    return BoundedCache(max_bytes=min(available_memory() // 8, 1 << 30), size=lambda scene: scene.bytes, max_count=64)


def submit_pass(model: str, picture: Picture, fit: str | None) -> Job[AttentionPass]:
    """The job that runs a model over a picture and packs all of its attention."""
    key = (picture.identity, model, fit)

    def work(found: Model, progress: Progress) -> AttentionPass:
        progress(0, None, "Reading the attention")
        return _kept_passes().get(key, lambda: _attention_pass(found, picture, fit, key))

    return submit("scene", key, model, work)


def submit(what: str, key: Hashable, model: str, work: Callable[[Model, Progress], T]) -> Job[T]:
    """The job of this visitor that does ``work`` for ``key``; one for another key under the name ``what`` is replaced."""
    slot = SLOT + what
    job = job_slots.submit(slot, (model, key), lambda: service().run(visitor(), model, slot, work))
    job_slots.wait_for([job])
    return job


def result_or_status(what: str, job: Job[T]) -> T | None:
    """The answer; where there is none yet, or none at all, say so on the page and give None."""
    return job_slots.result_or_status(SLOT + what, job)


def _attention_pass(model: Model, picture: Picture, fit: str | None, key: Hashable) -> AttentionPass:
    from vizlib.analysis.attention import artifact_tokens
    from vizlib.explainers.api import ranked
    from vizlib.passes.forward import traces
    from vizlib.ui.components.attention_canvas import payload

    x = model.prepare(picture.pixels, fit)
    geometry = model.geometry(picture.pixels.shape[:2], fit)
    trace = traces(model, x)[0]
    identity = hashlib.blake2b(repr(key).encode(), digest_size=8).hexdigest()
    ranking = ranked(model, trace.logits.float().cpu(), model.adapter.classes) if model.adapter.classes else []
    shown = payload.view(model, trace)
    if not shown.sites:
        return AttentionPass(identity, x, geometry, trace, shown, [], ranking, b"", trace.unreadable or "it has no attention")
    norms = artifact_tokens.norms(trace)
    odd = artifact_tokens.artifact_cells(norms)
    cells = [odd.get(site.query_grid.shape, []) for site in shown.sites]
    packed = pack(picture, geometry, payload.pack(shown), view=identity, odd=cells)
    return AttentionPass(identity, x, geometry, trace, shown, norms, ranking, packed)
