from __future__ import annotations

import pytest

FIND = """(name => {
  const walk = root => [...root.querySelectorAll('*')].flatMap(one => [one, ...(one.shadowRoot ? walk(one.shadowRoot) : [])]);
  return walk(document).filter(one => one.matches(name));
})"""
PLACES = f"{FIND}('.places .stage')"


def open_page(visit, server, query=""):
    visit.page.goto(f"{server.url}/compare{query}")
    visit.page.wait_for_function(f"() => {PLACES}.filter(one => one.dataset.drawn).length === 4")
    visit.page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length >= 10")
    visit.page.get_by_role("heading", name="Take it with you").wait_for()
    visit.rest()


def drawn(visit):
    return visit.page.evaluate(f"() => {PLACES}.map(one => one.querySelector('canvas').toDataURL())")


def test_a_place_lights_up_what_is_like_it_in_both(visit, server):
    open_page(visit, server)
    before = drawn(visit)
    stage = visit.page.locator(".layer .stage").first
    stage.scroll_into_view_if_needed()
    visit.page.wait_for_timeout(500)
    stage.hover(position={"x": 6, "y": 6})
    visit.page.wait_for_function(f"() => {PLACES}[0].dataset.drawn.endsWith(' 0 0')")
    after = drawn(visit)
    assert [one != other for one, other in zip(after, before, strict=True)] == [True, True, False, False]
    assert "row 1, column 1 of ViT layer 6" in visit.page.locator(".reading").first.inner_text()
    # The place is fully lit in its own model, and the page hears of it after the pointer has rested.
    assert visit.page.evaluate(f"() => {PLACES}[0].querySelector('canvas').getContext('2d').getImageData(0, 0, 1, 1).data[3]") == 0
    visit.page.wait_for_url("**place=0%2C0.0625%2C0.0625**")


def test_likeness_is_the_same_both_ways(visit, server):
    """A cell of 8 x 8 asked about one of 16 x 16, and that one about the first."""
    alpha = f"([panel, y, x]) => {PLACES}[panel].querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1).data[3]"
    open_page(visit, server, "?layer=1&place=0,0.44,0.19")  # row 3, column 1 of 8
    there = visit.page.evaluate(alpha, [1, 10, 5])
    assert visit.page.evaluate(f"() => {PLACES}[1].dataset.drawn") == "1 0 25"
    open_page(visit, server, "?layer=1&place=1,0.65,0.35")  # row 10, column 5 of 16
    assert visit.page.evaluate(f"() => {PLACES}[1].dataset.drawn") == f"1 1 {10 * 16 + 5}"
    assert visit.page.evaluate(alpha, [0, 3, 1]) == there
    assert visit.page.evaluate(alpha, [1, 10, 5]) == 0


def test_layers_and_views_are_walked_and_linked(visit, server):
    open_page(visit, server)
    names = visit.page.locator(".layer figcaption span")
    assert names.nth(0).inner_text().startswith("layer 6")
    visit.page.locator(".layer-slider input").first.fill("1")
    assert names.nth(0).inner_text().startswith("layer 2")
    assert names.nth(1).inner_text().startswith("stage 2, layer 1")
    visit.page.locator(".layer_pair button[data-name=channels]").first.click()
    visit.page.wait_for_url("**show=channels**")
    visit.page.wait_for_url("**layer=1**")
    visit.rest()
    features = f"() => {FIND}('.layer canvas').slice(0, 2).map(one => one.toDataURL())"
    kept = visit.page.evaluate(features)
    open_page(visit, server, visit.page.url[visit.page.url.index("?") :])
    assert visit.page.evaluate(features) == kept


def test_keys_walk_too(visit, server):
    open_page(visit, server, "?place=0,0.01,0.01")
    stage = visit.page.locator(".places .stage").first
    stage.focus()
    stage.press("ArrowRight")
    stage.press("ArrowDown")
    visit.page.wait_for_function(f"() => {PLACES}[0].dataset.drawn.endsWith(' 0 9')")


def test_a_click_on_a_cell_shows_its_two_layers(visit, server):
    open_page(visit, server)
    plot = visit.page.locator(".js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    visit.page.wait_for_timeout(800)
    box = plot.locator(".nsewdrag").first.bounding_box()
    visit.page.mouse.click(box["x"] + box["width"] * 5.5 / 6, box["y"] + box["height"] * 0.5 / 6)  # last column, uppermost row
    visit.page.wait_for_url("**cell=0.1-5.5**")
    visit.page.wait_for_function(f"() => {FIND}('.layer figcaption span')[3].textContent.startsWith('stage 4, layer 2')")
    assert visit.page.locator(".layer figcaption span").nth(2).inner_text().startswith("layer 6")


def test_the_report_is_given(visit, server):
    open_page(visit, server)
    with visit.page.expect_download() as got:
        visit.page.get_by_role("button", name="Report").click()
    assert got.value.suggested_filename == "compare-vit_tiny50-resnet_tiny50.html"
    with open(got.value.path(), encoding="utf-8") as file:  # noqa: PTH123  a path that Playwright gives as a text
        text = file.read()
    assert "completeness gap" in text


@pytest.mark.parametrize(
    "visit",
    [{"viewport": {"width": 400, "height": 850}, "has_touch": True}, {"color_scheme": "dark"}],
    indirect=True,
    ids=["narrow", "dark"],
)
def test_everything_is_inside(visit, server):
    open_page(visit, server)
    assert visit.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
    words = "one => [getComputedStyle(one).fill, getComputedStyle(document.querySelector('.stApp')).color]"
    fill, colour = visit.page.locator(".stPlotlyChart .xtick text").first.evaluate(words)
    assert fill == colour  # Streamlit's own words on axes are paler than can be read
    assert visit.page.evaluate(f"() => {FIND}('.stage, .js-plotly-plot').every(one => one.getBoundingClientRect().right <= innerWidth)")
