from __future__ import annotations

import re
import time

import numpy as np
import pytest
from browser_helpers import STAGES, serving

import vizlib
import vizlib.analysis
from vizlib.analysis.attention.query_key_embedding import query_key_planes
from vizlib.figures.numbers import percent
from vizlib.ui.core.pictures import sample
from vizlib.zoo.cards import bundled_cards

MODELS = [card.name for card in bundled_cards() if "lineage" not in card.refusals]
CANVAS = f"({STAGES}).find(stage => stage.querySelector('canvas.over'))"


def open_page(visit, server, **address):
    query = "&".join(f"{name.replace('__', '.')}={value}" for name, value in address.items())
    visit.page.goto(f"{server.url}/attention{'?' if query else ''}{query}")
    visit.page.wait_for_function(f"() => {CANVAS}?.dataset.drawn")
    visit.rest()
    visit.page.wait_for_timeout(600)  # the address has followed


def state(visit):
    """What is drawn: layer, head, token, direction, colours."""
    return visit.page.evaluate(f"() => {CANVAS}.dataset.drawn").split()


def pixels(visit):
    return visit.page.evaluate(f"() => {CANVAS}.querySelector('canvas.map').toDataURL()")


def drawn(visit, *parts):
    visit.page.wait_for_function(f"parts => {CANVAS}.dataset.drawn.startsWith(parts)", arg=" ".join(map(str, parts)))


def over(visit, model, token):
    """Move the mouse to the middle of a patch of the grid that is pointed at."""
    stage = visit.page.locator(".stage:has(canvas.over)")
    box, seen = stage.bounding_box(), visit.page.locator(".model-input").bounding_box()
    height, width = [int(side) for side in grid_of(model)]
    y, x = divmod(token, width)
    stage.hover(
        position={
            "x": seen["x"] - box["x"] + (x + 0.5) * seen["width"] / width,
            "y": seen["y"] - box["y"] + (y + 0.5) * seen["height"] / height,
        }
    )


TRACES: dict[str, vizlib.Trace] = {}


def sites_of(model):
    if model not in TRACES:
        TRACES[model] = vizlib.trace(vizlib.load(model), sample("coffee").pixels)
    return TRACES[model].attention


