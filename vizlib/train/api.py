"""Training a bundled model from its name: what ``vizlib train`` calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.train.loop import Progress, train
from vizlib.train.recipes import recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from vizlib.datasets.tiny_imagenet import ImageSet


def train_bundled(
    name: str,
    data_folder: str | Path,
    run_folder: str | Path,
    *,
    device: str = "cpu",
    epochs: int | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train the bundled model ``name`` on a data folder, resuming what ``run_folder`` holds: the averaged module and its history.

    ``epochs`` other than the recipe's makes it another run, for trying things out: it cannot be shipped.
    """
    from vizlib.datasets.tiny_imagenet import read_split

    recipe(name)
    data, val = read_split(data_folder, "train"), read_split(data_folder, "val")
    return train_on(name, data, val, run_folder, device=device, epochs=epochs, report=report)


def train_on(
    name: str,
    data: ImageSet,
    val: ImageSet,
    run_folder: str | Path,
    *,
    device: str = "cpu",
    epochs: int | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """``train_bundled`` on images that are already in memory: the averaged module and its history by epoch."""
    import torch

    from vizlib.zoo import bundled_models

    plan = recipe(name) if epochs is None else replace(recipe(name), epochs=epochs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        module = bundled_models.build(name, len(data.classes))
    return train(module, plan, data, val, Path(run_folder), device=device, report=report)
