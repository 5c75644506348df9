"""Members of a zip, read to no more than the zip says they hold: its directory may lie about both."""

from __future__ import annotations

import math
import zipfile
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np
import torch

from vizlib.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

MAX_RATIO: Final = 20  # weights hardly compress: more than this is a zip bomb
LEAST_BOUND: Final = 64 << 20  # bytes that any file may unpack to
_CHUNK: Final = 1 << 20
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of the others Python unpacks whole pieces, whatever they grow to


def most_unpacked(packed: int) -> int:
    """How many bytes a file of so many may hold."""
    return max(LEAST_BOUND, MAX_RATIO * packed)


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The bytes of a member, in pieces, so that what it unpacks to beyond its size in the directory is never held.

    CheckpointError for a way of packing that no weights come in.
    """
    _check_method(member)
    pieces = []
    with archive.open(member) as stream:
        while piece := stream.read(_CHUNK):
            pieces.append(piece)
    return b"".join(pieces)


def read_npz(file: BinaryIO, name: str) -> dict[str, Tensor]:
    """The arrays of an NPZ file by name, bfloat16 ones too, which numpy holds as two bytes without a meaning.

    CheckpointError for an array that claims more than its member holds, before there is memory for it.
    """
    state = {}
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            _check_array(archive, member, name)
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        for key in arrays.files:
            array = arrays[key]
            raw = array.dtype.kind == "V" and array.dtype.itemsize == 2
            tensor = torch.from_numpy(array.view(np.int16) if raw else array)
            state[key] = tensor.view(torch.bfloat16) if raw else tensor
    return state


def _check_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> None:
    _check_method(member)
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    if math.prod(shape) * dtype.itemsize > member.file_size:
        shown = member.filename[:80]
        raise CheckpointError(f"{name} claims {shape} for {shown}, but stores far fewer values: it is damaged or hostile.")


def _check_method(member: zipfile.ZipInfo) -> None:
    if member.compress_type not in _METHODS:
        raise CheckpointError("The zip is packed in a way that weights are not: unpack it and give the weights file inside.")
