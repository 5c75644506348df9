"""One pass of a model over a picture with all of its attention, packed for the canvas."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.ui.components.attention_canvas import pack
from vizlib.ui.core import computations

if TYPE_CHECKING:
    import torch

    from vizlib import Geometry, Model, Prediction, Trace
    from vizlib.analysis.attention.artifact_tokens import Norms
    from vizlib.engine.jobs import Progress
    from vizlib.ui.components.attention_canvas.payload import View
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture

WITHOUT_WEIGHTS = "Choose another model, or take this one with random weights from Python."


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
    def nbytes(self) -> int:
        """About what keeping it takes."""
        tensors = [*self.trace.tokens.values(), *self.trace.features.values()]
        tensors += [tensor for site in self.trace.attention for tensor in (site.q, site.k, site.v, site.output) if tensor is not None]
        return len(self.payload) + sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def pass_or_status(model: ModelChoice, picture: Picture, fit: str | None) -> AttentionPass | None:
    """The pass of a model over a picture once it is there; until then, drawn on the page, why not."""

    def compute_pass(loaded: Model, progress: Progress) -> AttentionPass:
        progress(0, None, "Reading the attention")
        return _attention_pass(loaded, picture, fit, model.identity)

    return computations.compute_or_status(
        "attention.pass", ("attention", picture.identity, fit), [model], compute_pass, otherwise=WITHOUT_WEIGHTS
    )


def _attention_pass(model: Model, picture: Picture, fit: str | None, name: str) -> AttentionPass:
    from vizlib.analysis.attention import artifact_tokens
    from vizlib.explainers.api import ranked
    from vizlib.passes.forward import traces
    from vizlib.ui.components.attention_canvas import payload

    x = model.prepare(picture.pixels, fit)
    geometry = model.geometry(picture.pixels.shape[:2], fit)
    trace = traces(model, x)[0]
    identity = hashlib.blake2b(repr((picture.identity, name, fit)).encode(), digest_size=8).hexdigest()
    ranking = ranked(model, trace.logits.float().cpu(), model.adapter.classes) if model.adapter.classes else []
    shown = payload.view(model, trace)
    if not shown.sites:
        return AttentionPass(identity, x, geometry, trace, shown, [], ranking, b"", trace.unreadable or "it has no attention")
    norms = artifact_tokens.norms(trace)
    odd = artifact_tokens.artifact_cells(norms)
    cells = [odd.get(site.query_grid.shape, []) for site in shown.sites]
    packed = pack(picture, geometry, payload.pack(shown), view=identity, odd=cells)
    return AttentionPass(identity, x, geometry, trace, shown, norms, ranking, packed)
