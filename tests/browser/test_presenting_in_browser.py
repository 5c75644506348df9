"""The app before a class: one section a screen, gone through by keys that ask nothing of the server."""

from __future__ import annotations

import re

import pytest

WHERE = ".presenter .where"
# The titles of the sections whose headings are seen, and whether anything of the sidebar is.
SEEN = """() => ({
  headings: [...document.querySelectorAll('[data-testid=stMain] :is(h1, h2, h3)')].filter(one => one.checkVisibility())
    .map(one => one.innerText),
  sidebar: document.querySelector('[data-testid=stSidebar]').checkVisibility(),
  type: parseFloat(getComputedStyle(document.documentElement).fontSize),
})"""


def opened(visit, url, maps=0):
    """Open a page by a link, which Streamlit first asks for its own files below the page's address."""
    visit.open(url, maps)
    return visit.page


def where(page):
    """Which section is shown, of how many, and its title."""
    place, title = page.text_content(WHERE).split(" · ")
    return [int(number) for number in place.split(" / ")], title


def quiet(visit):
    """Wait until the page has asked for nothing for a while: what it still computes, it asks after.

    On a busy machine a look begins late, and a run that it asks for goes on for long: it rests before and after the while.
    """
    for _ in range(30):
        visit.rest()
        visit.sent.clear()
        visit.page.wait_for_timeout(3000)
        if not visit.sent:
            break
    visit.rest()
    visit.sent.clear()


def test_keys_go_from_section_to_section_and_ask_nothing(visit, server):
    page = opened(visit, f"{server.url}/t2t?present=1", 0)
    page.wait_for_function("() => document.querySelectorAll('[data-testid=stHeaderActionElements]').length === 3", timeout=60_000)
    visit.rest()
    assert where(page) == ([1, 4], "T2T-ViT")
    seen = page.evaluate(SEEN)
    assert seen["headings"] == ["T2T-ViT"]
    assert seen["type"] > 16
    assert not seen["sidebar"]
    assert not page.get_by_text("Add a picture, or change the model or the fit").is_visible()
    quiet(visit)
    titles = []
    for key in ("PageDown", "ArrowRight", "PageDown"):
        page.keyboard.press(key)
        (place, count), title = where(page)
        titles.append(title)
        assert (place, count) == (len(titles) + 1, 4)
        assert page.evaluate(SEEN)["headings"] == [title]
        assert page.evaluate("document.activeElement.id") == page.url.split("#")[1]  # a screen reader begins here, and a link does too
    assert titles == ["A toy in whole numbers", "Step by step, and what it costs", "What the channels hold: the paper's Figure 2"]
    page.keyboard.press("PageDown")  # there is no other
    assert where(page)[0] == [4, 4]
    for key in ("PageUp", "ArrowLeft"):
        page.keyboard.press(key)
    assert where(page)[0] == [2, 4]
    assert visit.sent == []
    page.reload()
    page.locator(WHERE, has_text="2 / 4").wait_for()
    visit.rest()
    page.keyboard.press("Escape")
    assert page.evaluate(SEEN)["sidebar"]  # at once; then the switch and the address hear of it
    page.wait_for_function("() => !location.search.includes('present')")
    visit.rest()
    page.get_by_role("switch", name="Present", checked=False).wait_for()
    assert len(page.evaluate(SEEN)["headings"]) == 4


def test_the_switch_keeps_what_the_visitor_chose(visit, server):
    page = opened(visit, f"{server.url}/attention?layer=2&panel=heads", 1)
    page.get_by_text("Present", exact=True).click()
    page.wait_for_selector("html[data-vizlib-presenting]", state="attached")
    visit.rest()
    page.wait_for_function("() => location.search.includes('present=1')")
    assert "layer=2" in page.url
    assert "panel=heads" in page.url
    quiet(visit)
    stage = page.locator(".stage[data-drawn]").first
    stage.focus()
    page.keyboard.press("ArrowRight")  # the picture's own
    assert where(page)[0] == [1, 2]
    page.keyboard.press("PageDown")  # a clicker's, wherever the focus is
    assert where(page) == ([2, 2], "Look closer")
    assert not stage.is_visible()
    page.keyboard.press("ArrowLeft")
    assert stage.is_visible()
    assert visit.sent == []
    page.locator(".presenter .controls").click()
    assert page.get_by_text("Add a picture").first.is_visible()
    page.locator(".presenter .leave").click()
    page.wait_for_function("() => !location.search.includes('present') && location.search.includes('panel=heads')")
    visit.rest()


