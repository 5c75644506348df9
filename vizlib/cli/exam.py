"""``vizlib exam``: how explanation methods answer questions whose answer is known."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path  # noqa: TC003  typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from vizlib.cli.completion import complete_model
from vizlib.cli.errors_and_output import FAILED, OK, UsageError, download_progress, print_error, print_json, stderr_console, stdout_console
from vizlib.cli.model_options import ActivationOption, ImageSizeOption, LabelsOption, NumClassesOption, load_model, loading_options
from vizlib.cli.progress_bar import ProgressBar
from vizlib.cli.tables import print_table
from vizlib.engine.progress import told_to

if TYPE_CHECKING:
    from vizlib.evaluation.exams import ExamReport

EXAM_EPILOG = """[bold]For example[/bold]

  vizlib exam --exams known

  vizlib exam vit_tiny50 resnet_tiny50 --images photos --out report

  vizlib exam --data tiny-imagenet-200 --markdown exam.md

  vizlib exam vit_tiny50 --images photos --methods relevance,grad_cam,occlusion --questions 20

  vizlib exam vit_base_patch16_224 --as chefer2021 --data imagenet --questions 5000

Without a model all bundled ones are asked. Photographs in a folder make the exams planted and grid; a boxes.csv beside them (columns \
file, label, x0, y0, x1, y1 in pixels of the upright image, all inclusive) makes the exam boxes, and so does --data, the folder that \
models were trained on. The exam faithfulness is held where it is named, since it takes some 400 passes a photograph. --as makes a \
paper's table again instead, by its own definitions: chefer2021, petsiuk2018 or samek2017, over the labelled photographs in --data \
(val/CLASS/*.jpg as of ImageNet, tiny-imagenet-200 or val.parquet). Exit codes: 0 done, 1 some exam could not be held on some model, 2 \
asked for something there is not."""


def exam(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            show_default="all bundled ones",
            help="Names as `vizlib models` lists them, folders of save_pretrained, NAME=CHECKPOINT, or MODULE:FUNCTION of your own code.",
            autocompletion=complete_model,
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="Photographs to make questions of.", show_default=False)] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A training folder: its validation images and their boxes.", show_default=False)
    ] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="A,B", help="The methods that take part.", show_default="those of few passes")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All methods take part, however long they need.")] = False,
    exams: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Of known, planted, grid, boxes and faithfulness.",
            show_default="all but faithfulness that there is material for",
        ),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="PAPER", help="A paper's own test: chefer2021, petsiuk2018 or samek2017, over --data.", show_default=False
        ),
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="Of each exam for each model; known asks 8 of each of its own.")] = 40,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write exam.html, exam.json and exam.csv there.", show_default=False)
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown there.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    labels: LabelsOption = None,
    num_classes: NumClassesOption = None,
    image_size: ImageSizeOption = None,
    activation: ActivationOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the marks as JSON.")] = False,
) -> None:
    """Let explanation methods sit exams: questions whose right answer is known, by construction or by measurement."""
    from vizlib.catalog.methods import METHODS, method_card
    from vizlib.evaluation.exams.cards import exam_card

    if images is not None and data is not None:
        raise UsageError("Give --images or --data, not both.")
    if every and methods is not None:
        raise UsageError("Give --methods or --all, not both.")
    for folder in (images, data):
        if folder is not None and not folder.is_dir():
            raise UsageError(f"There is no folder {str(folder)!r}: check the name.")
    if published is not None and (data is None or exams is not None or images is not None or out is not None):
        raise UsageError("--as is measured over labelled photographs: give --data, and leave out --exams, --images and --out.")
    chosen = list(METHODS) if every else None if methods is None else [method_card(name).name for name in _names(methods)]
    exam_names = None if exams is None else [exam_card(name).name for name in _names(exams)]
    of_models = loading_options(labels, num_classes, image_size, activation)
    import torch

    from vizlib.evaluation.exams import run_exams

    torch.set_num_threads(1)  # for models this small, more threads cost more than they bring
    if published is not None and data is not None:
        _exam_as(published, models or _bundled(), data, chosen, device, of_models, questions, seed, markdown, as_json=as_json)
    pictures, boxes = _material(images, data)
    with ExitStack() as stack:
        loaded = [] if exam_names == ["known"] else [_load(word, device, stack, of_models) for word in models or _bundled()]
        display = stack.enter_context(ProgressBar())
        report = run_exams(loaded, chosen, exam_names, pictures, boxes, display.show, questions=questions, seed=seed)
    written = _write(report, out, markdown)
    problems = list(dict.fromkeys(f"{name}, {model}: {subject}: {why}" for name, model, subject, why in report.skipped))
    for line in problems:
        stderr_console().print(f"note: {line}", soft_wrap=True, markup=False)
    failed = _failed(report)
    for line in failed:
        print_error(line)
    if as_json:
        print_json(report.table())
    else:
        _print(report)
    if written:
        stderr_console().print(f"written to {', '.join(map(str, written))}", soft_wrap=True, markup=False)
    raise typer.Exit(FAILED if failed else OK)


