"""Weights from the web: fetched once, resumed, checked against a hash, and never half there."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import sys
import urllib.error
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from vizlib.errors import CancelledError, DownloadError
from vizlib.zoo.hf_hub import hub_size, hub_weights
from vizlib.zoo.offline_files import check_disk, check_scheme, explained, length_of, open_url, total_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vizlib.zoo.offline_files import Cancelled, Progress

__all__ = ["alone", "cache_folder", "download", "downloaded", "hub_size", "hub_weights", "read_note", "remote_size", "write_note"]

CHUNK: Final = 1 << 18
CHECK_EVERY: Final = 8 << 20  # bytes of a body without a length between two looks at the disk


def cache_folder() -> Path:
    """Where fetched weights are kept: ``$VIZLIB_CACHE``, or the user's cache folder of the platform."""
    if own := os.environ.get("VIZLIB_CACHE"):
        return Path(own).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "vizlib"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "vizlib"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vizlib"


def downloaded(url: str) -> Path | None:
    """Where ``download`` keeps the file behind ``url``; None where it would have to be fetched."""
    path = cache_folder() / _file_name(url)
    return path if path.is_file() else None


def remote_size(url: str) -> int | None:
    """The size in bytes of the file behind ``url``, or None when the server does not say; DownloadError when it cannot be reached."""
    try:
        with open_url(url, "HEAD", {}) as response:
            return length_of(response)
    except urllib.error.HTTPError as error:
        if error.code not in {400, 403, 405, 501}:  # links signed for GET answer HEAD with 403
            raise explained(error, url) from error
    except (OSError, http.client.HTTPException) as error:
        raise explained(error, url) from error
    try:
        with open_url(url, "GET", {"Range": "bytes=0-0"}) as response:
            return total_of(response) if response.status == 206 else length_of(response)
    except (OSError, http.client.HTTPException) as error:
        raise explained(error, url) from error


