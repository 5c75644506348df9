"""A package's map beside ours: time, memory, agreement, two threads and what is left behind, each package in a process of its own.

``python -m vizlib.bench.beside_peers`` is that process: some packages change their module for good, and one ends the process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from vizlib.bench.peer_differences import DIFFERENCES
from vizlib.bench.peers import PEER_CASES, PeerCase, peer_call, tapped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import torch
    from torch import nn

    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

MAPS = 10  # made on two threads at once
WRONG = 1e-3  # of a map's largest value: a map that is further off what one thread gives is wrong
PATCHING = ("hilrp",)  # after whose first map the process is no other's
PARTS = ("time", "memory_ours", "memory_peer", "threads_ours", "threads_peer")


def beside_peer(case: PeerCase, rounds: int | None = None, clock: str = "wall", threads: int = 1, *, memory: bool = True) -> dict[str, Any]:
    """What was measured of a case, by part; a part whose process failed holds {"failed": its last words}."""
    parts = [part for part in PARTS if memory or not part.startswith("memory")]
    fixed = {"rounds": rounds, "clock": clock, "threads": threads}
    # Our own side of a case is measured with the first package that has the method, and not again.
    first = next(other for other in PEER_CASES if (other.model, other.method, other.options) == (case.model, case.method, case.options))
    return {part: _in_own_process(json.dumps(_order(first if part.endswith("ours") else case) | fixed | {"part": part})) for part in parts}


def _order(case: PeerCase) -> dict[str, Any]:
    return {"case": [case.package, case.model, case.method, case.call, case.options]}


@cache
def _in_own_process(order: str) -> dict[str, Any]:
    process = subprocess.run(  # noqa: S603  this very interpreter
        [sys.executable, "-m", "vizlib.bench.beside_peers", order], check=False, capture_output=True, text=True
    )
    if process.returncode == 0:
        return json.loads(process.stdout.splitlines()[-1])
    if process.returncode < 0:
        return {"failed": "the process died"}
    return {"failed": (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]}


def peers_markdown(results: Sequence[tuple[PeerCase, dict[str, Any] | None]]) -> str:
    """The table of cases and what was measured of each; None where the package is not installed."""
    heads = (
        "model",
        "method",
        "beside",
        "ms",
        "its ms",
        "ours / its",
        "MiB",
        "its MiB",
        "agreement",
        "two threads",
        "its two threads",
        "it leaves",
    )
    lines = [heads, ("---",) * len(heads), *(_row(case, parts) for case, parts in results)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(case: PeerCase, parts: dict[str, Any] | None) -> tuple[str, ...]:
    ours = case.method + "".join(f", {name}={value}" for name, value in case.options)
    begin = (case.model, ours, f"{case.package} {case.version}" if case.version else case.package)
    if parts is None:
        return (*begin, "not installed", *[""] * 8)
    time = parts["time"]
    if "failed" in time:
        return (*begin, f"no map: {time['failed']}", *[""] * 8)
    memory = [
        f"{parts[part]['above'] / 2**20:.0f}" if "above" in parts.get(part, {}) else parts.get(part, {}).get("failed", "")
        for part in ("memory_ours", "memory_peer")
    ]
    return (
        *begin, f"{1000 * time['ours']:.0f}", f"{1000 * time['peer']:.0f}", f"{time['ours'] / time['peer']:.2f}", *memory,
        f"{time['agreement']:.4f}{_reason(case, time)}", _threads(parts["threads_ours"]), _threads(parts["threads_peer"]),
        ", ".join(time["left"]) or "nothing",
    )  # fmt: skip


def _reason(case: PeerCase, time: dict[str, Any]) -> str:
    return f": {DIFFERENCES[case.call].reason} {time['alike']:.4f}" if "alike" in time else ""


def _threads(outcomes: dict[str, Any]) -> str:
    if "failed" in outcomes:
        return outcomes["failed"]
    bad = [f"{outcomes[kind]} {kind}" for kind in ("wrong", "raised") if outcomes[kind]]
    return f"{', '.join(bad)} of {MAPS}" if bad else f"{outcomes['right']} of {MAPS} right"


def measure(order: dict[str, Any]) -> dict[str, Any]:
    """One part of one case, in this process."""
    import torch

    import vizlib
    from vizlib.bench.peak_memory import measure_peak
    from vizlib.bench.timing import interleaved

    torch.set_num_threads(order["threads"])
    package, name, method, call, options = order["case"]
    case, part = PeerCase(package, name, method, call, tuple((word, value) for word, value in options)), order["part"]
    model, module, images, target = _loaded(case)
    peer = peer_call(case.call, module)

    def ours(x: torch.Tensor, index: int) -> np.ndarray:
        return cast("Explanation", vizlib.explain(model, x[0], case.method, index, **dict(case.options))).input_map

    if part == "time":
        # Ours comes first: hilrp changes classes for the whole process, where ours refuses from then on.
        difference = DIFFERENCES.get(case.call)
        our_map = ours(images[0], target)
        ours_alike = difference.ours(model, images[0], target) if difference else []
        jobs = {"ours": lambda: ours(images[0], target), "peer": lambda: peer(images[0], target)}
        apart = interleaved({"ours": jobs.pop("ours")}, order["rounds"], order["clock"]) if case.package in PATCHING else {}
        left = left_behind(module, jobs["peer"])
        taken = {**apart, **interleaved(jobs, order["rounds"], order["clock"])}
        measured: dict[str, Any] = {name: times.least for name, times in taken.items()}
        measured |= {"agreement": agreement(our_map, peer(images[0], target)), "left": left}
        if difference:
            peer_alike = peer_call(difference.call or case.call, module)(images[0], target)
            measured["alike"] = max(agreement(alike, peer_alike) for alike in ours_alike)
        return measured
    job = ours if part.endswith("ours") else peer
    if part.startswith("memory"):
        return measure_peak(lambda: job(images[0], target))
    return two_threads(job, images, target)


def _loaded(case: PeerCase) -> tuple[Model, nn.Module, list[torch.Tensor], int]:
    """Our model, the package's module of the same weights, two inputs (1, 3, h, w) and a class."""
    import torch

    import vizlib

    model, other = (vizlib.load(case.model, checkpoint="random") for _ in range(2))
    module = tapped(other.module) if case.call.endswith("grad_cam") else other.module
    module.requires_grad_(requires_grad=True)  # as users have it; these packages go through the parameters
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn(1, 3, *model.card.input_size, generator=generator) for _ in range(2)]
    with torch.no_grad():
        target = int(model(images[0])[0].argmax())
    return model, module, images, target


