from __future__ import annotations

import io
import re
import time
import zipfile

import numpy as np
import pytest
from browser_helpers import STAGES, serving
from PIL import Image
from safetensors.torch import save

import vizlib

TWO = "/?models=vit_tiny50,resnet_tiny50&sample=cat&vit_tiny50.method=rollout"


def picture(size, mode="RGB"):
    buffer = io.BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(buffer, "PNG")
    return {"name": "odd.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def test_first_map(visit, server, record_property):
    visit.page.goto(server.url)
    visit.page.wait_for_selector("h1")
    heading = time.perf_counter() - server.started
    visit.settle(1)
    first = time.perf_counter() - server.started
    record_property("seconds to heading", round(heading, 2))
    record_property("seconds to first map", round(first, 2))
    print(f"heading after {heading:.1f} s, first map after {first:.1f} s")
    visit.settle(2)
    assert visit.page.get_by_role("heading", name="Explore", exact=True).is_visible()
    assert len(set(visit.drawn())) == 2


def test_opacity_and_colours_need_no_server(visit, server):
    visit.open(server.url + TWO)
    before, sent = visit.drawn(), len(visit.sent)
    seen = visit.page.evaluate(f"""() => {{
      const walk = root => [...root.querySelectorAll('*')].flatMap(one => [one, ...(one.shadowRoot ? walk(one.shadowRoot) : [])]);
      const find = name => walk(document).find(one => one.matches(name));
      const slider = find('input.opacity');
      slider.value = 25;
      slider.dispatchEvent(new Event('input', {{ bubbles: true }}));
      const started = performance.now();
      return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(
        [performance.now() - started, ...({STAGES}).map(stage => stage.querySelector('canvas.map').style.opacity)]))));
    }}""")
    assert len(visit.sent) == sent
    assert seen[1:] == ["0.25", "0.25"]
    visit.page.get_by_label("Colours").select_option("magma")
    visit.page.wait_for_function(f"() => ({STAGES}).every(stage => stage.dataset.drawn.startsWith('magma'))")
    assert not set(visit.drawn()) & set(before)
    # The page hears of it once the hand rests, and puts it into the address.
    visit.page.wait_for_url(lambda url: "opacity=0.25" in url and "colors=magma" in url)
    visit.rest()
    assert visit.page.get_by_label("Map opacity").input_value() == "25"


def test_scales(visit, server):
    visit.open(server.url + TWO)
    drawn = f"() => ({STAGES}).map(stage => stage.dataset.drawn.split(' ').slice(1).map(Number))"
    own = visit.page.evaluate(drawn)
    visit.page.get_by_label("one for all maps").check()
    visit.page.wait_for_url("**scale=one**")
    visit.rest()
    one = visit.page.evaluate(drawn)
    assert one[0] == one[1] == max(own)
    visit.page.get_by_label("lowest to highest").check()
    visit.page.wait_for_url("**scale=stretch**")
    assert visit.page.evaluate(drawn)[0][0] > 0


def test_reading_the_map(visit, server):
    visit.open(server.url + TWO)
    stage, reading = visit.page.locator(".stage").first, visit.page.locator(".reading").first
    sent = len(visit.sent)
    stage.hover()
    assert "× uniform" in reading.inner_text()
    assert "% per model pixel)" in reading.inner_text()
    stage.hover(position={"x": 3, "y": 30})
    assert reading.inner_text().startswith("Point at the picture")  # the model did not see that part
    assert not visit.page.locator(".cross").first.is_visible()
    visit.page.mouse.move(0, 0)
    stage.focus()
    first = [stage.press("ArrowRight"), reading.inner_text()][1]
    assert first != [stage.press("ArrowDown"), reading.inner_text()][1]
    assert len(visit.sent) == sent


def test_another_class_and_another_sample(visit, server):
    visit.open(server.url + TWO)
    before = visit.drawn()
    visit.page.locator("button.line").nth(2).click()
    visit.page.wait_for_url("**resnet_tiny50.target=**")
    visit.rest()
    visit.page.wait_for_function(f"before => ({STAGES})[1].querySelector('canvas.map').toDataURL() !== before", arg=before[1])
    assert visit.drawn()[0] == before[0]
    visit.unfold()
    visit.page.get_by_role("button", name="Rocket").click()
    visit.page.wait_for_url("**sample=rocket**")
    visit.settle()
    visit.page.reload()
    visit.settle()
    visit.unfold()
    assert visit.page.get_by_role("button", name="Rocket").get_attribute("aria-pressed") == "true"
    assert "resnet_tiny50.target=" in visit.page.url


def test_options_show_what_is_set(visit, server):
    visit.open(f"{server.url}{TWO}&vit_tiny50.discard_ratio=0.3")
    before = visit.drawn()
    visit.page.get_by_role("button", name="Options").first.click()
    popover = visit.page.get_by_test_id("stPopoverBody")
    assert popover.get_by_role("slider", name="Residual weight").input_value() == "0.5"
    assert popover.get_by_role("slider", name="Discard ratio").input_value() == "0.3"
    assert popover.get_by_role("radio", name="mean").first.is_checked()
    popover.get_by_role("radio", name="max").first.click()
    visit.page.wait_for_url("**vit_tiny50.head_fusion=max**")
    visit.page.wait_for_function(f"before => ({STAGES})[0].querySelector('canvas.map').toDataURL() !== before", arg=before[0])
    assert popover.get_by_role("slider", name="Discard ratio").input_value() == "0.3"
    visit.rest()


def test_odd_uploads(visit, server):
    visit.open(server.url + TWO)
    visit.unfold()
    upload = visit.page.locator("input[type=file]")
    upload.set_input_files(picture((600, 20), "RGBA"))
    visit.page.get_by_role("button", name="odd.png", exact=True).wait_for()
    visit.settle()
    assert visit.page.locator("img.photo").first.get_attribute("alt").startswith("odd.png")
    wrong = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture at all"}
    visit.page.locator("input[type=file]").set_input_files(wrong)
    visit.page.get_by_text("is not an image that vizlib reads").wait_for()
    visit.settle()
    assert visit.page.locator("img.photo").first.get_attribute("alt").startswith("odd.png")


def test_a_checkpoint_of_ones_own(visit, server):
    module = vizlib.load("vit_tiny50", checkpoint="random", num_classes=3).module
    content = save({key: value.contiguous() for key, value in module.state_dict().items()})
    visit.open(server.url + TWO)
    visit.unfold()
    page = visit.page
    page.get_by_role("button", name="Your own checkpoint").click()
    page.get_by_role("combobox", name="Architecture").wait_for()
    page.wait_for_timeout(500)  # the run that its opening asks for begins, and would close the list of options
    visit.rest()
    page.get_by_role("combobox", name="Architecture").fill("vit_tiny50")
    page.get_by_role("option", name="vit_tiny50", exact=True).first.click()
    visit.rest()
    for label, name, body in (("Weights", "mine.safetensors", content), ("Labels", "labels.txt", b"ant\nbee\ncat\n")):
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": body}
        with page.expect_response(lambda answer: "/upload_file/" in answer.url and answer.request.method == "PUT"):
            page.locator("[data-testid=stFileUploader]", has_text=label).locator("input[type=file]").set_input_files(file)
        page.get_by_text(name, exact=True).first.wait_for()
    visit.rest()
    page.get_by_role("button", name="Open it").click()
    page.get_by_role("heading", name="mine.safetensors").wait_for()
    visit.settle(3)
    assert len(set(visit.drawn())) == 3
    for label in ("ant", "bee", "cat"):
        assert page.get_by_text(label, exact=True).last.is_visible()
    assert "own" not in page.url
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("heading", name="mine.safetensors").wait_for(state="detached")
    visit.settle(2)


def test_downloads(visit, server):
    visit.open(server.url + TWO)
    with visit.page.expect_download() as got:
        visit.page.get_by_role("button", name="PNG").first.click()
    assert got.value.suggested_filename == "cat-vit_tiny50-rollout.png"
    assert vizlib.read_image(got.value.path()).shape == (300, 451, 3)
    with visit.page.expect_download() as got:
        visit.page.get_by_role("button", name="NPZ").first.click()
    assert zipfile.is_zipfile(got.value.path())
    arrays = np.load(got.value.path())
    assert arrays["input_map"].shape == (64, 64)
    assert arrays["input_map"].sum() + arrays["sink"] == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("visit", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"])
def test_light_and_dark(visit, server):
    visit.open(server.url + TWO)
    background, text = visit.page.evaluate(
        "() => { const style = getComputedStyle(document.querySelector('.stApp')); return [style.backgroundColor, style.color]; }"
    )

    def light(colour):
        channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    low, high = sorted((light(background), light(text)))
    assert (high + 0.05) / (low + 0.05) > 7
    dark = visit.page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
    assert (light(background) < 0.2) == dark


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}, "has_touch": True}], indirect=True)
def test_narrow(visit, server):
    visit.open(server.url + TWO)
    assert visit.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert visit.page.evaluate(f"() => ({STAGES}).every(stage => stage.getBoundingClientRect().right <= innerWidth)")


