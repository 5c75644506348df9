"""The lesson gone by keyboard alone, on a sample and on a picture that is handed in, its answers those of the library; and its sheet."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import vizlib
from vizlib.ui.core.pictures import handed_in, sample
from vizlib.ui.pages.learn.lesson_work import compute_finding, compute_sentence
from vizlib.ui.pages.learn.steps import CLICK, SLIDE, STEPS

# What has the focus, inside of shadow roots too: its role, its words, and whether it is a picture's stage.
FOCUS = """() => {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  const inside = at.closest('.patches') ? 'patches' : '';
  return [at.getAttribute('role') || at.type || at.tagName.toLowerCase(), (at.innerText || '').trim(), inside].join('|');
}"""


def nothing(*_):
    """Progress that nobody hears."""


def outcome_of(step, picture):
    if not step.of_picture:
        return compute_sentence(step.name, nothing).outcome
    return compute_finding(step.name, picture, *map(vizlib.load, step.models), progress=nothing).outcome


def tab_to(page, pattern):
    """Press Tab until what has the focus is this."""
    seen = []
    for _ in range(90):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUS))
        if re.search(pattern, seen[-1]):
            return
    raise AssertionError(f"{pattern} is not reached with the Tab key: {seen}")


def heading(visit, number):
    visit.page.get_by_role("heading", name=f"{number}. {STEPS[number - 1].title}").wait_for()
    visit.rest()


def answer_by_keyboard(visit, step, outcome, answer):
    keys = visit.page.keyboard
    visit.page.get_by_text(step.question).wait_for()
    settle(visit)
    if step.kind == CLICK:
        visit.page.locator(".patches .stage[data-drawn]").wait_for()
        tab_to(visit.page, r"\|patches$")
        rows, columns = outcome.grid
        keys.press("ArrowUp")  # the middle is where one begins
        here, there = (rows // 2, columns // 2), divmod(answer, columns)
        for axis, (less, more) in enumerate((("ArrowUp", "ArrowDown"), ("ArrowLeft", "ArrowRight"))):
            for _ in range(abs(there[axis] - here[axis])):
                keys.press(more if there[axis] > here[axis] else less)
        keys.press("Enter")
    elif step.kind == SLIDE:
        tab_to(visit.page, r"^(slider|range)")
        start = len(outcome.options) // 2
        for _ in range(abs(answer - start)):
            keys.press("ArrowRight" if answer > start else "ArrowLeft")
    else:
        tab_to(visit.page, r"^radio\|")
        keys.press("Space")
        for _ in range(answer):
            keys.press("ArrowDown")
    settle(visit)
    tab_to(visit.page, r"^submit\|[^|]*Show what happens")
    keys.press("Enter")
    visit.page.get_by_text("What happened.").wait_for()
    settle(visit)


def settle(visit):
    """Wait until nothing is drawn any more: a key would meet a button that is about to be another one."""
    visit.rest()
    visit.page.wait_for_timeout(200)
    visit.rest()


def check(visit, step, outcome, answer):
    """What the page says is what the library found."""
    said = visit.page.locator("[data-testid=stMain]").inner_text()
    assert step.far(outcome, answer) in said
    assert step.happened(outcome) in said
    assert ("not as you said" in said) == (answer not in outcome.right)


@pytest.mark.parametrize("kind", ["sample", "upload"])
def test_the_whole_path_by_keyboard(visit, server, tmp_path, kind):
    page = visit.page
    page.set_default_timeout(60_000)
    mine = tmp_path / "mine.png"
    Image.fromarray(np.ascontiguousarray(data.astronaut()[:300, 60:480])).save(mine)
    picture = sample("coffee") if kind == "sample" else handed_in(mine.name, mine.read_bytes())

    def hand_in():
        if kind == "upload":
            if page.get_by_role("button", name="Mine").count() == 0 and page.locator("input[type=file]").first.is_hidden():
                page.get_by_text("The picture that the lesson is about").click()
            page.locator("input[type=file]").first.set_input_files(mine)
            page.get_by_role("button", name="mine").wait_for()
            visit.rest()

    page.goto(f"{server.url}/learn" + ("?sample=coffee" if kind == "sample" else ""))
    heading(visit, 1)
    hand_in()
    outcomes = [outcome_of(step, picture) for step in STEPS]
    given = []
    for number, step in enumerate(STEPS, 1):
        heading(visit, number)
        outcome = outcomes[number - 1]
        answer = outcome.right[0] if number % 2 else (outcome.right[0] + 1) % len(outcome.options)
        answer_by_keyboard(visit, step, outcome, answer)
        check(visit, step, outcome, answer)
        given.append(answer)
        if number == 5:
            page.wait_for_url(re.compile("step=5"))
            page.reload()
            heading(visit, 5)
            if kind == "sample":
                page.get_by_text("What happened.").wait_for()
                check(visit, step, outcome, answer)
                assert f"answers={'_'.join(str(one + 1) for one in given)}" in page.url
            else:  # a picture of one's own is not part of a link
                hand_in()
                answer_by_keyboard(visit, step, outcome, answer)
                check(visit, step, outcome, answer)
        tab_to(page, r"^submit\|[^|]*(Next step|To the handout)")
        page.keyboard.press("Enter")
    page.get_by_role("heading", name="The lesson on one sheet").wait_for()
    page.get_by_text("came out as you said").wait_for()
    visit.rest()
    if kind == "sample":
        right = sum(answer in outcome.right for outcome, answer in zip(outcomes, given, strict=True))
        assert f"You predicted 10 of 10, and {right} came out as you said." in page.locator("[data-testid=stMain]").inner_text()
    tab_to(page, r"^submit\|[^|]*Handout, two pages A4")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    sheet = page.context.new_page()
    sheet.set_content(Path(download.value.path()).read_text("utf-8"))
    pdf = sheet.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type\s*/Page[^s]", pdf)) == 2
    boxes = [[float(side) for side in box.split()] for box in re.findall(rb"/MediaBox\s*\[([^\]]*)\]", pdf)]
    assert boxes == [pytest.approx([0, 0, 595.28, 841.89], abs=0.5)] * 2
    ends = "sheet => sheet.querySelector('ol').getBoundingClientRect().bottom - sheet.getBoundingClientRect().top"
    for one in sheet.locator(".sheet").all():
        assert one.evaluate(ends) < one.evaluate("sheet => sheet.clientHeight") - 40  # nothing lies below the footer
    for step, outcome in zip(STEPS, outcomes, strict=True):
        assert step.happened(outcome) in sheet.locator(".sheet").nth(1).inner_text()


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "has_touch": True}], indirect=True, ids=["touch"])
def test_narrow_with_a_finger(visit, server):
    visit.page.goto(f"{server.url}/learn?step=7")
    stage = visit.page.locator(".patches .stage[data-drawn]")
    stage.wait_for()
    visit.rest()
    assert visit.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    visit.page.touchscreen.tap(box["x"] + box["width"] * 1.5 / 8, box["y"] + box["height"] * 0.5 / 8)
    visit.page.get_by_text("Yours (orange): row 1, column 2.").wait_for()
    visit.page.get_by_role("button", name="Show what happens").tap()
    visit.page.get_by_text("What happened.").wait_for()
    assert "You clicked row 1, column 2" in visit.page.locator("[data-testid=stMain]").inner_text()
    assert visit.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
