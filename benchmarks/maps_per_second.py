"""Maps a second on a card, beside the plain forward and backward pass: `python benchmarks/maps_per_second.py --device cuda`.

Prints JSON: each row one model, size, dtype and method; the median of five rounds over a batch; weights are random.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

import vizlib
from vizlib.passes.backward import run_with_gradient

MODELS = (
    ("vit_base_patch16_224.augreg2_in21k_ft_in1k", None, 16),
    ("vit_small_patch16_224.augreg_in21k_ft_in1k", None, 16),
    ("vit_small_patch16_224.augreg_in21k_ft_in1k", 1024, 2),
    ("pvt_tiny", None, 16),
    ("swin_tiny_patch4_window7_224.ms_in1k", None, 16),
)
METHODS = ("rollout", "relevance", "legrad", "grad_cam")
PUBLISHED = {"legrad": 96, "relevance": 21}
"""Maps a second with OpenCLIP's ViT-B/16 in Bousselham et al., "LeGrad", 2024, arXiv:2404.03214."""


def rounds(work: object, device: torch.device, count: int = 5) -> list[float]:
    """Seconds of each round after two for warming up."""
    seconds = []
    for number in range(count + 2):
        started = time.perf_counter()
        work()  # type: ignore[operator]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number >= 2:
            seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--device", default="cuda")
    options.add_argument("--seconds", type=float, default=150.0)
    options.add_argument("--models", type=int, default=len(MODELS), help="only the first so many")
    chosen = options.parse_args()
    ends, rows = time.monotonic() + chosen.seconds, []
    for name, side, batch in MODELS[: chosen.models]:
        for dtype in ("float32", "bfloat16"):
            if time.monotonic() > ends:
                print(f"out of time before {name} in {dtype}", file=sys.stderr)
                continue
            model = vizlib.load(name, checkpoint="random", image_size=side, device=chosen.device, dtype=dtype)
            height, width = model.card.input_size
            x = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))

            def forward(model: vizlib.Model = model, x: torch.Tensor = x) -> None:
                with torch.inference_mode():
                    model(x)

            def backward(model: vizlib.Model = model, x: torch.Tensor = x) -> None:
                run_with_gradient(model, x, lambda logits, *_: logits.amax(1).sum())

            work = {"forward": forward, "backward": backward}
            for method in METHODS:
                if method in model.card.methods:
                    work[method] = lambda model=model, x=x, method=method: vizlib.explain(model, x, method, 0)
            for method, step in work.items():
                seconds = rounds(step, model.device)
                row = {"model": name, "input": [height, width], "batch": batch, "dtype": dtype, "what": method}
                row |= {"per_second": round(batch / statistics.median(seconds), 1), "seconds": [round(value, 5) for value in seconds]}
                rows.append(row)
                print(f"{name} {height} {dtype} {method}: {row['per_second']} a second", file=sys.stderr, flush=True)
            del model, work, forward, backward
            if chosen.device.startswith("cuda"):
                torch.cuda.empty_cache()
    card = torch.cuda.get_device_name() if chosen.device.startswith("cuda") else "cpu"
    print(json.dumps({"card": card, "torch": torch.__version__, "published": PUBLISHED, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
