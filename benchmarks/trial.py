"""A trial before the long runs, DATA TEACHER WORK DEVICE: is a teacher worth it, and how fast is each model? A process for each run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

RUNS: tuple[tuple[str, str, dict[str, float]], ...] = tuple(
    (name, kind, {"epochs": 40, **changes})
    for kind, changes in (("card", {}), ("card-alone", {}), ("card", {"teacher": 0.95}))
    for name in ("vit_tiny50", "resnet_tiny50")
)


def one_run(number: int, data: str, teacher: str, work: str, device: str) -> None:
    """Train one row of the table and print its last epoch."""
    from vizlib.datasets.tiny_imagenet import read_split
    from vizlib.train.api import train_for_card

    name, kind, changes = RUNS[number]
    images, val = read_split(data, "train"), read_split(data, "val")
    started = time.perf_counter()
    _, history = train_for_card(
        name, images, val, Path(work) / f"trial-{number}", kind=kind, teacher=teacher, answers=Path(work) / "answers.pt",
        changes=changes, device=device, compiled=device.startswith("cuda"),
    )  # fmt: skip
    last = history[-1]
    print(json.dumps({"model": name, "kind": kind, **changes, "seconds": round(time.perf_counter() - started, 1), **last}), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 6:
        one_run(int(sys.argv[5]), *sys.argv[1:5])
    else:
        with ThreadPoolExecutor(len(RUNS)) as pool:
            for _ in pool.map(
                lambda number: subprocess.run([sys.executable, __file__, *sys.argv[1:], str(number)], check=False), range(len(RUNS))
            ):
                pass
