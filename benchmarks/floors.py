"""What an explanation costs beside the plain forward pass: ratios of interleaved minima in one run, and peak memory in fresh processes.

``python benchmarks/floors.py [--quick] [--threads N] [--device cpu]``
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# name, input side, the ratio to reach (None: no aim written down)
CASES = [
    ("vit_base_patch16_224.augreg2_in21k_ft_in1k", 224, 1.10),
    ("vit_small_patch16_224.augreg_in21k_ft_in1k", 1024, 1.50),
    ("deit_tiny_patch16_224.fb_in1k", 224, None),
    ("t2t_vit_7", 224, 1.50),
    ("t2t_vit_t_14", 224, 1.50),
    ("cct_14_7x2_224", 224, 1.50),
    ("pvt_tiny", 224, 1.50),
    ("pvt_v2_b0", 224, 1.50),
    ("cvt_13", 224, 1.50),
    ("vit_tiny50", 64, None),
]


def main() -> None:
    """Time every case, then measure the memory of the large ones, and print a table."""
    arguments = _arguments()
    if arguments.peak:
        _peak(*arguments.peak)
        return
    import torch

    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads, {_processor()}, {arguments.device}")
    print("| model | input | forward ms | rollout ms | ratio | aim | peak memory, rollout / forward |")
    print("|---|---|---|---|---|---|---|")
    for name, side, aim in CASES:
        if arguments.quick and side > 224:
            continue
        forward, rollout = _times(name, side, arguments.device, 3 if side > 224 else 9)
        peak = _memory(name, side, "rollout", arguments) / _memory(name, side, "forward", arguments) if side >= 1024 else None
        cells = [name, str(side), f"{1000 * forward:.1f}", f"{1000 * rollout:.1f}", f"{rollout / forward:.2f}"]
        cells += ["" if aim is None else f"{aim:.2f}", "" if peak is None else f"{peak:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def _load(name: str, side: int, device: str):
    import torch

    import vizlib

    size = side if side > 224 else None
    model = vizlib.load(name, checkpoint="random", image_size=size, device=device)
    return model, torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


def _times(name: str, side: int, device: str, rounds: int) -> tuple[float, float]:
    """The least seconds of a forward pass and of a rollout, taken in turn."""
    import torch

    import vizlib

    model, x = _load(name, side, device)
    forward, rollout = [], []
    for turn in range(rounds + 1):
        started = time.perf_counter()
        with torch.inference_mode():
            model(x).sum().item()
        middle = time.perf_counter()
        vizlib.explain(model, x)
        if turn:  # the first round warms up
            forward.append(middle - started)
            rollout.append(time.perf_counter() - middle)
    return min(forward), min(rollout)


def _memory(name: str, side: int, what: str, arguments: argparse.Namespace) -> float:
    command = [sys.executable, __file__, "--peak", name, str(side), what, "--threads", str(arguments.threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["mib"]


def _peak(name: str, side: str, what: str) -> None:
    import torch

    import vizlib

    model, x = _load(name, int(side), "cpu")
    if what == "rollout":
        vizlib.explain(model, x)
    else:
        with torch.inference_mode():
            model(x)
    print(json.dumps({"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave the large inputs out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peak", nargs=3, metavar=("NAME", "SIDE", "WHAT"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
