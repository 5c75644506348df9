"""``vizlib explain`` and ``vizlib replay``: maps into folders, and out of folders again."""

from __future__ import annotations

import re
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from vizlib.catalog.methods import MethodCard, method_card
from vizlib.cli.errors_and_output import FAILED, OK, UsageError, download_progress, print_error, print_json, stderr_console, stdout_console
from vizlib.cli.evaluate_map import check_has_classes, measure_map, print_measures
from vizlib.cli.model_options import ActivationOption, ImageSizeOption, LabelsOption, NumClassesOption, loading_options
from vizlib.errors import ImageError, MethodError, VizlibError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

EXPLAIN_EPILOG = """[bold]For example[/bold]

  vizlib explain cat.jpg --out explanations

  vizlib explain cat.jpg --model resnet_tiny50 --target tabby --target lion

  vizlib explain photos 'more/**/*.png' --method rollout --option head_fusion=max --json

  vizlib explain cat.jpg --method relevance --evaluate

  vizlib explain cat.jpg --checkpoint mine.safetensors --labels names.txt

OUT/NAME/ of a photograph NAME.jpg holds map.png (the map over the photograph), map.npz (input_map, map, seen, logits, sink), \
image.png and explanation.json, from which `vizlib replay` makes it again. A second photograph of that name goes to OUT/NAME-2/."""
REPLAY_EPILOG = """[bold]For example[/bold]

  vizlib replay explanations/cat

  vizlib replay explanations/cat --out again

Exit codes: 0 the map is bit-identical, 1 it differs, 2 it cannot be made again."""


def explain(
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO", show_default=False, help="Photographs, folders of them, or patterns such as 'in/*.jpg'.")
    ],
    model: Annotated[str, typer.Option(help="A name that `vizlib models` lists, or any timm name.")] = "vit_tiny50",
    method: Annotated[
        str | None, typer.Option(help="A name that `vizlib methods` lists; the first that fits the model unless given.", show_default=False)
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="The class to explain, by label or number: the top prediction unless given. Twice: the first minus the second.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder that gets one folder for each photograph.")] = Path("explanations"),
    checkpoint: Annotated[
        str | None,
        typer.Option(help="A weights file of yours (.safetensors, .pth), or 'random'; the model's own unless given.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or float64.", show_default="float32")] = None,
    image_size: ImageSizeOption = None,
    num_classes: NumClassesOption = None,
    labels: LabelsOption = None,
    activation: ActivationOption = None,
    fit: Annotated[
        str | None, typer.Option(help="How the photograph becomes the input: crop, pad or squash.", show_default="the model's own")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An option of the method, as `vizlib methods` lists them; repeatable.", show_default=False),
    ] = None,
    opacity: Annotated[float, typer.Option(min=0, max=1, help="Of the map over the photograph in map.png.")] = 0.6,
    colormap: Annotated[str, typer.Option(help="viridis, cividis, magma, inferno or plasma.")] = "viridis",
    top: Annotated[int | None, typer.Option(min=1, help="Predictions to list.", show_default="1, and 5 with --json")] = None,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Measure how far each map can be trusted; takes thousands of passes for each photograph.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    """Explain photographs: write the map of each, and print what the model saw in it."""
    from vizlib.cli.image_files import BATCH, OutputFolders, expand_paths, in_batches
    from vizlib.figures.colormaps import COLORMAP_NAMES
    from vizlib.images import FITS

    options = _options(option or [])
    card = method_card(method) if method else None
    if card is not None:
        card.settle(options)
    for kind, value, allowed in (("colour map", colormap, COLORMAP_NAMES), ("fit", fit or "crop", FITS)):
        if value not in allowed:
            raise UsageError(f"There is no {kind} {value!r}; there are {', '.join(allowed)}.")
    goals = target or []
    if len(goals) > 2:
        raise UsageError(f"--target is given once, or twice for a difference, not {len(goals)} times.")
    of_model = loading_options(labels, num_classes, image_size, activation)
    paths, missing = expand_paths(photos)
    failures: list[dict[str, str]] = []

    def refuse(photo: object, error: object) -> None:
        print_error(f"{photo}: {error}")
        failures.append({"photo": str(photo), "error": str(error)})

    for word, reason in missing:
        refuse(word, reason)
    rows: list[dict[str, Any]] = []
    if not paths:
        if as_json:
            print_json(failures)
        raise typer.Exit(FAILED)
    from vizlib import load

    with download_progress(model) as progress:
        loaded = load(model, checkpoint=checkpoint, device=device, dtype=dtype, **of_model, progress=progress)
    card = card or _first_fitting(loaded)
    resolved_target = _target(loaded, goals)
    _check(loaded, card, options)
    if evaluate:
        check_has_classes(loaded)
    places = OutputFolders(out)
    # A batch rounds its sums otherwise than one image does, and replay is to find the same bits where a device can give them.
    for batch in in_batches(paths, 1 if loaded.device.type == "cpu" else BATCH, refuse):
        for photo, explanation in _explained(loaded, batch, card.name, resolved_target, fit, options, refuse):
            folder = places.of(photo)
            explanation.save(folder)
            explanation.png(folder / "map.png", opacity, colormap)
            row = _row(photo, explanation, loaded, folder, top or (5 if as_json else 1))
            rows.append(row | {"proof": measure_map(loaded, explanation)} if evaluate else row)
    if as_json:
        print_json([*rows, *failures])
    elif rows:
        _print_rows(rows)
        for row in rows if evaluate else []:
            print_measures(row["photo"], row["proof"])
        for note in dict.fromkeys(note for row in rows for note in row["notes"]):
            stderr_console().print(f"note: {escape(note)}", soft_wrap=True)
    raise typer.Exit(FAILED if failures else OK)


