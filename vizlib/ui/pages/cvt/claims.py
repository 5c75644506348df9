"""What the CvT paper claims, put to the test on the page's picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.claims import Claim, Verdict, verdict_above
from vizlib.figures.numbers import percent
from vizlib.ui.pages.cvt.shuffle_shift_data import OPENS, SEEDS, TILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.analysis.features.squeeze import Squeeze

_WU = "Wu et al., CvT: Introducing Convolutions to Vision Transformers (2021), https://arxiv.org/abs/2103.15808"
LEAST = 0.03
"""The smallest distance of answers that counts on one picture."""
ROUNDING = 1e-6
"""A smaller distance of answers is none: shuffle_shift.js has the same."""
LITTLE = 0.1
"""Of an output's length: what moves less than that moves little."""
CASE = "One picture: a case, not a proof."


def positions_claim(cvt: dict[str, Any], blind: dict[str, Any]) -> Claim:
    """Whether CvT notices shuffled patches without a table of positions; a ViT without its table is the control, which cannot."""
    place = TILES.index(OPENS)
    own, control = (row["shuffled"][place]["distance"] for row in (cvt, blind))
    return Claim(
        "CvT needs no table of positions: its windows and convolutions tell it what lies beside what.",
        f"with {OPENS} × {OPENS} patches shuffled, CvT's answer moves, where that of a ViT without its table stays.",
        f"CvT's answer moves by {percent(own)}, that of {blind['title']} by {percent(control if control >= ROUNDING else 0)}, means over "
        f"{len(SEEDS)} orders. A distance counts from {percent(LEAST)} on.",
        verdict_above(own - control - LEAST, own - control + LEAST),
        (_WU,),
    )


def squeezing_claim(squeezed: Sequence[tuple[str, Squeeze]]) -> Claim:
    """Whether a quarter of the keys gives about what all keys give, in every layer; where it does not, that tells nothing of the cost."""
    changes = [block.change for _, block in squeezed]
    little = max(changes) < LITTLE
    why = "" if little else " But these weights were trained for the squeezed grid: what training with all keys would give is not known."
    return Claim(
        "Keys and values on a squeezed grid save computation and cost little.",
        f"the output of every attention moves by less than {percent(LITTLE)} of its length when every cell is a key.",
        f"it moves by {percent(min(changes))} to {percent(max(changes))} over {len(changes)} layers.{why}",
        Verdict.SO if little else Verdict.CANNOT_TELL,
        (_WU,),
    )
