from __future__ import annotations


def open_page(visit, server, query=""):
    visit.page.goto(f"{server.url}/audit{query}")
    drawn(visit)


def drawn(visit):
    visit.page.get_by_role("heading", name="Take it away").wait_for()
    visit.page.locator(".gallery .card").first.wait_for()
    visit.rest()


def test_a_column_sorts_gallery_and_table_and_is_in_the_address(visit, server):
    open_page(visit, server, "?models=vit_tiny50&methods=rollout&images=cat,coffee,rocket,camera")
    cards, rows = visit.page.locator(".gallery .card"), visit.page.locator(".gallery tbody tr")
    assert cards.count() == rows.count() == 4
    visit.page.locator(".gallery th button", has_text="sure").click()
    shares = [float(row.locator("td").nth(3).inner_text().removesuffix("%").strip()) for row in rows.all()]
    assert shares == sorted(shares, reverse=True)
    assert [card.get_attribute("data-place") for card in cards.all()] == [row.get_attribute("data-place") for row in rows.all()]
    visit.page.wait_for_url("**by=probability**")
    again = [row.get_attribute("data-place") for row in rows.all()]
    visit.page.reload()
    drawn(visit)
    assert [row.get_attribute("data-place") for row in rows.all()] == again


def test_a_row_opens_in_explore_with_its_picture_and_model(visit, server):
    open_page(visit, server, "?models=resnet_tiny50&methods=grad_cam&images=cat,coffee,rocket&by=picture&preset=all&falling=no")
    visit.page.locator(".gallery tbody tr").nth(2).click()
    detail = visit.page.locator(".gallery .detail")
    assert "Rocket" in detail.inner_text()
    detail.get_by_role("button", name="Open in Explore").click()
    visit.page.get_by_role("heading", name="Explore").wait_for()
    visit.page.wait_for_url("**sample=rocket**")
    assert "models=resnet_tiny50" in visit.page.url
    visit.rest()


def test_charts_survive_what_the_page_lets_through(visit, server):
    open_page(visit, server, "?models=vit_tiny50&methods=rollout&heads=1")
    dots = visit.page.locator(".audit-part .dots .dot")
    dots.first.wait_for()  # which comes after the headings on a busy machine
    assert dots.count() == 2 * 6 * 3
    box = dots.first.bounding_box()
    assert box is not None
    assert box["width"] > 4


def test_a_model_has_its_own_colour_and_title(visit, server):
    open_page(visit, server, "?models=vit_tiny50,compact_vit_tiny50&methods=rollout&images=cat,coffee&heads=1&tab0=1")
    columns = visit.page.locator(".audit-part .dots > span", has=visit.page.locator(".dot"))
    colours = columns.locator(".dot").evaluate_all("dots => dots.map(dot => getComputedStyle(dot).backgroundColor)")
    assert list(dict.fromkeys(colours)) == ["rgb(47, 126, 216)", "rgb(24, 146, 168)"]
    assert visit.page.locator(".gallery select[data-name=model] option").all_inner_texts() == ["ViT", "Compact ViT"]


def test_a_slow_browser_keeps_what_a_link_asks_for(visit, server):
    # It draws the first run late, when the second is there already. What comes after the widgets are there may be as quick as it is.
    processor = visit.page.context.new_cdp_session(visit.page)
    processor.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    query = "?models=vit_tiny50&methods=saliency,rollout&heads=1&lens=1&preset=flat&images=rocket,cat,coffee,camera,unknown"
    visit.page.goto(f"{server.url}/audit{query}")
    visit.page.get_by_text("Methods", exact=True).first.wait_for()
    processor.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    drawn(visit)
    visit.page.locator(".gallery th button", has_text="sure").click()
    visit.page.wait_for_url("**by=probability**")
    assert "images=rocket%2Ccat%2Ccoffee%2Ccamera&" in visit.page.url
    assert visit.page.locator(".gallery .card").count() == 4