@pytest.mark.parametrize("path", ["", "explore"])
def test_a_cold_deep_link(visit, tmp_path, path):
    with serving(tmp_path / "log.txt") as fresh:
        visit.open(f"{fresh.url}/{path}?sample=rocket&models=resnet_tiny50&resnet_tiny50.target=7&colors=plasma", maps=1)
        visit.unfold()
        assert visit.page.get_by_role("button", name="Rocket").get_attribute("aria-pressed") == "true"
        assert visit.page.locator("button.line.on").get_attribute("data-index") == "7"
        assert visit.page.locator(".stage").first.get_attribute("data-drawn").startswith("plasma")
        assert visit.page.get_by_test_id("stSidebar").is_visible()
        assert visit.page.title() == "Explore · vizlib"
        assert visit.page.get_by_text("Page not found").count() == 0
        visit.page.goto("about:blank")


def test_the_name_of_the_first_page_is_a_link(visit, server):
    visit.open(server.url + TWO)
    visit.open(f"{server.url}/explore?models=vit_tiny50&sample=rocket", maps=1)
    assert visit.page.get_by_role("heading", name="Explore", exact=True, level=1).is_visible()
    visit.unfold()
    assert visit.page.get_by_role("button", name="Rocket").get_attribute("aria-pressed") == "true"
    assert visit.page.get_by_text("Page not found").count() == 0
    visit.page.wait_for_url("**sample=rocket**")
    assert "models=vit_tiny50" in visit.page.url


@pytest.mark.parametrize(
    "visit", [{"viewport": {"width": w, "height": h}} for w, h in ((1440, 900), (1024, 768), (390, 844))], indirect=True
)
def test_the_answers_are_there_without_scrolling(visit, server):
    visit.open(server.url)
    lines = visit.page.get_by_text(re.compile("espresso, .* one of")).all()[:2]
    assert len(lines) == 2
    for line in lines:
        box = line.bounding_box()
        assert box["y"] > 0
        assert box["y"] + box["height"] <= visit.page.viewport_size["height"]
        assert box["x"] + box["width"] <= visit.page.viewport_size["width"]