def _exam_as(
    published: str,
    models: list[str],
    data: Path,
    methods: list[str] | None,
    device: str,
    of_models: dict[str, Any],
    count: int,
    seed: int,
    markdown: Path | None,
    *,
    as_json: bool,
) -> NoReturn:
    """A paper's table made again, and the end of the command."""
    from dataclasses import asdict

    from vizlib.datasets.labelled import find_photos
    from vizlib.evaluation.exams.runner import quick_methods
    from vizlib.evaluation.published import published_protocol
    from vizlib.evaluation.published.runner import run_published
    from vizlib.evaluation.published.text import published_markdown
    from vizlib.files import write_whole
    from vizlib.model_report.accuracy import match_classes

    published_protocol(published)
    photos = find_photos(data)
    scores, worst = {}, OK
    with ExitStack() as stack:
        display = stack.enter_context(ProgressBar())
        for word in models:
            model = _load(word, device, stack, of_models)
            numbers, _ = match_classes(model, photos.classes)
            pictures = [(image, number) for image, label in photos.items if (number := numbers[label]) is not None]
            with told_to(display.show):
                scores[model.card.name], unreadable = run_published(
                    published, model, pictures, methods or quick_methods(), count=count, seed=seed
                )
            for line in unreadable:
                worst = FAILED
                print_error(line)
    text = published_markdown(published, scores)
    if markdown is not None:
        write_whole(markdown, text)
    if as_json:
        print_json([{"protocol": published, "model": name, **asdict(score)} for name, of_model in scores.items() for score in of_model])
    else:
        stdout_console().print(text, markup=False, soft_wrap=True)
    raise typer.Exit(worst)


def _names(words: str) -> list[str]:
    names = [name.strip() for name in words.split(",") if name.strip()]
    if not names:
        raise UsageError(f"{words!r} names nothing: give names with commas between them.")
    return list(dict.fromkeys(names))


def _bundled() -> list[str]:
    from vizlib import models

    return [card.name for card in models() if card.source == "bundled"]


def _load(word: str, device: str, stack: ExitStack, of_model: dict[str, Any]) -> Any:
    name, _, checkpoint = word.partition("=")
    return load_model(name, checkpoint=checkpoint or None, device=device, **of_model, progress=stack.enter_context(download_progress(name)))


def _material(images: Path | None, data: Path | None) -> tuple[Any, Any]:
    """Photographs, and photographs with boxes, None where there are none."""
    from vizlib.evaluation.exams.object_boxes import FILE, labelled_photographs
    from vizlib.images import is_picture

    if data is not None:
        items, _ = labelled_photographs(data)
        return {item.name: item.image for item in items}, data
    if images is None:
        return None, None
    material = {str(path.relative_to(images)): path for path in sorted(images.rglob("*")) if is_picture(path)}
    if not material:
        raise UsageError(f"There are no photographs in {str(images)!r}: name a folder that has some.")
    return material, images if (images / FILE).is_file() else None


def _write(report: ExamReport, out: Path | None, markdown: Path | None) -> list[Path]:
    from vizlib.evaluation.exams import write_csv, write_html, write_json, write_markdown

    written = []
    if out is not None:
        written += [write_html(report, out / "exam.html"), write_json(report, out / "exam.json"), write_csv(report, out / "exam.csv")]
    if markdown is not None:
        written.append(write_markdown(report, markdown))
    return written


def _failed(report: ExamReport) -> list[str]:
    """The exams that could not be held on a model at all, and why."""
    by_sitting: dict[tuple[str, str], list[str]] = {}
    for mark in report.marks:
        by_sitting.setdefault((mark.exam, mark.model), []).append(mark.refused)
    return [f"{exam}, {model}: {reasons[0]}" for (exam, model), reasons in by_sitting.items() if exam != "known" and all(reasons)]


def _print(report: ExamReport) -> None:
    from vizlib.catalog.methods import METHODS
    from vizlib.evaluation.exams.cards import EXAMS
    from vizlib.evaluation.exams.summary import summary

    exam_names = [name for name in EXAMS if any(mark.exam == name for mark in report.marks)]
    rows = []
    for method, averages in summary(report.marks).items():
        cells = [
            f"{average.value:.2f} ({average.interval}) {average.passed}/{average.models}" if average else "no mark"
            for average in (averages.get(name) for name in exam_names)
        ]
        rows.append((METHODS[method].title, *cells))
    print_table(stdout_console(), ("method", *(EXAMS[name].title for name in exam_names)), rows)
    stdout_console().print("The mean mark from 0 to 1 (95\u00a0% interval), and on how many models the method passed.")
