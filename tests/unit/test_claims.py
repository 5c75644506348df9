"""Verdicts on claims, intervals, and the card that shows them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vizlib.claims import Claim, Verdict, all_of, of_untrained, verdict_above, verdict_below
from vizlib.stats import bootstrap_interval
from vizlib.ui.widgets.claim_card import BADGES, OWN_CLAIM, card_text

SO, NOT_SO, OPEN = Verdict.SO, Verdict.NOT_SO, Verdict.CANNOT_TELL


@pytest.mark.parametrize(
    ("low", "high", "above", "below"),
    [(0.1, 0.2, SO, NOT_SO), (-0.2, -0.1, NOT_SO, SO), (-0.1, 0.1, OPEN, OPEN), (0, 0, OPEN, OPEN), (math.nan, 1, OPEN, OPEN)],
)
def test_a_verdict_takes_the_whole_interval(low, high, above, below):
    assert verdict_above(low, high) is above
    assert verdict_below(low, high) is below
    assert verdict_above(low + 5, high + 5, 5) is (OPEN if low == high else above)


def test_several_claims_hold_together():
    assert all_of(SO, SO) is SO
    assert all_of(SO, OPEN) is OPEN
    assert all_of(OPEN, NOT_SO, SO) is NOT_SO


def test_random_weights_tell_nothing_of_trained_ones():
    claim = of_untrained(Claim("x", "y", "z.", SO))
    assert (claim.verdict, claim.measured) == (OPEN, "z. But these weights are random.")


def test_the_interval_of_a_mean_is_about_that_of_the_normal_law():
    values = np.random.default_rng(3).normal(2.0, 1.0, 400)
    low, high = bootstrap_interval(values, lambda means: means)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)
    assert all(map(math.isnan, bootstrap_interval(values[:1], lambda means: means)))


def test_an_interval_of_few_is_as_wide_as_that_of_their_spread():
    low, high = bootstrap_interval(np.array([0.0, 1.0]), lambda means: means)
    assert (low, high) == pytest.approx((0.5 - 0.5 * 2**0.5, 0.5 + 0.5 * 2**0.5))


def test_a_card_says_all_four_things_and_formats_nothing_of_a_models_name():
    claim = Claim("*x* rises.", "y", "z", NOT_SO, ("A paper (2020), https://arxiv.org/abs/2001.00001",))
    lines = card_text(claim).split("  \n")
    assert lines[0] == r"**Claimed:** \*x\* rises. :gray[([A paper (2020)](https://arxiv.org/abs/2001.00001))]"
    assert lines[1:] == ["**Would be seen:** y", "**Measured here:** z", BADGES[NOT_SO]]
    assert str(NOT_SO) in BADGES[NOT_SO]
    untested = card_text(Claim("x", "y", "z", None))
    assert OWN_CLAIM in untested
    assert "badge" not in untested
