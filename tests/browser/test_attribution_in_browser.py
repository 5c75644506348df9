from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

expect = pytest.importorskip("playwright.sync_api").expect

TWO = "vit_tiny50.methods=rollout,input_x_gradient"


def opened(visit, url, maps=2):
    visit.page.goto(url)
    visit.page.wait_for_function(MAPS, arg=maps)
    visit.page.locator(".brush .stage[data-drawn]").wait_for()


MAPS = """n => {
  const found = [];
  const walk = root => root.querySelectorAll('*').forEach(one => {
    if (one.matches('.card .stage[data-drawn]')) found.push(one);
    if (one.shadowRoot) walk(one.shadowRoot);
  });
  walk(document);
  return found.length >= n;
}"""


def pixels(visit, name):
    return visit.page.locator(f".map-grid .card[data-name={name}] canvas").first.evaluate("one => one.toDataURL()")


def test_scale_and_pointer_need_no_server_and_badges_move_nothing(visit, server):
    opened(visit, f"{server.url}/attribution?{TWO}")
    page = visit.page
    before = page.locator(".map-grid .card[data-name=input_x_gradient] .foot").bounding_box()
    page.locator(".map-grid .card[data-name=rollout] .badge:not([data-state=pending])").wait_for()
    page.locator(".map-grid .card[data-name=input_x_gradient] .badge:not([data-state=pending])").wait_for()
    visit.rest()
    after = page.locator(".map-grid .card[data-name=input_x_gradient] .foot").bounding_box()
    assert after == before
    low, high, beyond = page.locator(".map-grid .card[data-name=input_x_gradient] .ends span").all_inner_texts()
    assert low.startswith("\u2264\u00a0\u2212")  # evidence against the class has a lowest colour too
    assert high.startswith("\u2265\u00a0")
    assert beyond.endswith(" beyond")
    # A flat map without a sign ends at twice its mean, and nothing lies above.
    assert page.locator(".map-grid .card[data-name=rollout] .ends span").all_inner_texts() == ["0×", "2.0×", ""]
    first = pixels(visit, "rollout")
    page.locator(".map-grid").get_by_role("radio", name="one for all").click()
    assert pixels(visit, "rollout") != first  # drawn before the server hears of it
    page.wait_for_url("**scale=one*")
    visit.rest()
    sent = len(visit.sent)
    page.locator(".map-grid .card[data-name=rollout] .stage").hover()
    assert "× the map's mean size" in page.locator(".map-grid > .reading").inner_text()
    assert page.locator(".map-grid .card[data-name=input_x_gradient] .cross").evaluate("one => one.style.display") == "block"
    assert len(visit.sent) == sent
    assert page.locator(".map-grid").get_by_role("radio", name="one for all").get_attribute("aria-checked") == "true"

    page.locator(".map-grid .card[data-name=rollout] .badge").click()
    dialog = page.locator(".map-grid dialog")
    assert dialog.is_visible()
    assert dialog.locator(".row").count() == 8
    page.keyboard.press("Escape")
    assert not dialog.is_visible()

    page.locator(".map-grid .card[data-name=input_x_gradient] .closer").click()
    page.wait_for_url("**depth=input_x_gradient*")
    page.locator(".map-grid .card.on[data-name=input_x_gradient]").wait_for()


def test_a_brushed_region_is_answered(visit, server):
    opened(visit, f"{server.url}/attribution?{TWO}")
    page = visit.page
    page.locator(".map-grid .stop.there").wait_for(state="detached")
    visit.rest()
    stage = page.locator(".brush .stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5, steps=4)
    page.mouse.up()
    drawn = int(stage.get_attribute("data-drawn"))
    assert 200 < drawn < 1500
    page.locator(".brush .words", has_text="Alone it brings").wait_for()
    first = page.locator(".brush .words").inner_text()
    assert f"{100 * drawn / 4096:.0f}" in first or f"{100 * drawn / 4096:.1f}" in first
    # By keys: a dab where the brush stands.
    stage.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert int(stage.get_attribute("data-drawn")) > drawn
    expect(page.locator(".brush .words")).not_to_have_text(first)
    # As a rectangle.
    page.locator(".brush .box input[name=left]").fill("0")
    page.locator(".brush .box input[name=right]").fill("50")
    page.locator(".brush .box").get_by_role("button", name="Take it").click()
    assert int(stage.get_attribute("data-drawn")) == 32 * 32
    page.locator(".brush .words", has_text="This region is 25").wait_for()
    page.locator(".brush .clear").click()
    page.locator(".brush .words", has_text="Nothing is brushed yet").wait_for()


def test_the_files_hold_what_the_page_shows(visit, server):
    opened(visit, f"{server.url}/attribution?{TWO}")
    for method in ("rollout", "input_x_gradient"):
        visit.page.locator(f".map-grid .card[data-name={method}] .badge:not([data-state=pending])").wait_for()
    visit.rest()
    content = {}
    for kind in ("PNG", "NPZ", "JSON"):
        with visit.page.expect_download() as got:
            visit.page.get_by_role("button", name=kind).click()
        content[kind] = Path(got.value.path()).read_bytes()
    with Image.open(io.BytesIO(content["PNG"])) as sheet:
        assert sheet.width > sheet.height > 240  # two maps beside one another
    with np.load(io.BytesIO(content["NPZ"])) as arrays:
        assert set(arrays) == {"rollout", "input_x_gradient"}
    shown = visit.page.locator(".map-grid .badge").all_inner_texts()
    told = [row["badge"] for row in json.loads(content["JSON"])["methods"].values()]
    assert [f"{badge['passed']} of {badge['tests']} passed" for badge in told] == shown


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "has_touch": True}], indirect=True)
def test_narrow(visit, server):
    opened(visit, f"{server.url}/attribution?{TWO}")
    assert visit.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    # All at one moment: a page that still grows moves between two readings.
    boxes = visit.page.locator(".map-grid .card").evaluate_all("cards => cards.map(card => card.getBoundingClientRect().toJSON())")
    assert boxes[0]["y"] == boxes[1]["y"]  # two beside one another
    assert all(box["x"] + box["width"] <= 390 for box in boxes)
    for width in (390, 700, 800):
        visit.page.set_viewport_size({"width": width, "height": 800})
        cut = visit.page.locator(".map-grid .ends").evaluate_all("all => all.filter(one => one.scrollWidth > one.clientWidth).length")
        assert cut == 0, width


def test_a_click_beside_a_run_of_the_page_is_heard(visit, server):
    """Streamlit drops what a part of the page sends that a whole run has replaced before the browser heard of that."""
    late, held = [], []

    def between(browser_side):
        server_side = browser_side.connect_to_server()
        server_side.on_message(lambda message: held.append((browser_side, message)) if late else browser_side.send(message))

    visit.page.route_web_socket("**/_stcore/stream", between)
    opened(visit, f"{server.url}/attribution?{TWO}&depth=rollout")
    visit.rest()
    page = visit.page
    late.append(True)
    page.locator(".map-grid").get_by_role("radio", name="one for all").click()  # a run of the whole page follows, for its address
    page.wait_for_timeout(2000)
    assert held
    page.locator(".map-grid .card[data-name=input_x_gradient] .closer").click()
    page.wait_for_timeout(500)
    late.clear()
    for browser_side, message in held:
        browser_side.send(message)
    page.wait_for_url("**depth=input_x_gradient*", timeout=20_000)
    page.locator(".map-grid .card.on[data-name=input_x_gradient]").wait_for()
