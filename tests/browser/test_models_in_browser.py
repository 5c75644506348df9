"""The Models page in a real browser. The report is the shipped one, so what is tested holds for any report."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

VIEWS = ("Accuracy", "Small data", "Confusions", "Calibration", "Do maps find it?", "Cards")
BOTH = [{"color_scheme": "light"}, {"color_scheme": "dark"}]


def opened(visit, server):
    """The page, come to from the first one: a deep link makes Streamlit's own client ask for paths that are not there."""
    visit.page.goto(server.url)
    visit.page.wait_for_selector("h1")
    visit.page.get_by_test_id("stSidebarNav").get_by_role("link", name="Models").click()
    visit.page.get_by_role("heading", name="Models", exact=True).wait_for()
    visit.rest()
    return visit.page


def turn(visit, view):
    visit.page.get_by_test_id("stMain").get_by_role("radio", name=view).first.click()
    if view != "Accuracy":
        visit.page.wait_for_url("**view=**")
    visit.rest()


def measured():
    from vizlib.model_report.report_file import read_report

    report = read_report()
    if not report:
        pytest.skip("There is no report yet: vizlib train report writes one.")
    return report


@pytest.mark.parametrize("visit", BOTH, indirect=True, ids=["light", "dark"])
def test_every_view_draws(visit, server):
    report = measured()
    page = opened(visit, server)
    page.locator(".js-plotly-plot").nth(1).wait_for()
    for view in VIEWS:
        turn(visit, view)
        if view in ("Confusions", "Calibration", "Do maps find it?"):
            page.locator(".js-plotly-plot .main-svg").first.wait_for()
            expect(page.locator(".js-plotly-plot")).to_have_count(1)  # those of the view before are on their way out
        assert page.get_by_test_id("stAlertContentError").count() == 0
    page.get_by_text("Built in", exact=True).wait_for()
    page.locator("code", has_text="vizlib train").nth(len(report["models"]) - 1).wait_for(state="attached")


def test_names_of_charts_can_be_read_on_dark(visit, server):
    measured()
    visit.page.emulate_media(color_scheme="dark")
    page = opened(visit, server)
    tick = page.locator(".js-plotly-plot .ytick text").first
    tick.wait_for()
    colour = tick.evaluate("one => getComputedStyle(one).fill")
    assert min(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]) > 150


def test_a_class_and_its_table(visit, server):
    report = measured()
    page = opened(visit, server)
    turn(visit, "Confusions")
    page.get_by_role("combobox").first.fill("tabby")
    page.get_by_role("option", name="tabby", exact=True).click()
    page.wait_for_url("**class=11**")
    page.locator(".js-plotly-plot").nth(2).wait_for()
    visit.rest()
    page.get_by_text("The numbers").click()
    page.get_by_test_id("stDataFrame").wait_for()
    visit.rest()  # the button moves down while the table above it unfolds
    with page.expect_download() as got:
        page.get_by_role("button", name="CSV", exact=True).click()
    rows = list(csv.DictReader(io.StringIO(Path(got.value.path()).read_text(encoding="utf-8"))))
    assert sum(int(row["photographs"]) for row in rows) == report["about"]["images"]


def test_narrow(visit, server):
    measured()
    page = opened(visit, server)
    page.set_viewport_size({"width": 390, "height": 844})
    for view in VIEWS:
        turn(visit, view)
        assert page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
        plots = "() => [...document.querySelectorAll('.js-plotly-plot')].every(one => one.getBoundingClientRect().right <= innerWidth)"
        assert page.evaluate(plots)


def test_back_and_reload_keep_the_view(visit, server):
    measured()
    page = opened(visit, server)
    turn(visit, "Calibration")
    address = page.url
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Explore").click()
    page.get_by_role("heading", name="Explore", exact=True).wait_for()
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Models").click()
    page.get_by_role("heading", name="Models", exact=True).wait_for()
    page.wait_for_url(address)
