"""The most memory that one piece of work takes above what was there before, each in a process of its own.

A process loads the model, does the work once, gives free memory back and then does it again: loading, lazy imports and buffers that stay
are not counted. ``python -m vizlib.bench.peak_memory`` is that process.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.errors import VizlibError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.bench.cases import Case

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
HOW = {
    "cuda": "memory of the GPU, as torch counts it, above the level after loading and one warm-up",
    "resettable": "resident memory above the level after loading and one warm-up",
    "process": "growth of the process's highest resident memory, which this system cannot reset: warm-up is counted",
}


def peak(case: Case, name: str, device: str, threads: int) -> dict[str, Any]:
    """The most bytes that a floor or a method takes: ``above`` the level before, ``whole``, that of the process, and ``how``, a key of HOW.

    VizlibError with the last words of the process when it fails.
    """
    order = {"model": case.model, "side": case.side, "name": name, "device": device, "threads": threads}
    process = subprocess.run(  # noqa: S603  this very interpreter
        [sys.executable, "-m", "vizlib.bench.peak_memory", json.dumps(order)], check=False, capture_output=True, text=True
    )
    if process.returncode != 0:
        last = (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise VizlibError(f"The memory of {name} on {case.model} was not measured: {last}.")
    return json.loads(process.stdout.splitlines()[-1])


def measure_peak(job: Callable[[], object], device: str = "cpu") -> dict[str, Any]:
    """What ``peak`` gives, of a job in this process, which is done twice and weighed the second time."""
    import torch

    if device.startswith("cuda"):
        job()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        job()
        whole = torch.cuda.max_memory_allocated(device)
        return {"above": whole - before, "whole": whole, "how": "cuda"}
    if not _can_reset():
        before = _highest()
        job()
        return {"above": _highest() - before, "whole": _highest(), "how": "process"}
    job()
    _trim()
    _CLEAR.write_text("5", encoding="utf-8")
    before = _status("VmRSS")
    job()
    whole = _status("VmHWM")
    return {"above": whole - before, "whole": whole, "how": "resettable"}


def _can_reset() -> bool:
    try:
        _CLEAR.write_text("5", encoding="utf-8")
    except OSError:
        return False
    return "VmHWM" in _STATUS.read_text(encoding="utf-8")


def _status(field: str) -> int:
    line = next(line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def _highest() -> int:
    try:
        import resource
    except ImportError as error:  # Windows has none
        raise VizlibError("this system does not tell the highest memory of a process; leave it out with --no-memory") from error
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


def _trim() -> None:
    """Give the allocator's free memory back, so that the second run has to ask for it again; only glibc can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def main(order: dict[str, Any]) -> None:
    """Measure one piece of work and write what ``peak`` gives to stdout."""
    import torch

    from vizlib.bench.cases import Case
    from vizlib.bench.workloads import load, run_workload

    torch.set_num_threads(order["threads"])
    model, x = load(Case(order["model"], order["side"], ()), order["device"])
    sys.stdout.write(json.dumps(measure_peak(run_workload(model, x, order["name"]), order["device"])) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
