"""Downloads against a server on this machine that cuts, stalls, lies and forgets."""

from __future__ import annotations

import errno
import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vizlib.errors import CancelledError, DownloadError
from vizlib.zoo import offline_files as module
from vizlib.zoo.download import cache_folder, download, hub_size, hub_weights, remote_size

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = random.Random(0).randbytes(1_500_000)
SHA = hashlib.sha256(BODY).hexdigest()
COMMIT = "a" * 40


class Server(ThreadingHTTPServer):
    """Serves BODY under any path; the attributes are how it misbehaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.etag: str | None = '"one"'
        self.cut: int | None = None  # bytes after which the connection goes
        self.ranges = True
        self.status = 200
        self.kind = "application/octet-stream"
        self.pause = 0.0
        self.no_head = False
        self.lengths = True
        self.redirect = ""
        self.shift = 0
        self.hub = False
        self.seen: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/files/weights.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(send=False)

    def do_GET(self) -> None:
        self.answer(send=True)

    def answer(self, send: bool) -> None:
        s, wanted = self.server, self.headers.get("Range")
        s.seen.append((self.command, wanted))
        if s.status != 200 or (s.no_head and not send):
            self.send_response(s.status if s.status != 200 else 403)
            if s.hub and s.status == 404:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            return
        if s.redirect:
            self.send_response(302)
            self.send_header("Location", s.redirect)
            self.end_headers()
            return
        start, end, valid = 0, len(s.body), self.headers.get("If-Range") in {None, s.etag}
        if wanted and s.ranges and valid:
            first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted).groups()  # type: ignore[union-attr]
            start, end = int(first), min(end, int(last) + 1) if last else end
            if start >= len(s.body):
                self.send_response(416)
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start + s.shift}-{end - 1}/{len(s.body)}")
        else:
            self.send_response(200)
        if s.etag:
            self.send_header("ETag", s.etag)
        if s.hub:
            self.send_header("X-Repo-Commit", COMMIT)
        if s.lengths:
            self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Type", s.kind)
        self.end_headers()
        if send:
            self.stream(s.body[start:end][: s.cut])

    def stream(self, data: bytes) -> None:
        for at in range(0, len(data), 100_000):
            try:
                self.wfile.write(data[at : at + 100_000])
                self.wfile.flush()
            except ConnectionError:
                return
            time.sleep(self.server.pause)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fails(url: str, folder: Path, **options: Any) -> str:
    with pytest.raises(DownloadError) as caught:
        download(url, cache_dir=folder, **options)
    return str(caught.value)


def parts(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.glob("*.part")]


def wholes(folder: Path) -> list[Path]:
    return list(folder.glob("*.pth"))


def test_downloads_once_with_progress(server: Server, tmp_path: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    path = download(server.url, sha256=SHA.upper(), size=len(BODY), cache_dir=tmp_path, progress=lambda *step: steps.append(step))
    assert path.read_bytes() == BODY
    assert path.name.endswith("-weights.pth")
    assert steps[0] == (0, len(BODY))
    assert steps[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert download(server.url, cache_dir=tmp_path) == path
    assert len(server.seen) == 1
    assert not parts(tmp_path)
    assert not list(tmp_path.glob("*.part.json"))


def test_resumes_after_a_cut(server: Server, tmp_path: Path) -> None:
    server.cut = 600_000
    assert "600000 of 1500000" in fails(server.url, tmp_path)
    assert parts(tmp_path) == [600_000]
    assert not wholes(tmp_path)
    server.cut = None
    steps: list[int] = []
    path = download(server.url, sha256=SHA, cache_dir=tmp_path, progress=lambda done, total: steps.append(done))
    assert path.read_bytes() == BODY
    assert server.seen == [("GET", None), ("GET", "bytes=600000-")]
    assert steps[0] == 600_000


@pytest.mark.parametrize("reason", ["new file", "no ranges", "no validator"])
def test_starts_over_when_it_cannot_resume(server: Server, tmp_path: Path, reason: str) -> None:
    server.cut = 600_000
    if reason == "no validator":
        server.etag = None
    fails(server.url, tmp_path)
    server.cut = None
    if reason == "new file":
        server.body, server.etag = BODY[::-1], '"two"'
    if reason == "no ranges":
        server.ranges = False
    assert download(server.url, cache_dir=tmp_path).read_bytes() == server.body


def test_starts_over_when_the_part_is_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    server.cut = 600_000
    fails(server.url, tmp_path)
    server.cut, server.body = None, BODY[:1000]
    assert download(server.url, cache_dir=tmp_path).read_bytes() == BODY[:1000]


def test_wrong_part_is_not_appended(server: Server, tmp_path: Path) -> None:
    server.cut = 600_000
    fails(server.url, tmp_path)
    server.cut, server.shift = None, 5
    assert "wrong part" in fails(server.url, tmp_path)
    assert download(server.url, sha256=SHA, cache_dir=tmp_path).read_bytes() == BODY


@pytest.mark.parametrize(
    ("status", "words"), [(404, "no such file"), (403, "refused"), (401, "login"), (429, "too often"), (500, "failed")]
)
def test_http_errors_are_explained(server: Server, tmp_path: Path, status: int, words: str) -> None:
    server.status = status
    message = fails(server.url, tmp_path)
    assert f"HTTP {status}" in message
    assert words in message
    assert server.url in message
    assert not parts(tmp_path)
    with pytest.raises(DownloadError, match=f"HTTP {status}"):
        remote_size(server.url)


def test_wrong_hash_removes_the_file(server: Server, tmp_path: Path) -> None:
    message = fails(server.url, tmp_path, sha256="0" * 64)
    assert SHA in message
    assert not wholes(tmp_path)
    assert not parts(tmp_path)
    assert download(server.url, sha256=SHA, cache_dir=tmp_path).is_file()


def test_hash_is_noted_and_compared_later(server: Server, tmp_path: Path) -> None:
    path = download(server.url, cache_dir=tmp_path)
    note = path.with_name(path.name + ".json")
    assert json.loads(note.read_text(encoding="utf-8"))["sha256"] == SHA
    path.write_bytes(BODY[:-1] + b"?")  # damaged on the disk: fetched again
    assert download(server.url, cache_dir=tmp_path).read_bytes() == BODY
    path.unlink()
    server.body = BODY[::-1]  # another file under the same address: not taken without a word
    assert note.name in fails(server.url, tmp_path)
    assert not path.exists()
    note.unlink()
    assert download(server.url, cache_dir=tmp_path).read_bytes() == BODY[::-1]
    server.body = BODY  # a hash that is asked for beats the noted one
    assert download(server.url, sha256=SHA, cache_dir=tmp_path).read_bytes() == BODY


def test_size_and_kind_are_checked(server: Server, tmp_path: Path) -> None:
    assert "1500000 bytes, not the 9" in fails(server.url, tmp_path, size=9)
    server.kind = "text/html; charset=utf-8"
    assert "web page" in fails(server.url, tmp_path)
    assert not wholes(tmp_path)
    assert not parts(tmp_path)


def test_body_without_length(server: Server, tmp_path: Path) -> None:
    server.lengths = False
    totals: set[int | None] = set()
    assert download(server.url, cache_dir=tmp_path / "a", progress=lambda done, total: totals.add(total)).read_bytes() == BODY
    assert totals == {None}
    assert download(server.url, size=len(BODY), cache_dir=tmp_path / "b").read_bytes() == BODY
    server.cut = 100
    assert "100 of 1500000" in fails(server.url, tmp_path / "c", size=len(BODY))
    server.cut, server.body = None, BODY * 20
    assert "broke off" in fails(server.url, tmp_path / "d", size=len(BODY))  # more than was said: left at once, and removed
    assert not parts(tmp_path / "d")


@pytest.mark.parametrize("way", ["cancelled", "progress"])
def test_cancel_stops_soon_and_keeps_the_part(server: Server, tmp_path: Path, way: str) -> None:
    server.pause = 0.03
    seen: list[int] = []

    def note(done: int, total: int | None) -> None:
        seen.append(done)
        if way == "progress" and done > 300_000:
            raise CancelledError("nobody waits")

    with pytest.raises(CancelledError):
        download(server.url, cache_dir=tmp_path, progress=note, cancelled=lambda: way == "cancelled" and seen[-1] > 300_000)
    assert not wholes(tmp_path)
    assert 300_000 < parts(tmp_path)[0] < 800_000
    server.pause = 0
    assert download(server.url, sha256=SHA, cache_dir=tmp_path).read_bytes() == BODY
    assert server.seen[-1][1] is not None  # resumed


def test_many_threads_download_once(server: Server, tmp_path: Path) -> None:
    server.pause = 0.02
    with ThreadPoolExecutor(5) as pool:
        paths = {future.result() for future in [pool.submit(download, server.url, cache_dir=tmp_path) for _ in range(5)]}
    assert len(paths) == 1
    assert len(server.seen) == 1


def test_two_processes_download_once(server: Server, tmp_path: Path) -> None:
    server.pause = 0.1
    code = "import sys; from vizlib.zoo.download import download; print(download(sys.argv[1], cache_dir=sys.argv[2]))"
    command = [sys.executable, "-c", code, server.url, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate(timeout=30)[0].strip() for process in running}
    assert said == {str(wholes(tmp_path)[0])}
    assert len(server.seen) == 1


def test_who_waits_for_another_download_can_be_cancelled(server: Server, tmp_path: Path) -> None:
    server.pause = 0.1
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(download, server.url, cache_dir=tmp_path)
        while not parts(tmp_path):
            time.sleep(0.005)
        with pytest.raises(CancelledError):
            download(server.url, cache_dir=tmp_path, cancelled=lambda: True)
        assert first.result().read_bytes() == BODY


def test_full_disk_beforehand_and_while_writing(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage._replace(free=module.SPARE + 1_000_000))
    assert "free some space" in fails(server.url, tmp_path)
    assert not parts(tmp_path)
    monkeypatch.undo()
    server.cut = 500_000
    fails(server.url, tmp_path)
    server.cut = None
    real = Path.open

    class Full:
        def __init__(self, path: Path, mode: str) -> None:
            self.file = real(path, mode)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *args: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda path, mode="r", **options: Full(path, mode) if "a" in mode else real(path, mode, **options))
    assert "is full" in fails(server.url, tmp_path)
    assert not parts(tmp_path)
    assert not wholes(tmp_path)


def test_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="ascii")
    assert "VIZLIB_CACHE" in fails(server.url, tmp_path / "file" / "below")


@pytest.mark.parametrize(
    "url",
    ["ftp://example.org/a.pth", "file:///etc/passwd", "http://example.org/a.pth", "weights.pth", "https://", "http://[::1/a", "data:,a"],
)
def test_only_https_and_this_machine(url: str, tmp_path: Path) -> None:
    assert "https" in fails(url, tmp_path)
    with pytest.raises(DownloadError):
        remote_size(url)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", ["file:///etc/passwd", "http://example.org/a.pth"])
def test_redirects_are_no_way_around(server: Server, tmp_path: Path, where: str) -> None:
    server.redirect = where
    assert "https only" in fails(server.url, tmp_path)
    assert not wholes(tmp_path)


def test_offline_refused_and_silent(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "could not be found" in fails("https://weights.invalid/a.pth", tmp_path)
    assert "could not be fetched" in fails("http://127.0.0.1:9/a.pth", tmp_path)
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    server.pause = 0.5
    assert "did not answer" in fails(server.url, tmp_path)
    assert parts(tmp_path)[0] >= 100_000  # what came stays for the next try


def test_file_names_are_harmless_and_of_their_own(server: Server, tmp_path: Path) -> None:
    paths = [
        download(server.url.replace("weights.pth", name), cache_dir=tmp_path)
        for name in ("..%2F..%2Fout.pth", ".hidden", "a%20b.pth?x=1", "a%20b.pth?x=2", "w" * 300 + ".pth", "")
    ]
    assert len(set(paths)) == len(paths)
    assert all(path.parent == tmp_path and re.fullmatch(r"[\w.-]{1,120}", path.name) for path in paths)


def test_remote_size(server: Server) -> None:
    assert remote_size(server.url) == len(BODY)
    server.no_head = True
    assert remote_size(server.url) == len(BODY)
    assert server.seen[-1] == ("GET", "bytes=0-0")
    server.no_head, server.lengths = False, False
    assert remote_size(server.url) is None


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIZLIB_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("VIZLIB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == tmp_path / "vizlib"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder().parts[-3:] == ("Library", "Caches", "vizlib")


def test_importing_needs_nothing_heavy() -> None:
    code = "import sys, vizlib.zoo.download; sys.exit(bool({'torch', 'huggingface_hub', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0


@pytest.fixture
def hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("HF_ENDPOINT", server.url.removesuffix("/files/weights.pth"))
    server.hub = True
    return server


def test_hub_downloads_with_progress_and_then_needs_no_network(hub: Server, tmp_path: Path) -> None:
    assert hub_size("owner/model", "model.safetensors") == len(BODY)
    steps: list[tuple[int, int | None]] = []
    path = hub_weights("owner/model", "model.safetensors", cache_dir=tmp_path, progress=lambda *step: steps.append(step))
    assert path.read_bytes() == BODY
    assert steps[-1] == (len(BODY), len(BODY))
    before = len(hub.seen)
    assert hub_weights("owner/model", "model.safetensors", cache_dir=tmp_path) == path
    assert len(hub.seen) == before


def test_hub_cancel_leaves_nothing(hub: Server, tmp_path: Path) -> None:
    with pytest.raises(CancelledError):
        hub_weights("owner/model", "model.safetensors", cache_dir=tmp_path, cancelled=lambda: True)
    assert not any(path.stat().st_size > 1000 for path in tmp_path.rglob("*") if path.is_file())


def test_hub_errors_are_explained(hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def message(repo: str = "owner/model") -> str:
        with pytest.raises(DownloadError) as caught:
            hub_weights(repo, "model.safetensors", cache_dir=tmp_path)
        return str(caught.value)

    assert "owner/name" in message("not a name!")
    hub.status = 404
    assert "no file 'model.safetensors'" in message("owner/other")
    hub.status = 403
    assert "HTTP 403" in message()
    hub.status = 200
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage._replace(free=0))
    assert "free some space" in message()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "offline" in message()


def test_an_old_zipped_release_is_fetched_once_and_read(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses
    import io
    import zipfile

    import torch

    import vizlib
    from vizlib.zoo.official_releases import RELEASES

    made = vizlib.load("cct_2_3x2_32_c100", checkpoint="random")
    weights, packed = io.BytesIO(), io.BytesIO()
    torch.save(made.module.state_dict(), weights)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._cct2-3x2_cifar100.pth", b"x")
        archive.writestr("cct2-3x2_cifar100.pth", weights.getvalue())
    server.body = packed.getvalue()
    monkeypatch.setenv("VIZLIB_CACHE", str(tmp_path))
    here = dataclasses.replace(RELEASES["cct_2_3x2_32_c100"], url=server.url.replace("weights.pth", "cct2-3x2_cifar100.pth.zip"))
    monkeypatch.setitem(RELEASES, "cct_2_3x2_32_c100", here)
    heard: list[tuple[int, int | None]] = []
    for _ in range(2):
        model = vizlib.load("cct_2_3x2_32_c100", progress=lambda done, total: heard.append((done, total)))
        for key, value in made.module.state_dict().items():
            assert torch.equal(model.module.state_dict()[key], value)
    assert len(model.labels or ()) == 100
    assert len(server.seen) == 1
    assert heard[-1] == (len(server.body), len(server.body))
    note = json.loads(next(tmp_path.glob("*.zip.json")).read_text(encoding="utf-8"))
    assert note["sha256"] == hashlib.sha256(server.body).hexdigest()
