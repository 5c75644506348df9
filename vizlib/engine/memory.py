"""How many bytes a model takes, and how many this process may still take."""

from __future__ import annotations

import ctypes
import gc
import os
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Final

UNKNOWN: Final = 2 << 30  # what is assumed where the system does not say


def model_bytes(module: Any) -> int:
    """The bytes of a module's parameters and buffers; storage that several of them share counts once, and meta tensors take none."""
    storages: dict[tuple[str, int], int] = {}
    for tensor in chain(module.parameters(), module.buffers()):
        if not tensor.is_meta:
            storage = tensor.untyped_storage()
            storages[str(tensor.device), storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def give_back() -> None:
    """Let the system have what this process has freed and kept: at leisure, since doing it at every tensor makes work 1.4 times as long."""
    gc.collect()  # a server runs with automatic collections after each script off
    with suppress(OSError, AttributeError):  # another C library, which has no such call
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def available_memory(root: Path = Path("/")) -> int:
    """The bytes this process can take without swapping, or being killed by the limit of its container.

    The smallest of what the kernel calls available and what every control group above the process has left, where page cache that
    can be dropped counts as left. ``root`` stands for the file system, for tests. Elsewhere than on Linux: half of the memory there
    is, or 2 GiB when that is unknown.
    """
    left = _cgroups_left(root)
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            left.append(int(line.split()[1]) << 10)
    return max(0, min(left)) if left else _physical() // 2 or UNKNOWN


def _cgroups_left(root: Path) -> list[int]:
    left = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            top, limit, used, cache = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top, cache = root / "sys/fs/cgroup/memory", "total_inactive_file"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        inside = top / path.strip("/")
        # In a container the path can be that of the host, which is not there: its own group is then the top.
        for group in (inside, *inside.parents) if ".." not in inside.parts else (top,):
            if not group.is_relative_to(top):
                break
            most, now = _number(group / limit), _number(group / used)
            if most is not None and now is not None:
                stat = dict(line.split(" ", 1) for line in _text(group / "memory.stat").splitlines() if " " in line)
                left.append(most - now + int(stat.get(cache, 0)))
    return left


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None  # "max" is no limit


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _physical() -> int:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return 0
    return max(0, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
