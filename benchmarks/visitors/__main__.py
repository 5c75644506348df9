"""Visitors of the app, and what they meet: ``python -m benchmarks.visitors class --visitors 20 --seconds 600``.

``class``: visitors with a picture of their own each change methods, models and pages, heavy ones among them. ``burst``: all open the first
page at once, with the sample picture or one of their own. ``share``: all ask for the same methods that sample, one after the other,
each on their own picture, while ``--long`` others have one that takes minutes. A server of its own is started for it. Prints JSON:
seconds that light interactions and heavy work took, how evenly heavy work was shared, pictures or names of one visitor that another
one saw, maps that differ from those made apart, exceptions, and memory and file handles before, at most, 10 s after all had left, and
once the server has had time to be as at its start.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import json
import os
import platform
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.visitors.tab import HOST, Tab  # noqa: E402
from vizlib.catalog.methods import METHODS  # noqa: E402
from vizlib.engine.limits import limits  # noqa: E402
from vizlib.ui.core.computations import HEAVY_PASSES  # noqa: E402
from vizlib.ui.core.message_codec import MessageError, unpack  # noqa: E402
from vizlib.ui.core.pictures import SAMPLES, sample  # noqa: E402

HEAVY_PAGES = ("attention", "t2t", "pvt", "cvt", "compact", "biases", "attribution", "compare")
SESSION = 120  # seconds that Streamlit keeps a session for, should its browser come back
EMPTY = max(limits().empty_seconds, SESSION) + 40  # until the processes that worked have begun anew, and sessions were let go of
SLOW = 1.0  # seconds: what a light interaction may take at its 95th percentile
LONG = "models=tf_efficientnet_lite0&tf_efficientnet_lite0.method=rise&tf_efficientnet_lite0.samples=5000&from=None"
METHOD_OF = {card.title: name for name, card in METHODS.items()}


class Server:
    """The app in a process of its own."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "vizlib.ui.core.server_start", "run", "app.py", "--server.headless=true"]
        command.append(f"--server.port={self.port}")
        self.log = tempfile.NamedTemporaryFile("wb", prefix="vizlib-visitors-", suffix=".log", delete=False)  # noqa: SIM115
        self.process = psutil.Popen(command, cwd=ROOT, stdout=self.log, stderr=subprocess.STDOUT)
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            time.sleep(0.05)

    def taken(self) -> dict[str, float]:
        """Megabytes and file handles of the server and its workers, and their processor seconds."""
        processes = [self.process, *self.process.children(recursive=True)]
        totals: dict[str, float] = defaultdict(float)
        for process in processes:
            try:
                with process.oneshot():
                    totals["megabytes"] += process.memory_info().rss / 1e6
                    totals["handles"] += process.num_fds()
                    totals["cpu"] += sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
        totals["server_megabytes"] = self.process.memory_info().rss / 1e6
        return {name: round(value, 1) for name, value in totals.items()}

    def end(self) -> dict[str, Any]:
        """End it as an operator would; the seconds that took, its exit code, and the processes it left."""
        children = self.process.children(recursive=True)
        began = time.monotonic()
        self.process.terminate()
        code = self.process.wait(30)
        seconds = time.monotonic() - began
        _, alive = psutil.wait_procs(children, 5)
        self.log.close()
        return {"seconds": round(seconds, 2), "exit": code, "left": len(alive)}


