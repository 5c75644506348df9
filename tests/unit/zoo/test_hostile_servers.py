"""Answers of servers that lie about lengths, send without end, or lead astray: a DownloadError each, soon, and no whole file."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from vizlib.errors import DownloadError
from vizlib.zoo import offline_files
from vizlib.zoo.download import download, remote_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = b"x" * 1000


class RawServer:
    """Answers every connection with the same bytes, whatever was asked; HERE in them is its own address."""

    def __init__(self) -> None:
        self.answer, self.asked, self.endless = b"", 0, False
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.asked += 1
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(self.answer.replace(b"HERE", self.url.encode()))
                while self.endless:
                    connection.sendall(b"X-More: 1\r\n" * 1000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = RawServer()
    yield server
    server.close()


def head(status: str, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *lines, "", ""]).encode()


def moved(where: str) -> bytes:
    return head("302 Found", f"Location: {where}", "Content-Length: 0")


ANSWERS = {
    "more than any disk": head("200 OK", f"Content-Length: {10**18}") + BODY,
    "more digits than a number has": head("200 OK", "Content-Length: " + "9" * 6000) + BODY,
    "twenty digits": head("200 OK", "Content-Length: " + "9" * 20) + BODY,
    "a negative length": head("200 OK", "Content-Length: -5") + BODY,
    "digits of another script": head("200 OK", "Content-Length: ١٢٣").decode().encode() + BODY,
    "less than it says": head("200 OK", "Content-Length: 5000") + BODY,
    "two lengths": head("200 OK", "Content-Length: 10", "Content-Length: 1000") + BODY,
    "a part that was not asked for": head("206 Partial Content", "Content-Range: bytes 10-20/30", "Content-Length: 11") + BODY[:11],
    "a part without a range": head("206 Partial Content", "Content-Length: 11") + BODY[:11],
    "chunks of nonsense": head("200 OK", "Transfer-Encoding: chunked") + b"zz\r\nabc\r\n",
    "a chunk of a negative length": head("200 OK", "Transfer-Encoding: chunked") + b"-5\r\nabc\r\n0\r\n\r\n",
    "a chunk that is cut": head("200 OK", "Transfer-Encoding: chunked") + b"ffffff\r\nabc",
    "moved nowhere": head("302 Found", "Content-Length: 0"),
    "moved to nothing": moved(""),
    "moved to itself": moved("HERE/a.pth"),
    "moved to a file": moved("file:///etc/passwd"),
    "moved to ftp": moved("ftp://127.0.0.1/a"),
    "moved to a script": moved("javascript:alert(1)"),
    "moved to a bad port": moved("http://127.0.0.1:99999999/a"),
    "moved to a port of letters": moved("http://127.0.0.1:abc/a"),
    "moved to port nought": moved("http://127.0.0.1:0/a"),
    "moved to a bad host": moved("https://[::1/a"),
    "moved to a host with a break": moved("https://exa\tmple.org:x/a b\x01"),
    "moved to http elsewhere": moved("http://example.org/a.pth"),
    "no HTTP at all": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing": b"",
    "a status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status out of range": b"HTTP/1.1 99 What\r\n\r\n",
    "an endless status": b"HTTP/1.1 200 " + b"a" * 100_000,
    "headers without an end": b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 1000,
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    "informed": b"HTTP/1.1 103 Early Hints\r\n\r\n",
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_lying_answer_is_a_download_error(server: RawServer, tmp_path: Path, kind: str) -> None:
    server.answer, server.endless = ANSWERS[kind], kind == "headers without an end"
    with pytest.raises(DownloadError) as caught:
        download(f"{server.url}/a.pth", cache_dir=tmp_path)
    assert not list(tmp_path.glob("*.pth"))
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 10_000
    assert len(str(caught.value)) < 400
    with suppress(DownloadError):
        remote_size(f"{server.url}/a.pth")
    assert server.asked < 30


@pytest.mark.parametrize("asked", [{"size": 500}, {"size": 2000}])
@pytest.mark.parametrize("length", ["known", "unknown", "chunks"])
def test_a_body_of_another_size_is_a_download_error(server: RawServer, tmp_path: Path, asked: dict[str, int], length: str) -> None:
    chunked = b"3e8\r\n" + BODY + b"\r\n0\r\n\r\n"
    line = {"known": ["Content-Length: 1000"], "unknown": [], "chunks": ["Transfer-Encoding: chunked"]}[length]
    server.answer = head("200 OK", *line) + (chunked if length == "chunks" else BODY)
    with pytest.raises(DownloadError):
        download(f"{server.url}/a.pth", cache_dir=tmp_path, **asked)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("*.pth"))


def test_a_body_without_an_end_stops_before_the_disk_is_full(server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def usage(folder: Path) -> SimpleNamespace:
        taken = sum(file.stat().st_size for file in tmp_path.iterdir())
        return SimpleNamespace(free=offline_files.SPARE + (40 << 20) - taken)

    monkeypatch.setattr(offline_files.shutil, "disk_usage", usage)
    server.answer, server.endless = head("200 OK"), True
    received: list[int] = []
    with pytest.raises(DownloadError, match="MiB without an end"):
        download(f"{server.url}/a.pth", cache_dir=tmp_path, progress=lambda have, total: received.append(have))
    assert max(received) < 50 << 20
    assert not list(tmp_path.glob("*.pth*.part"))


def test_an_honest_answer_is_still_read(server: RawServer, tmp_path: Path) -> None:
    server.answer = head("200 OK", "Content-Length: 1000") + BODY
    assert download(f"{server.url}/a.pth", cache_dir=tmp_path).read_bytes() == BODY
