"""Small pictures of an audit's data, as data addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.auditing.decoding import decoded
from vizlib.auditing.pictures import audit_pictures, read_sources
from vizlib.errors import AuditError, ImageError
from vizlib.figures.html_page import jpeg_address
from vizlib.figures.overlay import shrunk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vizlib.auditing.result import Audit

LONGEST = 128  # pixels
BATCH = 64


def thumbnails(audit: Audit, data: Any, numbers: Iterable[int]) -> dict[int, str]:
    """JPEG data addresses of pictures by their number, at most 128 pixels long; those that cannot be read any more are left out.

    AuditError for other data than the audit's.
    """
    pictures = audit_pictures(data)
    if pictures.fingerprint() != audit.facts["data"]:
        raise AuditError("This is not the data that the audit went over: names, labels, boxes or masks differ.")
    wanted = sorted(set(numbers))
    addresses: dict[int, str] = {}
    for start in range(0, len(wanted), BATCH):
        some = wanted[start : start + BATCH]
        for number, source in zip(some, read_sources(pictures.items[number] for number in some), strict=True):
            try:
                addresses[number] = jpeg_address(shrunk(decoded(source), LONGEST))
            except ImageError:
                continue
    return addresses
