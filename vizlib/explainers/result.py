"""What a method hands back for one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Finding:
    """A map (h, w) float64 on the model's input, and the share of it that ended in learned tokens (None where that has no meaning)."""

    input_map: torch.Tensor
    sink: float | None
    notes: tuple[str, ...] = ()
    extras: dict[str, Any] = field(default_factory=dict)
