"""What a page says of a logit lens, against numbers that were made up, and the data of its maps against the lens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import vizlib
from vizlib.analysis import logit_lens
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.pictures import sample
from vizlib.ui.sections.logit_lens import depth_chart, patch_words, settled_words
from vizlib.ui.sections.logit_lens_data import Curve, DepthAnswers, compute_depth_answers

CAT = Curve(1, "cat, feline", (0.1, 0.15, 0.6))
DOG = Curve(2, "dog", (0.3, 0.2, 0.1))


def answers(leaders, settled, **more):
    layers = tuple(f"layer {number + 1}" for number in range(len(leaders)))
    return DepthAnswers(layers, leaders, (CAT, DOG), settled, CAT, **more)


def test_where_the_answer_is_settled_is_said_from_the_numbers():
    late = settled_words(answers(("dog", "dog", "cat, feline"), 2))
    assert late.startswith(
        "Only the last of the 3 layers settles it: **cat** leads after that alone. Before, the head would have said dog."
    )
    assert "It has 10\u00a0% after the first layer and 60\u00a0% at the end; the largest step up is layer 3, " in late
    assert "by 45\u00a0percentage\u00a0points." in late
    middle = settled_words(answers(("dog", "cat, feline", "cat, feline"), 1))
    assert middle.startswith("Settled after layer 2 of 3: from there on **cat** leads after every layer.")
    first = settled_words(answers(("cat, feline",) * 3, 0))
    assert first.startswith("**cat** leads after every one of the 3 layers")
    assert "Before" not in first
    assert settled_words(replace(answers(("cat, feline",), 0), curves=(Curve(1, "cat", (0.6,)),))) == (
        "There is one layer, and **cat** leads after it. It has 60\u00a0%."
    )
    flat = replace(answers(("cat, feline",) * 3, 0), curves=(Curve(1, "cat", (0.02, 0.024, 0.021)), DOG))
    assert "the largest step up is layer 2, by under 1\u00a0percentage\u00a0point." in settled_words(flat)


@pytest.mark.parametrize(("alone", "words"), [((0, 5, 9), "0 of 16 say cat after the first layer, 9 after the last."),
                                              ((0, 12, 9), "9 after the last; most, 12, after layer 2."),
                                              ((1, 5, 9), "1 of 16 says cat after the first layer")])  # fmt: skip
@pytest.mark.parametrize("reads", [True, False])
def test_patches_alone_are_counted_and_who_reads_them_is_said(alone, words, reads):
    text = patch_words(answers(("dog", "dog", "cat"), 2, alone=alone, patches=16, reads_patches=reads))
    assert words in text
    assert ("reads the class token alone" in text) != reads


def test_the_chart_has_the_answer_first_and_a_line_where_it_is_settled():
    figure = depth_chart(answers(("dog", "dog", "cat, feline"), 2))
    assert [trace.name for trace in figure.data] == ["cat", "dog"]
    assert list(figure.data[0].y) == pytest.approx([10, 15, 60])
    assert figure.layout.shapes[0].x0 == 3


@pytest.mark.parametrize(("name", "reads"), [("vit_tiny50", False), ("cct_tiny50", True)])
def test_what_is_drawn_is_the_lens(name, reads):
    model, picture = vizlib.load(name), sample("coffee")
    drawn = compute_depth_answers(picture, None, 3, model, lambda *_: None)
    lens = logit_lens(model, picture.pixels, 3)
    header, arrays = unpack(drawn.maps)
    assert np.array_equal(arrays["values"], lens.patches.probabilities.numpy())
    assert [header["names"][place] for place in arrays["answers"].flatten()] == [
        model.label(int(i)) for i in lens.patches.answers.flatten()
    ]
    assert header["label"] == model.label(3) == drawn.target.label
    assert drawn.alone == tuple(int((layer == 3).sum()) for layer in lens.patches.answers)
    assert drawn.reads_patches == reads
    assert drawn.leaders == tuple(model.label(int(index)) for index in lens.answers)
    assert drawn.curves[0].index == int(lens.logits[-1].argmax())
    assert {int(index) for index in lens.answers} <= {curve.index for curve in drawn.curves}


def test_a_pyramid_says_why_it_has_none():
    drawn = compute_depth_answers(sample("coffee"), None, None, vizlib.load("pvt_tiny50"), lambda *_: None)
    assert "its head reads the tokens of the last stage" in drawn.refusal
