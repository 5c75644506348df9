"""``vizlib train`` and ``vizlib eval``."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from vizlib.cli.completion import complete_model
from vizlib.cli.errors_and_output import FAILED, OK, UsageError, download_progress, print_error, print_json, stderr_console, stdout_console
from vizlib.cli.model_options import ImageSizeOption, LabelsOption, NumClassesOption, load_model, loading_options
from vizlib.figures.numbers import percent
from vizlib.train.data_fractions import check_share, folder_name, take_share
from vizlib.train.recipes import KINDS, RECIPES, CardRecipe, recipe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from vizlib.datasets.tiny_imagenet import ImageSet
    from vizlib.model_report.accuracy import AccuracyScore
    from vizlib.train.loop import Progress

TRAIN_EPILOG = """[bold]For example[/bold]

  vizlib train vit_tiny50 --data tiny-imagenet-200

  vizlib train all --data tiny-imagenet-200 --ship assets/weights

  vizlib train resnet_tiny50 --data tiny-imagenet-200 --epochs 2   (a trial, not the recipe)

  vizlib train cct_tiny50 --data tiny-imagenet-200 --share 0.1   (a tenth of the photographs, for the report)

A run that was stopped goes on from its last whole epoch when the same command is given again. The same recipe, machine, device and thread \
count give the same weights, stopped in between or not."""
EVAL_EPILOG = """[bold]For example[/bold]

  vizlib eval vit_tiny50 --data tiny-imagenet-200

  vizlib eval deit_tiny_patch16_224.fb_in1k --data imagenet --limit 2000

  vizlib eval vit_tiny50 --data my-photos --checkpoint mine.safetensors

Exit codes: 0 done, 1 some photographs could not be read (the score is that of the others), 2 the model or the folder cannot be used."""


def train(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"{', '.join(RECIPES)}, or all.", show_default=False)],
    data: Annotated[
        Path,
        typer.Option(
            help="The images: the public tiny-imagenet-200, or train-*.parquet with val.parquet and classes.json.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The run's folder, with its checkpoint; for 'all' the folder of those.", show_default="runs/NAME")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Processor threads; the result depends on their number.", show_default="torch's own")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Another length, for trying out: not the recipe, and it cannot be shipped.", show_default="the recipe's"),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            help="Only this share of each class, 0.1, 0.25 or 0.5, for `vizlib train report`: it cannot be shipped.", show_default="all"
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--recipe", help="cpu, cpu-long (30 epochs), card (a GPU, a teacher), card-alone (no teacher) or card-fine (16 x 16 tokens)."
        ),
    ] = "cpu",
    teacher: Annotated[
        Path | None, typer.Option(help="The teacher's weights, EfficientNet-Lite0, for --recipe card.", show_default="none")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="Where the teacher's answers are kept for the next model.", show_default="not kept")
    ] = None,
    stop_after: Annotated[
        float | None, typer.Option(help="With a card's recipe: stop after that many seconds, to go on later.", show_default="never")
    ] = None,
    ship: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write float16 weights and the card there at the end, such as assets/weights.", show_default="no"),
    ] = None,
) -> None:
    """Train the bundled models again: reproducibly, and resumable after being killed."""
    if name == "report":
        raise UsageError("The report is a command of its own, with its options behind it: `vizlib train report --data DIR`.")
    if share is not None:
        check_share(share)
    names = list(RECIPES) if name == "all" else [name]
    plans = {model_name: recipe(model_name, kind) for model_name in names}
    trial = {model_name: epochs is not None and epochs != plans[model_name].epochs for model_name in names}
    if ship is not None and any(trial.values()):
        raise UsageError("--epochs makes a run that is not the recipe, which is not shipped; leave out --epochs or --ship.")
    if ship is not None and share is not None:
        raise UsageError("A run on a share of the photographs is not shipped; leave out --share or --ship.")
    on_card = isinstance(KINDS[kind], CardRecipe)
    if kind != "cpu" and share is not None:
        raise UsageError("The curves over shares of the photographs are made with --recipe cpu.")
    if not on_card and (teacher is not None or answers is not None or stop_after is not None):
        raise UsageError("--teacher, --answers and --stop-after go with --recipe card, card-alone or card-fine.")
    stop_at = None if stop_after is None else time.monotonic() + stop_after
    import torch

    from vizlib.datasets.tiny_imagenet import read_split
    from vizlib.zoo.load import pick_device as resolve_device

    resolved_device = str(resolve_device(device))
    if threads is not None:
        torch.set_num_threads(threads)
    screen = stderr_console()
    with screen.status(f"reading {data}") if screen.is_terminal else nullcontext():
        images, val = read_split(data, "train"), read_split(data, "val")
    sizes = f"{len(images):,} training and {len(val):,} validation images of {len(images.classes)} classes"
    screen.print(f"{sizes}; {resolved_device}, {torch.get_num_threads()} threads", soft_wrap=True)
    for model_name in names:
        if on_card:
            folder = _run_folder(f"{model_name}-{kind}", out, epochs if trial[model_name] else None, several=name == "all")
            _train_for_card(model_name, images, val, folder, resolved_device, kind, teacher, answers, epochs, stop_at, ship, screen)
            continue
        run = model_name if share is None else folder_name(model_name, share)
        run = run if kind == "cpu" else f"{run}-{kind}"
        folder = _run_folder(run, out, epochs if trial[model_name] else None, several=name == "all")
        part = images if share is None else take_share(images, model_name, share, epochs or plans[model_name].epochs, folder)
        _train_one(model_name, part, val, folder, resolved_device, kind, epochs, ship, _command(model_name, threads, kind), screen)


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A name that `vizlib models` lists, any timm name, a folder of save_pretrained, or MODULE:FUNCTION of your own code.",
            show_default=False,
            autocompletion=complete_model,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="The photographs: val/CLASS/*.jpg, where CLASS is a WordNet id, label or number; tiny-imagenet-200; or val.parquet.",
            show_default=False,
        ),
    ],
    checkpoint: Annotated[
        str | None, typer.Option(help="A weights file of yours, or 'random'; the model's own unless given.", show_default=False)
    ] = None,
    labels: LabelsOption = None,
    num_classes: NumClassesOption = None,
    image_size: ImageSizeOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or float64.", show_default="float32")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only that many photographs, spread evenly.", show_default="all")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how often a model is right: top-1 and top-5 with their 95 % Wilson intervals."""
    from vizlib.datasets.labelled import find_photos
    from vizlib.model_report.accuracy import measure_accuracy

    of_model = loading_options(labels, num_classes, image_size)
    photos = find_photos(data)
    with download_progress(model) as progress:
        loaded = load_model(model, checkpoint=checkpoint, device=device, dtype=dtype, **of_model, progress=progress)
    with _bars(stderr_console(), "photographs") as bars:
        task = bars.add_task(model, total=len(photos.items), note="")
        result = measure_accuracy(
            loaded, photos, limit=limit, report=lambda scored, total: bars.update(task, completed=scored, total=total)
        )
    for line in result.unreadable:
        print_error(line)
    _print_score(loaded.card.name, data, result, as_json=as_json)
    raise typer.Exit(FAILED if result.unreadable else OK)


