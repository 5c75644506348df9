"""Training a bundled model from its name: what ``vizlib train`` calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.errors import TrainingError
from vizlib.train.loop import Progress, train
from vizlib.train.recipes import recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from vizlib.datasets.tiny_imagenet import ImageSet
    from vizlib.train.recipes import Recipe


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
    kind: str = "cpu",
    device: str = "cpu",
    epochs: int | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """``train_bundled`` on images that are already in memory, by a recipe of a kind for a CPU: the averaged module and its history."""
    plan = recipe(name, kind) if epochs is None else replace(recipe(name, kind), epochs=epochs)
    return train(_fresh(name, plan, data), plan, data, val, Path(run_folder), device=device, report=report)


def train_for_card(
    name: str,
    data: ImageSet,
    val: ImageSet,
    run_folder: str | Path,
    *,
    kind: str = "card",
    teacher: str | Path | None = None,
    answers: str | Path | None = None,
    changes: dict[str, Any] | None = None,
    device: str = "cuda",
    compiled: bool = True,
    stop_at: float | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train a bundled model by a recipe for a GPU, ``changes`` over its fields for trials: the averaged module and its history by epoch.

    ``teacher`` is the file of the teacher's weights, ``answers`` where its answers are kept for the next model. ``stop_at`` as in
    ``train_on_card``. TrainingError when the recipe needs a teacher and there is none.
    """
    import torch

    from vizlib.train.on_card import train_on_card
    from vizlib.train.recipes import CardRecipe
    from vizlib.train.teacher import VIEWS_ALONE, views_of

    plan = recipe(name, kind)
    if not isinstance(plan, CardRecipe):
        raise TrainingError(f"The recipe {kind!r} is not one for a GPU; choose card, card-alone or card-fine.")
    plan = replace(plan, **(changes or {}))
    if plan.views and teacher is None:
        raise TrainingError("This recipe has a teacher: name its weights with `--teacher FILE`, or take `--recipe card-alone`.")
    views = views_of(
        data,
        plan.views or VIEWS_ALONE,
        teacher if plan.views else None,
        torch.device(device),
        keep=None if answers is None else Path(answers),
    )
    return train_on_card(
        _fresh(name, plan, data), plan, data, views, val, Path(run_folder), device=device, compiled=compiled, stop_at=stop_at, report=report
    )


def _fresh(name: str, plan: Recipe, data: ImageSet) -> nn.Module:
    import torch

    from vizlib.train.recipes import CardRecipe
    from vizlib.zoo import bundled_models

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        side = plan.side if isinstance(plan, CardRecipe) else bundled_models.SIZE[0]
        return bundled_models.build(name, len(data.classes), (side, side))
