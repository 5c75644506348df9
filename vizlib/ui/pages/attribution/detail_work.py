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
    """A cascade: for each layer, the last first, what it is called, how alike the map still is, and the map; is the first the head?"""

    rows: list[tuple[str, float, np.ndarray]]
    headed: bool

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
    import torch

    from vizlib.evaluation.sanity_checks import cascade
    from vizlib.evaluation.weight_randomization import weighted_modules_top_down
    from vizlib.ui.pages.attribution.cascade_titles import step_titles

    progress(0, None, f"{METHODS[explanation.method].title}: drawing the model anew, layer by layer")
    with told_to(progress):
        rows = cascade(model, picture.pixels, explanation)
    titles = step_titles(model, weighted_modules_top_down(model, model.cast(torch.zeros(1, 3, *explanation.input_map.shape))))
    return CascadeResult([(titles[name], value, values) for name, value, values in rows], headed=rows[0][0] == "head")


def compute_stability(explanation: Explanation, model: Model, *, picture: Picture, progress: Progress) -> StabilityResult:
    """The map again under noise, a dozen times."""
    from vizlib.evaluation.stability_bands import stability

    progress(0, None, f"{METHODS[explanation.method].title}: making the map again under noise")
    with told_to(progress):
        return StabilityResult(stability(model, picture.pixels, explanation))
