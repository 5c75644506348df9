from __future__ import annotations

import re
import time

import pytest

from vizlib.analysis.cost.spatial_reduction import Layer, multiply_adds, peak_bytes

SIZES = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def opened(visit, url, until=".pyramid .stage[data-drawn=colours]"):
    visit.page.goto(url)
    visit.page.locator(until).first.wait_for()
    visit.page.locator(".segments .stage[data-drawn]").nth(2).wait_for()
    visit.rest()


def boxes(visit):
    """The outline on every panel: top, left, height and width in per cent."""
    marks = (
        "[...document.querySelectorAll('*')].flatMap(one => one.shadowRoot ? [...one.shadowRoot.querySelectorAll('.pyramid .mark')] : [])"
    )
    return visit.page.evaluate(f"() => ({marks}).map(mark => ['top', 'left', 'height', 'width'].map(side => parseFloat(mark.style[side])))")


def test_a_cell_is_outlined_in_all_stages_without_the_server(visit, server, record_property):
    opened(visit, f"{server.url}/pvt?weights=random")
    began = time.perf_counter()
    visit.page.goto(f"{server.url}/pvt?weights=random")
    visit.page.locator(".pyramid .stage[data-drawn=colours]").first.wait_for()
    record_property("seconds to first picture", round(time.perf_counter() - began, 2))
    print(f"first picture of a warm app after {time.perf_counter() - began:.1f} s")
    opened(visit, f"{server.url}/pvt?weights=random")
    sent = len(visit.sent)
    stage = visit.page.locator(".pyramid .stage").nth(3)
    side = stage.bounding_box()["width"] / 8
    stage.hover(position={"x": 5.5 * side, "y": 2.5 * side})  # row 3, column 6 of 8 x 8
    visit.page.get_by_text("Stage 3, row 3, column 6").wait_for()
    reading = visit.page.locator(".pyramid .reading").inner_text()
    assert "rows 17 to 24, columns 41 to 48 of the picture (8 × 8 px); cells: 16 of stage 1, 4 of stage 2, 1 of stage 4" in reading
    whole, coarse = [25.0, 62.5, 12.5, 12.5], [25.0, 50.0, 25.0, 25.0]
    assert boxes(visit) == [whole, whole, whole, whole, coarse, whole]  # the picture, four stages, ViT's 8 x 8
    before = stage.locator("canvas").evaluate("one => one.toDataURL()")
    visit.page.locator(".pyramid .views button", has_text="Norm").click()
    assert stage.locator("canvas").evaluate("one => one.toDataURL()") != before
    assert len(visit.sent) == sent
    stage.focus()
    stage.press("ArrowDown")
    assert visit.page.locator(".pyramid .reading").inner_text().startswith("Stage 3, row ")
    visit.page.wait_for_url("**view=norm**")


def test_a_query_and_its_keys(visit, server):
    opened(visit, f"{server.url}/pvt?weights=random")
    sent, reading = len(visit.sent), visit.page.locator(".reduced .reading")
    visit.page.locator(".reduced .query .stage").hover(position={"x": 20, "y": 20})
    visit.page.get_by_text(re.compile(r"^Token at row \d, column \d gives")).wait_for()
    visit.page.locator(".reduced .keys .stage").hover(position={"x": 3, "y": 3})
    visit.page.get_by_text("to the key pointed at (row 1, column 1").wait_for()
    assert "gathers 64 tokens" in reading.inner_text()
    visit.page.locator(".reduced .choices button", has_text="Stage 4").click()
    visit.page.locator(".reduced .token").click()
    visit.page.get_by_text("The class token gives").wait_for()
    assert len(visit.sent) == sent


def test_the_chart_computes_what_python_computes(visit, server):
    opened(visit, f"{server.url}/pvt?weights=random")
    layer, chart = Layer(32, 1, 8, 2), visit.page.locator(".costs svg[role=img]")
    chart.hover(position={"x": chart.bounding_box()["width"] * 0.4, "y": 60})
    reading = visit.page.locator(".costs .reading")
    side, *shown = re.match(
        r"(\d+) px: full attention ([\d.]+ \w), SRA ([\d.]+ \w), linear SRA ([\d.]+ \w)\.", reading.inner_text()
    ).groups()
    wanted = [multiply_adds(kind, layer, layer.grid(int(side))).total for kind in ("full", "sra", "linear")]
    assert [float(text.split()[0]) * SIZES[text.split()[1]] for text in shown] == pytest.approx(wanted, rel=6e-3)
    visit.page.get_by_label("Reduction R").fill("2")
    visit.page.locator(".costs .quantity button", has_text="Memory").click()
    chart.hover(position={"x": chart.bounding_box()["width"] * 0.41, "y": 60})
    said = re.findall(r"([\d.]+) ([kMGT])B", reading.inner_text())
    side, layer = int(reading.inner_text().split()[0]), Layer(32, 1, 4, 2)
    kinds = [("full", False), ("full", True), ("sra", True), ("linear", True)]
    wanted = [peak_bytes(kind, layer, layer.grid(side), fused=fused) for kind, fused in kinds]
    assert [float(value) * SIZES[word] for value, word in said] == pytest.approx(wanted, rel=6e-3)


def test_a_measurement_shows_progress_and_can_be_stopped(visit, server):
    opened(visit, f"{server.url}/pvt?weights=random")
    visit.page.get_by_role("button", name="Measure on this machine").click()
    visit.page.get_by_text(re.compile(r"at [\d,]+ px …")).first.wait_for()
    visit.page.locator(".st-key-stop-pvt-measure button").first.click()
    visit.page.get_by_text("Stopped.").wait_for()
    assert visit.page.get_by_role("button", name="Measure on this machine").is_visible()


def test_groups_are_kept_in_the_address(visit, server):
    opened(visit, f"{server.url}/pvt?weights=random")
    canvas = visit.page.locator(".segments canvas").first
    before = canvas.evaluate("one => one.toDataURL()")
    visit.page.get_by_role("slider", name="Groups").fill("7")
    assert canvas.evaluate("one => one.toDataURL()") != before
    visit.page.wait_for_url("**groups=7**")
    opened(visit, visit.page.url)
    assert visit.page.get_by_role("slider", name="Groups").input_value() == "7"


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "has_touch": True}], indirect=True)
def test_narrow(visit, server):
    opened(visit, f"{server.url}/pvt?weights=random")
    assert visit.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
    for name in (".pyramid", ".reduced", ".costs", ".segments"):
        box = visit.page.locator(name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
