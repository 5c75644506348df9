"""Work and results as bytes between processes: a picture that both sides hold is named in them, not copied."""

from __future__ import annotations

import io
import pickle
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np

HEAVY_MODULES = ("torch", "timm", "captum")


@runtime_checkable
class Shared(Protocol):
    """What goes to a process once and is named from then on: ``blob_key`` tells it from all others, ``pixels`` is its array."""

    @property
    def blob_key(self) -> str: ...

    @property
    def pixels(self) -> np.ndarray: ...


class MissingBlobError(Exception):
    """Bytes name pictures that this side does not hold: ``keys``."""

    def __init__(self, keys: Iterable[str]) -> None:
        super().__init__(tuple(keys))

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of what is missing."""
        keys: tuple[str, ...] = self.args[0]
        return keys


def pack(value: Any, shared: Iterable[Shared] = ()) -> tuple[bytes, dict[str, Shared]]:
    """A value as bytes, and the ``Shared`` ones in it, which the bytes only name; ``shared`` are more whose array may be in it."""
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL)
    for blob in (*shared, *_arguments(value)):
        pickler.note(blob)
    pickler.dump(value)
    return buffer.getvalue(), pickler.named


def unpack(data: bytes, shared: Mapping[str, Shared], *, light: bool = False) -> Any:
    """The value in ``data``, with ``shared`` by key in their places; MissingBlobError where one is not among them.

    ``light`` refuses what would import torch: TypeError.
    """
    return _Unpickler(io.BytesIO(data), shared, light=light).load()


def _arguments(value: Any) -> Iterable[Shared]:
    """What a partial holds is noted before it is packed: an array of a picture may come before the picture."""
    while isinstance(value, partial):
        yield from (each for each in (*value.args, *value.keywords.values()) if isinstance(each, Shared))
        value = value.func


class _Pickler(pickle.Pickler):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.named: dict[str, Shared] = {}
        self._arrays: dict[int, Shared] = {}

    def note(self, blob: Shared) -> None:
        self._arrays[id(blob.pixels)] = blob

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(getattr(type(obj), "blob_key", None), property):
            self.note(obj)
            self.named[obj.blob_key] = obj
            return ("whole", obj.blob_key)
        owner = self._arrays.get(id(obj))
        if owner is not None:
            self.named[owner.blob_key] = owner
            return ("pixels", owner.blob_key)
        return None


class _Unpickler(pickle.Unpickler):  # noqa: S301  of processes that this one started, or that hold the cluster's keys
    def __init__(self, file: io.BytesIO, shared: Mapping[str, Shared], *, light: bool) -> None:
        super().__init__(file)
        self._shared, self._light = shared, light

    def persistent_load(self, pid: Any) -> Any:
        part, key = pid
        if key not in self._shared:
            raise MissingBlobError([key])
        return self._shared[key] if part == "whole" else self._shared[key].pixels

    def find_class(self, module: str, name: str) -> Any:
        if self._light and module.partition(".")[0] in HEAVY_MODULES:
            raise TypeError(f"A result holds {module}.{name}: what a page gets is made of arrays and plain records.")
        return super().find_class(module, name)
