from __future__ import annotations

import pytest


def opened(visit, url):
    visit.page.goto(url)
    visit.page.locator(".lab .stage[data-drawn]").first.wait_for()
    visit.page.get_by_text("Whose answer holds", exact=True).wait_for()
    visit.page.wait_for_function("() => document.querySelectorAll('[data-testid=stPlotlyChart] .main-svg').length >= 2")
    visit.page.get_by_text("not there yet.").wait_for(state="hidden")  # the draws, which the page looks for until they are there
    visit.rest()


def slide(visit, place):
    visit.page.locator(".lab input[type=range]").fill(str(place))


def probabilities(visit):
    return visit.page.locator(".lab .model").evaluate_all("all => all.map(one => Number(one.dataset.probability))")


def test_the_slider_draws_without_the_server(visit, server):
    opened(visit, f"{server.url}/biases?models=vit_tiny50,resnet_tiny50")
    picture, sent = visit.page.locator(".lab .one canvas"), len(visit.sent)
    pictures, answers = [], []
    for place in (0, 5, 10):
        slide(visit, place)
        pictures.append(picture.evaluate("one => one.toDataURL()"))
        answers.append(probabilities(visit))
        assert len(visit.sent) == sent  # within the rest before the page hears of it
    assert len(set(pictures)) == 3
    assert all(before > after for before, after in zip(answers[0], answers[2], strict=True))
    # All patches hidden: one colour.
    assert picture.evaluate("one => new Set(new Uint32Array(one.getContext('2d').getImageData(0, 0, 64, 64).data.buffer)).size") == 1


def test_a_strength_is_kept_in_the_address_and_restored(visit, server):
    opened(visit, f"{server.url}/biases?models=vit_tiny50,resnet_tiny50")
    slide(visit, 7)
    visit.page.wait_for_url("**at=0.7*")
    visit.rest()
    there = probabilities(visit)
    assert visit.page.locator(".lab .one .stage").get_attribute("data-drawn") == "7"
    visit.page.get_by_text("Random patches hidden: 70").wait_for()
    address = visit.page.url
    visit.page.goto("about:blank")
    opened(visit, address)
    assert probabilities(visit) == pytest.approx(there)
    assert visit.page.locator(".lab .one .stage").get_attribute("data-drawn") == "7"


# The heights at which an element was drawn, frame after frame.
PLACES = """element => {
  const places = new Set(), look = () => { places.add(Math.round(element.getBoundingClientRect().y)); requestAnimationFrame(look); };
  look();
  globalThis.places = places;
}"""


def test_a_claim_changes_what_is_done_and_no_click_moves_it(visit, server):
    opened(visit, f"{server.url}/biases?sample=cat&models=vit_tiny50,resnet_tiny50")
    claim = visit.page.get_by_role("radio", name="Weight sharing").or_(visit.page.get_by_role("button", name="Weight sharing"))
    claim.evaluate(PLACES)
    claim.click()
    visit.page.get_by_text("that of ResNet by 0.00").wait_for()
    visit.page.locator(".lab .what", has_text="Shift to the right").wait_for()
    assert visit.page.locator(".lab .shown").inner_text() == "8\u00a0px"
    visit.rest()
    assert visit.page.evaluate("globalThis.places.size") == 1


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "has_touch": True}], indirect=True)
def test_narrow(visit, server):
    opened(visit, f"{server.url}/biases?claim=own&change=salient&models=vit_tiny50,resnet_tiny50")
    assert visit.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
    box = visit.page.locator(".lab").bounding_box()
    assert box["x"] + box["width"] <= 390
