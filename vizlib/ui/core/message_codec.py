"""Arrays, pictures and other messages for a component in one message of bytes; ``components/_lib/decoder.js`` reads it in the browser."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.errors import VizlibError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = b"VZP1"
_KINDS = {np.dtype(kind).str: kind for kind in ("u1", "<u2", "<i4", "<f4")}
_ALIGNMENT = 8  # bytes: what the browser needs to view any array in place


class MessageError(VizlibError):
    """Bytes that are no message, or one that was cut off."""


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray | bytes] | None = None) -> bytes:
    """A header that JSON takes and named arrays (uint8, uint16, int32, float32; float64 is rounded), each at a multiple of eight bytes.

    The message is MAGIC, the header's length (uint32, little-endian), the header with ``arrays`` {name: [kind, shape, offset]}, the
    arrays. Bytes go as uint8, so that a message may hold others; theirs are then in place too.
    """
    index: dict[str, Any] = {}
    parts: list[bytes | memoryview] = []
    offset = 0
    for name, array in (arrays or {}).items():
        flat = _flat(array)
        index[name] = [_KINDS[flat.dtype.str], list(flat.shape), offset]
        parts += [flat.data.cast("B") if flat.size else b"", b"\0" * (-flat.nbytes % _ALIGNMENT)]
        offset += flat.nbytes + -flat.nbytes % _ALIGNMENT
    return b"".join([*_head({**header, "arrays": index}), *parts])


def with_header(message: bytes, changes: Mapping[str, Any]) -> bytes:
    """A message whose header says something else, over the same arrays, which are not read."""
    (length,) = struct.unpack("<I", message[4:_ALIGNMENT])
    header = json.loads(message[_ALIGNMENT : _ALIGNMENT + length])
    return b"".join([*_head({**header, **changes}), memoryview(message)[_ALIGNMENT + length :]])


def _head(header: Mapping[str, Any]) -> list[bytes]:
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return [MAGIC, struct.pack("<I", len(text)), text]


def unpack(message: bytes | memoryview | np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a message, or of one inside another: what the browser reads out of it. MessageError for other bytes."""
    data = np.ascontiguousarray(message).data if isinstance(message, np.ndarray) else memoryview(message)
    if data[:4] != MAGIC or len(data) < _ALIGNMENT:
        raise MessageError(f"{len(data)} bytes are no packed message: they do not begin with {MAGIC.decode()}.")
    (length,) = struct.unpack("<I", data[4:8])
    start = _ALIGNMENT + length
    if len(data) < start:
        raise MessageError(f"The packed message ends inside its header, after {len(data)} of at least {start} bytes.")
    header = json.loads(bytes(data[_ALIGNMENT:start]))
    arrays = {}
    for name, (kind, shape, offset) in header.pop("arrays").items():
        count = int(np.prod(shape, dtype=np.int64))
        if start + offset + count * np.dtype(kind).itemsize > len(data):
            raise MessageError(f"The packed message ends inside {name!r}, after {len(data)} bytes.")
        arrays[name] = np.frombuffer(data, np.dtype(kind), count, start + offset).reshape(shape)
    return header, arrays


def _flat(array: np.ndarray | bytes) -> np.ndarray:
    if isinstance(array, bytes):
        return np.frombuffer(array, np.uint8)
    return np.ascontiguousarray(array, "<f4" if array.dtype.kind == "f" else None)


def levels(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of non-negative values as uint16 levels and the float32 peak of each row: value = level * peak / 65535, within peak / 131070."""
    peaks = values.max(axis=-1, keepdims=True)
    scale = np.divide(65535, peaks, out=np.zeros_like(peaks), where=peaks > 0)
    return np.rint(values * scale).astype(np.uint16), peaks[..., 0].astype(np.float32)
