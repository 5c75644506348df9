"""The lesson's words against numbers that were made up, its address, and its sheet."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from vizlib.analysis.lesson import sentence
from vizlib.analysis.lesson.outcome import TELLS, Outcome, largest
from vizlib.ui.core.pictures import Picture, sample
from vizlib.ui.pages.learn.figures import chart_words, legend_words, loss_words, outcome_chart
from vizlib.ui.pages.learn.handout import handout_html
from vizlib.ui.pages.learn.progress import NONE, read_answers, read_step, write_answers
from vizlib.ui.pages.learn.sections import badge, more_address, tally_words
from vizlib.ui.pages.learn.steps import STEPS

LAYERS = ("layer 1", "layer 2", "layer 3")
BY_NAME = {step.name: step for step in STEPS}
PVT_KEYS = {"queries": 1024, "keys": 16, "model": "PVT", "key_rows": 4, "key_columns": 4, "ViT": (64.0, 64.0)}
MADE_UP = {
    "bottleneck": Outcome(
        ("the year", "the month", "the day", "nothing"), (0, 0, 1, 0), (2,), facts={"truth": "1994-05-03", "written": "1994-05-17"}
    ),
    "looked_at": Outcome(("of", "may"), (0.02, 0.93), (1,), facts={"token": "5", "written": "1994-0", "output": "1994-05-03"}),
    "tokens": Outcome(
        ("16", "64", "256"), (16, 64, 256), (1,), ordered=True,
        facts={"rows": 8, "columns": 8, "learned": 1, "tall": 8, "wide": 8, "numbers": 192, "height": 64, "width": 64},
    ),
    "farthest": Outcome(LAYERS, (10.0, 30.0, 20.0), (1,), ordered=True, facts={"patch": 8.0, "nearest": 4.0, "widest": 24.0}),
    "settled": Outcome(LAYERS, (0.1, 0.2, 0.9), (2,), ordered=True, facts={"label": "tabby, cat", "before": "snail; teddy"}),
    "layers_off": Outcome(LAYERS, (0.1, -0.2, 0.4), (2,), ordered=True, facts={"label": "tabby", "probability": 0.9}),
    "patches_out": Outcome(
        ("row 1, column 1", "row 1, column 2"), (-0.1, 0.3), (1,), grid=(1, 2), facts={"label": "tabby", "probability": 0.9}
    ),
    "keys": Outcome(("16", "64"), (16, 64), (0,), ordered=True, facts=PVT_KEYS),
    "shuffled": Outcome(("ViT", "CvT", "CCT"), (0.8, 0.3, 0.7), (0, 2), facts={"ViT": (0.7, 0.9), "CvT": (0.2, 0.4), "CCT": (0.5, 0.8)}),
    "trusted": Outcome(
        ("Rollout", "Saliency", "a random quarter"), (0.05, 0.5, 0.1), (1,),
        facts={"removed": 16, "patches": 64, "probability": 0.8, "low": -0.02, "high": 0.2, "random": 20},
    ),
}  # fmt: skip
SAID = {
    "bottleneck": "Right is 1994-05-03; it writes 1994-05-17. What is lost: the day.",
    "looked_at": "it gives “may” 93\u00a0% of its attention",
    "tokens": "8 × 8 patches of 8 × 8 pixels in three colours, 192 numbers each: 64 tokens, and one learned token more",
    "farthest": "Farthest looks layer 2: 30.0 pixels of the model's input on average, 3.8 patches. "
    "The layer that looks least far has 10.0.",
    "settled": "Only after the last layer, layer 3, does tabby lead for good, with 90\u00a0%. "
    "Before, the head would have said snail, then teddy.",
    "layers_off": "Tabby has 90\u00a0%. Without the heads of layer 3 it loses 40\u00a0percentage\u00a0points. "
    "Next comes layer 1: it loses 10\u00a0percentage\u00a0points. "
    "Without those of 1 layer it gains half a percentage\u00a0point or more.",
    "patches_out": "Hidden from all tokens, row 1, column 2 matters most: tabby loses 30\u00a0percentage\u00a0points of its 90\u00a0%. "
    "Without 1 patch of 2 the answer gains half a percentage\u00a0point or more.",
    "keys": "1,024 queries, and each looks at 16 keys, one for 64 of its tokens. Tokens from layer to layer: ViT has 64.",
    "shuffled": "ViT 80\u00a0%, CCT 70\u00a0%, CvT 30\u00a0%. "
    "ViT's range over the shuffles overlaps with that of CCT: between them five cannot tell.",
    "trusted": "Saliency costs the answer most: it loses 50\u00a0percentage\u00a0points of its 80\u00a0%. "
    "With a random quarter greyed it loses 10\u00a0percentage\u00a0points on average (\u22122 to 20 lost over 20 of them). "
    "No more than a random quarter may cost: Rollout. On this picture this map does not find what matters.",
}


def test_there_are_ten_steps_and_each_has_all_parts():
    assert [step.name for step in STEPS] == list(MADE_UP)
    for step in STEPS:
        assert step.look.endswith(".")
        assert step.question.count("?") == 1
        assert "click" not in step.question.lower()  # it is on paper too
        assert 1 <= len(re.findall(r"[.?!] ", step.why)) <= 2, step.name
        assert re.search(r", https://\S+$", step.paper)


@pytest.mark.parametrize("name", MADE_UP)
def test_what_happened_is_said_from_the_numbers(name):
    outcome, step = MADE_UP[name], BY_NAME[name]
    assert SAID[name] in step.happened(outcome)
    for answer in range(len(outcome.options)):
        words = step.far(outcome, answer)
        assert words.startswith(("That is right", "As far as five shuffles can tell, yes")) == (answer in outcome.right)


def test_the_distance_to_the_answer_is_said():
    far = {name: BY_NAME[name].far(MADE_UP[name], 0) for name in MADE_UP}
    assert far["tokens"] == "You said 16; it is 64: you are 4 times too low."
    assert far["farthest"] == "You said layer 1; it is layer 2: 1 layer off."
    assert far["looked_at"] == "You said “of”, which has 2.0\u00a0%; it is “may”, with 93\u00a0%."
    assert far["layers_off"] == (
        "You said layer 1, where the answer loses 10\u00a0percentage\u00a0points; "
        "it is layer 3, where it loses 40\u00a0percentage\u00a0points: yours is number 2 of 3."
    )
    assert far["patches_out"] == (
        "You clicked row 1, column 1, where the answer gains 10\u00a0percentage\u00a0points, number 2 of 2; "
        "it is row 1, column 2, where it loses 30\u00a0percentage\u00a0points, 1 patch away."
    )
    assert BY_NAME["shuffled"].far(MADE_UP["shuffled"], 1) == "You said CvT, of whose answer 30\u00a0% stays; it is ViT, with 80\u00a0%."


def test_maps_that_beat_chance_are_said_to():
    best = Outcome(("Rollout", "Saliency", "a random quarter"), (0.3, 0.5, 0.1), (1,), facts=MADE_UP["trusted"].facts)
    assert "Each of the 2 maps costs more than any random quarter did." in BY_NAME["trusted"].happened(best)


def test_losses_that_read_alike_have_a_digit_more_and_one_point_is_one():
    close = Outcome(LAYERS, (0.066, 0.01, 0.0716), (2,), ordered=True, facts=MADE_UP["layers_off"].facts)
    said = BY_NAME["layers_off"].far(close, 0).replace("\u00a0", " ")
    assert said.startswith(
        "You said layer 1, where the answer loses 6.6 percentage points; it is layer 3, where it loses 7.2 percentage points"
    )
    assert "where the answer loses 1 percentage point;" in BY_NAME["layers_off"].far(close, 1).replace("\u00a0", " ")
    happened = BY_NAME["layers_off"].happened(close).replace("\u00a0", " ")
    assert "it loses 7.2 percentage points. Next comes layer 1: it loses 6.6 percentage points." in happened


def losses(name, values):
    """The outcome of a step whose options are patches or layers, by what the answer loses."""
    grid = (1, len(values)) if name == "patches_out" else None
    options = tuple(f"row 1, column {i + 1}" if grid else f"layer {i + 1}" for i in range(len(values)))
    return Outcome(options, values, largest(values, TELLS), ordered=grid is None, grid=grid, facts=MADE_UP["layers_off"].facts)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("layers_off", (0.1211, 0.02, 0.1213), "it loses 12 percentage points. Within half a percentage point of it: layer 1. Next"),
        ("layers_off", (0.001, -0.002, 0.0), "Without the heads of any one layer it changes by under half a percentage point: no"),
        ("layers_off", (0.301, 0.302, 0.3), "any one layer it loses 30 percentage points, give or take half a percentage point"),
        ("layers_off", (-0.1, -0.2, -0.05), "of any one layer it gains, least without those of layer 3: 5 percentage points."),
        ("layers_off", (0.3, -0.001, 0.0), "Next comes layer 3: it changes by under half a percentage point."),
        ("patches_out", (0.2, -0.001, 0.0), "row 1, column 1 matters most: tabby loses 20 percentage points of its 90 %."),
        ("patches_out", (0.001, -0.3, 0.003), "No single patch takes half a percentage point of tabby's 90 %. Without 1 patch of 3"),
        ("patches_out", (0.001, 0.004, 0.003), "one patch is hidden, it changes by under half a percentage point: no patch stands out."),
        ("patches_out", (-0.1, -0.2, -0.3), "one patch is hidden, it gains, least without row 1, column 1: 10 percentage points."),
        ("patches_out", (0.2, 0.2, 0.2, 0.2, 0.2, 0.0), "of its 90 %. Within half a percentage point of it: 4 others."),
    ],
)  # fmt: skip
def test_what_the_most_is_has_a_margin(name, values, said):
    outcome = losses(name, values)
    happened = BY_NAME[name].happened(outcome).replace("\u00a0", " ")
    assert said in happened
    assert "more than" not in happened
    # What the numbers cannot tell apart is not told apart by the badge either.
    assert set(outcome.right) == {place for place, value in enumerate(values) if max(values) - value < TELLS}
    for answer in outcome.right[1:]:
        words = BY_NAME[name].far(outcome, answer)
        assert words.startswith("No answer is wrong" if outcome.all_right else "That is right too: it lies within half a")


@pytest.mark.parametrize("name", ["layers_off", "patches_out"])
def test_no_sentence_about_losses_reads_against_its_numbers(name):
    """Every made-up loss: what is said to be lost is above zero, what is gained below, and what reads alike has one word."""
    steps = (-0.3, -0.0051, -0.0049, 0.0, 0.0049, 0.0051, 0.2)
    for values in itertools.product(steps, repeat=3):
        outcome = losses(name, values)
        texts = [BY_NAME[name].happened(outcome), *(BY_NAME[name].far(outcome, answer) for answer in range(3))]
        for text in texts:
            assert not re.search(r"(loses|gains|takes) (0\s|\u2212)", text), (values, text)
            assert "\u2212" not in text, (values, text)
        assert ("gain" in texts[0]) == (min(values) <= -TELLS and not (outcome.all_right and abs(max(values)) < TELLS)), (values, texts[0])


def test_the_nearest_of_several_right_patches_is_named():
    several = Outcome(tuple("abcdef"), (0.301, 0.0, 0.1, 0.0, 0.0, 0.303), (5, 0), grid=(1, 6), facts=MADE_UP["patches_out"].facts)
    assert "it is a, where it loses 30\u00a0percentage\u00a0points, 1 patch away." in BY_NAME["patches_out"].far(several, 1)
    assert "2.0 patches away" in BY_NAME["patches_out"].far(several, 3)


def test_layers_that_look_as_far_as_can_be_told_are_right_too():
    close = Outcome(LAYERS, (29.9, 30.0, 20.0), (1, 0), ordered=True, facts=MADE_UP["farthest"].facts)
    assert "Within 1\u00a0% of it: layer 1." in BY_NAME["farthest"].happened(close)
    assert BY_NAME["farthest"].far(close, 2) == "You said layer 3; it is layer 2 or layer 1: 1 layer off."
    same = Outcome(LAYERS, (30.0, 30.0, 30.0), (0, 1, 2), ordered=True, facts=MADE_UP["farthest"].facts)
    assert BY_NAME["farthest"].happened(same).startswith("All layers look equally far")
    assert "layer 1 look 4.0 to 24.0 pixels far on average, 0.5 to 3.0 patches." in BY_NAME["farthest"].explained(same)
    alike = Outcome(LAYERS, (30.0, 30.0, 30.0), (0, 1, 2), ordered=True, facts={"patch": 8.0, "nearest": 32.8, "widest": 33.0})
    assert BY_NAME["farthest"].explained(alike).endswith("look 32.8 to 33.0 pixels far on average, 4.1 patches.")


def test_who_led_before_is_said_in_turn():
    facts = {"label": "tabby, cat", "before": "tabby, cat; snail, slug; tabby, cat; snail, slug"}
    turns = Outcome((*LAYERS, "layer 4", "layer 5", "layer 6"), (0.1, 0.2, 0.3, 0.2, 0.8, 0.9), (4,), ordered=True, facts=facts)
    assert BY_NAME["settled"].happened(turns) == (
        "From layer 5 on, tabby leads after every layer, with 80\u00a0% there and 90\u00a0% at the end. "
        "Before, the head would have said tabby, then snail, then tabby, then snail."
    )
    first = Outcome(LAYERS, (0.5, 0.6, 0.7), (0,), ordered=True, facts={"label": "tabby", "before": ""})
    assert BY_NAME["settled"].happened(first).endswith("Nothing else ever led.")


def test_what_a_design_leads_one_to_expect_is_held_against_the_picture():
    step, facts = BY_NAME["shuffled"], MADE_UP["shuffled"].facts
    options = MADE_UP["shuffled"].options
    assert step.explained(Outcome(options, (0.8, 0.3, 0.7), (0,), facts=facts)).endswith("On this picture it is so.")
    plain = Outcome(options, (1.0, 1.0, 1.0), (0, 1, 2), facts=dict.fromkeys(options, (1.0, 1.0)))
    assert step.explained(plain).endswith("On this picture that cannot be told.")
    assert step.far(plain, 2) == "No answer is wrong here."
    assert step.explained(MADE_UP["shuffled"]).endswith("among those that five shuffles do not tell apart.")
    assert step.explained(Outcome(options, (0.3, 0.9, 0.7), (1,), facts=facts)).endswith("it is not so: more stays of CvT's answer.")


def test_the_first_two_questions_are_about_what_the_models_do():
    bottleneck, looked_at = sentence.bottleneck(), sentence.looked_at()
    assert f"“{bottleneck.facts['text']}”" in BY_NAME["bottleneck"].question
    facts = looked_at.facts
    assert (
        f"becomes {facts['output']}. It has written {facts['written']} and writes {facts['token']} next." in BY_NAME["looked_at"].question
    )


def test_the_legend_of_the_patches_names_the_colours_that_are_there():
    assert legend_words((0.3, -0.1)) == (
        "Hiding a red patch costs the answer something, up to 30.0\u00a0percentage\u00a0points. "
        "Hiding a blue patch helps it, up to 10.0\u00a0percentage\u00a0points. What is paler matters less."
    )
    assert "blue" not in legend_words((0.3, -0.001))
    assert "red" not in legend_words((-0.3, 0.001))
    assert legend_words((0.001, -0.004)).startswith("No patch is coloured")
    assert legend_words(()) == ""
    assert [loss_words(loss) for loss in (0.123, -0.02, 0.0002)] == [
        "12.3\u00a0percentage\u00a0points lost", "2.0\u00a0percentage\u00a0points gained", "nothing lost",
    ]  # fmt: skip


def test_the_chart_says_what_its_colours_are():
    step, outcome = BY_NAME["shuffled"], MADE_UP["shuffled"]
    assert chart_words(step, outcome, 0) == "Green is right, yours too. A line is the range over five shuffles."
    assert chart_words(step, outcome, 1).startswith("Green is right, orange is yours.")
    colours = outcome_chart(step, outcome, 1).data[0].marker.color
    assert [colours[0] == colours[2], colours[1] == colours[0]] == [True, False]


def test_a_picture_that_greying_leaves_as_it_is_tests_no_map():
    facts = MADE_UP["trusted"].facts
    plain = Outcome(("Rollout", "Saliency", "a random quarter"), (0.0, 1e-7, 0.0), (1, 0, 2), facts={**facts, "low": 0.0, "high": 0.001})
    assert BY_NAME["trusted"].happened(plain).endswith("this picture puts no map to the test.")
    assert BY_NAME["trusted"].far(plain, 0) == "No answer is wrong here."
    alike = Outcome(plain.options, (0.301, 0.302, 0.3), (1, 0, 2), facts=facts)
    assert "the answer loses 30\u00a0percentage\u00a0points of its 80\u00a0%, whoever names them" in BY_NAME["trusted"].happened(alike)
    gains = Outcome(plain.options, (-0.1, -0.2, -0.3), (0,), facts={**facts, "low": -0.4, "high": -0.2})
    assert "Rollout lifts the answer least: it gains 10\u00a0percentage\u00a0points from 80\u00a0%." in BY_NAME["trusted"].happened(gains)


def test_what_cannot_be_told_is_neither_right_nor_wrong():
    told, untold = MADE_UP["layers_off"], losses("layers_off", (0.001, 0.0, 0.002))
    assert badge(told, 2).startswith(":green")
    assert badge(told, 0).startswith(":orange")
    assert "cannot be told" in badge(untold, 0)
    assert tally_words([told, told, told, untold], [2, 0, None, 1]) == (
        "You predicted 3 of 4, and **1** came out as you said. Of 1 it cannot be told: no answer was wrong."
    )
    assert tally_words([told, told], [None, 99]) == "You predicted none of 2."


def test_the_page_that_goes_on_opens_on_the_same_picture():
    mine = Picture("upload:1", "mine.png", np.zeros((2, 2, 3), np.uint8), "")
    assert more_address(BY_NAME["farthest"], sample("coffee")) == {"panel": "heads", "sample": "coffee"}
    assert more_address(BY_NAME["farthest"], mine) == {"panel": "heads"}  # what is handed in is on every page
    assert more_address(BY_NAME["looked_at"], sample("coffee")) == {"step": "6"}


def test_answers_go_through_the_address():
    answers = (2, None, 0, *NONE[3:])
    assert write_answers(answers) == "3_-_1"
    assert read_answers("3_-_1") == answers
    assert write_answers(NONE) == ""
    assert read_step("11") == 11
    for odd in ("x", "0", "1_" * 11 + "1", "999999999"):
        with pytest.raises(ValueError, match=r".*"):
            read_answers(odd)
    with pytest.raises(ValueError, match="12"):
        read_step("12")


def test_the_sheet_asks_on_one_page_and_answers_on_the_other():
    html = handout_html(list(MADE_UP.values()), b"\xff\xd8", "<Cat> & co")
    asked, answered = html.split('<section class="sheet', 2)[1:]
    assert "&lt;Cat&gt; &amp; co" in html
    assert "<Cat>" not in html
    assert "http" not in asked
    assert 'src="data:image/jpeg;base64,' in asked
    for step in STEPS:
        assert step.question in asked.replace("&#x27;", "'")
        assert step.happened(MADE_UP[step.name]) in answered.replace("&#x27;", "'")
        assert step.happened(MADE_UP[step.name]) not in asked.replace("&#x27;", "'")


def test_the_sheet_frames_every_right_patch_and_none_where_all_are():
    outcomes = dict(MADE_UP)
    outcomes["patches_out"] = losses("patches_out", (0.3, 0.301, 0.0))
    html = handout_html(list(outcomes.values()), b"", "Cat")
    assert html.count("<u style=") == 2
    assert "Framed: the answer to 7." in html
    outcomes["patches_out"] = losses("patches_out", (0.001, 0.002, 0.0))
    html = handout_html(list(outcomes.values()), b"", "Cat")
    assert "<u style=" not in html
    assert "Framed" not in html
    assert "Patches out: any answer." in html
