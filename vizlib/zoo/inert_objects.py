"""Objects of foreign classes in a pickle, as hyper-parameters or a whole module: empty shells of them, so that none of their code runs."""

from __future__ import annotations

import io
import pickletools
import re
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import torch

from vizlib.errors import CheckpointError
from vizlib.zoo.zip_members import read_member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Of Python's own modules only these are expected in an honest file; what else of them is named there is an attack.
_HARMLESS: Final = (
    "argparse.", "collections.", "copyreg._reconstructor", "datetime.", "decimal.", "enum.", "fractions.", "functools.partial",
    "inspect.", "pathlib.", "types.SimpleNamespace", "typing.", "uuid.", "builtins.dict", "builtins.frozenset", "builtins.getattr",
    "builtins.list", "builtins.object", "builtins.range", "builtins.slice", "builtins.tuple", "builtins.type", "builtins.int",
    "builtins.float", "builtins.bool", "builtins.str", "builtins.set",
    "builtins.complex", "builtins.bytearray", "_codecs.encode",
)  # fmt: skip
# What torch's own reader makes itself.
_TORCHS: Final = re.compile(r"torch\._(utils|tensor)\._rebuild|torch\.\w+Storage$|collections\.OrderedDict$")
_MOST: Final = 100_000  # parts of one module, and tensors
_DEEPEST: Final = 200  # modules in each other
_LONGEST_NAME: Final = 1000


class InertObject:
    """A shell in place of an object that a pickle asks for: it takes whatever it is given, and does nothing with it."""

    path = ""
    state: Any = None

    def __new__(cls, *_args: Any, **_kwargs: Any) -> InertObject:  # noqa: PYI034  every shell is one
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        self.state = state


def inert_globals(names: list[str]) -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """For each name a shell of its own, as ``torch.serialization.safe_globals`` takes it."""
    return [(type(name.rpartition(".")[2], (InertObject,), {"path": name}), name) for name in names]


def is_harmless(name: str) -> bool:
    """Whether an honest file may hold such an object: classes of any library, and of Python itself those that hold values."""
    return name.startswith(_HARMLESS) or name.split(".", maxsplit=1)[0] not in sys.stdlib_module_names


def named_globals(file: BinaryIO) -> tuple[list[str], list[str]]:
    """What a pickle would import, read off its opcodes without executing any: by names in the file, and by names that it puts together.

    What torch's own reader makes itself is left out. torch's safe reader knows only the first way.
    """
    spelt: dict[str, None] = {}
    stacked: dict[str, None] = {}
    words = ["", ""]
    try:
        for opcode, argument, _ in _opcodes(file):
            if opcode.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
                spelt[f"{module}.{name}"] = None
            elif opcode.name == "STACK_GLOBAL":
                stacked[".".join(words[-2:])] = None
            elif isinstance(argument, str):
                words = [words[-1], argument]
    except (ValueError, EOFError, LookupError, OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        pass  # the pickle ends in rubbish, and named nothing more until there
    return [name for name in spelt if not _TORCHS.match(name)], [name for name in stacked if not _TORCHS.match(name)]


def largest_storage(file: BinaryIO) -> int:
    """The most values that a pickle in torch's old format claims for one storage: memory for them is asked for before they are read."""
    largest = last = 0
    try:
        for opcode, argument, _ in _opcodes(file):
            if opcode.name == "BINPERSID":
                largest = max(largest, last)
            elif isinstance(argument, int) and opcode.name.startswith(("BININT", "INT", "LONG")):
                last = argument
    except (ValueError, EOFError, LookupError, OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        pass  # what reads the file says what is wrong with it
    return largest


def _opcodes(file: BinaryIO) -> Iterator[tuple[Any, Any, int | None]]:
    file.seek(0)
    if file.read(2) == b"PK":
        with zipfile.ZipFile(file) as archive:
            file = io.BytesIO(read_member(archive, next(m for m in archive.infolist() if m.filename.endswith("/data.pkl"))))
    file.seek(0)
    return chain.from_iterable(pickletools.genops(file) for _ in range(5))  # the old format is several pickles in a row


def pickled_module(thing: object, name: str) -> dict[str, torch.Tensor] | None:
    """The weights by name of a whole module that was pickled, of which a shell is left; None where it is none.

    CheckpointError for one that holds itself, or more tensors than any module.
    """
    if not _is_module(thing):
        return None
    state: dict[str, torch.Tensor] = {}
    waiting: list[tuple[str, Any, tuple[int, ...]]] = [("", thing, ())]
    parts = 0
    while waiting:
        prefix, part, above = waiting.pop()
        parts += 1
        if id(part) in above or len(above) > _DEEPEST or len(state) > _MOST or parts > _MOST:
            raise CheckpointError(f"{name} holds a module that holds itself, or more parts than any: it is damaged or hostile.")
        check_name(prefix, name)
        attributes = part.state
        spare = attributes.get("_non_persistent_buffers_set") or ()
        for kind in ("_parameters", "_buffers"):
            tensors = attributes.get(kind)
            for key, value in (tensors if isinstance(tensors, dict) else {}).items():
                if isinstance(value, torch.Tensor) and key not in spare:
                    check_name(key, name)
                    state[f"{prefix}{key}"] = value.detach()
        children = attributes["_modules"]
        waiting += [(f"{prefix}{key}.", child, (*above, id(part))) for key, child in reversed(children.items()) if _is_module(child)]
    return state


def check_name(key: object, name: str) -> None:
    """Raise CheckpointError for a name of a tensor that is longer than any."""
    if isinstance(key, str) and len(key) > _LONGEST_NAME:
        raise CheckpointError(f"{name} names a tensor with {len(key):,} characters ({key[:40]}...): it is damaged or hostile.")


def _is_module(thing: object) -> bool:
    return isinstance(thing, InertObject) and isinstance(thing.state, dict) and isinstance(thing.state.get("_modules"), dict)
