"""One token of a pass: its attention in numbers, and its rollout down to the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.ui.pages.attention.pass_work import traced_pass
from vizlib.ui.widgets.explanation import pack_shares

if TYPE_CHECKING:
    import numpy as np

    from vizlib import Model
    from vizlib.analysis.attention.head_statistics import Row
    from vizlib.engine.jobs import Progress
    from vizlib.ui.pages.attention.pass_work import PassRequest


@dataclass(frozen=True, eq=False)
class TokenRollout:
    """A token's rollout: packed for the browser, its map (h, w) and sink; and what it looks at in its layer, ``weights`` (heads, keys)."""

    payload: bytes
    input_map: np.ndarray
    sink: float
    weights: np.ndarray


def compute_row(request: PassRequest, layer: int, token: int, head: int | None, model: Model, *, reverse: bool, progress: Progress) -> Row:
    """The attention of a token; ``reverse`` is what it receives."""
    from vizlib.analysis.attention.head_statistics import attention_row

    progress(0, None, "Reading the attention")
    traced = traced_pass(request, model)
    return attention_row(traced.view.sites[layer], token, traced.geometry.input_size, head, reverse=reverse)


def compute_token_rollout(request: PassRequest, layer: int, token: int, model: Model, *, progress: Progress) -> TokenRollout:
    """The rollout that starts at a token of a layer."""
    from vizlib.analysis.attention.token_rollout import rollout, rollout_from

    progress(0, None, "Walking down to the pixels")
    traced = traced_pass(request, model)
    site = traced.view.sites[layer]
    output = rollout(model, traced.x) if site.name == "readout" else rollout_from(model, traced.x, layer, token)
    values = output.input_map.cpu().numpy()
    weights = site.weights([token])[:, 0].cpu().numpy()
    return TokenRollout(pack_shares(request.picture, values, traced.geometry), values, output.sink or 0.0, weights)
