"""Full, reduced and linear attention run on this machine as the resolution grows: time, peak memory, and where they stop to fit."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from vizlib.analysis.cost.measurement import Measurement
from vizlib.analysis.cost.spatial_reduction import KINDS, POOL, Layer, multiply_adds, peak_bytes
from vizlib.engine.memory import available_memory
from vizlib.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIDES = (224, 320, 448, 640, 896, 1280, 1792, 2048)
_REPEATS, _ENOUGH = 5, 0.3  # runs of a fast layer, and the seconds after which one is timed well enough

_profiling = threading.Lock()


@dataclass(frozen=True)
class Budget:
    """What a measurement may take: ``seconds`` a run, as told from the run before, and ``bytes`` of memory."""

    seconds: float = 4.0
    bytes: int = 4 << 30


def weights(layer: Layer, kind: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """The weights of one layer, drawn by a generator of their own: times and memory do not depend on the values."""
    generator = torch.Generator().manual_seed(seed)
    width = layer.width
    shapes: dict[str, tuple[int, ...]] = {"q": (width, width), "kv": (2 * width, width), "proj": (width, width)}
    if kind == "sra" and layer.reduction > 1:
        shapes["reduce"] = (width, width, layer.reduction, layer.reduction)
    if kind == "linear":
        shapes["reduce"] = (width, width, 1, 1)
    return {name: torch.randn(shape, generator=generator) * width**-0.5 for name, shape in shapes.items()}


def attend(
    tokens: torch.Tensor, grid: tuple[int, int], layer: Layer, kind: str, given: dict[str, torch.Tensor], *, fused: bool
) -> torch.Tensor:
    """One layer of attention (B, N, C) -> (B, N, C) over a grid (h, w): softmax(q k^T / sqrt(d)) v, written out or fused.

    "sra" takes k and v from an R x R convolution of stride R, normed; "linear" from a 7 x 7 average pool, a 1 x 1 convolution, a norm
    and a GELU. MethodError for another kind.
    """
    if kind not in KINDS:
        raise MethodError(f"There is no attention {kind!r}; there are {', '.join(KINDS)}.")
    reduced = _reduced(tokens, grid, layer, kind, given)
    q = _heads(tokens @ given["q"].T, layer.heads)
    k, v = (_heads(part, layer.heads) for part in (reduced @ given["kv"].T).chunk(2, dim=-1))
    del reduced
    scale = (layer.width // layer.heads) ** -0.5
    y = F.scaled_dot_product_attention(q, k, v, scale=scale) if fused else ((q * scale) @ k.transpose(-2, -1)).softmax(-1) @ v
    del q, k, v
    return y.transpose(1, 2).flatten(2) @ given["proj"].T


def measure(
    layer: Layer,
    sides: Sequence[int] = SIDES,
    kinds: Sequence[tuple[str, bool]] = (("full", False), ("full", True), ("sra", True), ("linear", True)),
    budget: Budget | None = None,
    progress: Callable[[float, float, str], object] | None = None,
) -> list[Measurement]:
    """Time and peak memory of one layer on the CPU, for each side in pixels and each kind (name, fused), cheapest side first.

    Time is the fastest of up to five runs. Memory is the most bytes the layer held at once beside its input and weights. What would
    not fit into the memory that is free, or not into the budget, does not run, and says so.
    ``progress`` hears (done, in all, what) and may raise to stop.
    """
    budget = budget or Budget()
    plan = [(kind, fused, side) for side in sorted(sides) for kind, fused in kinds]
    for kind, fused in kinds:  # what the first call of a kernel sets up is not the layer's time
        _run(layer, kind, layer.stride * max(POOL, layer.reduction), fused=fused)
    measurements: list[Measurement] = []
    with torch.inference_mode():
        for finished, (kind, fused, side) in enumerate(plan):
            if progress is not None:
                progress(finished, len(plan), f"{_name(kind, fused)} at {side} px")
            before = next(
                (measurement for measurement in reversed(measurements) if (measurement.kind, measurement.fused) == (kind, fused)), None
            )
            why = _refusal(layer, kind, side, before, budget, fused=fused)
            if why:
                measurements.append(Measurement(kind, fused, side, None, None, why))
                continue
            seconds, peak = _run(layer, kind, side, fused=fused)
            measurements.append(Measurement(kind, fused, side, seconds, peak))
    if progress is not None:
        progress(len(plan), len(plan), "Measured")
    return measurements


def allocated(run: Callable[[], object]) -> int:
    """The most bytes that ``run`` held at once of what this thread took from torch's CPU allocator, scratch inside kernels included.

    Bytes taken by other threads do not count. One at a time: the profiler that reports them is one for the process.
    """
    with _profiling, torch.autograd.profiler.profile(profile_memory=True) as profile:
        run()
    changes = [event.nbytes() for event in profile.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(changes), default=0)


def _refusal(layer: Layer, kind: str, side: int, before: Measurement | None, budget: Budget, *, fused: bool) -> str:
    needs, free = peak_bytes(kind, layer, layer.grid(side), fused=fused), available_memory()
    if needs > free:
        return f"does not fit: it needs {_size(needs)}, and {_size(free)} are free"
    if needs > budget.bytes:
        return f"not run: it needs {_size(needs)}, and a measurement may take {_size(budget.bytes)}"
    if before is None:
        return ""
    if before.seconds is None:
        return before.why if before.why.startswith("not run: about") else ""
    ratio = multiply_adds(kind, layer, layer.grid(side)).total / multiply_adds(kind, layer, layer.grid(before.side)).total
    guess = before.seconds * ratio
    return f"not run: about {guess:.0f} s, and a run may take {budget.seconds:.0f} s" if guess > budget.seconds else ""


def _run(layer: Layer, kind: str, side: int, *, fused: bool) -> tuple[float, int]:
    grid = layer.grid(side)
    given = weights(layer, kind)
    tokens = torch.randn(1, grid[0] * grid[1], layer.width, generator=torch.Generator().manual_seed(1))
    best = spent = 0.0

    def once() -> None:
        nonlocal best, spent
        started = time.perf_counter()
        attend(tokens, grid, layer, kind, given, fused=fused)
        took = time.perf_counter() - started
        best, spent = min(best or took, took), spent + took

    peak = allocated(once)
    repeats = _REPEATS if spent < _ENOUGH else 0
    while repeats and spent < _ENOUGH:
        once()
        repeats -= 1
    return best, peak


def _reduced(tokens: torch.Tensor, grid: tuple[int, int], layer: Layer, kind: str, given: dict[str, torch.Tensor]) -> torch.Tensor:
    if kind == "full" or (kind == "sra" and layer.reduction == 1):
        return tokens
    features = tokens.transpose(1, 2).unflatten(2, grid)
    if kind == "linear":
        features = F.conv2d(F.adaptive_avg_pool2d(features, POOL), given["reduce"])
    else:
        features = F.conv2d(features, given["reduce"], stride=layer.reduction)
    normed = F.layer_norm(features.flatten(2).transpose(1, 2), (layer.width,))
    return F.gelu(normed) if kind == "linear" else normed


def _heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _name(kind: str, fused: bool) -> str:
    names = {"full": "Full attention", "sra": "SRA", "linear": "Linear SRA"}
    return names[kind] + ("" if fused else ", written out")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
