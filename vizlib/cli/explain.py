"""``vizlib explain`` and ``vizlib replay``: maps into folders, and out of folders again."""

from __future__ import annotations

import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from vizlib.catalog.methods import MethodCard, method_card
from vizlib.cli.completion import complete_class, complete_method, complete_model
from vizlib.cli.errors_and_output import (
    FAILED,
    OK,
    UsageError,
    download_progress,
    print_error,
    print_json,
    readable,
    stderr_console,
    stdout_console,
)
from vizlib.cli.evaluate_map import check_has_classes, measure_map, print_measures
from vizlib.cli.model_options import ActivationOption, ImageSizeOption, LabelsOption, NumClassesOption, load_model, loading_options
from vizlib.cli.progress_bar import ProgressBar
from vizlib.errors import ImageError, MethodError, VizlibError
from vizlib.figures.numbers import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from vizlib.cli.saved_explanations import ExplainRequest
    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

EXPLAIN_EPILOG = """[bold]For example[/bold]

  vizlib explain cat.jpg --out explanations

  vizlib explain cat.jpg --model resnet_tiny50 --target tabby --target lion

  vizlib explain photos 'more/**/*.png' --method rollout --option head_fusion=max --json

  vizlib explain cat.jpg --method relevance --evaluate

  vizlib explain cat.jpg --checkpoint mine.safetensors --labels names.txt

  vizlib explain photos --out rollouts --resume

OUT/NAME/ of a photograph NAME.jpg holds map.png (the map over the photograph), map.npz (input_map, map, seen, logits, sink), \
image.png and explanation.json, from which `vizlib replay` makes it again. A second photograph of that name goes to OUT/NAME-2/. \
Each model and method needs an OUT of its own: another one's explanations are replaced only with --force."""
REPLAY_EPILOG = """[bold]For example[/bold]

  vizlib replay explanations/cat

  vizlib replay explanations/cat --out again

Exit codes: 0 the map is bit-identical, 1 it differs, 2 it cannot be made again."""