def test_beyond_the_last_section_the_lesson_goes_on(visit, server):
    page = opened(visit, f"{server.url}/learn?present=1", 0)
    page.locator(WHERE, has_text="Learn").wait_for()
    page.get_by_text("Next step").wait_for()
    page.keyboard.press("PageDown")
    page.get_by_role("heading", name="2.").wait_for()
    page.wait_for_selector(".st-key-learn-back button:not([disabled])", state="attached")  # drawn after the heading
    page.keyboard.press("PageUp")
    page.get_by_role("heading", name="1.").wait_for()
    visit.rest()


def test_what_lies_over_a_page_never_pushes_it_down(visit, server):
    visit.page.route("**/BidiComponent.*.js", lambda _route: None)  # their code has not come yet
    visit.page.goto(f"{server.url}/learn")
    heading = visit.page.get_by_role("heading", name="Learn", exact=True)
    heading.wait_for()
    visit.page.wait_for_function("heading => heading.getBoundingClientRect().y < 40", arg=heading.element_handle())


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "has_touch": True}], indirect=True)
def test_narrow(visit, server):
    page = opened(visit, f"{server.url}/attention?present=1", 1)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    page.locator(".presenter .next").click()
    assert where(page)[0] == [2, 2]
    box = page.locator(".presenter nav").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


FULL = "document.fullscreenElement !== null"


def test_a_map_fills_the_screen_and_is_read_as_before(visit, server):
    visit.open(f"{server.url}/?models=vit_tiny50", 1)
    page = visit.page
    stage, reading, button = page.locator(".stage[data-drawn]").first, page.locator("output.reading").first, page.locator(".full-screen")
    small = stage.bounding_box()

    def read():
        box = stage.bounding_box()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.4 * box["height"])
        return reading.text_content()

    button.scroll_into_view_if_needed()
    before = read()
    assert "row" in before
    assert button.get_attribute("aria-label") == "Full screen"
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(FULL)
    page.wait_for_timeout(500)
    large = stage.bounding_box()
    assert large["width"] > 1.2 * small["width"]
    assert large["y"] >= 0
    assert large["y"] + large["height"] <= 800
    places = [[int(number) for number in re.findall(r"\d+", words.split(":")[0])] for words in (read(), before)]
    assert places[0] == pytest.approx(places[1], abs=1)  # a pointer lies on whole pixels of the screen
    assert button.get_attribute("aria-label") == "Leave full screen"
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => !({FULL})")
    page.wait_for_timeout(500)
    assert stage.bounding_box()["width"] == pytest.approx(small["width"], abs=1)


# What of a row is under the button: all rectangles at one moment.
UNDER = """button => {
  const corner = button.getBoundingClientRect();
  const over = ({ left, right, top, bottom, width }) =>
    width && left < corner.right && right > corner.left && top < corner.bottom && bottom > corner.top;
  const beside = [...button.parentElement.querySelectorAll('button, input, select, canvas, output')].filter(one => one !== button);
  return beside.filter(one => over(one.getBoundingClientRect())).map(one => one.className || one.textContent);
}"""


def test_nothing_lies_under_the_button_for_the_full_screen(visit, server):
    page = opened(visit, f"{server.url}/seq2seq")
    page.locator(".decoder-step .full-screen").wait_for()
    for width in (1280, 1024, 800, 640, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(300)
        buttons = page.locator(".full-screen")
        assert buttons.count() > 1
        assert [buttons.nth(place).evaluate(UNDER) for place in range(buttons.count())] == [[]] * buttons.count(), width


def test_a_word_opens_its_meaning_where_it_stands(visit, server):
    page = opened(visit, f"{server.url}/attention", 1)
    word, note = page.get_by_role("link", name="patch", exact=True).first, page.locator(".note")
    address = page.url
    quiet(visit)
    word.focus()
    page.keyboard.press("Enter")
    note.wait_for()
    assert note.text_content() == "patch: A square of pixels that is cut out and becomes one token."
    (below, at) = (one.bounding_box() for one in (note, word))
    assert 0 <= below["y"] - at["y"] - at["height"] < 30
    assert page.url == address  # the view's link stays what it was
    page.keyboard.press("Escape")
    note.wait_for(state="hidden")
    assert page.evaluate("document.activeElement.innerText") == "patch"
    word.press("Enter")
    note.wait_for()
    # A run draws the text anew, and the meaning closes at once: between these nothing else may be needed.
    closed = "([note, word]) => { word.replaceWith(word.cloneNode(true)); note.hidePopover(); return document.activeElement.innerText; }"
    assert page.evaluate(closed, [note.element_handle(), word.element_handle()]) == "patch"
    word.click()
    note.wait_for()
    page.mouse.click(5, 5)
    note.wait_for(state="hidden")
