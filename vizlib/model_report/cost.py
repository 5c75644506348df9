"""What one forward pass costs: multiply-adds, counted as it runs, and time."""

from __future__ import annotations

import platform
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from vizlib.zoo.model import Model

CONVENTION = (
    "Multiply-adds of one image: every matrix product and convolution, the two products of attention included; norms, activations, "
    "softmax, pooling and sums are left out. One multiply-add is two FLOPs."
)
PASSES = 40
WARM_UP = 5


def multiply_adds(model: Model, x: torch.Tensor) -> int:
    """The multiply-adds of a forward pass over prepared inputs (B, 3, h, w), as CONVENTION counts them."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(x)
    return counter.get_total_flops() // 2


def milliseconds(model: Model, x: torch.Tensor, passes: int = PASSES) -> tuple[float, float]:
    """The median and the least time of ``passes`` forward passes over prepared inputs, in milliseconds."""
    times = []
    with torch.inference_mode():
        for _ in range(WARM_UP + passes):
            started = time.perf_counter()
            model(x)
            times.append(1000 * (time.perf_counter() - started))
    timed = torch.tensor(times[WARM_UP:], dtype=torch.float64)
    return float(timed.median()), float(timed.min())


def processor() -> str:
    """The name of this machine's processor, from /proc/cpuinfo where there is one."""
    try:
        cpu_line = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        cpu_line = None
    return cpu_line[1].strip() if cpu_line else platform.processor() or platform.machine()
