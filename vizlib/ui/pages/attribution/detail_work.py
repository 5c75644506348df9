"""What is measured of one method's map when it is looked at closely: its cascade, and what of it stays under noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.catalog.methods import METHODS
from vizlib.engine.progress import told_to

if TYPE_CHECKING:
    import numpy as np

    from vizlib import Explanation, Model
    from vizlib.engine.jobs import Progress
    from vizlib.evaluation.measured import StabilityBands
    from vizlib.ui.core.pictures import Picture


@dataclass(frozen=True, eq=False)
class CascadeResult:
    """A cascade: for each layer, the last one first, its name, how alike the map still is, and the map."""

    rows: list[tuple[str, float, np.ndarray]]

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return sum(values.nbytes for _, _, values in self.rows)


@dataclass(frozen=True, eq=False)
class StabilityResult:
    """What of a map stays under noise."""

    bands: StabilityBands

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return 4 * self.bands.steady.nbytes


def compute_cascade(explanation: Explanation, model: Model, *, picture: Picture, progress: Progress) -> CascadeResult:
    """The map again after each layer whose weights were drawn anew, from the classifier down."""
    from vizlib.evaluation.sanity_checks import cascade

    progress(0, None, f"{METHODS[explanation.method].title}: drawing the model anew, layer by layer")
    with told_to(progress):
        return CascadeResult(cascade(model, picture.pixels, explanation))


def compute_stability(explanation: Explanation, model: Model, *, picture: Picture, progress: Progress) -> StabilityResult:
    """The map again under noise, a dozen times."""
    from vizlib.evaluation.stability_bands import stability

    progress(0, None, f"{METHODS[explanation.method].title}: making the map again under noise")
    with told_to(progress):
        return StabilityResult(stability(model, picture.pixels, explanation))