def start(model):
    sites = sites_of(model)
    last = [index for index, site in enumerate(sites) if site.stage == sites[-1].stage]
    return last[(len(last) - 1) // 2]


def grid_of(model):
    return sites_of(model)[start(model)].query_grid.shape


def share(value):
    """A share as the browser writes it."""
    return percent(value)


def test_the_colours_end_where_those_of_maps_end_and_a_switch_gives_the_highest_value(visit, server):
    open_page(visit, server, model="vit_tiny50", query=30)
    row = sites_of("vit_tiny50")[start("vit_tiny50")].weights([30]).double().mean(0)[0, 1:].numpy()
    end = max(float(np.quantile(row, 0.99)), 2 / 64)
    high, what = (visit.page.locator(f".root .legend .{name}") for name in ("high", "what"))
    assert high.inner_text() == f"≥\u00a0{share(end)}"
    assert what.inner_text() == f"share of its attention; {share(float((row > end).mean()))} of the cells are above"
    before = pixels(visit)
    visit.page.get_by_label("to the highest value").check()
    visit.page.wait_for_url("**maps=max**")
    assert (high.inner_text(), what.inner_text()) == (share(float(row.max())), "share of its attention")
    assert pixels(visit) != before


def test_the_margin_that_the_model_does_not_see_is_no_patch(visit, server):
    open_page(visit, server, model="vit_tiny50")
    before = state(visit)
    stage = visit.page.locator(".stage:has(canvas.over)")
    box, seen = stage.bounding_box(), visit.page.locator(".model-input").bounding_box()
    margin = (seen["x"] - box["x"]) / 2
    assert margin > 20
    stage.click(position={"x": margin, "y": box["height"] / 2})
    visit.page.wait_for_timeout(400)
    assert state(visit) == before
    assert "query=" not in visit.page.url
    over(visit, "vit_tiny50", 9)
    drawn(visit, start("vit_tiny50"), -1, 10)


def test_heads_are_as_large_as_there_is_room_and_counted_from_one(visit, server):
    open_page(visit, server, model="vit_tiny50")
    heads = visit.page.locator(".heads .head")
    room, stage = visit.page.locator(".root .right").bounding_box(), visit.page.locator(".stage:has(canvas.over)").bounding_box()
    sides = {round(heads.nth(index).bounding_box()["width"]) for index in range(heads.count())}
    assert len(sides) == 1
    assert min(sides) >= 80  # 60 before they grew with the room
    assert room["y"] + room["height"] <= stage["y"] + stage["height"] + 60
    visit.page.get_by_role("button", name="Head 2").click()
    visit.page.wait_for_url("**head=2**")
    assert "head 2" in visit.page.locator(".reading:not(output)").inner_text()


@pytest.mark.parametrize("visit", [{"viewport": {"width": 1180, "height": 800}}], indirect=True)
def test_heads_keep_their_size_where_scroll_bars_and_a_wider_navigation_take_room(visit, server):
    open_page(visit, server, model="vit_tiny50")
    heads, main = visit.page.locator(".heads .head"), visit.page.locator(".root .main").bounding_box()
    right = visit.page.locator(".root .right").bounding_box()
    assert right["x"] > main["x"] + 300  # still beside the photograph
    assert min(heads.nth(index).bounding_box()["width"] for index in range(heads.count())) >= 80


def test_the_answer_by_layer_is_read_in_the_browser(visit, server):
    open_page(visit, server, model="vit_tiny50", panel="depth")
    visit.page.locator(".depth .stage[data-drawn]").wait_for()
    sent = len(visit.sent)
    lens = vizlib.analysis.logit_lens(vizlib.load("vit_tiny50"), sample("coffee").pixels)
    visit.page.locator(".depth .layers button").nth(1).click()
    stage = visit.page.locator(".depth .stage")
    box = stage.bounding_box()
    stage.hover(position={"x": box["width"] * 2.5 / 8, "y": box["height"] * 5.5 / 8})
    expected = share(float(lens.patches.probabilities[1, 5, 2]))
    reading = visit.page.locator(".depth output").inner_text()
    assert reading.startswith(f"Row 6, column 3, alone after layer 2: {lens.label} {expected}.")
    stage.focus()
    visit.page.keyboard.press("]")
    assert stage.get_attribute("data-drawn") == "3"
    assert len(visit.sent) == sent


def test_the_whole_pass_is_zoomed_down_to_the_numbers_of_one_token(visit, server):
    open_page(visit, server, model="vit_tiny50", panel="pass")
    picture = visit.page.locator("section.forward[data-drawn]")
    picture.wait_for()
    sent, trace = len(visit.sent), vizlib.trace(vizlib.load("vit_tiny50"), sample("coffee").pixels)
    picture.get_by_role("tab", name="Layer 3").click()
    stage = picture.locator(".stage")
    box = stage.bounding_box()
    stage.click(position={"x": box["width"] * 2.5 / 8, "y": box["height"] * 4.5 / 8})  # row 5, column 3
    picture.get_by_role("option", name="leaves").click()
    token = 1 + 4 * 8 + 2
    expected = [*trace.tokens["blocks.2"][token, :8].tolist(), float(trace.tokens["blocks.2"][token].norm())]
    cells = picture.locator("tr.total td").all_inner_texts()
    shown = [float(text.replace("\N{MINUS SIGN}", "-")) for text in cells[1:] if text != "…"]
    np.testing.assert_allclose(shown, expected, atol=0.006)
    picture.get_by_role("option", name="attention adds").focus()
    visit.page.keyboard.press("Enter")
    row = trace.attention[2].weights([token]).mean(0)[0]
    assert picture.locator(".why").inner_text().count(share(float(row.max()))) >= 1
    assert picture.locator(".looks i").count() == sum(int(key) > 0 for key in row.topk(5).indices)
    picture.get_by_role("tab").last.click()
    label = vizlib.predict(vizlib.load("vit_tiny50"), sample("coffee").pixels)[0].label.split(",")[0]
    assert f"The logit of {label} is the sum of 192 products and a bias" in picture.locator(".why").inner_text()
    why = picture.locator(".why").inner_text().replace("\u2212", "-")
    *parts, total = (float(number) for number in re.findall(r"[+-]\d+\.\d+", why))
    assert total == pytest.approx(float(trace.logits.max()), abs=0.005)
    assert sum(parts) == pytest.approx(total, abs=1e-9)  # as they are written
    assert len(visit.sent) == sent


def test_the_whole_pass_follows_the_patch_that_is_held_on_the_canvas(visit, server):
    open_page(visit, server, model="vit_tiny50", panel="pass")
    picture = visit.page.locator("section.forward[data-drawn]")
    picture.get_by_role("tab", name="Layer 3").click()
    picture.get_by_role("option", name="mlp").first.click()
    over(visit, "vit_tiny50", 8 * 6 + 1)
    visit.page.mouse.down()
    visit.page.mouse.up()
    picture.get_by_text("Followed: row 7, column 2, one of 65 tokens.").wait_for()
    assert picture.get_by_role("tab", name="Layer 3").get_attribute("aria-selected") == "true"  # what was open stays open
    assert picture.get_by_role("option", name="mlp").first.get_attribute("aria-selected") == "true"


@pytest.mark.parametrize("model", MODELS)
def test_hover_draws_exactly_and_without_the_server(visit, server, model):
    open_page(visit, server, model=model)
    sent, seen = len(visit.sent), set()
    site = sites_of(model)[start(model)]
    weights = site.weights().double().mean(0)
    for cell in (1, 9, 13):
        over(visit, model, cell)
        token = site.query_grid.prefix + cell
        drawn(visit, start(model), -1, token)
        seen.add(pixels(visit))
        reading = visit.page.locator(".reading:not(output)").inner_text()
        best = float(weights[token].max())  # a learned token may have most
        shown = float(re.search(r"\(([\d.]+)\s%\)", reading)[1])
        assert shown == pytest.approx(100 * best, abs=0.06 if best < 0.0995 else 0.6)
    assert len(seen) == 3
    assert len(visit.sent) == sent


@pytest.mark.parametrize("model", MODELS)
def test_everything_but_a_click_stays_in_the_browser(visit, server, model):
    open_page(visit, server, model=model)
    sent, layer = len(visit.sent), start(model)
    before = {pixels(visit)}
    slider = visit.page.get_by_role("slider", name="Layer", exact=True)
    slider.press("ArrowRight")
    stages = [site.stage for site in sites_of(model)]
    moved = layer + 1 if layer + 1 < len(stages) and stages[layer + 1] == stages[layer] else layer  # the slider keeps to its stage
    visit.page.wait_for_function(f"layer => {CANVAS}.dataset.drawn.split(' ')[0] === String(layer)", arg=moved)
    visit.page.get_by_role("button", name="Who looks here").click()
    visit.page.wait_for_function(f"() => {CANVAS}.dataset.drawn.includes('reverse')")
    before.add(pixels(visit))
    visit.page.get_by_label("Colours").select_option("magma")
    visit.page.wait_for_function(f"() => {CANVAS}.dataset.drawn.endsWith('magma')")
    before.add(pixels(visit))
    if sites_of(model)[moved].heads > 1:
        visit.page.get_by_role("button", name="Head 1", exact=True).click()
        drawn(visit, moved, 0)
    slider = visit.page.get_by_role("slider", name="Opacity")
    slider.fill("20")
    visit.page.wait_for_function(f"() => {CANVAS}.querySelector('canvas.map').style.opacity === '0.2'")
    visit.page.get_by_role("button", name="Play the layers").click()
    visit.page.wait_for_function(f"layer => +{CANVAS}.dataset.drawn.split(' ')[0] !== layer", arg=moved)
    visit.page.get_by_role("button", name="Stop").click()
    visit.page.wait_for_url("**opacity=0.2**")  # the address follows by itself
    assert "colors=magma" in visit.page.url
    assert "reverse=1" in visit.page.url
    assert len(before) == 3
    assert len(visit.sent) == sent
    assert layer in range(len(sites_of(model)))


def test_what_is_pointed_at_is_drawn_in_the_next_frame_and_asks_nothing(visit, server, record_property):
    open_page(visit, server)
    sent = len(visit.sent)
    drawn, median = visit.page.evaluate(f"""async () => {{
      const stage = {CANVAS}, box = stage.getBoundingClientRect(), gaps = [], drawn = [];
      const frame = () => new Promise(done => requestAnimationFrame(done));
      for (let n = 0; n < 60; n++) {{
        const x = box.left + box.width * (0.5 + 0.2 * Math.sin(n / 9)), y = box.top + box.height * (0.5 + 0.4 * Math.cos(n / 13));
        const started = performance.now();
        stage.dispatchEvent(new PointerEvent('pointermove', {{ clientX: x, clientY: y, bubbles: true }}));
        await frame();
        gaps.push(performance.now() - started);
        drawn.push([stage.dataset.drawn]);
        await frame();
        drawn.at(-1).push(stage.dataset.drawn);
      }}
      gaps.sort((a, b) => a - b);
      return [drawn, gaps[gaps.length >> 1]];
    }}""")
    record_property("median milliseconds to the next frame", round(median, 1))
    assert all(at_once == later for at_once, later in drawn)
    assert len({at_once for at_once, _ in drawn}) > 5
    assert len(visit.sent) == sent


@pytest.mark.parametrize("model", MODELS)
def test_a_click_holds_the_query_and_the_link_restores_it(visit, server, model):
    open_page(visit, server, model=model)
    sent = len(visit.sent)
    over(visit, model, 10)
    visit.page.mouse.down()
    visit.page.mouse.up()
    visit.page.get_by_text("Where it comes from").wait_for()
    visit.rest()
    token = sites_of(model)[start(model)].query_grid.prefix + 10
    visit.page.wait_for_url(f"**query={token}**")
    assert len(visit.sent) > sent
    visit.page.get_by_text("Most to").wait_for()
    visit.page.mouse.move(5, 5)
    drawn(visit, start(model), -1, token)
    visit.page.reload()
    visit.page.wait_for_function(f"() => {CANVAS}?.dataset.drawn")
    drawn(visit, start(model), -1, token)
    visit.page.get_by_text("Most to").wait_for()


@pytest.mark.parametrize("model", MODELS)
def test_keyboard_and_screen_reader(visit, server, model):
    open_page(visit, server, model=model)
    sent = len(visit.sent)
    stage = visit.page.locator(".stage:has(canvas.over)")
    stage.focus()
    token, layer = int(state(visit)[2]), int(state(visit)[0])
    _, width = grid_of(model)
    stage.press("ArrowLeft")
    drawn(visit, layer, -1, token - 1)
    stage.press("ArrowUp")
    drawn(visit, layer, -1, token - 1 - width)
    if sites_of(model)[layer].heads > 1:
        stage.press("2")
        drawn(visit, layer, 1)
        stage.press("0")
    stage.press("[")
    visit.page.wait_for_function(f"layer => +{CANVAS}.dataset.drawn.split(' ')[0] === layer", arg=layer - 1)
    visit.page.wait_for_function("""() => {
      const walk = root => [...root.querySelectorAll('*')].flatMap(one => [one, ...(one.shadowRoot ? walk(one.shadowRoot) : [])]);
      return walk(document).find(one => one.matches('.say')).textContent.includes('looks most at');
    }""")
    stage.press("]")
    assert len(visit.sent) == sent
    stage.press("Enter")
    visit.page.get_by_text("Where it comes from").wait_for()
    visit.rest()


def test_learned_tokens_can_be_held(visit, server):
    open_page(visit, server, model="vit_tiny50")
    visit.page.get_by_role("button", name=re.compile("^class token")).click()
    visit.page.wait_for_url("**query=0**")
    visit.page.get_by_text("Class token looks in").wait_for()
    visit.rest()
    drawn(visit, 2, -1, 0)


def test_a_square_of_the_table_opens_its_head(visit, server):
    open_page(visit, server, model="vit_tiny50", panel="heads")
    square = visit.page.get_by_role("button", name=re.compile("^Entropy, Layer 5, head 3:"))
    square.wait_for()
    visit.rest()
    sent = len(visit.sent)
    square.click()
    drawn(visit, 4, 2)
    visit.rest()
    assert len(visit.sent) <= sent + 1  # the panels below are told which head it is; it is drawn without them


@pytest.mark.parametrize("model", MODELS)
def test_two_visitors_with_different_surgery(visit, server, browser, model):
    plain = vizlib.predict(vizlib.load(model), sample("coffee").pixels, top=1)[0]
    open_page(visit, server, **{"model": model, "panel": "ablation", f"{model}__off": "1.1"})
    visit.page.get_by_text("of the map moved").wait_for()
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    other = context.new_page()
    other.goto(f"{server.url}/attention?model={model}&panel=ablation")
    other.get_by_text("Nothing is switched off").wait_for()
    assert other.get_by_text("of the map moved").count() == 0
    other.goto(f"{server.url}/attention?model={model}&panel=ablation&{model}.off=1.1&way=mean")
    other.get_by_text("of the map moved").wait_for()
    rows = [page.locator("table").first.inner_text() for page in (visit.page, other)]
    assert rows[0] != rows[1]
    for row in rows:
        line = next(line for line in row.splitlines() if line.startswith(plain.label.split(",")[0]))
        assert f"{plain.logit:.2f}" in line
    context.close()


def test_a_cold_deep_link(visit, tmp_path):
    with serving(tmp_path / "log.txt") as fresh:
        open_page(visit, fresh, model="vit_tiny50", sample="rocket", layer=5, head=2, query=30, reverse=1, colors="plasma")
        drawn(visit, 4, 1, 30, "reverse", "plasma")
        visit.page.get_by_text("is looked at in layer 5, head 2").wait_for()
        visit.page.get_by_test_id("stMarkdown").filter(has_text="Shown: Rocket in ViT").wait_for()
        assert visit.page.get_by_test_id("stSidebar").is_visible()
        visit.page.goto("about:blank")


def test_another_page_and_back(visit, server):
    open_page(visit, server, model="vit_tiny50", layer=5, head=2, query=30)
    visit.page.get_by_role("link", name="Explore").click()
    visit.page.get_by_role("heading", name="Explore", exact=True).wait_for()
    visit.settle(1)
    visit.page.get_by_role("link", name="Attention").click()
    visit.page.wait_for_function(f"() => {CANVAS}?.dataset.drawn")
    drawn(visit, 4, 1, 30)
    visit.page.wait_for_url("**query=30**")
    visit.rest()


@pytest.mark.parametrize(
    "visit", [{"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"}], indirect=True, ids=["touch"]
)
def test_narrow_with_a_finger(visit, server):
    open_page(visit, server, model="vit_tiny50")
    assert visit.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
    assert visit.page.evaluate(f"() => {CANVAS}.getBoundingClientRect().right <= innerWidth")
    # The panel that is chosen is read as easily as the words of the page.
    colours = visit.page.locator("[data-testid=stButtonGroup] button").evaluate_all("all => all.map(one => getComputedStyle(one).color)")
    assert len(colours) == 9
    assert len(set(colours)) == 1
    before = state(visit)[2]
    stage = visit.page.locator(".stage:has(canvas.over)")
    stage.evaluate("stage => stage.scrollIntoView({ block: 'center' })")
    box = stage.bounding_box()
    visit.page.touchscreen.tap(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.2)
    visit.page.wait_for_function(f"before => {CANVAS}.dataset.drawn.split(' ')[2] !== before", arg=before)
    visit.page.get_by_text("Where it comes from").wait_for()
    visit.rest()


@pytest.mark.slow
def test_a_dozen_visitors_at_once(server, browser, record_property):
    contexts = [browser.new_context(viewport={"width": 1000, "height": 700}) for _ in range(3)]
    pages = [context.new_page() for context in contexts for _ in range(4)]
    for page in pages:
        page.goto(f"{server.url}/attention?model=vit_tiny50", wait_until="commit")
    for page in pages:
        page.wait_for_function(f"() => {CANVAS}?.dataset.drawn", timeout=180_000)
    started = time.perf_counter()
    for index, page in enumerate(pages):
        row = index % 8
        page.evaluate(
            f"""row => {{
              const stage = {CANVAS}, box = stage.getBoundingClientRect();
              const where = {{ clientX: box.left + box.width * 0.54, clientY: box.top + box.height * (row + 0.5) / 8, bubbles: true }};
              stage.dispatchEvent(new PointerEvent('pointermove', where)); stage.dispatchEvent(new MouseEvent('click', where));
            }}""",
            row,
        )
        pages[index] = (page, row)
    for page, row in pages:
        # Each sees its own patch, however many ask at once.
        page.get_by_text(re.compile(f"^Row {row + 1}, column 5 looks in layer 3")).wait_for(timeout=120_000)
        page.get_by_text("Most to").wait_for(timeout=120_000)
    record_property("seconds until all twelve had their numbers", round(time.perf_counter() - started, 1))
    for context in contexts:
        context.close()


def test_a_point_of_the_plane_is_held_in_the_picture(visit, server):
    address = {"panel": "plane", "layer": 4, "head": 2, "sample": "coffee", "with": "cat"}
    open_page(visit, server, **address)
    visit.page.wait_for_selector(".scatterlayer path.point", state="attached")
    queries, keys, other = (visit.page.locator(".scatterlayer .trace").nth(trace).locator("path.point") for trace in range(3))
    assert (queries.count(), keys.count(), other.count()) == (65, 65, 65)
    site = vizlib.trace(vizlib.load("vit_tiny50"), sample("coffee").pixels).attention[3]
    plane = query_key_planes([(site.q[0, 1], site.k[0, 1]), *_cat(3, 1)])[0]
    alone = int(np.abs(plane.keys.numpy()).max(1).argmax())  # nothing lies over it
    keys.nth(alone).scroll_into_view_if_needed()
    box = keys.nth(alone).bounding_box()
    visit.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visit.page.wait_for_url(re.compile(f"query={alone}(&|$)"))
    assert "reverse=1" in visit.page.url
    assert "layer=4" in visit.page.url
    assert "head=2" in visit.page.url


def test_a_point_of_another_picture_says_so_and_can_be_shown(visit, server):
    address = {"panel": "plane", "layer": 4, "head": 2, "sample": "coffee", "with": "cat"}
    open_page(visit, server, **address)
    visit.page.wait_for_selector(".scatterlayer path.point", state="attached")
    points = visit.page.locator(".scatterlayer .trace").nth(3).locator("path.point")
    site = vizlib.trace(vizlib.load("vit_tiny50"), sample("coffee").pixels).attention[3]
    plane = query_key_planes([(site.q[0, 1], site.k[0, 1]), *_cat(3, 1)])[1]
    alone = int(np.abs(plane.keys.numpy()).max(1).argmax())
    points.nth(alone).scroll_into_view_if_needed()
    box = points.nth(alone).bounding_box()
    visit.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    place = f"row {(alone - 1) // 8 + 1}, column {(alone - 1) % 8 + 1}" if alone else "the class token"
    visit.page.get_by_text(f"The point is the key of {place} in Cat, which is not the picture above.").wait_for()
    assert "query=" not in visit.page.url
    visit.page.get_by_role("button", name="Show Cat above, and hold it").click()
    visit.page.wait_for_url(re.compile(f"query={alone}(&|$)"))
    drawn(visit, 3, 1, alone, "reverse")
    assert "sample=coffee" not in visit.page.url  # the cat is the page's first picture
    assert "with=coffee" in visit.page.url


def test_the_plane_follows_a_head_that_is_opened_from_the_table(visit, server):
    open_page(visit, server, panel="heads", sample="coffee")
    square = visit.page.get_by_role("button", name=re.compile("^Entropy, Layer 5, head 3:"))
    square.click()
    drawn(visit, 4, 2)
    visit.rest()
    visit.page.get_by_role("radio", name="Queries and keys").or_(visit.page.get_by_role("button", name="Queries and keys")).first.click()
    visit.page.get_by_text("Every query and every key of head 3 in layer 5").wait_for()
    drawn(visit, 4, 2)
    assert "query=" not in visit.page.url  # nothing was held


def _cat(layer, head):
    site = vizlib.trace(vizlib.load("vit_tiny50"), sample("cat").pixels).attention[layer]
    return [(site.q[0, head], site.k[0, head])]
