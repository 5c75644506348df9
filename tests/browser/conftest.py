"""A real Chromium on a real server. VIZLIB_REQUIRE_BROWSER=1 turns a missing browser from a skip into a failure."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser_helpers import ARGUMENTS, SLOW, STAGES, STILL, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request


# Below a page's own address Streamlit's client asks for its server's health first, where it is not, and then finds it at the root.
PROBED = re.compile(r"http://127\.0\.0\.1:\d+/[^?]+/_stcore/(health|host-config)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def _launch(playwright: Playwright) -> Browser:
    from playwright.sync_api import Error

    # The shell without a window, where it is there, takes a fifth less of the processor.
    found = map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"))
    own = os.environ.get("VIZLIB_BROWSER") or next(filter(None, found), None)
    try:
        return playwright.chromium.launch(executable_path=own, args=ARGUMENTS)
    except Error as error:
        reason = "There is no Chromium: install your system's package or run `playwright install chromium`."
        if os.environ.get("VIZLIB_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{reason} {error}")
        pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if os.environ.get("VIZLIB_REQUIRE_BROWSER") != "1":
        pytest.importorskip("playwright", reason="The browser tests need Playwright: pip install playwright.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = _launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:  # the browser first: no server without one
    with serving(tmp_path_factory.mktemp("server") / "log.txt") as running:
        yield running


@dataclass
class Visit:
    """A page of the app in the browser, what it complained of and what it sent to the server."""

    page: Page
    problems: list[str] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)

    def open(self, url: str, maps: int = 2) -> None:
        self.page.goto(url)
        self.settle(maps)

    def settle(self, maps: int = 2) -> None:
        """Wait until this many maps are drawn and the script rests."""
        self.page.wait_for_function(f"n => ({STAGES}).filter(stage => stage.dataset.drawn).length >= n", arg=maps, timeout=SLOW)
        self.rest()

    def rest(self) -> None:
        """Wait until the script rests, and nothing moves: what is clicked while it moves may be missed."""
        self.page.wait_for_selector(".stApp[data-test-script-state=notRunning]", timeout=SLOW)
        self.page.wait_for_function(STILL, timeout=SLOW)

    def unfold(self) -> None:
        """Open what chooses the picture and the model of a page."""
        self.page.get_by_text("Add a picture, or change the model or the fit").click()

    def drawn(self) -> list[str]:
        """The pixels of the maps as drawn."""
        return self.page.evaluate(f"({STAGES}).map(stage => stage.querySelector('canvas.map').toDataURL())")


def _unless_left(visit: Visit, failed: Request) -> None:
    # A page that is left while a font still loads aborts that request, and nothing is wrong.
    if failed.failure != "net::ERR_ABORTED":
        visit.problems.append(f"{failed.url}: {failed.failure}")


def _unless_probed(visit: Visit, message: ConsoleMessage) -> None:
    probed = "status of 404" in message.text and PROBED.match(message.location["url"])
    if message.type == "error" and not probed:
        visit.problems.append(message.text)


@pytest.fixture(scope="session")
def contexts(browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """The browser's contexts by their options: what the app sends to every page is fetched and compiled once for many visitors."""
    kept: dict[str, BrowserContext] = {}
    yield kept
    for context in kept.values():
        context.close()


@pytest.fixture
def visit(browser: Browser, contexts: dict[str, BrowserContext], request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A new visitor; the test fails on any error in the page. Parametrize with options of the browser's context."""
    options = {"viewport": {"width": 1280, "height": 800}} | getattr(request, "param", {})
    context = contexts.get(repr(options)) or contexts.setdefault(repr(options), browser.new_context(**options))
    page = context.new_page()
    page.set_default_timeout(SLOW)
    one = Visit(page)
    page.on("pageerror", lambda error: one.problems.append(str(error)))
    page.on("console", lambda message: _unless_probed(one, message))
    page.on("requestfailed", lambda failed: _unless_left(one, failed))
    here = ("http://127.0.0.1", "data:", "blob:", "about:")
    page.on("request", lambda asked: None if asked.url.startswith(here) else one.problems.append(asked.url))
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: one.sent.append(frame)))
    yield one
    exceptions = page.locator("[data-testid=stException]").count()
    if page.url.startswith("http"):
        page.evaluate("localStorage.clear()")
    context.clear_cookies()
    context.clear_permissions()
    for opened in context.pages:
        opened.close()
    assert not exceptions
    assert not one.problems
