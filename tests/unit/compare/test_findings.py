"""How claims of papers fare in made-up comparisons: so, not so, and not to be told; and sentences that say what the chart shows."""

from __future__ import annotations

import numpy as np
import pytest

from vizlib.analysis.features.layer import Layer
from vizlib.analysis.pixel_attribution import Attribution, Difference
from vizlib.analysis.receptive_field.receptive_field import ReceptiveField
from vizlib.claims import Verdict
from vizlib.compare.findings import _spectrum_finding, filtering, global_heads, growing_field, oversmoothing
from vizlib.compare.result import HeadMeasures, ModelMeasures, OfEachImage

SO, NOT_SO, OPEN = Verdict.SO, Verdict.NOT_SO, Verdict.CANNOT_TELL
SIDE = 30  # of the input: a diagonal of 42.4 pixels
DIAGONAL = SIDE * 2**0.5


def measures(*, similarity=None, curves=None, distance=None, reaches=None, family="vit", grids=(8, 8, 8), images=8):
    """A model of three layers, with what is given of each image."""
    count = len(grids)
    similarity = np.full((images, count), 0.3) if similarity is None else np.asarray(similarity, float)
    curves = np.zeros((images, count)) if curves is None else np.asarray(curves, float)
    amplitude = np.stack([np.ones_like(curves), np.exp(curves)], -1)
    distance = np.zeros((len(similarity), 0)) if distance is None else np.asarray(distance, float) * DIAGONAL
    layers = tuple(Layer(f"blocks.{index}", (index + 1) / count, (side, side), 4, (SIDE, SIDE)) for index, side in enumerate(grids))
    high = np.log(amplitude[..., 1].mean(0) / amplitude[..., 0].mean(0))
    heads = (HeadMeasures("blocks.0", 1 / 3, np.zeros(distance.shape[1]), distance.mean(0)),) if distance.size else ()
    even = np.full((SIDE, SIDE), 1 / SIDE**2)
    fields = tuple(ReceptiveField(even, (15, 15), tuple(np.asarray(of_layer) * DIAGONAL)) for of_layer in reaches or ())
    zeros = np.zeros(count)
    return ModelMeasures(
        "m", "M", "M", family, 1, (SIDE, SIDE), layers, zeros, similarity.mean(0), zeros, zeros, zeros, 4,
        tuple(np.array([0.0, value]) for value in high), zeros, zeros, {}, heads, fields, (), None, None, {},
        OfEachImage(similarity, amplitude, distance),
    )  # fmt: skip


def spread(mean, by, images=8):
    return mean + by * np.linspace(-1, 1, images)


@pytest.mark.parametrize(
    ("mean", "by", "images", "expected"),
    [(0.4, 0.02, 8, SO), (0.2, 0.02, 8, NOT_SO), (0.31, 0.2, 8, OPEN), (0.9, 0.0, 3, OPEN)],
)
def test_heads_that_look_globally(mean, by, images, expected):
    claim = global_heads(measures(distance=np.stack([spread(0.1, 0.01, images), spread(mean, by, images)], 1), images=images))
    assert claim.verdict is expected
    assert ("at least 4 pictures" in claim.measured) == (images < 4)
    assert ("95 %:" in claim.measured) == (images >= 4)
    assert "alike would look 37\u00a0%" in claim.measured  # the control: an even look over a square


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (spread(0.05, 0.01, 4), spread(0.3, 0.01, 4), SO),
        (spread(0.2, 0.01, 4), spread(0.3, 0.01, 4), NOT_SO),  # it starts too wide
        (spread(0.05, 0.01, 4), spread(0.04, 0.01, 4), NOT_SO),  # it shrinks
        (spread(0.05, 0.01, 4), spread(0.05, 0.2, 4), OPEN),
    ],
)
def test_a_field_that_grows(first, last, expected):
    claim = growing_field(measures(reaches=(first, (first + last) / 2, last), family="resnet", images=4))
    assert claim.verdict is expected


@pytest.mark.parametrize("rises", [True, False])
@pytest.mark.parametrize(("change", "by", "expected"), [(0.5, 0.1, SO), (-0.5, 0.1, NOT_SO), (0.1, 0.5, OPEN)])
def test_filters(rises, change, by, expected):
    steps = spread(change, by) if rises else -spread(change, by)
    claim = filtering(measures(curves=np.stack([0 * steps, steps / 2, steps], 1)), "Claimed.", rises=rises)
    assert claim.verdict is expected


def test_a_step_to_another_grid_does_not_count_for_a_filter():
    curves = np.tile([0.0, 3.0, 2.5], (8, 1)) + spread(0, 0.01)[:, None] * [0, 0, 1]
    assert filtering(measures(curves=curves, grids=(8, 4, 4)), "Claimed.", rises=True).verdict is NOT_SO
    assert filtering(measures(curves=curves, grids=(8, 4, 2)), "Claimed.", rises=True).verdict is OPEN  # no two on one grid


def test_the_sentence_says_what_the_chart_shows():
    curves = np.tile([-4.28, -2.25, -2.45], (8, 1))
    finding = _spectrum_finding(measures(curves=curves, grids=(8, 4, 4), family="resnet"))
    assert finding.text.startswith("The fine structure of M rises from the first layer to the last: ln amplitude -4.28, then -2.45.")
    assert "Where two layers lie on one grid it changes by -0.20 in sum" in finding.text
    assert finding.claim.verdict is NOT_SO
    falling = _spectrum_finding(measures(curves=-curves))
    assert "M falls from the first layer to the last: ln amplitude +4.28, then +2.45." in falling.text
    assert "one grid" not in falling.text
    assert "M hardly changes" in _spectrum_finding(measures()).text


@pytest.mark.parametrize(("change", "by", "expected"), [(0.3, 0.05, SO), (-0.01, 0.02, NOT_SO), (0.05, 0.3, OPEN)])
def test_tokens_that_become_alike(change, by, expected):
    rise = spread(change, by)
    claim = oversmoothing(measures(similarity=np.stack([np.full(8, 0.3), np.full(8, 0.4), 0.3 + rise], 1)))
    assert claim.verdict is expected
    assert f"{change:+.2f}" in claim.measured


@pytest.mark.parametrize(
    ("sums", "scores", "bases", "words"),
    [
        ((2.0, 0.0), (-1.0, -3.0), (-3.0, -3.0), ()),  # complete, and nothing in the baseline
        ((4.0, 0.0), (-1.0, -3.0), (-3.0, -3.0), ("completeness gap (+2.00)",)),
        ((1.0, 0.5), (-1.0, -3.0), (-2.0, -3.5), ("lies in the baseline: there it is +1.50",)),
        ((9.0, 0.0), (-1.0, -3.0), (-2.0, -3.5), ("completeness gap", "lies in the baseline")),
    ],
)
def test_a_map_that_does_not_say_why_says_so(sums, scores, bases, words):
    ends = [Attribution(np.full((2, 2), total / 4), score, base) for total, score, base in zip(sums, scores, bases, strict=True)]
    doubts = Difference(*ends, 0, "cat").doubts
    assert len(doubts) == len(words)
    assert all(word in doubt for word, doubt in zip(words, doubts, strict=True))
