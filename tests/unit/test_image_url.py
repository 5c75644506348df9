"""Pictures from addresses: what is refused, where the connection goes, and the limits, against a server on loopback."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from vizlib.datasets.image_url import MOST_REDIRECTS, checked_url, fetch_image_bytes, host_list, is_public
from vizlib.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = frozenset({"pictures.example.org", "other.example.org"})
PUBLIC = "93.184.215.14"
URL = "https://pictures.example.org/cat.png"


class Server:
    """Answers of a web server on loopback by path, and what it was asked."""

    def __init__(self, answers: dict[str, bytes], drip: float = 0.0) -> None:
        self.answers, self.drip, self.asked, self.connected = answers, drip, [], []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                request = client.recv(4096).decode()
                self.asked.append(request)
                answer = self.answers[request.split()[1]]
                try:
                    for sent in range(0, len(answer), 1 if self.drip else 65536):
                        client.sendall(answer[sent : sent + (1 if self.drip else 65536)])
                        time.sleep(self.drip)
                except OSError:
                    continue

    def connect(self, address: str, host: str, seconds: float) -> socket.socket:
        """A connection to this server, whatever the address."""
        self.connected.append((address, host))
        return socket.create_connection(self._listener.getsockname(), timeout=seconds)

    def close(self) -> None:
        self._listener.close()


@contextmanager
def serving(answers: dict[str, bytes], drip: float = 0.0) -> Iterator[Server]:
    server = Server(answers, drip)
    try:
        yield server
    finally:
        server.close()


def answer(body: bytes = b"picture", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def fetch(server: Server, url: str = URL, addresses: dict[str, list[str]] | None = None, **limits) -> bytes:
    where = addresses or {}
    return fetch_image_bytes(url, HOSTS, resolve=lambda host: where.get(host, [PUBLIC]), connect=server.connect, **limits)


def test_a_picture_comes_from_the_address_that_was_checked() -> None:
    with serving({"/a/cat.png?size=2": answer(b"bytes")}) as server:
        assert fetch(server, "https://PICTURES.example.org:443/a/cat.png?size=2#part") == b"bytes"
        assert server.connected == [(PUBLIC, "pictures.example.org")]
        (request,) = server.asked
        assert "Host: pictures.example.org\r\n" in request
        assert "Cookie" not in request
        assert "Authorization" not in request


def test_a_name_that_changes_its_mind_leads_nowhere() -> None:
    replies = iter([[PUBLIC], ["127.0.0.1"], ["10.0.0.1"]])
    with serving({"/cat.png": answer()}) as server:
        fetch_image_bytes(URL, HOSTS, resolve=lambda host: next(replies), connect=server.connect)
        # The name was looked up once, and the connection went to what was found then.
        assert server.connected == [(PUBLIC, "pictures.example.org")]
        with pytest.raises(ImageError, match="lies in a network"):
            fetch_image_bytes(URL, HOSTS, resolve=lambda host: next(replies), connect=server.connect)
        assert len(server.connected) == 1


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.0",  # noqa: S104
        "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.0.8", "192.0.2.5", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1",
        "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1",
        "2001:0:53aa:64c:0:0:80ff:fffe", "100::1", "2606:4700::1%1", "localhost", "", "1", "0x7f.1", "127.1", "2130706433",
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_open_internet(address: str) -> None:
    assert not is_public(address)
    with serving({"/cat.png": answer()}) as server:
        for addresses in ([address], [PUBLIC, address], [address, PUBLIC]):
            with pytest.raises(ImageError, match="lies in a network"):
                fetch(server, addresses={"pictures.example.org": addresses})
        assert not server.connected


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "::ffff:8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"])
def test_addresses_of_the_open_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.example.org/cat.png", "ftp://pictures.example.org/cat.png", "file:///etc/passwd", "//pictures.example.org/cat.png",
        "pictures.example.org/cat.png", "", "https://", "https:///cat.png", "https://pictures.example.org:8443/", "https://[::1]/",
        "https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://localhost/", "https://example.org/",
        "https://evil.org/pictures.example.org", "https://pictures.example.org.evil.org/", "https://evilpictures.example.org/",
        "https://sub.pictures.example.org/", "https://pictures.example.org@evil.org/", "https://evil.org#@pictures.example.org/",
        "https://user:word@pictures.example.org/", "https://@pictures.example.org/", "https://pictures.example.org\\@evil.org/",
        "https://evil.org\\pictures.example.org/", "https://pictures.example.org/\r\nHost: evil.org", "https://pictures.example.org/a b",
        "https://pictures.example.org\t/", " https://pictures.example.org/", "https://pictures.example.org:99999/",
        "https://pictures.example.org:x/", "https://[::ffff:93.184.215.14/", "https://pictures。example.org/", "https://\u24c5ictures.example.org/",
        "https://pictures.example.org/" + "a" * 2048,
    ],
)  # fmt: skip
def test_addresses_that_are_not_fetched(url: str) -> None:
    with serving({"/cat.png": answer()}) as server:
        with pytest.raises(ImageError):
            fetch(server, url)
        assert not server.connected


def test_the_last_point_of_a_name_is_no_way_round() -> None:
    assert checked_url("https://pictures.example.org./x", HOSTS) == ("pictures.example.org", "/x")
    assert checked_url("https://pictures.example.org", HOSTS) == ("pictures.example.org", "/")
    with pytest.raises(ImageError, match="from nowhere here"):
        checked_url(URL, frozenset())


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://pictures.example.org/two", "begins with https"), ("https://evil.org/", "not from evil.org"),
        ("https://127.0.0.1/", "not from 127"), ("//evil.org/x", "not from evil.org"), ("file:///etc/passwd", "begins with https"),
        ("https://pictures.example.org:22/", "usual port"), ("https://other.example.org/two", "lies in a network"),
    ],
)  # fmt: skip
def test_a_redirect_is_checked_like_the_first_address(location: str, words: str) -> None:
    with serving({"/cat.png": answer(b"", "302 Found", f"Location: {location}"), "/two": answer(b"secret")}) as server:
        with pytest.raises(ImageError, match=words):
            fetch(server, addresses={"other.example.org": ["10.0.0.1"]})
        assert len(server.connected) == 1


def test_redirects_are_followed_a_few_times() -> None:
    answers = {f"/{step}": answer(b"", "301 Moved", f"Location: /{step + 1}") for step in range(MOST_REDIRECTS + 1)}
    with serving(answers | {f"/{MOST_REDIRECTS + 1}": answer(b"end")}) as server:
        assert fetch(server, "https://pictures.example.org/1") == b"end"
        with pytest.raises(ImageError, match=f"more than {MOST_REDIRECTS} times"):
            fetch(server, "https://pictures.example.org/0")
        assert server.connected.count((PUBLIC, "pictures.example.org")) == 2 * (MOST_REDIRECTS + 1)


def test_the_size_is_limited_announced_or_not() -> None:
    large = b"x" * 5000
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"y" * 4096 + b"\r\n0\r\n\r\n"
    answers = {
        "/cat.png": answer(large),
        "/silent": b"HTTP/1.1 200 OK\r\n\r\n" + large,
        "/chunked": chunked,
        "/exact": answer(large[:3000]),
    }
    with serving(answers) as server:
        for path in ("/cat.png", "/silent", "/chunked"):
            with pytest.raises(ImageError, match="over the limit"):
                fetch(server, f"https://pictures.example.org{path}", most_bytes=3000)
        assert len(fetch(server, "https://pictures.example.org/exact", most_bytes=3000)) == 3000
        assert len(fetch(server, "https://pictures.example.org/chunked")) == 4096


@pytest.mark.parametrize("seconds", [0.3, 0.58, 0.6, 0.62, 1.2])  # cut within the status line, behind it, and within a header
def test_a_server_that_drips_is_left_in_time(seconds: float) -> None:
    # All 500 bytes would come in half a minute.
    with serving({"/cat.png": answer(b"x" * 500)}, drip=0.05) as server, pytest.raises(ImageError, match="took too long"):
        fetch(server, seconds=seconds)


def test_a_resolver_that_does_not_answer_is_left_in_time() -> None:
    waiting = threading.Event()

    def resolve(_host: str) -> list[str]:
        waiting.wait(10)
        return [PUBLIC]

    with pytest.raises(ImageError, match="took too long"):
        fetch_image_bytes(URL, HOSTS, seconds=0.2, resolve=resolve)
    waiting.set()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (answer(b"no", "404 Not Found"), "answers 404"), (answer(b""), "sends nothing"), (b"", "connection failed"), (b"rubbish", "failed"),
        (answer(b"", "302 Found"), "does not say where"), (answer(b"zip", "200 OK", "Content-Encoding: gzip"), "packed"),
        (answer(b"cut")[:-1], "connection failed"),
    ],
)  # fmt: skip
def test_answers_without_a_picture(reply: bytes, words: str) -> None:
    with serving({"/cat.png": reply}) as server, pytest.raises(ImageError, match=words):
        fetch(server)


def test_no_host_is_found() -> None:
    with pytest.raises(ImageError, match="cannot be found"):
        fetch_image_bytes(URL, HOSTS, resolve=lambda host: [])


def test_the_list_of_hosts() -> None:
    assert host_list(" Upload.Wikimedia.org, pictures.example.org ,") == {"upload.wikimedia.org", "pictures.example.org"}
    assert host_list("") == frozenset()
    for text in ("127.0.0.1", "*.example.org", "localhost", "https://example.org", "example.org:443", "::1", "0x7f.1", "a..b"):
        with pytest.raises(ImageError, match="no host name"):
            host_list(text)
