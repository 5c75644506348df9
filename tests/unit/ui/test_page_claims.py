"""The claims on the pages, each with made-up numbers on both sides and between."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vizlib.analysis.attention.token_norms import Norms
from vizlib.analysis.features.boundaries import pieces
from vizlib.claims import Verdict
from vizlib.explainers.methods.attention.gradient_rollout import _silent_sites_note
from vizlib.stats import share_difference
from vizlib.ui.pages.attention.artifact_tokens import artifact_words
from vizlib.ui.pages.attention.likeness import likeness_words, plane_words
from vizlib.ui.pages.attention.likeness_work import HeadPlane, Likeness
from vizlib.ui.pages.compact.claims import equivariance_claim, moved_words
from vizlib.ui.pages.cvt.claims import positions_claim, squeezing_claim
from vizlib.ui.pages.pvt.claims import boundaries_claim, fragments
from vizlib.ui.pages.pvt.segmentation_data import COUNTS, Segmentation
from vizlib.ui.pages.seq2seq.claims import bottleneck_claim, gradient_claim
from vizlib.ui.pages.seq2seq.text import how_right, without_attention
from vizlib.ui.pages.t2t.claims import Counts, figure_2_claims

SO, NOT_SO, OPEN = Verdict.SO, Verdict.NOT_SO, Verdict.CANNOT_TELL


def test_two_shares_and_their_difference_agree_wherever_they_are_told_together():
    letters = ([(8, 0.344 * 50, 50, 0.0, 0.0)], [(8, 0.766 * 50, 50, 0.0, 0.0)])
    placed = bottleneck_claim(right(1, 0.1), right(1, 0.9), "GRU", letters).measured
    assert "76.6\u00a0% stand in their place with attention and 34.4\u00a0% without, +42.2\u00a0percentage" in placed
    channels = figure_2_claims(counts(383, 500), counts(172, 500), counts(172, 500))[0].measured
    assert "383 of 500 (76.6\u00a0%, layer 1); Net 172 of 500 (34.4\u00a0%, layer 1); a difference of +42.2\u00a0percentage" in channels


def counts(low_level, channels, broken=0, total=1000):
    return Counts("Net", "layer 1", low_level, channels, broken, total)


@pytest.mark.parametrize(
    ("resnet", "vit", "t2t", "verdicts"),
    [
        (counts(30, 32), counts(2, 192, 50), counts(150, 192), (SO, SO, SO, SO)),
        (counts(4, 32), counts(120, 192, 0), counts(20, 192), (NOT_SO, NOT_SO, NOT_SO, NOT_SO)),
        (counts(2, 32), counts(10, 192, 10), counts(11, 192), (OPEN, OPEN, OPEN, OPEN)),
    ],
)
def test_figure_2(resnet, vit, t2t, verdicts):
    claims = figure_2_claims(resnet, vit, t2t)
    assert tuple(claim.verdict for claim in claims) == verdicts
    assert f"{resnet.low_level} of {resnet.channels}" in claims[0].measured
    assert f"{vit.broken} of {vit.all:,}" in claims[3].measured
    untrained = figure_2_claims(resnet, vit, t2t, trained=False)
    assert [first == second for first, second in zip(claims, untrained, strict=True)] == [True, True, False, True]
    assert untrained[2].verdict is OPEN


@pytest.mark.parametrize(("compact", "plain", "verdict"), [(0.3, 0.9, SO), (0.9, 0.3, NOT_SO), (0.5, 0.51, OPEN)])
def test_equivariance_of_tokens(compact, plain, verdict):
    claim = equivariance_claim(compact, plain)
    assert claim.verdict is verdict
    assert f"CCT {compact:.2f}, ViT {plain:.2f}" in claim.measured


@pytest.mark.parametrize(
    ("drifts", "whole", "between"),
    [
        ({"ViT": [0.0, 0.9, 0.4, 1e-7], "CCT": [0.0, 0.2, 0.3, 2e-7]}, "the tokens of ViT and CCT move", "0.40 (ViT) and 0.20 (CCT)"),
        ({"ViT": [0.0, 0.5, 0.0], "CCT": [0.0, 0.004, 0.12]}, "the tokens of ViT move", "0.50 (ViT) and under 0.01 (CCT)"),
        ({"CCT": [0.0, 0.0]}, "the tokens of CCT move", ""),
    ],
)
def test_what_a_shift_by_a_whole_token_does_is_said_of_those_that_do_it(drifts, whole, between):
    words = moved_words(drifts)
    assert words.startswith(f"With a shift by a whole token {whole} along exactly")
    assert ("the tokens of CCT drift by 0.12" in words) == ("CCT" in drifts and drifts["CCT"][-1] > 0.1)
    assert words.endswith(f"between, they drift by at least {between}." if between else "exactly.")


def moved(distance):
    return {"title": "ViT without the table", "shuffled": [{"distance": 9.0}, {"distance": distance}, {"distance": 9.0}]}


@pytest.mark.parametrize(("cvt", "blind", "verdict"), [(0.4, 0.0, SO), (0.0, 0.4, NOT_SO), (0.02, 0.0, OPEN)])
def test_positions(cvt, blind, verdict):
    assert positions_claim(moved(cvt), moved(blind)).verdict is verdict
    assert "by 0.0\u00a0%, means" in positions_claim(moved(0.5), moved(4e-8)).measured


@pytest.mark.parametrize(("changes", "verdict"), [((0.01, 0.05), SO), ((0.2, 0.3), OPEN), ((0.05, 0.3), OPEN)])
def test_squeezing(changes, verdict):
    claim = squeezing_claim([(str(change), SimpleNamespace(change=change)) for change in changes])
    assert claim.verdict is verdict
    assert ("trained for the squeezed grid" in claim.measured) == (verdict is OPEN)


def grouped(title, labels, ratios):
    return Segmentation(title, "", (4, 4), np.array(labels, np.uint8), tuple(ratios), np.zeros((4, 4, 3), np.uint8))


NONE = [[[0]]] * len(COUNTS)


@pytest.mark.parametrize(
    ("pyramid", "plain", "verdict"),
    [
        ([2.0] * 7, [1.0] * 7, SO),
        ([1.0] * 7, [2.0] * 7, NOT_SO),
        ([2.0] * 6 + [0.5], [1.0] * 7, OPEN),
        ([math.nan] * 7, [1.0] * 7, OPEN),
        ([1.04] * 7, [1.0] * 7, OPEN),
    ],
)
def test_boundaries(pyramid, plain, verdict):
    claim = boundaries_claim(grouped("PVT", NONE, pyramid), grouped("ViT", NONE, plain))
    assert claim.verdict is verdict
    assert "nan" not in claim.measured


def test_whoever_is_least_fragmented_is_named():
    whole, torn = [[[0, 0], [1, 1]]], [[[0, 1], [1, 0]]]
    assert (pieces(np.array(whole[0])), pieces(np.array(torn[0]))) == (2, 4)
    fields = [grouped("PVT", torn, [1.0]), grouped("ViT", whole, [1.0])]
    assert fragments(fields, COUNTS[0]) == "Into 2 groups, in connected pieces: PVT 4, ViT 2. On this picture ViT is the least fragmented."
    assert "PVT and ViT are equally the least fragmented" in fragments([grouped("PVT", whole, [1.0]), fields[1]], COUNTS[0])
    three = [grouped(name, whole, [1.0]) for name in ("PVT", "ViT", "ResNet")]
    assert "PVT, ViT and ResNet are equally the least fragmented" in fragments(three, COUNTS[0])
    assert fragments(three[:1], COUNTS[0]) == ""


def right(*shares):
    return [(4 * place, int(share * 50), 50, 0.0, 0.0) for place, share in enumerate(shares, 1)]


@pytest.mark.parametrize(
    ("without", "attentive", "verdict"),
    [((1, 0.1), (1, 0.9), SO), ((1, 0.9), (1, 0.1), NOT_SO), ((1, 0.5), (1, 0.54), OPEN), ((0.04, 0), (0.06, 0.02), OPEN)],
)
def test_the_bottleneck(without, attentive, verdict):
    claim = bottleneck_claim(right(*without), right(*attentive), "GRU with attention")
    assert claim.verdict is verdict
    assert f"of 8 characters it writes {int(attentive[1] * 50)} of 50 right" in claim.measured
    assert ("too hard here" in claim.measured) == (without[0] < 0.1)
    assert bottleneck_claim([], right(1), "") is None


def test_a_task_that_cannot_show_the_bottleneck_says_why():
    failing = bottleneck_claim(right(0.06, 0.02), right(1, 1), "GRU with attention")
    assert failing.verdict is OPEN
    assert "it fails at every length, on short texts too (at most 6.0\u00a0% right)" in failing.measured
    easy = bottleneck_claim(right(1, 1), right(1, 1), "GRU with attention")
    assert easy.verdict is OPEN
    assert "up to here the task needs no attention" in easy.measured
    letters = ([(8, 25.0, 50, 0.0, 0.0)], [(8, 45.0, 50, 0.0, 0.0)])
    told = bottleneck_claim(right(1, 0.1), right(1, 0.9), "GRU with attention", letters)
    low, high = share_difference(45, 50, 25, 50)
    assert (
        "90\u00a0% stand in their place with attention and 50\u00a0% without, +40\u00a0percentage\u00a0points "
        f"(95\u00a0%: {100 * low:+.0f} to {100 * high:+.0f})" in told.measured
    )


@pytest.mark.parametrize(
    ("without", "attentive", "verdict"),
    [
        ((0.01, 0.02), (0.5, 0.9), SO),
        ((0.5, 0.9), (0.01, 0.02), NOT_SO),
        ((0.1, 0.5), (0.4, 0.9), OPEN),
        ((math.nan,) * 2, (0.4, 0.9), OPEN),
    ],
)
def test_the_vanishing_gradient(without, attentive, verdict):
    rows = [[(1.0, 1.0, 0.9, 1.1), (20.0, sum(ends) / 2, *ends)] for ends in (without, attentive)]
    claim = gradient_claim(*rows, "GRU with attention")
    assert claim.verdict is verdict
    assert claim.measured.startswith("20 characters back")


def test_what_of_an_answer_is_right():
    assert how_right("1994-05-03", "1994-05-03", date=True) == "That is right: `1994-05-03`."
    lost = how_right("1994-05-03", "1994-05-17", date=True)
    assert lost.startswith("Right would be `1994-05-03`: 8 of 10 characters stand where they should.")
    assert lost.endswith("The year and the month are right, and the day is lost.")
    assert "lost" not in how_right("abc", "abd", date=False)


def test_what_is_lost_without_attention_is_told_from_both_answers():
    text = without_attention("1994-05-03", "1994-05-03", "1994-05-17", date=True)
    assert text == (
        "**Without attention** the same text becomes `1994-05-17`. The year and the month are right, and the day is lost. What it read "
        "went through one vector, and not all of it came out."
    )
    assert "becomes `abc` and that is right" in without_attention("abc", "abx", "abc", date=False)  # not "too": that one is wrong
    both_wrong = without_attention("abc", "abx", "xbc", date=False)
    assert both_wrong == "**Without attention** the same text becomes `xbc`. 2 of 3 characters stand where they should."


def test_odd_tokens_are_counted_once_and_said_where_they_are_marked():
    scores = [np.array([[0.0, 7.0], [9.5, 0.0]]), np.array([[0.0, 7.0], [0.0, 0.0]]), np.zeros((2, 2))]
    norms = [Norms(f"blocks.{number}", np.ones((2, 2)), score) for number, score in enumerate(scores)]
    here = "marked red here and in the picture above: the one that stands out most is 9.5 deviations above the median, in layer 1."
    assert artifact_words(norms, 6.0) == f"**2 odd tokens**, in 2 of 3 layers, {here}"
    higher = "**1 odd token**, in 1 of 3 layers, marked red here (in the picture above those from 6 on)"
    assert artifact_words(norms, 8.0).startswith(higher)
    assert artifact_words(norms, 20.0) == "**No odd token**: the one that stands out most is 9.5 deviations above the median, in layer 1."


@pytest.mark.parametrize(
    ("correlation", "end"),
    [
        (0.6, "have a correlation of **0.60**; at 1 the plane would show the fit exactly, at 0 not at all."),
        (
            -0.53,
            "of **\u22120.53**; at 1 the plane would show the fit exactly, at 0 not at all, and below 0 near ones fit less than far ones.",
        ),
        (math.nan, "fit (by their product) cannot be told: all fit alike."),  # queries and keys of a plain picture
    ],
)
def test_what_nearness_in_the_plane_tells(correlation, end):
    points = (np.zeros((2, 2)),)
    assert plane_words(HeadPlane(points, points, 0.5, correlation)).endswith(end)


def test_cosines_are_written_with_a_minus():
    likeness = Likeness(np.array([[1.0, -0.5]]), np.array([[-0.2, -0.1]]), ((1, 2), (1, 2)), (None, None))
    assert likeness_words(likeness, 0, "Cat") == (
        "Most alike in Cat is **row 1, column 2**, cosine **\u22120.10**; the mean of its 2 patches is \u22120.15. "
        "The most alike of its own picture has \u22120.50."
    )


def test_silent_layers_have_a_readers_names():
    silent = {"blocks.3.attn": torch.tensor([False]), "blocks.4.attn": torch.tensor([True])}
    assert _silent_sites_note(silent, 0) == (
        "Most of the walk stays where it is in layer 5: no attention weight that it would follow there speaks for the target.",
    )