class Record:
    """What all visitors saw."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.heavy: dict[int, list[int]] = defaultdict(lambda: [0, 0])  # by visitor: asked, done
        self.unanswered = 0  # uploads that had to be begun again, see Tab.upload
        self.mixed: list[str] = []
        self.errors: list[str] = []
        self.maps: list[tuple[int, str, str, str]] = []  # visitor, model, method, hash of the map's values

    def summary(self) -> dict[str, Any]:
        """Medians, 95th percentiles and the worst, and what should not be."""
        rows = {
            kind: {"n": len(values), "p50": _quantile(values, 0.5), "p95": _quantile(values, 0.95), "max": round(max(values), 2)}
            for kind, values in sorted(self.seconds.items())
        }
        shares = sorted(done / asked for asked, done in self.heavy.values() if asked)
        return {"seconds": rows, "heavy_done_share": shares, "heavy_done": sorted(done for _, done in self.heavy.values()),
                "uploads_begun_again": self.unanswered, "mixed": self.mixed, "errors": self.errors}  # fmt: skip


def photographs(count: int) -> list[bytes]:
    """JPEGs that differ: samples, turned and tinted."""
    from PIL import Image

    names = list(SAMPLES)
    jpegs = []
    for number in range(count):
        pixels = np.roll(sample(names[number % len(names)]).pixels, 17 * number, axis=1)
        buffer = io.BytesIO()
        Image.fromarray(pixels).rotate(90 * (number // len(names) % 4), expand=True).save(buffer, "JPEG", quality=90)
        jpegs.append(buffer.getvalue())
    return jpegs


class Visitor:
    """One visitor, with a picture of their own."""

    def __init__(self, number: int, port: int, photo: bytes, record: Record) -> None:
        self.number, self.photo, self.record = number, photo, record
        self.name = f"visitor{number}.jpg"
        self.tab = Tab(port, self._see)
        self.shown: dict[str, tuple[str, str]] = {}  # by component: title and hash of the map in it
        self.random = random.Random(number)

    def _see(self, component: Any) -> None:
        data = component.bytes
        for other in range(200):
            if other != self.number and f"visitor{other}.jpg".encode() in data:
                self.record.mixed.append(f"visitor {self.number} saw visitor {other} in {component.component_name}")
        if component.component_name == "vizlib_photo_map":
            try:
                header, arrays = unpack(data)
            except MessageError as error:
                self.record.errors.append(str(error))
                return
            values = arrays.get("values")
            if values is not None:
                self.shown[component.id] = (header["title"], hashlib.sha1(values.tobytes()).hexdigest())  # noqa: S324

    async def open(self, *, upload: bool) -> None:
        """Open the first page, and wait for its maps."""
        began = time.monotonic()
        await self.tab.open()
        await self.tab.until(lambda: self.tab.find("heading") is not None)
        self.note("heading", time.monotonic() - began)
        await self.tab.until(lambda: bool(self.shown), 240)
        self.note("first_map", time.monotonic() - began)
        if upload:
            self.shown.clear()
            uploaded = time.monotonic()
            self.note("light", await self.tab.upload(self.tab.find("file_uploader"), self.name, self.photo))
            self.record.unanswered += self.tab.unanswered
            for count, kind in ((1, "first_own_map"), (2, "both_own_maps")):
                await self.tab.until(lambda count=count: self._own_maps() >= count, 240)  # type: ignore[misc]
                self.note(kind, time.monotonic() - uploaded)

    def _own_maps(self) -> int:
        return sum(title == self.name for title, _ in self.shown.values())

    async def work(self, until: float) -> None:
        """Look around until the time is over."""
        page = ""
        while time.monotonic() < until:
            await asyncio.sleep(self.random.uniform(1, 4))
            dice = self.random.random()
            if dice < 0.3:
                self.note("light", await self.tab.go("models"))
                page = "models"
            elif dice < 0.75:
                if page:
                    self.note("light", await self.tab.go("Explore"))
                    page = ""
                await self._other_method()
            else:
                page = self.random.choice(HEAVY_PAGES)
                await self._heavy(page, self.tab.go(page))
            if self.tab.exceptions:
                self.record.errors += [f"visitor {self.number}: {text}" for text in self.tab.exceptions]
                self.tab.exceptions.clear()
            if "Something went wrong" in self.tab.text:
                self.record.errors.append(f"visitor {self.number}: something went wrong on {page or 'explore'}")

    async def sample(self, until: float) -> None:
        """Ask for one method that samples after the other, of each model in turn."""
        boxes = [box for box in self.tab.all("selectbox") if box.id.endswith(".method")]
        asked = self.record.heavy[self.number]
        for title in [card.title for card in METHODS.values() if card.passes >= HEAVY_PASSES]:
            for box in boxes:
                if title not in box.options or time.monotonic() >= until:
                    continue
                model = box.id.rsplit("explore.", 1)[-1].removesuffix(".method")
                before = self._map_of(model)
                began = time.monotonic()
                self.note("light", await self.tab.choose(box, title))
                asked[0] += 1
                try:
                    await self.tab.until(lambda: self._map_of(model) != before, until - began)  # noqa: B023
                except TimeoutError:
                    return
                asked[1] += 1
                self.note("heavy", time.monotonic() - began)

    def _map_of(self, model: str) -> tuple[str, str] | None:
        return next((what for name, what in self.shown.items() if name.endswith(f"map.{model}")), None)

    async def _other_method(self) -> None:
        boxes = [box for box in self.tab.all("selectbox") if box.id.endswith(".method")]
        if not boxes:
            return
        box = self.random.choice(boxes)
        title = self.random.choice([option for option in box.options if not option.endswith("(does not fit)")])
        model = box.id.rsplit("explore.", 1)[-1].removesuffix(".method")
        # The map that is there is another method's, and stays until the new one has come, which in a crowd may be later than this waits.
        self.shown = {name: what for name, what in self.shown.items() if not name.endswith(f"map.{model}")}
        await self._heavy("method", self.tab.choose(box, title))
        shown = self._map_of(model)
        if shown and shown[0] == self.name and title in METHOD_OF:
            self.record.maps.append((self.number, model, METHOD_OF[title], shown[1]))
        controls = self.tab.find("bidi_component", ending="look")
        if controls is not None:
            look = {"opacity": round(self.random.uniform(0.1, 0.9), 2), "colormap": "magma", "scale": "own"}
            self.note("light", await self.tab.tell(controls, {"look": look}))

    async def _heavy(self, what: str, action: Any) -> None:
        """Work that takes a while: the page answers at once, and its results come later."""
        asked = self.record.heavy[self.number]
        began = time.monotonic()
        self.note("light", await action)
        asked[0] += 1
        try:
            await self.tab.settle(60)
        except TimeoutError:
            self.note("unsettled", 60.0)
            return
        asked[1] += 1
        self.note(f"heavy_{what}", time.monotonic() - began)

    def note(self, kind: str, seconds: float) -> None:
        """Take down how long something took."""
        self.record.seconds[kind].append(seconds)


def maps_that_differ(record: Record, photos: list[bytes], most: int) -> list[str]:
    """Maps that visitors saw and that the library, asked apart and alone, gives otherwise: bit for bit, so with as many threads."""
    import torch

    import vizlib
    from vizlib.engine.cluster_backend import local_settings

    torch.set_num_threads(local_settings().threads)
    rows = random.Random(0).sample(sorted(set(record.maps)), min(most, len(set(record.maps))))
    wrong = []
    for number, model, method, seen in rows:
        explained = vizlib.explain(vizlib.load(model), vizlib.read_image(photos[number]), method)
        alone = hashlib.sha1(explained.input_map.astype("<f4").tobytes()).hexdigest()  # type: ignore[union-attr]  # noqa: S324
        if alone != seen:
            wrong.append(f"visitor {number}: {method} of {model}")
    return wrong


async def visit_class(server: Server, count: int, seconds: float, compared: int) -> dict[str, Any]:
    """Visitors who come one after the other and stay."""
    photos, record = photographs(count), Record()
    visitors = [Visitor(number, server.port, photo, record) for number, photo in enumerate(photos)]
    before, curve = server.taken(), []
    until = time.monotonic() + seconds

    async def visit(visitor: Visitor) -> None:
        await asyncio.sleep(0.5 * visitor.number)
        try:
            await visitor.open(upload=True)
            await visitor.work(until)
        except (TimeoutError, ConnectionError, KeyError) as error:
            record.errors.append(f"visitor {visitor.number}: {error!r}")
        finally:
            await visitor.tab.close()

    async def watch() -> None:
        while True:
            curve.append(server.taken())
            await asyncio.sleep(10)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(visit, visitors))
    watching.cancel()
    await asyncio.sleep(10)
    left = server.taken()
    differ = await asyncio.to_thread(maps_that_differ, record, photos, compared)
    await asyncio.sleep(EMPTY)
    return {**record.summary(), "maps_compared": min(compared, len(set(record.maps))), "maps_that_differ": differ, "before": before,
            "most": max(curve, key=lambda row: row["megabytes"]), "left": left, "after": server.taken()}  # fmt: skip


async def visit_classes(server: Server, count: int, seconds: float, compared: int, rounds: int) -> dict[str, Any]:
    """One class after the other, on the same server."""
    results = []
    for number in range(rounds):
        results.append(await visit_class(server, count, seconds, compared))
        print(json.dumps({"round": number, **results[-1]}), file=sys.stderr, flush=True)
    return results[0] if rounds == 1 else {"rounds": results}


async def visit_share(server: Server, count: int, seconds: float, long: int) -> dict[str, Any]:
    """Visitors who ask for as much heavy work, and others who ask for one piece that takes minutes."""
    photos, record = photographs(count), Record()
    visitors = [Visitor(number, server.port, photo, record) for number, photo in enumerate(photos)]
    long_ones = [Tab(server.port) for _ in range(long)]
    for tab in long_ones:
        await tab.open(query=LONG)
        await tab.until(lambda tab=tab: bool(tab.all("bidi_component")), 60)  # type: ignore[misc]
    for visitor in visitors:
        await visitor.open(upload=True)
    until = time.monotonic() + seconds
    outcomes = await asyncio.gather(*(visitor.sample(until) for visitor in visitors), return_exceptions=True)
    record.errors += [repr(outcome) for outcome in outcomes if outcome is not None]
    record.errors += [text for tab in [*long_ones, *(visitor.tab for visitor in visitors)] for text in tab.exceptions]
    under_way = sum(bool(tab._beats) for tab in long_ones)
    for tab in [*long_ones, *(visitor.tab for visitor in visitors)]:
        await tab.close()
    return {**record.summary(), "long_under_way_at_the_end": under_way}


async def visit_burst(server: Server, count: int, *, upload: bool) -> dict[str, Any]:
    """Visitors who all come at once."""
    photos, record = photographs(count), Record()
    visitors = [Visitor(number, server.port, photo, record) for number, photo in enumerate(photos)]
    before = server.taken()

    async def visit(visitor: Visitor) -> None:
        try:
            await visitor.open(upload=upload)
        except (TimeoutError, ConnectionError) as error:
            record.errors.append(f"visitor {visitor.number}: {error!r}; {visitor.tab.state}")

    await asyncio.gather(*map(visit, visitors))
    for visitor in visitors:
        record.errors += visitor.tab.exceptions
        await visitor.tab.close()
    await asyncio.sleep(10)
    left = server.taken()
    await asyncio.sleep(EMPTY)
    return {**record.summary(), "before": before, "left": left, "after": server.taken()}


def _quantile(values: list[float], share: float) -> float:
    return round(float(np.quantile(values, share)), 2)


def main() -> None:
    """Start a server, send the visitors, and print what they met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=("class", "burst", "share"))
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--upload", action="store_true", help="burst: each with a picture of their own")
    parser.add_argument("--long", type=int, default=2, help="share: visitors whose one piece of work takes minutes")
    parser.add_argument("--warm", type=float, default=15, help="seconds that the server has before the first visitor")
    parser.add_argument("--rounds", type=int, default=1, help="class: how many, one after the other on the same server")
    parser.add_argument("--compare", type=int, default=40, help="class: maps that are made apart afterwards and compared")
    given = parser.parse_args()
    server = Server()
    try:
        if given.warm:
            asyncio.run(_warm(server))
            time.sleep(given.warm)
        if given.kind == "class":
            visit = visit_classes(server, given.visitors, given.seconds, given.compare, given.rounds)
        elif given.kind == "share":
            visit = visit_share(server, given.visitors, given.seconds, given.long)
        else:
            visit = visit_burst(server, given.visitors, upload=given.upload)
        result = asyncio.run(visit)
    finally:
        ended = server.end()
    machine = {"cores": os.cpu_count(), "processor": platform.machine(), "load": os.getloadavg()[0]}
    print(json.dumps({"kind": given.kind, "visitors": given.visitors, **result, "ended": ended, "machine": machine}, indent=1))


async def _warm(server: Server) -> None:
    """Have the first page made once, so that its workers are up."""
    visitor = Visitor(199, server.port, b"", Record())
    await visitor.open(upload=False)
    await visitor.tab.close()


if __name__ == "__main__":
    main()
