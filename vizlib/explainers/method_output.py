"""What a method gives for one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class MethodOutput:
    """A map (h, w) float64 on the model's input, and the share of it that ended in learned tokens (None where that has no meaning).

    ``stages`` are the maps of the same walk on the grids above the pixels, coarse to fine; ``facts`` numbers that say how far it adds up.
    ``drawn`` is what pictures show in the map's place, and ``drawn_stages`` in the place of ``stages``, where that is something else.
    """

    input_map: torch.Tensor
    sink: float | None
    notes: tuple[str, ...] = ()
    stages: tuple[torch.Tensor, ...] = ()
    facts: dict[str, float] = field(default_factory=dict)
    drawn: torch.Tensor | None = None
    drawn_stages: tuple[torch.Tensor, ...] = ()
