"""Take the pictures of docs/tour.md again: every page as it opens, in light and dark. ``python benchmarks/tour_pictures.py docs``.

Needs playwright and a Chromium (``make test`` installs both, or VIZLIB_BROWSER names one). Names of pictures after the folder take those
alone.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 1280
HEIGHTS = {
    "explore": 1440, "attention": 1300, "seq2seq": 1300, "t2t": 1300, "pvt": 1520, "cvt": 1340, "compact": 1340, "compare": 1500,
    "biases": 1500, "attribution": 1560, "models": 1400, "learn": 900, "audit": 1500,
}  # fmt: skip
# A picture's page, width and height: every page once, and the first one on three screens.
VIEWS = {name: (name, WIDTH, height) for name, height in HEIGHTS.items()} | {
    f"explore_{width}": ("explore", width, height) for width, height in ((1440, 900), (1024, 768), (390, 844))
}
LONGEST = 240.0  # seconds until a page has measured what it measures unasked
STILL = 6.0  # seconds without a change after which it is there


def main() -> int:
    """Take the pictures and print the size of each."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    out, names = Path(sys.argv[1]), sys.argv[2:] or list(VIEWS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "vizlib.ui.core.server_start",
        "run",
        "app.py",
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as app, sync_playwright() as playwright:
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health")
            own = os.environ.get("VIZLIB_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=own, args=["--no-sandbox", "--disable-gpu"])
            for name in names:
                for scheme in ("light", "dark"):
                    address, width, height = VIEWS[name]
                    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                    page.goto(f"http://127.0.0.1:{port}/{address}")
                    _settle(page)
                    path = out / f"{name}{'_dark' if scheme == 'dark' else ''}.png"
                    page.screenshot(path=path)
                    print(f"{path}: {path.stat().st_size:,} bytes", flush=True)
                    page.close()
            browser.close()
        finally:
            app.terminate()
    return 0


def _wait_for(address: str) -> None:
    until = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(address, timeout=5)  # noqa: S310  this machine's own server
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


def _settle(page: Page) -> None:
    """Wait until nothing on the page is under way, and nothing changes any more."""
    page.wait_for_selector("h1", timeout=60_000)
    until, before, since = time.monotonic() + LONGEST, b"", time.monotonic()
    while time.monotonic() < until:
        time.sleep(1)
        busy = page.get_by_text("…", exact=False).locator("visible=true").count()  # all that is under way says so with it
        now = page.screenshot()
        if now != before or busy:
            before, since = now, time.monotonic()
        if time.monotonic() - since > STILL:
            return


if __name__ == "__main__":
    sys.exit(main())
