from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from app_helpers import ROOT, image_bytes, messages, said

import vizlib
from vizlib.analysis.lesson import transformer
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.pictures import sample
from vizlib.ui.pages.learn.figures import legend_words
from vizlib.ui.pages.learn.sections import OWN_MODEL
from vizlib.ui.pages.learn.steps import STEPS


@pytest.fixture
def learn(visit):
    return partial(visit, "pages/learn.py")


def test_it_opens_on_a_question_and_shows_nothing_before_it_is_answered(learn):
    at = learn()
    assert at.title[0].value == "Learn"
    assert "Step 1 of 10" in at.get("progress")[0].proto.text
    assert "1994-05-17" not in said(at) + "".join(code.value for code in at.code)
    assert at.button(key="learn.show").disabled
    at.radio[0].set_value(1).run()
    at.button(key="learn.show").click().run()
    assert "You said the month; it is the day." in said(at)
    assert "1994-05-17" in at.code[0].value
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == {"answers": "2"}
    at.button(key="learn.next").click().run()
    assert at.header[0].value == "2. Query, key, value"
    at.button(key="learn.back").click().run()
    at.button(key="learn.again").click().run()
    assert dict(at.query_params) == {}


@pytest.mark.parametrize("number", range(3, 11))
def test_every_step_of_the_picture_asks_and_answers(learn, number):
    step = STEPS[number - 1]
    asked = learn(step=str(number), sample="coffee")
    assert step.question in said(asked)
    assert "What happened" not in said(asked)
    answered = learn(step=str(number), sample="coffee", answers="_".join(["-"] * (number - 1) + ["1"]))
    assert "What happened" in said(answered)
    assert step.why in said(answered)


def test_the_patches_that_are_asked_for_say_nothing_of_the_answer(learn):
    header, arrays = unpack(messages(learn(step="7"), "patch_choice")[0])
    assert (header["right"], header["names"], header["legend"], set(arrays)) == ([], None, "", {"photo"})
    model = vizlib.load("vit_tiny50")
    outcome = transformer.patches_out(model, model.prepare(sample("coffee").pixels))
    header, arrays = unpack(messages(learn(step="7", answers="-_-_-_-_-_-_1"), "patch_choice")[0])
    assert (header["right"], header["chosen"]) == (list(outcome.right), 0)
    assert header["legend"] == legend_words(outcome.values)
    assert np.allclose(arrays["values"], np.array(outcome.values) / max(map(abs, outcome.values)), atol=1e-6)


def test_another_picture_forgets_what_was_said_of_the_first(learn):
    at = learn(step="4", answers="3_4_2_1")
    assert "What happened" in said(at)
    at.file_uploader[0].set_value(("mine.png", image_bytes(), "image/png")).run()
    assert "".join(dict(at.query_params)["answers"]) == "3_4"
    assert "What happened" not in said(at)


@pytest.mark.parametrize("address", [{"step": "99"}, {"step": "x"}, {"answers": "1_2_x"}, {"step": "7", "answers": "-_-_-_-_-_-_9999"}])
def test_an_address_that_means_nothing_asks(learn, address):
    at = learn(**address)
    assert not at.exception
    assert "What happened" not in said(at)


def test_the_handout_has_what_was_foreseen(learn):
    at = learn(step="11", answers="3_4")
    assert "You predicted 2 of 10, and **2** came out as you said." in said(at)
    assert "not predicted" in said(at)
    assert at.get("download_button")[0].proto.label == "Handout, two pages A4"


def test_explore_leads_to_it(visit):
    at = visit("pages/explore.py")
    assert any("Ten steps" in link.proto.label for link in at.get("page_link"))
    assert (ROOT / "pages" / "learn.py").is_file()


def test_a_model_that_the_lesson_does_not_take_is_answered_in_a_sentence(visit):
    assert OWN_MODEL in said(visit("pages/learn.py", models="cvt_tiny50"))
    assert OWN_MODEL not in said(visit("pages/learn.py"))
