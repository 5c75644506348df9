"""``vizlib train head``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vizlib.cli.completion import complete_model
from vizlib.cli.errors_and_output import UsageError, download_progress, stderr_console
from vizlib.cli.progress_bar import ProgressBar
from vizlib.figures.numbers import percent

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vizlib.datasets.tiny_imagenet import ImageSet
    from vizlib.zoo.model import Model

HEAD_EPILOG = """[bold]For example[/bold]

  vizlib train head vit_small_saliency --data tiny-imagenet-200

  vizlib train head vit_small_saliency --data tiny-imagenet-200 --ship assets/weights/heads

The model's own weights stay as they are: its features are computed once and kept, and only a linear layer is fitted to them. A run that \
was stopped goes on when the same command is given again. A head is shipped only if it is right on 70 % of the validation images."""


def head(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A model without classes.", show_default=False, autocompletion=complete_model)
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="The images: the public tiny-imagenet-200, or train-*.parquet with val.parquet and classes.json.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The run's folder, with the features; it can grow to 100 MB.", show_default="runs/NAME-head")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads; the result depends on their number.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    ship: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the head and its report there, such as assets/weights/heads.", show_default="no"),
    ] = None,
) -> None:
    """Train a head for the classes of a data set on the features of a model, which stays as it is."""
    import torch

    from vizlib.datasets.tiny_imagenet import read_split
    from vizlib.train.head import export_head, fit_head
    from vizlib.zoo.load import load

    torch.set_num_threads(threads)
    screen = stderr_console()
    with screen.status(f"reading {data}") if screen.is_terminal else nullcontext():
        train, val = read_split(data, "train"), read_split(data, "val")
    with download_progress(name) as progress:
        model = load(name, device=device, num_classes=0, progress=progress)
    if model.adapter.classes:
        raise UsageError(f"{name} has classes of its own; `vizlib train head` gives classes to a model that has none.")
    folder = Path("runs") / f"{name}-head" if out is None else out
    screen.print(f"{len(train):,} training and {len(val):,} validation images; features in {folder}", soft_wrap=True)
    try:
        features = _features(model, train, folder / "train", "training", torch.bfloat16)
        # The shipped figure is that of the model as it answers, in float32.
        val_features = _features(model, val, folder / "val", "validation", torch.float32)
    except KeyboardInterrupt:
        screen.print("stopped; the same command goes on with the photographs that are left")
        raise
    linear = fit_head(features, torch.from_numpy(train.labels), len(train.classes))
    for penalty, share in sorted(linear.held_out.items()):
        screen.print(f"  penalty {penalty:g}: {percent(share, 1)} of the held-out training images", soft_wrap=True)
    command = f"vizlib train head {name} --data DIR --threads {threads}"
    facts, path = export_head(model, linear, val_features, train, val, command, ship)
    low, high = facts["accuracy"]["interval"]
    interval = f"(95\u00a0% interval {percent(low, 1)} to {percent(high, 1)})"
    top1, top5 = facts["accuracy"]["top1"], facts["accuracy"]["top5"]
    print(f"{name}: top-1 {percent(top1, 1)} {interval}, top-5 {percent(top5, 1)} of {len(val):,}, penalty {linear.penalty:g}")
    if path is not None:
        print(f"{name}: shipped to {path}")


def _features(model: Model, images: ImageSet, folder: Path, title: str, precision: torch.dtype) -> Tensor:
    from vizlib.train.head import frozen_features

    with ProgressBar() as bar:
        return frozen_features(
            model, images, folder, precision=precision, report=lambda there, total: bar.show(there, total, f"features of {title} images")
        )
