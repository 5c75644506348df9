"""The page that `vizlib compare` writes, opened as a file: it draws, answers the pointer, and asks the network for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser_helpers import SLOW

import vizlib
from vizlib.compare import compare, write_html

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    pictures = [np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(8)]
    models = [vizlib.load(name, checkpoint="random") for name in ("vit_tiny50", "resnet_tiny50")]
    found = compare(models, pictures, points=4, shown=1, fields=1, steps=2)
    return write_html(found, tmp_path_factory.mktemp("report") / "report.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_stands_alone(browser: Browser, report: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.set_default_timeout(SLOW)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_selector("#cka-0-1 .heatmaplayer image")
    assert page.locator(".chart .main-svg").count() >= 7
    ink = page.evaluate("getComputedStyle(document.querySelector('#chart-norm .xtitle')).fill")
    assert (min(int(part) for part in ink[4:-1].split(",")) > 128) == (scheme == "dark")

    page.locator("#cka-0-1 .nsewdrag").click(position={"x": 5, "y": 5})
    page.wait_for_selector("#clicked img")
    assert page.locator("#clicked").inner_text().split("\n")[0] == "ViT layer 6"

    canvas = page.locator("canvas.place").first
    before = canvas.evaluate("one => one.toDataURL()")
    canvas.hover(position={"x": 20, "y": 20})
    assert canvas.evaluate("one => one.toDataURL()") != before

    page.get_by_role("button", name="mean over places, rbf").click()
    assert page.locator("[data-cka][aria-pressed=true]").inner_text() == "mean over places, rbf"
    assert not said
    assert all(url.startswith(("file:", "data:")) for url in asked)
    page.close()
