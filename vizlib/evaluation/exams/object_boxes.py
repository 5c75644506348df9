"""Labelled photographs with boxes, as questions."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.errors import ExamError, ImageError, TargetError, TrainingError
from vizlib.evaluation.exams.photographs import QUESTIONS, input_as_picture, logits
from vizlib.evaluation.exams.question import Question, Questions
from vizlib.explainers.targets import class_index
from vizlib.figures.numbers import percent
from vizlib.images import read_image

if TYPE_CHECKING:
    import os

    from vizlib.zoo.model import Model

FILE = "boxes.csv"
COLUMNS = ("file", "label", "x0", "y0", "x1", "y1")
LARGE = 0.5  # boxes over more of the input than this are not asked: in a box that fills the picture every map is right


@dataclass(frozen=True, eq=False)
class Labelled:
    """A photograph or its path, what it shows, and boxes (n, 4) as x0, y0, x1, y1 in pixels of the upright image, all inclusive."""

    name: str
    image: Any
    label: str | int
    boxes: np.ndarray = field(repr=False)


def box_questions(model: Model, source: Any, *, count: int = QUESTIONS, seed: int = 0) -> Questions:
    """Up to ``count`` questions from a folder (see ``labelled_photographs``) or from (images, labels, boxes), drawn with ``seed``.

    Boxes (N, 4) hold x0, y0, x1, y1 in pixels of the upright image, all inclusive; labels are names or numbers of the model's classes.
    Asked are photographs that the model answers rightly and whose box covers at most LARGE of its input. ``skipped`` names every one that
    cannot be read or whose label the model does not have, and counts those that are not asked. ExamError when nothing is left.
    """
    if model.transform is None:
        raise ExamError(f"{model.card.name} does not say how it takes photographs; wrap it with input_size= or transform=.")
    items, skipped = labelled_photographs(source) if isinstance(source, str | Path) else (_given(*source), [])
    questions: list[Question] = []
    unasked: Counter[str] = Counter()
    for row in np.random.default_rng(seed).permutation(len(items)):
        if len(questions) == count:
            break
        try:
            question = _question(model, items[row], len(questions))
        except (ImageError, TargetError) as error:
            skipped.append((items[row].name, str(error)))
            continue
        if isinstance(question, str):
            unasked[question] += 1
        else:
            questions.append(question)
    skipped += [(f"{number} photograph{'s' if number > 1 else ''}", why) for why, number in unasked.items()]
    if not questions:
        reasons = "; ".join(f"{what}: {why.rstrip('.')}" for what, why in skipped[:3])
        raise ExamError(f"None of the labelled photographs can be asked of {model.card.name}: {reasons or 'there are none'}.")
    return Questions(questions, skipped)


def labelled_photographs(folder: str | os.PathLike[str]) -> tuple[list[Labelled], list[tuple[str, str]]]:
    """The photographs of a folder with a boxes.csv, or the validation images of a training folder, and (row, reason) for unusable rows.

    The columns of boxes.csv are file, label, x0, y0, x1, y1; several rows of one file and label are one region. ExamError when there is
    neither.
    """
    home = Path(folder)
    if (home / FILE).is_file():
        return _from_csv(home)
    from vizlib.datasets.tiny_imagenet import read_split

    try:
        val = read_split(home, "val")
    except TrainingError as error:
        raise ExamError(f"{home} has no {FILE} with the columns {', '.join(COLUMNS)}, and is no training folder either.") from error
    rows = zip(val.images, val.labels, val.boxes, strict=True)
    items = [
        Labelled(f"val image {row + 1}", image.transpose(1, 2, 0), val.classes[label], box[None])
        for row, (image, label, box) in enumerate(rows)
    ]
    return items, []


def _from_csv(home: Path) -> tuple[list[Labelled], list[tuple[str, str]]]:
    try:
        with (home / FILE).open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeError, csv.Error) as error:
        raise ExamError(f"{home / FILE} cannot be read: {error}.") from error
    missing = [name for name in COLUMNS if rows and rows[0].get(name) is None]
    if missing or not rows:
        raise ExamError(f"{home / FILE} must have a row for each box, with the columns {', '.join(COLUMNS)}.")
    boxes, skipped = defaultdict(list), []
    for number, row in enumerate(rows, 2):
        try:
            x0, y0, x1, y1 = (float(row[name]) for name in COLUMNS[2:])
        except (TypeError, ValueError):
            skipped.append((f"{FILE}, line {number}", "Its corners are not four numbers."))
            continue
        if not (np.isfinite([x0, y0, x1, y1]).all() and x0 <= x1 and y0 <= y1):
            skipped.append((f"{FILE}, line {number}", "Its box is turned round: x0 <= x1 and y0 <= y1 are needed."))
            continue
        boxes[str(row["file"]).strip(), str(row["label"]).strip()].append([x0, y0, x1, y1])
    return [Labelled(file, home / file, label, np.array(corners)) for (file, label), corners in boxes.items()], skipped


def _given(images: Any, labels: Any, boxes: Any) -> list[Labelled]:
    if not len(images) == len(labels) == len(boxes):
        raise ExamError(f"There are {len(images)} images, {len(labels)} labels and {len(boxes)} boxes: give one of each.")
    rows = zip(images, labels, np.asarray(boxes, np.float64).reshape(len(boxes), 4), strict=True)
    return [Labelled(f"image {row + 1}", image, label, box[None]) for row, (image, label, box) in enumerate(rows)]


def _question(model: Model, item: Labelled, group: int) -> Question | str:
    """The question, or why it is not asked; ImageError and TargetError for a file or a label that is no use."""
    target = class_index(model, item.label)
    picture = read_image(item.image)
    truth = region(model, item.boxes, (picture.shape[0], picture.shape[1]))
    if not truth.any():
        return "The box lies outside of what the model sees."
    if truth.mean() > LARGE:
        return f"The box covers more than {percent(LARGE)} of what the model sees."
    x = model.prepare(picture)
    if int(logits(model, x)[0].argmax()) != target:
        return "The model's answer is not the label."
    words = (
        f"A photograph of {model.label(target)}, rightly answered, with a box over {percent(float(truth.mean()))} of what the model sees."
    )
    return Question("boxes", input_as_picture(model, x), x, model, target, truth.astype(np.float64), words, group)


def region(model: Model, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which pixels of the model's input have their centre in one of the boxes (n, 4) of an image (H, W): bool (h, w).

    Boxes are x0, y0, x1, y1 in pixels of the upright image, all inclusive.
    """
    geometry = model.geometry(size)
    x0, y0, x1, y1 = np.asarray(boxes, np.float64).T
    corners = geometry.box_to_input(np.stack([y0, x0, y1 + 1, x1 + 1], 1))  # the pixels of both corners belong to a box
    rows, columns = (np.arange(length) + 0.5 for length in geometry.input_size)
    inside = np.zeros(geometry.input_size, bool)
    for top, left, bottom, right in corners:
        inside |= ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))[None]
    return inside & geometry.content
