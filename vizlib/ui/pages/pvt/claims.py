"""What a pyramid is good for, as papers claim it, put to the test by the groups of its cells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vizlib.analysis.features.boundaries import pieces
from vizlib.claims import Claim, Verdict
from vizlib.figures.numbers import listed
from vizlib.ui.pages.pvt.segmentation_data import COUNTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.ui.pages.pvt.segmentation_data import Segmentation

_WANG = "Wang et al., Pyramid Vision Transformer (2021), https://arxiv.org/abs/2102.12122"
LEAST = 0.05
"""The smallest difference of two ratios of steepness that counts on one picture."""
CASE = (
    "One picture, grouped without training: a case, not a proof. Few pieces alone are no merit: a coarse grid cannot make many, and a fine "
    "one lets boundaries come nearer to edges for its size alone."
)


def fragments(fields: Sequence[Segmentation], count: int) -> str:
    """How many pieces each model's groups fall into, and whose are the fewest, whoever that is; empty for one model alone."""
    index = COUNTS.index(count)
    if len(fields) < 2:
        return ""
    parts = {field.title: pieces(field.labels[index]) for field in fields}
    fewest = [title for title, number in parts.items() if number == min(parts.values())]
    all_parts = ", ".join(f"{title} {number}" for title, number in parts.items())
    least = f"{listed(fewest)} {'is' if len(fewest) == 1 else 'are equally'} the least fragmented"
    return f"Into {count} groups, in connected pieces: {all_parts}. On this picture {least}."


def boundaries_claim(pyramid: Segmentation, plain: Segmentation) -> Claim:
    """Whether the pyramid's boundaries lie on steeper places of the picture than a plain model's, for every number of groups."""
    pairs = [(own, other) for own, other in zip(pyramid.ratios, plain.ratios, strict=True) if not (math.isnan(own) or math.isnan(other))]
    gaps = [own - other for own, other in pairs]
    ahead, behind = (sum(sign * gap > LEAST for gap in gaps) for sign in (1, -1))
    verdict = Verdict.CANNOT_TELL
    if pairs and ahead == len(pairs):
        verdict = Verdict.SO
    elif pairs and behind == len(pairs):
        verdict = Verdict.NOT_SO
    measured = "there is no edge in this picture, or no boundary, that could be compared."
    if pairs:
        means = [sum(values) / len(pairs) for values in zip(*pairs, strict=True)]
        measured = (
            f"steeper for {ahead} of {len(pairs)} numbers of groups, less steep for {behind}: {means[0]:.2f} times the mean steepness of "
            f"the picture against {means[1]:.2f} in the mean; 1 is a boundary laid at random. A difference counts from {LEAST:.2f} on."
        )
    return Claim(
        "A pyramid suits dense prediction: its fine stages know where things end.",
        f"for every number of groups, {pyramid.title}'s boundaries lie where the picture is steeper than {plain.title}'s do.",
        measured,
        verdict,
        (_WANG,),
    )
