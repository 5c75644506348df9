"""How claims of papers fare in made-up comparisons: so, not so, and not to be told; and sentences that say what the chart shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vizlib.analysis.features.cka_matrix import Alignment
from vizlib.analysis.features.layer import Layer
from vizlib.analysis.pixel_attribution import Attribution, Difference
from vizlib.analysis.receptive_field.receptive_field import ReceptiveField
from vizlib.claims import Verdict
from vizlib.compare.findings import (
    _channels_finding,
    _reach_findings,
    _same_answers_words,
    _similarity_finding,
    _spectrum_finding,
    filtering,
    findings,
    global_heads,
    growing_field,
    oversmoothing,
)
from vizlib.compare.result import Comparison, HeadMeasures, ModelMeasures, OfEachImage
from vizlib.figures.charts import mark
from vizlib.figures.comparison_charts import channel_bars

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
    assert ("95\u00a0%:" in claim.measured) == (images >= 4)
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
    assert finding.text.startswith(
        "The fine structure of M rises from the first layer to the last: log amplitude \u22124.28, then \u22122.45."
    )
    assert "Where two layers lie on one grid it changes by \u22120.20 in sum" in finding.text
    assert finding.claim.verdict is NOT_SO
    falling = _spectrum_finding(measures(curves=-curves))
    assert "M falls from the first layer to the last: log amplitude +4.28, then +2.45." in falling.text
    assert "one grid" not in falling.text
    assert "M hardly changes" in _spectrum_finding(measures()).text


@pytest.mark.parametrize(("change", "by", "expected"), [(0.3, 0.05, SO), (-0.01, 0.02, NOT_SO), (0.05, 0.3, OPEN)])
def test_tokens_that_become_alike(change, by, expected):
    rise = spread(change, by)
    claim = oversmoothing(measures(similarity=np.stack([np.full(8, 0.3), np.full(8, 0.4), 0.3 + rise], 1)))
    assert claim.verdict is expected
    assert claim.measured.startswith(f"{change:+.2f}".replace("-", "\u2212"))


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


def test_equal_models_have_no_difference_to_explain():
    same = Attribution(np.full((2, 2), 0.5), -1.0, -3.0)
    assert Difference(same, same, 0, "cat").doubts == [
        "Both models are equally sure of it, here and for the baseline: there is no difference to explain."
    ]


@pytest.mark.parametrize(
    ("same", "pictures", "words"),
    [
        (1, 1, "A and B give the picture the same first answer."),
        (0, 1, "A and B give the picture different first answers."),
        (2, 2, "A and B give the same first answer to both pictures."),
        (0, 9, "A and B give the same first answer to none of 9 pictures."),
        (1, 9, "A and B give the same first answer to 1 of 9 pictures."),
        (9, 9, "A and B give the same first answer to all 9 pictures."),
    ],
)
def test_answers_that_are_the_same(same, pictures, words):
    assert _same_answers_words(["A", "B"], same, pictures) == words


def compared(value, low=None, high=None, batches=10):
    models = tuple(replace(measures(), name=name, display_name=name.upper()) for name in "ab")
    whole = np.eye(6)
    whole[:3, 3:], whole[3:, :3] = value, np.transpose(value)
    bounds = [None if bound is None else np.pad(np.array(bound, float), ((0, 3), (3, 0)), constant_values=1) for bound in (low, high)]
    alignment = Alignment(whole, *bounds, batches)
    return Comparison(models, ("one", "two"), (), {("tokens", "linear"): alignment}, (), {}, {}, 1.0)


def alike(*matrices, batches=10):
    return next(finding.text for finding in findings(compared(*matrices, batches=batches)) if finding.text.startswith("Most alike"))


def test_the_most_alike_are_told_with_those_that_cannot_be_told_from_them():
    value = [[0.2, 0.3, 0.1], [0.5, 0.801, 0.4], [0.1, 0.799, -0.05]]
    assert alike(value) == (
        "Most alike (places, linear) are layer 2 of A and layer 2 of B, both at 67\u00a0% of the way up: CKA 0.80; 1 of 8 other "
        "pairs reads the same; the last layers have \u22120.05."
    )
    low, high = np.subtract(value, 0.1), np.add(value, 0.1)
    assert "CKA 0.80 (95\u00a0%: 0.70 to 0.90); 1 of 8 other pairs has an interval that meets it; the last" in alike(value, low, high)
    assert "other pairs" not in alike(value, np.subtract(value, 0.001), np.add(value, 0.0009))
    assert "CKA 0.80; 1 of 8 other pairs reads the same" in alike(value, value, value, batches=2)  # two that chance to agree
    last = [[0.2, 0.3, 0.1], [0.5, 0.5, 0.4], [0.1, 0.7, 0.9]]
    assert alike(last) == "Most alike (places, linear) are layer 3 of A and layer 3 of B, their last layers: CKA 0.90."


def test_one_head_is_one_and_heads_that_look_as_far_are_said_once():
    (one,) = _reach_findings(measures(distance=np.full((8, 1), 0.25)), 8)
    assert one.text.startswith("The head of M's first attention looks 25\u00a0% of the input's diagonal far; an even look")
    (two,) = _reach_findings(measures(distance=np.array([[0.25, 0.252]] * 8)), 8)
    assert two.text.startswith("The heads of M's first attention look 25\u00a0% of the input's diagonal far;")


def test_attention_without_a_distance_makes_no_claim():
    model = measures(distance=np.full((8, 2), 0.25))
    tokens = HeadMeasures("blocks.9", 1.0, np.zeros(2), np.full(2, np.nan))
    (finding,) = _reach_findings(replace(model, heads=(*model.heads, tokens)), 8)
    assert "first attention between patches look 25\u00a0%" in finding.text
    unknown = replace(model, of_each=replace(model.of_each, distance=np.full((8, 2), np.nan)))
    assert _reach_findings(unknown, 8)[0].claim is None


def test_an_interval_reads_as_its_verdict():
    claim = global_heads(measures(distance=spread(0.3012, 0.001)[:, None]))
    assert claim.verdict is SO
    assert "looks 30\u00a0% far (95\u00a0%: 30.1\u00a0% to 30.2\u00a0%)" in claim.measured  # not "30 % to 30 %", which is not over 30 %


def test_a_field_is_weighed_as_it_is_drawn():
    # Two pictures of which one counts nine times: 0.9 * 0.05 + 0.1 * 0.25 = 0.07.
    model = measures(reaches=((0.05, 0.25), (0.1, 0.1), (0.2, 0.4)), family="resnet", images=2)
    weighed = replace(model, fields=tuple(replace(field, energies=(9.0, 1.0)) for field in model.fields))
    assert growing_field(weighed).measured.startswith("7.0\u00a0% in the first layer and 22\u00a0% in the last.")


def test_fields_of_fewer_pictures_say_so():
    model = measures(reaches=((0.05, 0.25), (0.1, 0.1), (0.2, 0.4)), family="resnet")
    assert _reach_findings(model, 8)[-1].text.endswith("Fields are of the first 2 of 8 pictures.")
    assert "pictures" not in _reach_findings(model, 2)[-1].text


def test_numbers_of_one_claim_add_up():
    similarity = np.tile([0.304, 0.5, 0.836], (8, 1))  # to two digits 0.30 and 0.84 would be 0.54 apart, and not +0.53
    model = measures(similarity=similarity, distance=np.full((8, 1), 0.25))
    finding = _similarity_finding(model)
    assert "cosine of 0.304 in the first layer of M and 0.836 in the last" in finding.text
    assert finding.claim.measured.startswith("+0.532 (")


def test_no_two_layers_on_one_grid_change_nothing_in_sum():
    finding = _spectrum_finding(measures(curves=np.tile([0.0, 3.0, 2.5], (8, 1)), grids=(8, 4, 2), family="resnet"))
    assert "No layer lies on the grid of the one before it" in finding.text
    assert "in sum" not in finding.text
    assert finding.claim.verdict is OPEN
    assert "changes by" not in finding.claim.measured


@pytest.mark.parametrize(
    ("dead", "exploding", "words"),
    [([1, 0, 0], [0, 0, 0], "1 dead channel"), ([2, 1, 0], [0, 0, 1], "3 dead channels and 1 exploding channel")],
)
def test_odd_channels(dead, exploding, words):
    model = replace(measures(), dead=np.array(dead, float), exploding=np.array(exploding, float))
    assert _channels_finding(model).text == f"On these pictures M has {words}, all its layers taken together."


def test_dead_and_exploding_channels_are_told_apart_whatever_the_models_colour():
    figure = channel_bars([(mark("ResNet", 7), ["layer 1"], [0.1], [0.2])])
    looks = {(bar.marker.color, bar.marker.pattern.shape) for bar in figure.data}
    assert len(looks) == 2
