"""One measure of one map, and what the measures of faithfulness are."""

from __future__ import annotations

from dataclasses import dataclass

from vizlib.evaluation.sensitivity_n import CELLS

PARTS, RANDOM, SIZES, EACH, JITTERS, RADIUS = 32, 20, (4, 8, 16, 32), 32, 6, 0.02
BASELINES = ("mean", "blur", "colour")
_PARTS = f"in {PARTS} equal parts, the mean over three baselines (mean colour of the data, blur, own mean colour)"
DEFINITIONS = {
    "deletion": f"The area under the class probability as the map's highest pixels are taken away, {_PARTS}. Lower is better.",
    "insertion": f"The area under the class probability as the map's highest pixels are given back to an empty image, {_PARTS}. "
    "Higher is better.",
    "sensitivity_n": f"The correlation of the map's sum over random cells of an {CELLS} x {CELLS} grid with how far the score falls "
    f"without them, {EACH} subsets each of {', '.join(map(str, SIZES))} cells. Higher is better.",
    "infidelity": "The mean square of what the map's sum, at its best scale, leaves of that fall, over the fall's own. 0 is perfect, "
    "1 foretells nothing. Lower is better.",
    "max_sensitivity": f"The most that the map changes, as a share of its norm, when the input changes by at most {RADIUS:g} of its range, "
    f"over {JITTERS} random changes. Lower is better.",
}
HIGHER = {"insertion", "sensitivity_n"}


@dataclass(frozen=True)
class Score:
    """``value`` is the mean over baselines, ``low`` and ``high`` its least and most.

    ``percentile`` is the share, 0 to 100, of random smooth maps on the same image that are worse, ``gaussian`` the value of a Gaussian
    around the middle, each None where a map alone cannot be measured. ``good`` says whether the map is better than 95 % of the random
    ones and than the Gaussian; ``higher`` whether more is better; ``definition`` is the exact rule.
    """

    value: float
    low: float
    high: float
    percentile: float | None
    gaussian: float | None
    good: bool | None
    higher: bool
    definition: str
