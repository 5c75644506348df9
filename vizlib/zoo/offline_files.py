"""What every download needs: requests that stay on https, room on the disk, and errors a visitor understands."""

from __future__ import annotations

import errno
import shutil
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from vizlib.errors import DownloadError

if TYPE_CHECKING:
    import http.client
    from pathlib import Path

Progress = Callable[[int, int | None], None]
Cancelled = Callable[[], bool]

TIMEOUT: Final = 20.0  # seconds a server may stay silent
_MOST_DIGITS: Final = 18  # of a number of bytes
SPARE: Final = 64 << 20  # bytes of disk left free


class _SameSafety(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to addresses that could have been asked for directly."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> Any:
        check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_url(url: str, method: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    """The server's answer with its body unread; DownloadError for an address that is not https, the errors of urllib for the rest."""
    check_scheme(url)
    opener = urllib.request.OpenerDirector()  # the default one would also open files and ftp
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SameSafety(),
    ):
        opener.add_handler(handler)
    headers = {"User-Agent": "vizlib", "Accept-Encoding": "identity"} | headers
    try:
        return opener.open(urllib.request.Request(url, headers=headers, method=method), timeout=TIMEOUT)  # noqa: S310 - checked above
    except ValueError as error:  # of an address that a redirect leads to
        raise DownloadError(f"{url} leads to what is not a web address ({error}): check the link, or try again later.") from error


def check_scheme(url: str) -> None:
    """Raise DownloadError unless ``url`` is https, or http on this machine itself."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise DownloadError(f"{url!r} is not a web address ({error}): give an https:// link.") from error
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in {"localhost", "127.0.0.1", "::1"})):
        raise DownloadError(f"{url!r} is not an https:// link: weights are fetched over https only (http from this machine itself).")


def explained(error: OSError | http.client.HTTPException, url: str, folder: Path | None = None) -> DownloadError:
    """The sentence for what went wrong with ``url``, or with ``folder`` when writing."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return DownloadError(f"{url} answered HTTP {error.code}: {status_hint(error.code)}; check the link, or try again later.")
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, socket.gaierror):
        return DownloadError(f"{urlsplit(url).hostname} could not be found: check the network connection; this machine may be offline.")
    if isinstance(reason, TimeoutError):
        return DownloadError(f"{url} did not answer within {TIMEOUT:.0f} s: check the network connection, or try again later.")
    if isinstance(reason, ssl.SSLError):
        return DownloadError(f"{url} has no certificate this machine trusts ({reason}): check its clock, proxy and certificates.")
    if isinstance(reason, OSError) and reason.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DownloadError(f"The disk of {folder or 'the cache'} is full: free some space or set VIZLIB_CACHE to another disk.")
    if folder is not None:
        return DownloadError(f"{folder} cannot be written ({reason}): set VIZLIB_CACHE to a folder that can.")
    return DownloadError(f"{url} could not be fetched ({reason or type(reason).__name__}): check the network connection and try again.")


def status_hint(code: int) -> str:
    """What an HTTP status means for the person who asked."""
    hints = {401: "it asks for a login", 403: "access is refused", 404: "there is no such file", 429: "it was asked too often"}
    elsewhere = "it leads to an address that weights are not fetched from, https only"
    return hints.get(code, elsewhere if 300 <= code < 400 else "the server failed")


def check_disk(folder: Path, needed: int, what: str) -> None:
    """Raise DownloadError when ``folder`` has no room for ``needed`` bytes of ``what``."""
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise DownloadError(
            f"{what} needs {needed >> 20} MiB and {folder} has {free >> 20} MiB free: free some space or set VIZLIB_CACHE to another disk."
        )


def length_of(response: http.client.HTTPResponse) -> int | None:
    """The bytes of the body, where the server says so; DownloadError where what it says is no length."""
    texts = set(response.headers.get_all("Content-Length", ()))
    if not texts:
        return None
    text = texts.pop()
    if texts or not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise DownloadError("The server says a length of the file that is none: check the link, or try again later.")
    return int(text)


def total_of(response: http.client.HTTPResponse) -> int | None:
    """The bytes of the whole file that the body is a part of, where the server says so."""
    text = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None
