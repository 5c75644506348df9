from __future__ import annotations

import pytest


def opened(visit, url):
    visit.page.goto(url)
    visit.page.locator(".pyramid .stage[data-drawn]").first.wait_for()
    visit.page.locator(".shuffle-shift .stage[data-drawn]").wait_for()
    visit.rest()


def test_windows_overlap(visit, server):
    opened(visit, f"{server.url}/cvt?weights=random")
    sent, stage = len(visit.sent), visit.page.locator(".pyramid .stage").nth(1)
    side = stage.bounding_box()["width"] / 16
    stage.hover(position={"x": 5.5 * side, "y": 3.5 * side})
    visit.page.get_by_text("Stage 1, row 4, column 6: rows 11 to 17, columns 19 to 25 of the picture (7 × 7 px)").wait_for()
    # The cell is seen by the windows of 2 x 2 cells above it where its row and its column are odd.
    assert "cells: 4 of stage 2" in visit.page.locator(".pyramid .reading").inner_text()
    assert len(visit.sent) == sent


def test_kernels_choose_the_channel(visit, server):
    opened(visit, f"{server.url}/cvt?weights=random")
    sent, canvas = len(visit.sent), visit.page.locator(".projection .panels canvas").nth(1)
    before = canvas.evaluate("one => one.toDataURL()")
    tops = visit.page.locator(".map-box").evaluate_all("all => all.map(one => one.getBoundingClientRect().top)")
    assert len(tops) == 3
    assert len(set(tops)) == 1  # the kernels of q, k and v beside one another
    visit.page.locator(".map-box canvas").first.hover(position={"x": 5, "y": 5})
    visit.page.get_by_text("Channel 1, kernels with the gain").wait_for()
    assert canvas.evaluate("one => one.toDataURL()") != before
    slider = visit.page.get_by_label("Channel", exact=True)
    assert (slider.input_value(), slider.get_attribute("min")) == ("1", "1")  # the first kernel is channel 1, and none is channel 0
    first = canvas.evaluate("one => one.toDataURL()")
    slider.fill("2")
    visit.page.get_by_text("Channel 2, kernels with the gain").wait_for()
    assert canvas.evaluate("one => one.toDataURL()") != first
    visit.page.locator(".projection .blocks button", has_text="Stage 3, layer 4").click()
    assert slider.get_attribute("max") == "192"
    assert canvas.evaluate("one => one.width") == 4
    assert len(visit.sent) == sent


def test_a_vit_without_its_table_sees_a_bag_of_patches(visit, server):
    opened(visit, f"{server.url}/cvt?weights=random")
    picture = visit.page.locator(".shuffle-shift canvas")
    shuffled = picture.evaluate("one => one.toDataURL()")
    distances = visit.page.locator(".shuffle-shift .model").evaluate_all("all => all.map(one => Number(one.dataset.distance))")
    assert distances[2] < 1e-5 < 1e-3 < min(distances[:2])
    visit.page.locator(".shuffle-shift .kinds button", has_text="shifted").click()
    assert picture.evaluate("one => one.toDataURL()") != shuffled
    visit.page.get_by_label("Shift").fill("0")
    distances = visit.page.locator(".shuffle-shift .model").evaluate_all("all => all.map(one => Number(one.dataset.distance))")
    assert max(distances) < 1e-5


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "has_touch": True}], indirect=True)
def test_narrow(visit, server):
    opened(visit, f"{server.url}/cvt?weights=random")
    assert visit.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
    for name in (".pyramid", ".projection", ".reduced", ".shuffle-shift"):
        box = visit.page.locator(name).bounding_box()
        assert box["x"] + box["width"] <= 390