def _train_one(
    name: str,
    images: ImageSet,
    val: ImageSet,
    folder: Path,
    device: str,
    kind: str,
    epochs: int | None,
    ship_to: Path | None,
    command: str,
    screen: Console,
) -> None:
    from vizlib.train.api import train_on

    plan = recipe(name, kind)
    resumed = (folder / "last.pt").exists()
    screen.print(f"{name}: {epochs or plan.epochs} epochs in {folder}{', going on from its last epoch' if resumed else ''}", soft_wrap=True)
    try:
        with _Display(screen, epochs or plan.epochs) as display:
            module, history = train_on(name, images, val, folder, kind=kind, device=device, epochs=epochs, report=display.show)
    except KeyboardInterrupt:
        screen.print("stopped; the same command goes on from the last whole epoch")
        raise
    print(_outcome(name, history, val))
    if ship_to is not None:
        from vizlib.train.export import export

        facts = export(name, module, val, history, ship_to, command, images=len(images), plan=plan)
        print(f"{name}: shipped to {ship_to / name}.safetensors and .json, top-1 {percent(facts['accuracy']['top1'], 1)} in float16")


def _train_for_card(
    name: str,
    images: ImageSet,
    val: ImageSet,
    folder: Path,
    device: str,
    kind: str,
    teacher: Path | None,
    answers: Path | None,
    epochs: int | None,
    stop_at: float | None,
    ship_to: Path | None,
    screen: Console,
) -> None:
    from vizlib.train.api import train_for_card

    plan = recipe(name, kind)
    length = epochs or plan.epochs
    with _Display(screen, length) as display:
        module, history = train_for_card(
            name, images, val, folder, kind=kind, teacher=teacher, answers=answers, changes={"epochs": length}, device=device,
            compiled=device.startswith("cuda"), stop_at=stop_at, report=display.show,
        )  # fmt: skip
    print(_outcome(name, history, val))
    if len(history) < length:
        print(f"{name}: stopped after {len(history)} of {length} epochs; the same command goes on")
    elif ship_to is not None:
        from vizlib.train.export import export

        command = f"vizlib train {name} --data DIR --recipe {kind} --device cuda" + (" --teacher FILE" if teacher else "")
        facts = export(name, module, val, history, ship_to, command, images=len(images), plan=plan, machine=_machine(device))
        print(f"{name}: shipped to {ship_to / name}.safetensors and .json, top-1 {percent(facts['accuracy']['top1'], 1)} in float16")


