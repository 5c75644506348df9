from __future__ import annotations

import io
import time

import pytest
from PIL import Image

FIND = """(name => {
  const walk = root => [...root.querySelectorAll('*')].flatMap(one => [one, ...(one.shadowRoot ? walk(one.shadowRoot) : [])]);
  return walk(document).filter(one => one.matches(name));
})"""


def open_page(visit, server, query=""):
    visit.page.goto(f"{server.url}/t2t{query}")
    settle(visit)


def settle(visit):
    for name in ("figure[data-drawn]", ".grids[data-drawn]"):
        visit.page.wait_for_function(f"name => {FIND}(name).length > 0", arg=name)
    visit.rest()


def drawn(visit):
    return visit.page.evaluate(f"{FIND}('figure[data-drawn]')[0].dataset.drawn").split()


def field(visit):
    return visit.page.evaluate(f"{FIND}('canvas.field')[0].toDataURL()")


def shown(visit, condition, argument=None):
    visit.page.wait_for_function(
        f"argument => {{ const drawn = {FIND}('figure[data-drawn]')[0].dataset.drawn; return {condition}; }}", arg=argument
    )


def picture(size, mode="RGB"):
    buffer = io.BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(buffer, "PNG")
    return {"name": "odd.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def test_hovering_needs_no_server(visit, server):
    open_page(visit, server)
    assert drawn(visit) == ["2.4.3", "colours", "windows"]
    visit.page.wait_for_timeout(600)
    before, sent = field(visit), len(visit.sent)
    stage = visit.page.locator(".set .stage").nth(1)
    box = stage.bounding_box()
    started = time.perf_counter()
    for step in range(8):
        stage.hover(position={"x": box["width"] * (step + 0.5) / 16, "y": box["height"] * 0.4})
    print(f"8 hovers in {time.perf_counter() - started:.2f} s")
    shown(visit, "drawn.startsWith('1.6.7 ')")
    assert field(visit) != before
    reading = visit.page.locator(".reading").first.inner_text()
    assert reading.startswith("Round 2, row 7, column 8: its windows cover 11 × 11 pixels")
    visit.page.mouse.move(0, 0)
    shown(visit, "drawn.startsWith('2.4.3 ')")
    assert field(visit) == before
    assert len(visit.sent) == sent


def test_the_formula_lights_up_and_keys_walk(visit, server):
    open_page(visit, server)
    visit.page.locator("figure.figure").first.focus()
    visit.page.keyboard.press("PageDown")
    shown(visit, "drawn.startsWith('1.9.7 ')")
    visit.page.keyboard.press("ArrowRight")
    shown(visit, "drawn.startsWith('1.9.8 ')")
    alone, sent = field(visit), len(visit.sent)
    visit.page.locator(".term[data-term=attention]").hover()
    assert field(visit) != alone
    visit.page.locator(".term[data-term=overlap]").hover()
    assert visit.page.locator(".photo-stage rect.other").count() == 4
    visit.page.mouse.move(0, 0)
    assert len(visit.sent) == sent


def test_what_is_chosen_is_linked(visit, server):
    open_page(visit, server)
    visit.page.get_by_label("windows and attention").check()
    visit.page.get_by_label("Tokens as").select_option("groups")
    visit.page.locator(".set .stage").nth(0).click(position={"x": 30, "y": 30})
    visit.page.wait_for_url("**token=1.**")
    visit.rest()
    assert "follow=attention" in visit.page.url
    assert "draw=groups" in visit.page.url
    visit.page.get_by_label("as the notebooks drew it").check()
    visit.page.wait_for_url("**way=bare**")
    assert visit.page.get_by_text("correlate by").count() == 2
    chosen = drawn(visit)
    open_page(visit, server, visit.page.url[visit.page.url.index("?") :])
    assert drawn(visit) == chosen
    with visit.page.expect_download() as got:
        visit.page.get_by_role("button", name="PNG").click()
    assert got.value.suggested_filename == "cat-t2t_tiny50-tokens.png"


def test_odd_uploads(visit, server):
    open_page(visit, server)
    before = field(visit)
    visit.page.get_by_text("Add a picture, or change the model or the fit").click()
    visit.page.locator("input[type=file]").set_input_files(picture((500, 12), "RGBA"))
    visit.page.get_by_role("button", name="odd.png", exact=True).wait_for()
    settle(visit)
    visit.page.locator("input[type=file]").set_input_files(picture((1, 1)))
    visit.rest()
    settle(visit)
    # The windows do not depend on the picture; the figure is mounted anew.
    visit.page.wait_for_function(f"before => {FIND}('canvas.field')[0]?.toDataURL() === before", arg=before)


@pytest.mark.parametrize(
    "visit",
    [{"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"}, {"viewport": {"width": 1600, "height": 900}}],
    indirect=True,
    ids=["narrow", "wide"],
)
def test_everything_is_inside(visit, server):
    open_page(visit, server)
    assert visit.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
    assert visit.page.evaluate(
        f"{FIND}('.stage, .channel-box canvas, .bar, .making').every(one => one.getBoundingClientRect().right <= innerWidth)"
    )


@pytest.mark.parametrize("visit", [{"viewport": {"width": 1024, "height": 768}}], indirect=True)
def test_the_papers_own_figures_are_on_the_first_screen_with_something_lit(visit, server):
    open_page(visit, server)
    followed = visit.page.locator("figure.figure .top").first.bounding_box()
    assert followed["y"] + followed["height"] <= 768  # the rounds begin on this screen, and are whole on a larger one
    visit.page.set_viewport_size({"width": 1440, "height": 900})
    visit.page.wait_for_timeout(500)
    figure = visit.page.locator("figure.figure").first.bounding_box()
    assert figure["y"] + figure["height"] <= 900
    visit.page.set_viewport_size({"width": 1024, "height": 768})
    assert drawn(visit)[0] == "2.4.3"
    assert visit.page.get_by_text("Shown: Cat in T2T performer, fitted as trained.").is_visible()
    visit.page.get_by_role("link", name="Step by step, and what it costs").click()
    visit.page.get_by_role("heading", name="Step by step, and what it costs").wait_for()
    visit.page.wait_for_function("() => document.querySelector('#step-by-step-and-what-it-costs').getBoundingClientRect().top < 400")
    for page in ("pvt", "cvt"):
        visit.page.goto(f"{server.url}/{page}")
        visit.page.locator(".pyramid .stage[data-drawn=colours]").first.wait_for()
        visit.rest()
        pyramid = visit.page.locator("section.pyramid").bounding_box()
        assert pyramid["y"] + pyramid["height"] <= 768
        marks = visit.page.locator(".pyramid .mark")
        assert all(marks.nth(index).is_visible() for index in range(marks.count()))
        assert visit.page.locator(".pyramid .reading").inner_text().startswith("Stage 2, row ")
