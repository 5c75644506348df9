from __future__ import annotations

import pytest

FIND = """(name => {
  const walk = root => [...root.querySelectorAll('*')].flatMap(one => [one, ...(one.shadowRoot ? walk(one.shadowRoot) : [])]);
  return walk(document).filter(one => one.matches(name));
})"""


def open_page(visit, server, query=""):
    visit.page.goto(f"{server.url}/compact{query}")
    visit.page.wait_for_function(f"() => {FIND}('figure[data-drawn] .column').length === 3")
    visit.page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length === 4")
    visit.rest()


def fields(visit, kind):
    return visit.page.evaluate(f"kind => {FIND}(`.${{kind}} .field`).map(one => one.toDataURL())", kind)


def test_one_hover_moves_all_three_and_asks_nothing(visit, server):
    open_page(visit, server)
    visit.page.wait_for_timeout(600)
    covers, sent = fields(visit, "cover"), len(visit.sent)
    stage = visit.page.locator(".stage.readout").nth(2)
    box = stage.bounding_box()
    stage.hover(position={"x": box["width"] * 0.9, "y": box["height"] * 0.1})
    visit.page.wait_for_function(f"before => {FIND}('.cover .field')[2].toDataURL() !== before", arg=covers[2])
    assert all(one != other for one, other in zip(fields(visit, "cover"), covers, strict=True))
    # The corner's token: padding leaves less of its field inside the picture.
    assert "A token takes in 8 × 8 pixels" in visit.page.locator(".facts").nth(0).inner_text()
    assert len(visit.sent) == sent


def test_the_formula_shows_shares(visit, server):
    open_page(visit, server)
    weights, sent = fields(visit, "readout"), len(visit.sent)
    visit.page.locator(".term[data-term=shares]").hover()
    shares = fields(visit, "readout")
    assert shares[0] == weights[0]  # a class token has none
    assert shares[1] != weights[1]
    assert shares[2] != weights[2]
    assert "exactly" in visit.page.locator(".facts").last.inner_text()
    visit.page.mouse.move(0, 0)
    assert fields(visit, "readout") == weights
    assert len(visit.sent) == sent


def test_what_is_chosen_is_linked(visit, server):
    open_page(visit, server)
    before = fields(visit, "cover")
    visit.page.get_by_label("what the max-pools let through").check()
    visit.page.get_by_label("shares of a logit").check()
    visit.page.wait_for_url("**cover=routes**")
    visit.page.wait_for_url("**readout=shares**")
    visit.rest()
    after = fields(visit, "cover")
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    visit.page.reload()
    open_page(visit, server, visit.page.url[visit.page.url.index("?") :])
    assert fields(visit, "cover") == after
    with visit.page.expect_download() as got:
        visit.page.get_by_role("button", name="CSV").click()
    assert got.value.suggested_filename == "cat-compact.csv"


@pytest.mark.parametrize(
    "visit",
    [{"viewport": {"width": 390, "height": 844}, "has_touch": True}, {"color_scheme": "dark"}],
    indirect=True,
    ids=["narrow", "dark"],
)
def test_everything_is_inside(visit, server):
    open_page(visit, server)
    assert visit.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
    assert visit.page.evaluate(f"{FIND}('.stage, .bar').every(one => one.getBoundingClientRect().right <= innerWidth)")
