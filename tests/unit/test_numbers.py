"""Numbers as a reader sees them."""

from __future__ import annotations

import pytest

from vizlib.figures.numbers import adding_digits, decimal, ends, of_pictures, points, signed
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


def test_numbers_below_0_have_a_minus_and_nothing_has_no_sign():
    assert [decimal(value) for value in (0.126, -0.126, -0.004)] == ["0.13", "\u22120.13", "0.00"]
    assert [signed(value) for value in (0.126, -0.126, -0.004, 0.004)] == ["+0.13", "\u22120.13", "0.00", "0.00"]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.15, 0.2, "+0.15 to +0.20"),
        (0.1004, 0.2, "+0.1004 to +0.2000"),
        (-0.3, 0.0998, "\u22120.3000 to +0.0998"),
        (0.1, 0.2, "+0.10 to +0.20"),
    ],
)
def test_an_interval_reads_on_its_side_of_a_threshold(low, high, said):
    assert ends(low, high, lambda value, more: signed(value, 2 + more), 0.1) == said


def test_numbers_add_up_as_they_are_written():
    assert adding_digits((0.25, 0.75, -0.5), digits=1) == 2  # 0.2 would not be 0.8 less 0.5
    assert adding_digits((0.3, 0.8, -0.5), digits=1) == 1
    assert adding_digits((1.0, 0.1), digits=1) == 1  # where none does, as few as asked for


@pytest.mark.parametrize(
    ("count", "pictures", "said"),
    [(1, 1, "the one picture"), (2, 2, "both pictures"), (3, 8, "3 of 8 pictures"), (1200, 1200, "all 1,200 pictures")],
)
def test_how_many_of_some_pictures(count, pictures, said):
    assert of_pictures(count, pictures) == said
