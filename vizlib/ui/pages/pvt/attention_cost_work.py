"""What attention takes on this machine, measured beside the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.engine.memory import available_memory

if TYPE_CHECKING:
    from vizlib.analysis.cost.measurement import Measurement
    from vizlib.analysis.cost.spatial_reduction import Layer
    from vizlib.engine.jobs import Progress

SHARE = 0.5  # of the memory that is free: other visitors need some too
MOST_BYTES = 4 << 30


def measure_attention(layer: Layer, *, progress: Progress) -> list[Measurement]:
    """Time one attention layer alone, from small pictures to large ones, within what is free of this machine's memory."""
    from vizlib.analysis.cost.spatial_reduction_timing import Budget, measure

    budget = Budget(bytes=min(MOST_BYTES, int(available_memory() * SHARE)))
    return list(measure(layer, budget=budget, progress=progress))
