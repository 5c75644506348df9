"""One pass of a model over a picture with all of its attention: what the page shows of it, and the tensors that work reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.engine.worker_memory import remember
from vizlib.ui.components.attention_canvas import pack

if TYPE_CHECKING:
    import torch

    from vizlib import Geometry, Model, Prediction, Trace
    from vizlib.analysis.attention.token_norms import Norms
    from vizlib.engine.jobs import Progress
    from vizlib.tracing.token_grid import Grid
    from vizlib.ui.components.attention_canvas.payload import View
    from vizlib.ui.core.pictures import Picture


@dataclass(frozen=True, eq=False)
class PassRequest:
    """Which pass: of the model that the model service knows by this identity, over a picture, fitted how."""

    model: str
    picture: Picture
    fit: str | None

    @property
    def identity(self) -> str:
        """A short name for the pass."""
        return hashlib.blake2b(repr((self.picture.identity, self.model, self.fit)).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class AttentionLayer:
    """What is said of one attention: its name, what a reader calls it, its grids, and the names of the learned tokens on them."""

    name: str
    title: str
    stage: int
    heads: int
    query_grid: Grid
    key_grid: Grid
    query_prefix: tuple[str, ...]
    key_prefix: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AttentionPass:
    """What the page shows of a pass, and the bytes that the canvas draws it from.

    ``refusal`` says why there is nothing to draw where there is nothing; the rest is then empty.
    """

    identity: str
    geometry: Geometry
    layers: tuple[AttentionLayer, ...]
    norms: list[Norms]
    ranking: list[Prediction]
    payload: bytes
    refusal: str = ""

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return len(self.payload) + sum(layer.norms.nbytes + layer.scores.nbytes for layer in self.norms) + 300 * len(self.ranking)


@dataclass(frozen=True, eq=False)
class TracedPass:
    """A pass with its tensors: the prepared input x (1, 3, h, w), the trace, and the attentions as they are shown."""

    x: torch.Tensor
    geometry: Geometry
    trace: Trace
    view: View

    @property
    def nbytes(self) -> int:
        """About what keeping it takes."""
        tensors = [*self.trace.tokens.values(), *self.trace.features.values()]
        tensors += [tensor for site in self.trace.attention for tensor in (site.q, site.k, site.v, site.output) if tensor is not None]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def traced_pass(request: PassRequest, model: Model) -> TracedPass:
    """The pass with its tensors, from this process's memory or made again."""
    key = (request.model, "attention pass", request.picture.identity, request.fit)
    return remember(key, lambda: _trace(request, model), lambda traced: traced.nbytes)


def compute_pass(request: PassRequest, model: Model, *, progress: Progress) -> AttentionPass:
    """Run the model and pack all of its attention for the canvas."""
    from vizlib.analysis.attention import artifact_tokens
    from vizlib.explainers.api import ranked
    from vizlib.ui.components.attention_canvas import payload

    progress(0, None, "Reading the attention")
    traced = traced_pass(request, model)
    trace, view = traced.trace, traced.view
    ranking = ranked(model, trace.logits.float().cpu(), model.adapter.classes) if model.adapter.classes else []
    if not view.sites:
        return AttentionPass(request.identity, traced.geometry, (), [], ranking, b"", trace.unreadable or "it has no attention")
    norms = artifact_tokens.norms(trace)
    odd = artifact_tokens.artifact_cells(norms)
    cells = [odd.get(site.query_grid.shape, []) for site in view.sites]
    packed = pack(request.picture, traced.geometry, payload.pack(view), view=request.identity, odd=cells)
    return AttentionPass(request.identity, traced.geometry, _layers(view), norms, ranking, packed)


@dataclass(frozen=True)
class FinerLayer:
    """A layer with every weight, packed for the canvas; None where that is too much to send."""

    attention: bytes | None


def compute_finer_layer(request: PassRequest, layer: int, model: Model, *, progress: Progress) -> FinerLayer:
    """Pack one layer of a pass exactly."""
    from vizlib.ui.components.attention_canvas.payload import pack_site

    progress(0, None, "Reading the layer in full")
    return FinerLayer(pack_site(traced_pass(request, model).view, layer))


def _trace(request: PassRequest, model: Model) -> TracedPass:
    from vizlib.passes.forward import traces
    from vizlib.ui.components.attention_canvas import payload

    pixels = request.picture.pixels
    x = model.prepare(pixels, request.fit)
    trace = traces(model, x)[0]
    return TracedPass(x, model.geometry(pixels.shape[:2], request.fit), trace, payload.view(model, trace))


def _layers(view: View) -> tuple[AttentionLayer, ...]:
    return tuple(
        AttentionLayer(
            site.name, view.title(index), site.stage, site.heads, site.query_grid, site.key_grid,
            tuple(view.prefix(site.query_grid)), tuple(view.prefix(site.key_grid)),
        )
        for index, site in enumerate(view.sites)
    )  # fmt: skip
