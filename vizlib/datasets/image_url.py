"""A picture from an address that a visitor typed: only from hosts on a list, over TLS, and never from the server's own network."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from vizlib.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    Resolve = Callable[[str], list[str]]  # a host name to its addresses
    Connect = Callable[[str, str, float], socket.socket]  # an address, the host name and a time limit to a TLS connection

MOST_BYTES = 20 << 20
SECONDS = 10.0  # for all of it: names, redirects and bytes
MOST_REDIRECTS = 3
LONGEST_URL = 2048
_REDIRECTS = (301, 302, 303, 307, 308)
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
# Beside what ipaddress knows, which differs between versions of Python: addresses that a gateway turns into others, and for special uses.
_SPECIAL = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/23", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24"))
)


def host_list(text: str) -> frozenset[str]:
    """The host names in a list with commas, in lower case; ImageError for an entry that is no name, such as an address or a wildcard."""
    hosts = frozenset(entry.strip().lower() for entry in text.split(",") if entry.strip())
    for host in hosts:
        if not _HOST.fullmatch(host) or _is_address(host):
            raise ImageError(f"{host[:80]!r} is no host name: list names such as upload.wikimedia.org, with commas between.")
    return hosts


def fetch_image_bytes(
    url: str,
    hosts: Collection[str],
    *,
    most_bytes: int = MOST_BYTES,
    seconds: float = SECONDS,
    resolve: Resolve | None = None,
    connect: Connect | None = None,
) -> bytes:
    """The bytes at an https address whose host is one of ``hosts``, at most ``most_bytes`` of them within ``seconds``.

    Every redirect is checked like the first address. A host is refused where any of its addresses is not public, and the connection goes
    to the address that was checked, so that a name which changes its mind in between leads nowhere. What the bytes hold is not looked at.
    ImageError says what is wrong.
    """
    until = time.monotonic() + seconds
    for _ in range(1 + MOST_REDIRECTS):
        host, path = checked_url(url, hosts)
        address = _checked_address(host, resolve or _resolve, until)
        try:
            content, location = _get(host, path, address, most_bytes, until, connect or _connect)
        except ImageError:
            if time.monotonic() < until:
                raise
            # What came was cut short, and would be taken for an answer of its own.
            raise ImageError(f"{host} took too long.") from None
        if location is None:
            return content
        url = urljoin(f"https://{host}{path}", location)
    raise ImageError(f"{host} sends on more than {MOST_REDIRECTS} times: give the address of the picture itself.")


def checked_url(url: str, hosts: Collection[str]) -> tuple[str, str]:
    """The host and the path with its query of an address that may be fetched; ImageError for any other."""
    if len(url) > LONGEST_URL or not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        raise ImageError(f"This is no address of a picture: it has blanks or signs that no address has, or over {LONGEST_URL} characters.")
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").removesuffix(".")
    except ValueError as error:
        raise ImageError("This is no address of a picture: it cannot be taken apart.") from error
    if parts.scheme != "https":
        raise ImageError("The address of a picture begins with https:// here.")
    if parts.username is not None or parts.password is not None:
        raise ImageError("An address with a name or password in it is not fetched.")
    if port not in (None, 443):
        raise ImageError(f"Pictures are fetched from the usual port alone, not from {port}.")
    if host not in hosts:
        raise ImageError(f"Pictures are fetched from {', '.join(sorted(hosts)) or 'nowhere'} here, not from {host[:80] or 'no host'}.")
    return host, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet: not this machine, a private network, a link, a group, or one made of such."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.scope_id is not None or ip.is_site_local:
            return False
    if any(ip in network for network in _SPECIAL):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback or ip.is_link_local)


def _is_address(host: str) -> bool:
    try:
        socket.inet_aton(host)  # of all the ways to write an address: 127.1 and 0x7f.1 too
    except OSError:
        return False
    return True


def _checked_address(host: str, resolve: Resolve, until: float) -> str:
    """The address of a host to connect to; every address that the host has must be public."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(resolve(host)), daemon=True)  # the system's resolver knows no time limit
    thread.start()
    thread.join(max(0.0, until - time.monotonic()))
    if thread.is_alive():
        raise ImageError(f"Finding {host} took too long.")
    addresses = list(found)
    if not addresses:
        raise ImageError(f"{host} cannot be found from this server.")
    if not all(is_public(address) for address in addresses):
        raise ImageError(f"{host} lies in a network that pictures are not fetched from.")
    return addresses[0]


def _resolve(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _connect(address: str, host: str, seconds: float) -> socket.socket:
    until = time.monotonic() + seconds
    plain = socket.create_connection((address, 443), timeout=seconds)
    secured = ssl.create_default_context().wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    try:
        with _ended_at(secured, until):
            secured.do_handshake()
    except BaseException:
        secured.close()
        raise
    return secured


def _get(host: str, path: str, address: str, most_bytes: int, until: float, connect: Connect) -> tuple[bytes, str | None]:
    """What is at a path, and where it sends on to, None where it does not."""
    connection = http.client.HTTPSConnection(host)
    try:
        connection.sock = connect(address, host, _left(until))
        with _ended_at(connection.sock, until):
            headers = {"User-Agent": "vizlib", "Accept": "image/*", "Accept-Encoding": "identity", "Connection": "close"}
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            if response.status in _REDIRECTS:
                location = response.getheader("Location")
                if not location:
                    raise ImageError(f"{host} sends on, and does not say where to.")
                return b"", location
            if response.status != 200:
                raise ImageError(f"{host} answers {response.status}: there is no picture at this address.")
            if response.getheader("Content-Encoding", "identity") != "identity":
                raise ImageError(f"{host} sends the picture packed, which is not unpacked here.")
            content = _limited(response, host, most_bytes)
            if time.monotonic() >= until:
                raise TimeoutError
            return content, None
    except (OSError, http.client.HTTPException) as error:
        late = time.monotonic() >= until
        raise ImageError(f"{host} took too long." if late else f"The picture cannot be had from {host}: the connection failed.") from error
    finally:
        connection.close()


def _limited(response: http.client.HTTPResponse, host: str, most_bytes: int) -> bytes:
    announced = response.length or 0
    content = b"" if announced > most_bytes else response.read(most_bytes + 1)
    if announced > most_bytes or len(content) > most_bytes:
        raise ImageError(f"The picture is over the limit of {most_bytes / 2**20:.3g} MB: take a smaller one.")
    if len(content) < announced:
        raise http.client.IncompleteRead(content, announced - len(content))
    if not content:
        raise ImageError(f"{host} sends nothing.")
    return content


@contextmanager
def _ended_at(connection: socket.socket, until: float) -> Iterator[None]:
    """A connection that is shut at a time, however slowly the other side drips: a socket's own limit begins anew with each byte."""

    def shut() -> None:
        try:
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # the one below TLS: a reader that waits there wakes up
        except OSError:
            return  # closed already

    timer = threading.Timer(_left(until), shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise ImageError("Fetching the picture took too long.")
    return left
