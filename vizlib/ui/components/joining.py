"""ES modules and their imports as one module text, for a component that may bring one file only: no bundler and no Node.

A module may import names (``import { keep } from '../_lib/lifecycle.js';``) and export functions, classes and constants
(``export function ...``) or a default. Each becomes a function that returns what it exports, so that names of two files never clash.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from vizlib.errors import VizlibError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IMPORT = re.compile(r"^import\s*\{(?P<names>[^}]*)\}\s*from\s*'(?P<path>[^'\n]+)';[ \t]*$", re.MULTILINE)
_EXPORT = re.compile(r"^export (?P<kind>async function\*?|function\*?|class|const) (?P<name>[\w$]+)", re.MULTILINE)
_DEFAULT = re.compile(r"^export default ", re.MULTILINE)
_STATEMENT = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)
_DECLARED = re.compile(r"^(?:async function\*?|function\*?|class|const|let|var) (?P<name>[\w$]+)", re.MULTILINE)
_BINDING = re.compile(r"^(?P<name>[\w$]+)(?: as (?P<local>[\w$]+))?$")
_STYLE = re.compile(r"^@import '(?P<path>[^'\n]+)';\n", re.MULTILINE)


class JoinError(VizlibError):
    """A component's file that cannot be joined with what it imports."""


@dataclass(frozen=True)
class Module:
    """A file: its path below the components' folder, what it imports {path: {local name: exported name}}, exports and does."""

    path: str
    imports: dict[str, dict[str, str]]
    exports: tuple[str, ...]
    body: str
    default: bool


def join_modules(home: Path, path: str) -> str:
    """The module at ``path`` below ``home`` and all that it imports, each once and before who needs it; its default export stays.

    JoinError, with the file's name, for a circle, a file or a name that is missing, two things of one name, or syntax beyond the above.
    """
    modules = list(_in_order(home, path, ()))
    names = {module.path: f"module{index}" for index, module in enumerate(modules)}
    if not modules[-1].default:
        raise JoinError(f"{path} has no default export, so Streamlit cannot call it.")
    parts = [_wrapped(module, names) for module in modules]
    return "\n".join([*parts, f"export default {names[path]}.default;\n"])


def join_styles(home: Path, path: str) -> str:
    """The style sheet at ``path`` below ``home`` behind those that it imports (``@import '../_lib/kit.css';``). JoinError as above."""
    text = _read(home, path)
    imported = [_beside(path, match["path"]) for match in _STYLE.finditer(text)]
    return "\n".join([*(join_styles(home, other) for other in imported), _STYLE.sub("", text)])


@cache
def _read(home: Path, path: str) -> str:
    file = home / path
    if path.startswith("../") or not file.is_file():
        raise JoinError(f"There is no {path} among the components' files.")
    return file.read_text("utf-8")


def _beside(path: str, relative: str) -> str:
    if not relative.startswith(("./", "../")):
        raise JoinError(f"{path} imports {relative!r}, which is no path that begins with './' or '../'.")
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))


def _in_order(home: Path, path: str, above: tuple[str, ...]) -> Iterator[Module]:
    """A module's imports and theirs, each once, in the order in which they are named; then the module."""
    if path in above:
        raise JoinError(f"These files import each other in a circle: {' -> '.join([*above[above.index(path) :], path])}.")
    module, seen = _module(home, path), set()
    for other, wanted in module.imports.items():
        missing = [name for name in wanted.values() if name not in _module(home, other).exports]
        if missing:
            raise JoinError(
                f"{path} imports {missing[0]} from {other}, which exports {', '.join(_module(home, other).exports) or 'nothing'}."
            )
        for needed in _in_order(home, other, (*above, path)):
            if needed.path not in seen:
                seen.add(needed.path)
                yield needed
    yield module


@cache
def _module(home: Path, path: str) -> Module:
    text = _read(home, path)
    imports: dict[str, dict[str, str]] = {}
    for match in _IMPORT.finditer(text):
        names = imports.setdefault(_beside(path, match["path"]), {})
        for part in filter(None, (part.strip() for part in match["names"].split(","))):
            binding = _BINDING.match(part)
            if binding is None:
                raise JoinError(f"{path} imports {part!r}, which is no name.")
            names[_once(path, binding["local"] or binding["name"], imports)] = binding["name"]
    exports = tuple(match["name"] for match in _EXPORT.finditer(text))
    body = _EXPORT.sub(r"\g<kind> \g<name>", _IMPORT.sub("", text))
    body, defaults = _DEFAULT.subn("const defaultExport = ", body)
    declared = [match["name"] for match in _DECLARED.finditer(body)]
    for name in declared:
        if declared.count(name) > 1 or any(name in names for names in imports.values()):
            raise JoinError(f"{path} has two things that are called {name}.")
    other = _STATEMENT.search(body)
    if other:
        raise JoinError(f"{path} holds what cannot be joined: {other[0]}")
    return Module(path, imports, exports, body.strip("\n"), bool(defaults))


def _once(path: str, name: str, imports: dict[str, dict[str, str]]) -> str:
    if any(name in names for names in imports.values()):
        raise JoinError(f"{path} imports two things that are called {name}.")
    return name


def _wrapped(module: Module, names: dict[str, str]) -> str:
    bindings = []
    for path, wanted in module.imports.items():
        parts = [local if local == name else f"{name}: {local}" for local, name in wanted.items()]
        bindings.append(f"const {{ {', '.join(parts)} }} = {names[path]};")
    exported = [*module.exports, *(["default: defaultExport"] if module.default else [])]
    lines = [
        f"// {module.path}",
        f"const {names[module.path]} = (() => {{",
        *bindings,
        module.body,
        f"return {{ {', '.join(exported)} }};",
        "})();",
    ]
    return "\n".join(lines)