def replay(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that `vizlib explain` or Explanation.save wrote.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option(help="Save the explanation made again there.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a saved explanation again, and say whether its map is the same, bit for bit."""
    import numpy as np

    import vizlib

    try:
        again = vizlib.replay(folder)
        with np.load(folder / "map.npz") as arrays:
            saved = arrays["input_map"]
        if out is not None:
            again.save(out)
    except VizlibError as error:
        raise UsageError(str(error)) from error
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{folder} is damaged ({type(error).__name__}: {error}), so it cannot be compared.") from error
    same = saved.dtype == again.input_map.dtype and np.array_equal(saved, again.input_map)
    if saved.shape != again.input_map.shape:
        verdict = f"differs: the saved map is {saved.shape}, the new one {again.input_map.shape}"
    elif same:
        verdict = "identical, bit for bit"
    else:
        verdict = f"differs: by {np.abs(saved - again.input_map).max():.3g} at most, where the map reaches {np.abs(saved).max():.3g}"
    if as_json:
        print_json({"folder": str(folder), "identical": same, "verdict": verdict, "out": str(out) if out else None})
    else:
        print(f"{folder}: {verdict}")
    raise typer.Exit(OK if same else FAILED)


def _options(words: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--option takes NAME=VALUE, not {word!r}.")
        options[name.strip().replace("-", "_")] = _value(text.strip())
    return options


def _value(text: str) -> Any:
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.IGNORECASE):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def _first_fitting(model: Model) -> MethodCard:
    if not model.card.methods:
        reasons = "; ".join(f"{name}: {why}" for name, why in model.card.unavailable.items())
        raise MethodError(f"No method fits {model.card.name} ({reasons}).")
    return method_card(model.card.methods[0])


def _check(model: Model, card: MethodCard, options: dict[str, Any]) -> None:
    from vizlib.explainers.api import check_method_fits

    check_method_fits(model, card)
    card.settle(options)


def _target(model: Model, words: list[str]) -> Any:
    """None, a class number, or a pair of them; TargetError before any photograph is read."""
    from vizlib.explainers.targets import class_index

    indices = [class_index(model, _class(model, word)) for word in words]
    return tuple(indices) if len(indices) == 2 else (indices[0] if indices else None)


def _class(model: Model, word: str) -> int | str:
    is_label = model.labels is not None and word in model.labels
    return int(word) if re.fullmatch(r"-?\d+", word) and not is_label else word


def _explained(
    model: Model, batch: list[tuple[Path, np.ndarray]], method: str, target: Any, fit: str | None, options: dict[str, Any], refuse: Any
) -> Iterator[tuple[Path, Explanation]]:
    from vizlib import explain as explain_images

    try:
        explanations = explain_images(model, [image for _, image in batch], method, target, fit, **options)
    except ImageError as error:
        if len(batch) == 1:
            refuse(batch[0][0], error)
            return
        for single in batch:
            yield from _explained(model, [single], method, target, fit, options, refuse)
        return
    assert isinstance(explanations, list)  # noqa: S101  a list was given
    yield from zip((path for path, _ in batch), explanations, strict=True)


def _row(photo: Path, explanation: Explanation, model: Model, folder: Path, top: int) -> dict[str, Any]:
    import torch

    from vizlib.explainers.api import ranked

    predictions = ranked(model, torch.from_numpy(explanation.logits), top) if model.adapter.classes else []
    return {
        "photo": str(photo),
        "model": explanation.model,
        "method": explanation.method,
        "predictions": [asdict(prediction) for prediction in predictions],
        "target": explanation.target,
        "label": explanation.label,
        "sink": explanation.sink,
        "seconds": round(explanation.seconds, 4),
        "notes": list(explanation.notes),
        "folder": str(folder),
    }


def _print_rows(rows: list[dict[str, Any]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"{rows[0]['method']} of {rows[0]['model']}", title_justify="left")
    for heading in ("photo", "prediction", "target"):
        table.add_column(heading, overflow="fold")
    for heading in ("sink", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("written to", overflow="fold")
    for row in rows:
        answers = "\n".join(f"{prediction['label']} {prediction['probability']:.1%}" for prediction in row["predictions"])
        sink = "" if row["sink"] is None else f"{row['sink']:.3f}"
        cells = (row["photo"], answers or "no classes", row["label"], sink, f"{row['seconds']:.2f}", row["folder"])
        table.add_row(*(escape(cell) for cell in cells))
    stdout_console().print(table)
