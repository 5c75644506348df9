"""What the markers of a JPEG tell before and after it is decoded: how often it paints over the picture, and whether it is all there."""

from __future__ import annotations

from typing import Final

MOST_SCANS: Final = 100  # encoders write a dozen; libtiff has this limit too
MOST_PAINTED: Final = 2_000_000_000  # pixels times scans: some seconds of decoding
_END, _SCAN = 0xD9, 0xDA


def repaints_too_often(content: bytes, pixels: int) -> bool:
    """Whether a progressive JPEG has more scans than any encoder writes: each costs a walk over all ``pixels``, and takes a few bytes."""
    scans = content.count(bytes((0xFF, _SCAN)))  # never within a scan's own data; thumbnails may add a few
    return scans > MOST_SCANS or scans * pixels > MOST_PAINTED


def reaches_its_end(content: bytes) -> bool:
    """False for a download that stopped and was filled up with zeros, which the decoder takes for a flat rest of the picture."""
    position = 2
    while content[position : position + 1] == b"\xff" and position + 4 <= len(content):
        marker = content[position + 1]
        if marker == _SCAN:
            return content.find(bytes((0xFF, _END)), position) >= 0
        position += 1 if marker == 0xFF else 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return True
