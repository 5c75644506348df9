"""Numbers as a reader sees them."""

from __future__ import annotations

import pytest

from vizlib.figures.numbers import adding_digits, alike, apart, at_most, decimal, ends, of_pictures, percent, points, signed, significant
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
    assert adding_digits((1.0, 1 / 3, 1 / 3, 1 / 3), digits=1) == 3  # none does, and the most are off by least


@pytest.mark.parametrize(
    ("count", "pictures", "said"),
    [(1, 1, "the one picture"), (2, 2, "both pictures"), (3, 8, "3 of 8 pictures"), (1200, 1200, "all 1,200 pictures")],
)
def test_how_many_of_some_pictures(count, pictures, said):
    assert of_pictures(count, pictures) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [
        *((0.99, "99 %"), (0.996, "99.6 %"), (0.9996, "over 99.9 %"), (1, "100 %")),
        *((-0.05, "\u22125.0 %"), (-0.3, "\u221230 %"), (1e-4, "under 0.1 %")),
    ],
)
def test_a_share_is_not_all_and_not_nothing_unless_it_is(share, said):
    assert percent(share).replace("\u00a0", " ") == said


def test_a_number_below_0_has_a_minus_and_what_rounds_to_0_has_none():
    assert [decimal(value) for value in (-0.126, -0.001, 0.0, 3.0)] == ["−0.13", "0.00", "0.00", "3.00"]
    assert [significant(value) for value in (-1234.5, -0.00012345, 0.0)] == ["−1.23e+03", "−0.000123", "0"]


@pytest.mark.parametrize("value", [1e-7, 1.4e-7, 9.6e-3, 3e-5, 2.31e-4, 0.0999, 5e-16])
def test_a_bound_is_never_below_what_it_bounds(value):
    assert value * (1 - 1e-6) <= float(at_most(value)) <= 2 * value * (1 + 1e-6)
    assert at_most(-1) == at_most(0) == "0"


def shown(text: str) -> float:
    """The number at the start of what a reader is told, in per cent; of an amount that is too small to tell, nothing."""
    text = text.replace("\u00a0", " ").replace("\u2212", "-")
    return 0.1 if text.startswith("under") else 99.9 if text.startswith("over") else float(text.split(" ")[0])


@pytest.mark.parametrize("whole", [3, 7, 48, 192, 1000])
def test_whoever_subtracts_two_shares_finds_the_difference_that_is_told(whole):
    """Of all shares of so many: what is shown differs by what is shown of the difference, which is off by less than a tenth of a point."""
    step = max(1, whole // 60)
    for right in range(0, whole + 1, step):
        for other in range(0, whole + 1, step):
            first, second, gap = apart(right / whole, other / whole)
            slack = 0.11 if "under" in first + second or "over" in first + second else 1e-6
            assert abs(shown(first) - shown(second) - shown(gap)) < slack, (first, second, gap)
            digits = len(gap.split("\u00a0")[0].partition(".")[2])
            assert abs(shown(gap) - 100 * (right - other) / whole) <= (0.5, 0.1, 0.01)[digits] + 1e-9


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.766, 0.344), ("76.6 %", "34.4 %", "+42.2 percentage points")),  # not 77 %, 34 % and 42
        ((0.77, 0.34), ("77 %", "34 %", "+43 percentage points")),
        ((2 / 3, 1 / 3), ("66.7 %", "33.3 %", "+33.4 percentage points")),  # no digit would make them agree
        ((0.05, 0.34), ("5.0 %", "34.0 %", "−29.0 percentage points")),
        ((0.4, 0.4), ("40 %", "40 %", "0 percentage points")),
    ],
)
def test_two_shares_and_their_difference(shares, said):
    assert tuple(text.replace("\u00a0", " ") for text in apart(*shares)) == said


def test_an_interval_beside_two_shares_has_as_many_digits():
    assert apart(0.766, 0.344, 0.3, 0.5)[2].replace("\u00a0", " ") == "+42.2 percentage points (95 %: +30.0 to +50.0)"


@pytest.mark.parametrize(
    ("values", "digits", "said"),
    [
        ((6.001, 5.712), 3, ("6.00", "5.71")),  # not 6 beside 5.71
        ((-12.34, 0.0512), 3, ("\u221212.3", "0.1")),
        ((6.504, 6.506), 4, ("6.504", "6.506")),
        ((1234.6, 99.0), 3, ("1235", "99")),
        ((2.5e-8, 1e-8), 3, ("2.5e\u221208", "1e\u221208")),
        ((0.0, 0.0), 3, ("0", "0")),
    ],
)
def test_numbers_beside_each_other_have_as_many_digits_behind_the_point(values, digits, said) -> None:
    assert alike(*values, digits=digits) == said
