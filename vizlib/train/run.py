"""Training a bundled model from its name: what ``vizlib train`` calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.train.loop import Progress, train
from vizlib.train.recipes import recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def train_bundled(
    name: str,
    data_folder: str | Path,
    run_folder: str | Path,
    *,
    device: str = "cpu",
    report: Callable[[Progress], None] = lambda progress: None,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train the bundled model ``name`` on a data folder, resuming what ``run_folder`` holds: the averaged module and its history."""
    import torch

    from vizlib.train.data import read_split
    from vizlib.zoo import bundled

    plan = recipe(name)
    data, val = read_split(data_folder, "train"), read_split(data_folder, "val")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        module = bundled.build(name, len(data.classes))
    return train(module, plan, data, val, Path(run_folder), device=device, report=report)
