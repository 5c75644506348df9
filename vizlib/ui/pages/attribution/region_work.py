"""What a region of the photograph carries, asked of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from vizlib import Model
    from vizlib.engine.jobs import Progress
    from vizlib.evaluation.measured import RegionScore
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.pages.attribution.map_work import Goal


@dataclass(frozen=True, eq=False)
class RegionResult:
    """What one region carries."""

    region_score: RegionScore

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return 1024


def compute_region(mask: np.ndarray, model: Model, *, picture: Picture, fit: str | None, goal: Goal, progress: Progress) -> RegionResult:
    """Ask the model about the region where ``mask`` (h, w) is True."""
    from vizlib.evaluation.region_score import region_score

    progress(0, None, "Asking about the region")
    return RegionResult(region_score(model, picture.pixels, mask, goal, fit))
