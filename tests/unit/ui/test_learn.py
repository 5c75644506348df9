"""The lesson's words against numbers that were made up, its address, and its sheet."""

from __future__ import annotations

import re

import pytest

from vizlib.analysis.lesson.outcome import Outcome
from vizlib.ui.pages.learn.handout import handout_html
from vizlib.ui.pages.learn.progress import NONE, read_answers, read_step, write_answers
from vizlib.ui.pages.learn.steps import STEPS

LAYERS = ("layer 1", "layer 2", "layer 3")
BY_NAME = {step.name: step for step in STEPS}
MADE_UP = {
    "bottleneck": Outcome(
        ("the year", "the month", "the day", "nothing"), (0, 0, 1, 0), (2,), facts={"truth": "1994-05-03", "written": "1994-05-17"}
    ),
    "looked_at": Outcome(("of", "may"), (0.02, 0.93), (1,), facts={"token": "5", "written": "1994-0", "output": "1994-05-03"}),
    "tokens": Outcome(
        ("16", "64", "256"), (16, 64, 256), (1,), ordered=True,
        facts={"rows": 8, "columns": 8, "learned": 1, "tall": 8, "wide": 8, "numbers": 192, "height": 64, "width": 64},
    ),
    "farthest": Outcome(LAYERS, (10.0, 30.0, 20.0), (1,), ordered=True, facts={"patch": 8.0}),
    "settled": Outcome(LAYERS, (0.1, 0.2, 0.9), (2,), ordered=True, facts={"label": "tabby, cat", "before": "snail; teddy"}),
    "layers_off": Outcome(LAYERS, (0.1, -0.2, 0.4), (2,), ordered=True, facts={"label": "tabby", "probability": 0.9}),
    "patches_out": Outcome(
        ("row 1, column 1", "row 1, column 2"), (-0.1, 0.3), (1,), grid=(1, 2), facts={"label": "tabby", "probability": 0.9}
    ),
    "keys": Outcome(("16", "64"), (16, 64), (0,), ordered=True, facts={"queries": 1024, "keys": 16, "model": "PVT", "ViT": (64.0, 64.0)}),
    "shuffled": Outcome(("ViT", "CvT", "CCT"), (0.8, 0.3, 0.7), (0, 2), facts={"ViT": (0.7, 0.9), "CvT": (0.2, 0.4), "CCT": (0.5, 0.8)}),
    "trusted": Outcome(
        ("Rollout", "Saliency", "a random quarter"), (0.05, 0.5, 0.1), (1,),
        facts={"removed": 16, "patches": 64, "probability": 0.8, "low": -0.02, "high": 0.2, "random": 20},
    ),
}  # fmt: skip
SAID = {
    "bottleneck": "Right is 1994-05-03; it writes 1994-05-17. What is lost: the day.",
    "looked_at": "it gives “may” 93\u00a0% of its attention",
    "tokens": "64 tokens of 192 numbers each, and one learned token more",
    "farthest": "Farthest looks layer 2: 30.0 pixels on average, 3.8 patches. The layer that looks least far has 10.0.",
    "settled": "From layer 3 on, tabby leads after every layer, with 90\u00a0% there. Before, the head would have said snail, teddy.",
    "layers_off": "Without the heads of layer 3 it loses 40\u00a0percentage\u00a0points, more than without those of any other layer. "
    "Without those of 1 layer",
    "patches_out": "row 1, column 2 takes 30\u00a0percentage\u00a0points of tabby's 90\u00a0%. Without 1 patch of 2 the answer gains.",
    "keys": "1,024 queries, and each looks at 16 keys, one for 64 of its tokens. Tokens from layer to layer: ViT has 64.",
    "shuffled": "ViT 80\u00a0%, CCT 70\u00a0%, CvT 30\u00a0%. The range of ViT overlaps with CCT: between these five shuffles cannot tell.",
    "trusted": "Saliency costs the answer most: 50\u00a0percentage\u00a0points of 80\u00a0%. "
    "A random quarter costs 10\u00a0percentage\u00a0points on average (\u22122 to 20 over 20). "
    "No more than a random quarter may cost: Rollout. On this picture this map does not find what matters.",
}


def test_there_are_ten_steps_and_each_has_all_parts():
    assert [step.name for step in STEPS] == list(MADE_UP)
    for step in STEPS:
        assert step.look.endswith(".")
        assert step.question.count("?") == 1 or "Click" in step.question
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
        "You said layer 1, which costs 10\u00a0percentage\u00a0points; "
        "it is layer 3, with 40\u00a0percentage\u00a0points: yours is number 2 of 3."
    )
    assert far["patches_out"] == (
        "You clicked row 1, column 1, which costs \u221210\u00a0percentage\u00a0points, number 2 of 2; "
        "it is row 1, column 2, 1.0 patches away."
    )
    assert BY_NAME["shuffled"].far(MADE_UP["shuffled"], 1) == "You said CvT, of whose answer 30\u00a0% stays; it is ViT, with 80\u00a0%."


def test_maps_that_beat_chance_are_said_to():
    best = Outcome(("Rollout", "Saliency", "a random quarter"), (0.3, 0.5, 0.1), (1,), facts=MADE_UP["trusted"].facts)
    assert "All three maps cost more than any random quarter did." in BY_NAME["trusted"].happened(best)


def test_losses_that_read_alike_have_a_digit_more_and_one_point_is_one():
    close = Outcome(LAYERS, (0.068, 0.01, 0.071), (2,), ordered=True, facts=MADE_UP["layers_off"].facts)
    said = BY_NAME["layers_off"].far(close, 0).replace("\u00a0", " ")
    assert said.startswith("You said layer 1, which costs 6.8 percentage points; it is layer 3, with 7.1 percentage points")
    assert "which costs 1 percentage point;" in BY_NAME["layers_off"].far(close, 1).replace("\u00a0", " ")
    hidden = Outcome(("row 1, column 1", "row 1, column 2"), (0.001, 0.003), (1,), grid=(1, 2), facts=MADE_UP["patches_out"].facts)
    assert "takes under 1 percentage point of tabby's" in BY_NAME["patches_out"].happened(hidden).replace("\u00a0", " ")


def test_a_picture_that_greying_leaves_as_it_is_tests_no_map():
    plain = Outcome(("Rollout", "Saliency", "a random quarter"), (0.0, 1e-7, 0.0), (0, 1, 2), facts=MADE_UP["trusted"].facts)
    assert BY_NAME["trusted"].happened(plain).endswith("this picture puts no map to the test.")
    assert BY_NAME["trusted"].far(plain, 0) == "No answer is wrong here."


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
