"""Arrays and pictures for a component in one message of bytes."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = b"VZP1"
_KINDS = {np.dtype(kind).str: kind for kind in ("u1", "<u2", "<i4", "<f4")}


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """A header that JSON takes and named arrays (uint8, uint16, int32, float32; float64 is rounded), each at a multiple of eight bytes.

    The message is MAGIC, the header's length, the header with ``arrays`` {name: [kind, shape, offset]}, the arrays.
    """
    index: dict[str, Any] = {}
    parts: list[bytes] = []
    at = 0
    for name, array in arrays.items():
        flat = np.ascontiguousarray(array, "<f4" if array.dtype.kind == "f" else None)
        data = flat.tobytes()
        index[name] = [_KINDS[flat.dtype.str], list(flat.shape), at]
        parts.append(data + b"\0" * (-len(data) % 8))
        at += len(parts[-1])
    text = json.dumps({**header, "arrays": index}, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([MAGIC, struct.pack("<I", len(text)), text, *parts])


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a message: what the browser reads out of it."""
    (length,) = struct.unpack("<I", message[4:8])
    header = json.loads(message[8 : 8 + length])
    arrays = {}
    for name, (kind, shape, at) in header.pop("arrays").items():
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(message, np.dtype(kind), count, 8 + length + at).reshape(shape)
    return header, arrays


def levels(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of non-negative values as uint16 levels and the float32 peak of each row: value = level * peak / 65535, within peak / 131070."""
    peaks = values.max(axis=-1, keepdims=True)
    scale = np.divide(65535, peaks, out=np.zeros_like(peaks), where=peaks > 0)
    return np.rint(values * scale).astype(np.uint16), peaks[..., 0].astype(np.float32)
