"""Numbers as a reader sees them."""

from __future__ import annotations

import pytest

from vizlib.figures.numbers import points
from vizlib.stats import wilson


@pytest.mark.parametrize(
    ("gap", "interval", "said"),
    [
        ((0.32,), (0.19, 0.392), "+32 percentage points (95 %: +19 to +39)"),
        ((-0.012,), (-0.19, 0.14), "\u22121 percentage point (95 %: \u221219 to +14)"),
        ((0.08,), (0.004, 0.157), "+8.0 percentage points (95 %: +0.4 to +15.7)"),  # not "0 to +16": the interval leaves 0 out
        ((-0.02,), (-0.0396, -0.0004), "\u22122.00 percentage points (95 %: \u22123.96 to \u22120.04)"),
        ((0.08,), (0.0, 0.157), "+8 percentage points (95 %: 0 to +16)"),
        ((-0.004,), (), "0 percentage points"),
        ((0.01,), (), "+1 percentage point"),
    ],
)
def test_a_difference_of_shares_is_in_percentage_points(gap, interval, said):
    assert points(*gap, *interval).replace("\u00a0", " ") == said


def test_a_difference_with_a_digit():
    assert points(-0.0123, -0.0204, 0.0, digits=1).replace("\u00a0", " ") == "\u22121.2 percentage points (95 %: \u22122.0 to 0.0)"


@pytest.mark.parametrize("images", [480, 1152, 1250])
def test_no_rounding_is_left_at_the_ends_of_a_share(images):
    assert wilson(0, images)[0] == 0.0
    assert wilson(images, images)[1] == 1.0