def agreement(ours: np.ndarray, peer: np.ndarray) -> float:
    """Pearson's correlation of two maps (h, w), the coarser one brought to the finer's pixels: packages scale their maps differently."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    size = tuple(max(one, other) for one, other in zip(ours.shape, peer.shape, strict=True))
    planes = [torch.from_numpy(np.asarray(values, np.float64))[None, None] for values in (ours, peer)]
    flat = [F.interpolate(plane, size, mode="bilinear", align_corners=False).flatten() for plane in planes]
    return float(torch.corrcoef(torch.stack(flat))[0, 1])


def two_threads(job: Callable[[torch.Tensor, int], np.ndarray], images: list[torch.Tensor], target: int) -> dict[str, Any]:
    """How many of MAPS maps, of two images in turn on two threads, raise an error or are not what one thread gives."""
    import numpy as np

    alone = [np.asarray(job(x, target)) for x in images]

    def outcome(number: int) -> str:
        expected = alone[number % 2]
        try:
            values = np.asarray(job(images[number % 2], target))
        except Exception:  # noqa: BLE001  whatever a package raises is what is counted
            return "raised"
        return "right" if float(np.abs(values - expected).max()) <= WRONG * float(np.abs(expected).max()) else "wrong"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(outcome, range(MAPS)))
    return {kind: outcomes.count(kind) for kind in ("right", "wrong", "raised")}


def left_behind(module: nn.Module, job: Callable[[], object]) -> list[str]:
    """What differs in a module after a map: hooks, gradients, training mode, frozen parameters, and classes with another forward."""
    before = _state(module)
    job()
    after = _state(module)
    return [f"{after[kind] - before[kind]:+d} {kind}" for kind in before if after[kind] != before[kind]]


def _state(module: nn.Module) -> dict[str, int]:
    parts = list(module.modules())
    return {
        "hooks": sum(len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks) for part in parts),
        "gradients": sum(parameter.grad is not None for parameter in module.parameters()),
        "parts in training": sum(part.training for part in parts),
        "frozen parameters": sum(not parameter.requires_grad for parameter in module.parameters()),
        # What a patch of a class or an object leaves: a forward that its own file did not define.
        "patched forwards": sum(getattr(type(part).forward, "__module__", "") != type(part).__module__ for part in parts),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(json.loads(sys.argv[1]))) + "\n")
