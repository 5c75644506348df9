"""The options of every command that loads a model: its labels, classes and input size."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vizlib.cli.errors_and_output import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.zoo.model import Model

LabelsOption = Annotated[
    Path | None,
    typer.Option("--labels", help="Class names: a JSON list, or a text file with one a line.", show_default="the model's own"),
]
NumClassesOption = Annotated[int | None, typer.Option("--num-classes", min=0, help="Classes of the head.", show_default="the checkpoint's")]
ImageSizeOption = Annotated[
    str | None, typer.Option("--image-size", metavar="N|HxW", help="The model's input, in pixels.", show_default="the model's own")
]

ActivationOption = Annotated[
    str | None,
    typer.Option(
        "--activation", help="Of the probabilities: softmax, or sigmoid where several classes may be right.", show_default="softmax"
    ),
]


def load_model(
    name: str, *, checkpoint: str | None = None, progress: Callable[[int, int | None], None] | None = None, **options: Any
) -> Model:
    """``vizlib.load``, or for ``module:function`` what the user's own code gives; UsageError for a checkpoint beside that."""
    from vizlib import load
    from vizlib.zoo.user_code import is_reference, load_code

    if not is_reference(name):
        return load(name, checkpoint=checkpoint, progress=progress, **options)
    if checkpoint is not None:
        raise UsageError(f"{name} is your own code, which loads its weights itself: leave the checkpoint out.")
    return load_code(name, **options)


def loading_options(labels: Path | None, num_classes: int | None, image_size: str | None, activation: str | None = None) -> dict[str, Any]:
    """What ``vizlib.load`` takes of these; UsageError for a size that is none, and for labels that cannot be read."""
    return {"labels": read_labels(labels), "num_classes": num_classes, "image_size": parse_image_size(image_size), "activation": activation}


def parse_image_size(text: str | None) -> tuple[int, int] | None:
    """The (height, width) of N or HxW; UsageError for anything else."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)(?:\s*[xX×]\s*(\d+))?", text.strip())
    if match is None:
        raise UsageError(f"--image-size takes pixels as N, or height and width as HxW, not {text!r}.")
    return int(match[1]), int(match[2] or match[1])


def read_labels(path: Path | None) -> list[str] | None:
    """The class names in a JSON list or a text file; UsageError when there are none to read."""
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
        names = json.loads(text) if path.suffix.lower() == ".json" else text.rstrip().splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"The labels in {path} cannot be read: {error}.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{path} holds no list of class names.")
    return [name.strip() for name in names]