def explain(
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO", show_default=False, help="Photographs, folders of them, or patterns such as 'in/*.jpg'.")
    ],
    model: Annotated[
        str,
        typer.Option(
            help="A name that `vizlib models` lists, any timm name, a folder of save_pretrained, or MODULE:FUNCTION of your own code.",
            autocompletion=complete_model,
        ),
    ] = "vit_tiny50",
    method: Annotated[
        str | None,
        typer.Option(
            help="A name that `vizlib methods` lists; the first that fits the model unless given.",
            show_default=False,
            autocompletion=complete_method,
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="The class to explain, by label or number: the top prediction unless given. Twice: the first minus the second.",
            show_default=False,
            autocompletion=complete_class,
        ),
    ] = None,
    similar_to: Annotated[
        str | None,
        typer.Option(
            help="In the place of a class: what makes the picture like this one (a file), or 'self'. For any model, with classes or not.",
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
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after Ctrl-C: leave out what OUT already holds, made in just this way.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace explanations by another model or method in OUT.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    """Explain photographs: write the map of each, and print what the model saw in it."""
    from vizlib.cli.image_files import OutputFolders, expand_paths
    from vizlib.figures.colormaps import COLORMAP_NAMES
    from vizlib.images import FITS

    options = _options(option or [])
    card = method_card(method) if method else None
    if card is not None:
        card.resolve(options)
    for kind, value, allowed in (("colour map", colormap, COLORMAP_NAMES), ("fit", fit or "crop", FITS)):
        if value not in allowed:
            raise UsageError(f"There is no {kind} {value!r}; there are {', '.join(allowed)}.")
    goals = target or []
    if len(goals) > 2:
        raise UsageError(f"--target is given once, or twice for a difference, not {len(goals)} times.")
    if similar_to and (goals or evaluate):
        raise UsageError("--similar-to stands in the place of a class: leave --target and --evaluate out.")
    if resume and evaluate:
        raise UsageError("--evaluate measures maps as they are made: leave --resume out.")
    of_model = loading_options(labels, num_classes, image_size, activation)
    paths, missing = expand_paths(photos)
    failures: list[dict[str, str]] = []

    def refuse(photo: object, error: object) -> None:
        print_error(f"{readable(photo)}: {readable(error)}")
        failures.append({"photo": readable(photo), "error": readable(error)})

    for word, reason in missing:
        refuse(word, reason)
    if not paths:
        if as_json:
            print_json(failures)
        raise typer.Exit(FAILED)
    from vizlib.cli.saved_explanations import ExplainRequest, check_nothing_is_lost

    with download_progress(model) as progress:
        loaded = load_model(model, checkpoint=checkpoint, device=device, dtype=dtype, **of_model, progress=progress)
    card = card or _first_fitting(loaded)
    goal = _similar(similar_to, fit) if similar_to else _target(loaded, goals)
    request = ExplainRequest(loaded, card, goal, fit, options)
    _check(loaded, card, options, goal)
    if evaluate:
        check_has_classes(loaded)
    places = OutputFolders(out)
    folders = {path: places.of(path) for path in paths}
    if not force:
        check_nothing_is_lost(folders.values(), request)
    style = _Style(opacity, colormap, top or (5 if as_json else 1), evaluate=evaluate)
    rows: list[dict[str, Any]] = []
    try:
        rows.extend(_made_before(folders, request, style) if resume else [])
        _explain_all(folders, request, style, rows, refuse)
    except KeyboardInterrupt:
        _print_results(rows, failures, evaluate=evaluate, as_json=as_json)
        print_error(
            f"stopped; {len(rows)} of {len(paths)} photographs are explained, and the same command with --resume goes on from there"
        )
        raise
    _print_results(rows, failures, evaluate=evaluate, as_json=as_json)
    raise typer.Exit(FAILED if failures else OK)


@dataclass(frozen=True)
class _Style:
    """How the map is drawn over the photograph, how many predictions a row lists, and whether each map is measured."""

    opacity: float
    colormap: str
    top: int
    evaluate: bool


def _explain_all(
    folders: dict[Path, Path], request: ExplainRequest, style: _Style, rows: list[dict[str, Any]], refuse: Callable[[object, object], None]
) -> None:
    """Write the explanation of every photograph that has no row yet, and add its row as soon as it is written."""
    from vizlib.cli.image_files import BATCH, in_batches

    finished = {row["photo"] for row in rows}
    paths = [path for path in folders if readable(path) not in finished]
    # A batch rounds its sums otherwise than one image does, and replay is to find the same bits where a device can give them.
    most = 1 if request.model.device.type == "cpu" else BATCH
    with ProgressBar() as bar:
        for batch in in_batches(paths, most, refuse):
            bar.show(len(rows), len(folders), f"{len(rows)} of {len(folders)} photographs")
            for photo, explanation in _explained(request, batch, refuse):
                folder = folders[photo]
                explanation.save(folder)
                explanation.png(folder / "map.png", style.opacity, style.colormap)
                row = _row(photo, folder, explanation.manifest(), explanation.logits, request, style)
                rows.append(row | {"proof": measure_map(request.model, explanation)} if style.evaluate else row)
                bar.show(len(rows), len(folders), f"{len(rows)} of {len(folders)} photographs")


def _made_before(folders: dict[Path, Path], request: ExplainRequest, style: _Style) -> Iterator[dict[str, Any]]:
    """The rows of the photographs whose folders already hold what would be made."""
    from vizlib.cli.saved_explanations import manifest_in, saved_logits

    for photo, folder in folders.items():
        manifest = manifest_in(folder)
        if manifest is not None and request.is_made(photo, folder, manifest):
            yield _row(photo, folder, manifest, saved_logits(folder), request, style)


def _print_results(rows: list[dict[str, Any]], failures: list[dict[str, str]], *, evaluate: bool, as_json: bool) -> None:
    if as_json:
        print_json([*rows, *failures])
    elif rows:
        _print_rows(rows)
        for row in rows if evaluate else []:
            print_measures(row["photo"], row["proof"])
        for note in dict.fromkeys(note for row in rows for note in row["notes"]):
            stderr_console().print(f"note: {escape(note)}", soft_wrap=True)


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


def _similar(reference: str, fit: str | None) -> Any:
    """The similarity to a picture in a file, or to the picture itself; ImageError for what is no image."""
    from vizlib import similar_to

    return similar_to(reference, fit=fit)


def _check(model: Model, card: MethodCard, options: dict[str, Any], goal: Any = None) -> None:
    from vizlib.explainers.api import check_method_fits

    check_method_fits(model, card, goal)
    card.resolve(options)


def _target(model: Model, words: list[str]) -> Any:
    """None, a class number, or a pair of them; TargetError before any photograph is read."""
    from vizlib.explainers.targets import class_index

    indices = [class_index(model, _class(model, word)) for word in words]
    return tuple(indices) if len(indices) == 2 else (indices[0] if indices else None)


def _class(model: Model, word: str) -> int | str:
    is_label = model.labels is not None and word in model.labels
    return int(word) if re.fullmatch(r"-?\d+", word) and not is_label else word


def _explained(
    request: ExplainRequest, batch: list[tuple[Path, np.ndarray]], refuse: Callable[[object, object], None]
) -> Iterator[tuple[Path, Explanation]]:
    from vizlib import explain as explain_images

    images = [image for _, image in batch]
    try:
        explanations = explain_images(request.model, images, request.card.name, request.target, request.fit, **request.options)
    except ImageError as error:
        if len(batch) == 1:
            refuse(batch[0][0], error)
            return
        for single in batch:
            yield from _explained(request, [single], refuse)
        return
    assert isinstance(explanations, list)  # noqa: S101  a list was given
    yield from zip((path for path, _ in batch), explanations, strict=True)


def _row(photo: Path, folder: Path, manifest: dict[str, Any], logits: np.ndarray, request: ExplainRequest, style: _Style) -> dict[str, Any]:
    import torch

    from vizlib.explainers.api import ranked

    model = request.model
    predictions = ranked(model, torch.from_numpy(logits), style.top) if model.adapter.classes else []
    return {
        "photo": readable(photo),
        "model": manifest["model"],
        "method": manifest["method"],
        "predictions": [asdict(prediction) for prediction in predictions],
        "target": manifest["target"],
        "label": manifest["label"],
        "sink": manifest["sink"],
        "seconds": manifest["seconds"],
        "notes": list(manifest["notes"]),
        "folder": readable(folder),
    }


def _print_rows(rows: list[dict[str, Any]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"{rows[0]['method']} of {rows[0]['model']}", title_justify="left")
    for heading in ("photo", "prediction", "target"):
        table.add_column(heading, overflow="fold")
    for heading in ("sink", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("written to", overflow="fold")
    for row in rows:
        answers = "\n".join(f"{prediction['label']} {percent(prediction['probability'], 1)}" for prediction in row["predictions"])
        sink = "" if row["sink"] is None else f"{row['sink']:.3f}"
        cells = (row["photo"], answers or "no classes", row["label"], sink, f"{row['seconds']:.2f}", row["folder"])
        table.add_row(*(escape(cell) for cell in cells))
    stdout_console().print(table)