def _machine(device: str) -> str:
    import torch

    from vizlib.model_report.cost import processor

    card = torch.cuda.get_device_name(device) if device.startswith("cuda") else processor()
    return f"{card}, torch {torch.__version__.partition('+')[0]}"


def _outcome(name: str, history: list[dict[str, Any]], val: ImageSet) -> str:
    from vizlib.stats import wilson

    last = history[-1]
    low, high = wilson(round(last["top1"] * len(val)), len(val))
    interval = f"(95\u00a0% interval {percent(low, 1)} to {percent(high, 1)})"
    return f"{name}: top-1 {percent(last['top1'], 1)} {interval}, top-5 {percent(last['top5'], 1)} after {len(history)} epochs"


def _run_folder(name: str, out: Path | None, epochs: int | None, *, several: bool) -> Path:
    folder = name if epochs is None else f"{name}-{epochs}-epochs"
    if out is None:
        return Path("runs") / folder
    return out / folder if several else out


def _command(name: str, threads: int | None, kind: str) -> str:
    chosen = "" if kind == "cpu" else f" --recipe {kind}"
    return f"vizlib train {name} --data DIR{chosen}" + (f" --threads {threads}" if threads is not None else "")


def _bars(screen: Console, unit: str) -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True)


class _Display:
    """A run as it goes: a bar on a terminal, one line an epoch everywhere."""

    def __init__(self, screen: Console, epochs: int) -> None:
        self.screen, self.epochs = screen, epochs
        self.bars = _bars(screen, "steps")
        self.task: TaskID | None = None
        self.best = ""

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def show(self, progress: Progress) -> None:
        total, steps_taken = progress.epochs * progress.steps, progress.epoch * progress.steps + progress.step
        if self.task is None:
            self.task = self.bars.add_task("", total=total, completed=progress.epoch * progress.steps, note="")
        if progress.top1 is not None and progress.top5 is not None:
            self.best = f", top-1 {percent(progress.top1, 1)}"
            line = f"epoch {progress.epoch + 1:>3}/{progress.epochs}  loss {progress.loss:.3f}"
            accuracy = f"top-1 {percent(progress.top1, 1)}  top-5 {percent(progress.top5, 1)}"
            self.screen.print(f"{line}  {accuracy}  {progress.images_per_second:,.0f} images/s", soft_wrap=True)
        note = f"loss {progress.loss:.3f}, {progress.images_per_second:,.0f} images/s{self.best}"
        self.bars.update(self.task, completed=steps_taken, description=f"epoch {progress.epoch + 1}/{progress.epochs}", note=note)


def _print_score(name: str, data: Path, result: AccuracyScore, *, as_json: bool) -> None:
    from vizlib.stats import wilson

    shares: dict[str, Any] = {}
    for measure, right in (("top1", result.first), ("top5", result.fifth)):
        low, high = wilson(right or 0, result.images)
        shares[measure] = None if right is None else {"share": right / result.images, "low": low, "high": high}
    if as_json:
        print_json({"model": name, "data": str(data), **asdict(result), **shares})
        return
    left_out = f", {result.left_out} others that the model does not know left out" if result.left_out else ""
    screen = stdout_console()
    screen.print(f"{name} on {data}: {result.images:,} photographs of {result.classes} classes, matched by {result.matched}{left_out}")
    if result.note:
        stderr_console().print(f"note: {result.note}", soft_wrap=True, markup=False)
    for measure, heading in (("top1", "top-1"), ("top5", "top-5")):
        if shares[measure] is not None:
            share = shares[measure]
            screen.print(
                f"  {heading} {percent(share['share'], 1)}  (95\u00a0% interval {percent(share['low'], 1)} to {percent(share['high'], 1)})"
            )