def download(
    url: str,
    *,
    sha256: str | None = None,
    size: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Path:
    """The local path of the file behind ``url``: https only (http for this machine itself), fetched once, resumed after a cut.

    The file must have ``sha256`` (hex); without one, the hash noted beside it by the first download. ``size`` is in bytes.
    ``progress`` hears (bytes there, bytes in all or None); ``cancelled`` is asked between chunks, so a silent server is left after
    20 s at most. Threads and processes that ask at once download once. DownloadError says what failed, CancelledError that it was
    stopped; a part that was cut or stopped stays for the next try, and the file itself is there whole or not at all.
    """
    folder = Path(cache_dir) if cache_dir is not None else cache_folder()
    target = folder / _file_name(url)
    note = target.with_name(target.name + ".json")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(target, cancelled):
            wanted = sha256.lower() if sha256 else read_note(note).get("sha256")
            if target.is_file():
                if wanted is None or _sha256(target) == wanted:
                    return target
                target.unlink()  # damaged since, or another release is wanted
            part = target.with_name(target.name + ".part")
            _fetch(url, part, size, progress, cancelled)
            digest = _sha256(part)
            if wanted is not None and digest != wanted:
                part.unlink()
                advice = "" if sha256 else f"; if the new file is expected, delete {note}"
                raise DownloadError(f"{url} sent a file with SHA-256 {digest}, not {wanted}: it was removed; try again later{advice}.")
            write_note(note, {"url": url, "sha256": digest, "bytes": part.stat().st_size})
            part.replace(target)
    except OSError as error:
        raise explained(error, url, folder) from error
    return target


def _fetch(url: str, part: Path, size: int | None, progress: Progress | None, cancelled: Cancelled | None) -> None:
    """Bring ``part`` to the whole file, from where it stands when the server still has the same one."""
    note = part.with_name(part.name + ".json")
    have = part.stat().st_size if part.is_file() else 0
    validator = read_note(note).get("validator")
    headers = {"Range": f"bytes={have}-", "If-Range": validator} if have and validator else {}
    try:
        response = open_url(url, "GET", headers)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not headers:
            raise explained(error, url) from error
        _drop(part)  # longer than what the server has: start over
        return _fetch(url, part, size, progress, cancelled)
    except (OSError, http.client.HTTPException) as error:
        raise explained(error, url) from error
    with response:
        if response.headers.get_content_type() == "text/html":
            raise DownloadError(f"{url} answered with a web page, not a file: check the link in a browser.")
        if response.status != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            _drop(part)  # another file by now, or a server without ranges: start over
            have = 0
        if response.status == 206 and not have:
            raise DownloadError(f"{url} answered with the wrong part of the file: try again, the download starts over.")
        left = length_of(response)
        total = have + left if left is not None else size
        if size is not None and total != size:
            _drop(part)
            raise DownloadError(f"{url} holds {total} bytes, not the {size} expected: the file has changed; check its address.")
        check_disk(part.parent, (total or 0) - have, url)
        write_note(note, {"validator": _validator(response)})
        try:
            have = _receive(response, part, have, total, url, progress, cancelled)
        except _FullDiskError:
            _drop(part)
            raise
        except OSError as error:  # of the disk: those of the network are explained already
            _drop(part)
            raise explained(error, url, part.parent) from error
    if total is not None and have != total:
        if have > total:
            _drop(part)
        raise DownloadError(f"{url} broke off after {have} of {total} bytes: try again, the download goes on from there.")
    note.unlink(missing_ok=True)
    return None


class _FullDiskError(DownloadError):
    """A body without a length does not end before the disk is full."""


def _check_disk_for_more(folder: Path, have: int, url: str) -> None:
    try:
        check_disk(folder, 0, url)
    except DownloadError as error:
        raise _FullDiskError(f"{url} sent {have >> 20} MiB without an end, and the disk is full: check the link.") from error


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    part.with_name(part.name + ".json").unlink(missing_ok=True)


def _receive(
    response: http.client.HTTPResponse,
    part: Path,
    have: int,
    total: int | None,
    url: str,
    progress: Progress | None,
    cancelled: Cancelled | None,
) -> int:
    """Write the body behind the first ``have`` bytes of ``part``; the bytes there at the end."""
    checked = have
    with part.open("ab" if have else "wb") as file:
        while True:
            if total is None and have - checked >= CHECK_EVERY:
                checked = have
                _check_disk_for_more(part.parent, have, url)
            if progress:
                progress(have, total)
            if cancelled and cancelled():
                raise CancelledError(f"The download of {url} was stopped after {have} bytes; the next one goes on from there.")
            try:
                chunk = response.read1(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise explained(error, url) from error
            if not chunk or (total is not None and have > total):
                return have
            file.write(chunk)
            have += len(chunk)


@contextmanager
def alone(target: Path, cancelled: Cancelled | None = None) -> Iterator[None]:
    """Hold the lock of ``target`` among threads and processes; whoever waits can still be cancelled."""
    import filelock

    lock = filelock.FileLock(target.with_name(target.name + ".lock"))
    while not lock.is_locked:
        try:
            lock.acquire(timeout=0.2)
        except filelock.Timeout:
            if cancelled and cancelled():
                raise CancelledError(f"Nobody waits for {target.name} any more; another download of it goes on.") from None
    try:
        yield
    finally:
        lock.release()


def _file_name(url: str) -> str:
    """A readable, harmless name of its own for every address."""
    check_scheme(url)
    last = re.sub(r"[^\w.-]+", "_", unquote(urlsplit(url).path).rsplit("/", 1)[-1], flags=re.ASCII).lstrip(".")
    return f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{last[-100:] or 'file'}"


def _validator(response: http.client.HTTPResponse) -> str | None:
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")  # a weak tag does not promise equal bytes


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_note(path: Path) -> dict[str, Any]:
    """What was noted beside a file that was fetched; empty where nothing was."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def write_note(path: Path, note: dict[str, Any]) -> None:
    """Note facts beside a file that was fetched, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(note), encoding="utf-8")
    fresh.replace(path)
