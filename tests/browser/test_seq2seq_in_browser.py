from __future__ import annotations

import json
import re
import time

import numpy as np
import pytest

from vizlib.seq2seq import TASKS, load, translate
from vizlib.ui.pages.seq2seq import decoder_edit, predict_first

MODEL = "dates_gru_concat"
TEXT = TASKS["dates"].examples[0]


@pytest.fixture(scope="module")
def made():
    return translate(load(MODEL), TEXT)


def open_page(visit, server, query=""):
    visit.page.goto(f"{server.url}/seq2seq{query}")
    visit.page.locator(".alignment[data-drawn]").first.wait_for()
    visit.page.get_by_role("heading", name="The two problems that attention solved").wait_for()
    visit.rest()


def written(visit, steps):
    """Wait until the whole answer is written."""
    visit.page.wait_for_function("([find, n]) => eval(find).split(' ')[1] === String(n)", arg=[ALIGNMENT, steps])


ALIGNMENT = """(() => {
  const walk = root => [...root.querySelectorAll('*')].flatMap(one => [one, ...(one.shadowRoot ? walk(one.shadowRoot) : [])]);
  return walk(document).find(one => one.matches('.alignment')).dataset.drawn;
})()"""


def test_the_first_picture_comes_by_itself(visit, server, made, record_property):
    open_page(visit, server)  # a first visitor waits for the imports, once
    started = time.perf_counter()
    visit.page.goto(f"{server.url}/seq2seq")
    visit.page.locator(".alignment[data-drawn]").first.wait_for()
    record_property("seconds to the first picture", round(time.perf_counter() - started, 2))
    written(visit, len(made.tokens))
    assert visit.page.locator(".sheet").first.locator(".cell").count() == made.alignment.size


def test_a_cell_lights_both_characters_and_asks_nothing(visit, server, made):
    open_page(visit, server)
    written(visit, len(made.tokens))
    visit.page.wait_for_timeout(600)
    sent, sheet = len(visit.sent), visit.page.locator(".sheet").first
    row, column = map(int, np.unravel_index(made.alignment.argmax(), made.alignment.shape))
    sheet.locator(".cell").nth(row * len(TEXT) + column).hover()
    assert sheet.locator(".of.lit").inner_text() == made.tokens[row]
    assert sheet.locator("span.lit:not(.of)").inner_text() == TEXT[column]
    assert visit.page.locator(".reads").first.locator(".lit").inner_text() == TEXT[column]
    assert visit.page.locator(".writes").first.locator(".lit").inner_text() == made.tokens[row]
    reading = visit.page.locator(".alignment .reading").first.inner_text()
    assert f"step {row + 1} of {len(made.tokens)}" in reading
    assert float(re.search(r"([\d.]+)\s%", reading)[1]) == pytest.approx(100 * made.alignment[row, column], abs=0.051)
    assert len(visit.sent) == sent


def test_the_keyboard_moves_reads_out_and_chooses_a_step(visit, server, made):
    open_page(visit, server)
    written(visit, len(made.tokens))
    sheet, middle = visit.page.locator(".sheet").first, (len(made.tokens) + 1) // 2
    sheet.focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "ArrowRight"):
        sheet.press(key)
    reading = visit.page.locator(".alignment .reading").first
    assert f"step {middle - 1} of" in reading.inner_text()
    assert f"character 3 of {len(TEXT)}" in reading.inner_text()
    assert float(re.search(r"([\d.]+)\s%", reading.inner_text())[1]) == pytest.approx(100 * made.alignment[middle - 2, 2], abs=0.051)
    sheet.press("Enter")
    visit.page.wait_for_url(f"**step={middle - 2}**")
    visit.page.get_by_role("heading", name=f"Step {middle - 1}, taken apart").wait_for()


def test_a_score_by_hand_moves_the_softmax_at_once_and_the_answer_exactly(visit, server, made):
    open_page(visit, server)
    visit.page.wait_for_timeout(600)
    step, apart = (len(made.tokens) + 1) // 2, visit.page.locator(".decoder-step")
    bar = apart.locator(".scores .column").nth(9)
    bar.scroll_into_view_if_needed()
    box, sent = bar.bounding_box(), len(visit.sent)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"]
    visit.page.mouse.move(x, y - 10)
    visit.page.mouse.down()
    visit.page.mouse.move(x, y - 80, steps=3)
    visit.page.mouse.up()
    drawn = apart.get_attribute("data-drawn")
    assert " waits " in drawn
    assert len(visit.sent) == sent
    view = json.loads(drawn.split(" ", 2)[2])
    edit = decoder_edit.Edit.read(view, len(TEXT))
    assert [place for place, _ in edit.scores] == [9]
    assert edit.view == view
    weights = decoder_edit.weights_of(made.steps[step].scores, edit, scaled=False, width=96)
    np.testing.assert_allclose([float(one) for one in apart.get_attribute("data-weights").split()], weights, atol=1e-4)
    assert "set by hand" in apart.locator(".why").inner_text()
    visit.page.wait_for_url("**scores=9**")
    visit.page.wait_for_function("find => eval(find).includes(' exact ')", arg=ALIGNMENT.replace(".alignment", ".decoder-step"))
    assert "→" in apart.locator(".answers").inner_text()
    apart.locator(".weights .column").nth(9).hover()
    assert f"= {weights[9]:.3f}" in apart.locator(".why-numbers").inner_text()
    apart.get_by_role("button", name="As the model had it").click()
    np.testing.assert_allclose([float(one) for one in apart.get_attribute("data-weights").split()], made.alignment[step], atol=1e-4)
    visit.page.wait_for_url(re.compile("^((?!scores).)*$"))


def test_predicting_first_gives_the_divergence(visit, server, made):
    open_page(visit, server, "?predict=1&step=3")
    assert visit.page.locator(".decoder-step").count() == 0
    bars = visit.page.locator(".predict .bar")
    bars.nth(5).focus()
    for _ in range(4):
        bars.nth(5).press("ArrowUp")
    guess = np.full(len(TEXT), 0.25)
    guess[5] += 0.2
    visit.page.get_by_role("button", name="Show the truth").click()
    visit.page.locator(".decoder-step").wait_for()
    bits = float(visit.page.locator(".predict").get_attribute("data-bits"))
    assert bits == pytest.approx(predict_first.divergence(made.alignment[3], guess / guess.sum()), abs=1e-3)


@pytest.mark.parametrize(
    "visit",
    [{"viewport": {"width": 400, "height": 800}, "color_scheme": "dark"}, {"viewport": {"width": 1400, "height": 900}}],
    indirect=True,
)
def test_nothing_runs_out_of_the_page(visit, server):
    open_page(visit, server)
    wide, inner = visit.page.evaluate("() => [document.querySelector('[data-testid=stMain]').scrollWidth, innerWidth]")
    assert wide <= inner
    boxes = [one.bounding_box() for one in visit.page.locator(".sheet, .workings, .bars").all()]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= inner for box in boxes)
