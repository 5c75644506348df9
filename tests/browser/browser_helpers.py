"""What the browser tests share: the app as a server of its own, and where its maps are drawn."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SLOW = 180_000  # milliseconds: a first map on a busy machine


STAGES = """(() => {
  const found = [];
  const walk = root => root.querySelectorAll('*').forEach(one => {
    if (one.matches('.stage')) found.push(one);
    if (one.shadowRoot) walk(one.shadowRoot);
  });
  walk(document);
  return found;
})()"""


# An expander unfolds for half a second; what turns for as long as one waits is left out.
STILL = """() => document.getAnimations().every(
  one => one.playState !== 'running' || one.effect.getComputedTiming().iterations === Infinity)"""


@dataclass
class Server:
    """A running app and when it was started."""

    url: str
    started: float


@contextmanager
def serving(log: Path) -> Iterator[Server]:
    """The app on a free port of this machine, until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vizlib.ui.core.server_start", "run", "app.py", "--server.port", str(port)]
    environment = os.environ | {
        "VIZLIB_BADGES": "ask",
        "VIZLIB_WORKERS": "1",
    }  # what measures itself for half a minute would slow all other tests
    started = time.perf_counter()
    with (
        log.open("w", encoding="utf-8") as output,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5)
                    break
                except OSError:
                    assert process.poll() is None, log.read_text(encoding="utf-8")
                    assert time.perf_counter() - started < SLOW / 1000, log.read_text(encoding="utf-8")
                    time.sleep(0.05)
            yield Server(f"http://127.0.0.1:{port}", started)
            said = log.read_text(encoding="utf-8")  # before the end: a visitor who is cut off by it is no fault
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
    assert "Traceback" not in said, said
