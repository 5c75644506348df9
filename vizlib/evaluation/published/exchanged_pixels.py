"""Pictures whose pixels were exchanged for another's, in the order of a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.zoo.model import Model

BATCH = 64


def exchange_highest(x: torch.Tensor, other: torch.Tensor, values: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """Images (n, C, h, w): ``x`` (1, C, h, w) with the ``counts`` highest pixels by ``values`` (h, w) from ``other``; ties by place."""
    order = values.flatten().argsort(descending=True, stable=True)
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order), device=order.device)
    gone = places < torch.tensor(counts, device=order.device)[:, None]
    return torch.where(gone.unflatten(1, x.shape[2:])[:, None], other, x)


def logits_of(model: Model, images: torch.Tensor) -> torch.Tensor:
    """The logits (n, K) float64 of images (n, C, h, w), in batches, without gradients."""
    with torch.inference_mode():
        return torch.cat([model(some).double() for some in images.split(BATCH)])
