"""How often a model is right on a folder of labelled photographs, through its own transform: what ``vizlib eval`` calls."""

from __future__ import annotations

import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vizlib.datasets.classes import FIFTY
from vizlib.errors import ImageError, TargetError, TrainingError
from vizlib.images import read_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import torch

    from vizlib.datasets.labelled import LabelledPhotos
    from vizlib.zoo.model import Model

BATCH = 32
SORTED_ORDER = "sorted order of the folders"
BY_WORDS = ("WordNet id", "name", "number")  # the ways of matching that a folder's own name says
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class AccuracyScore:
    """Right answers among the first one and the first five, over ``images`` photographs; ``top5`` is None for five classes or fewer.

    ``matched`` says how classes were told apart, ``left_out`` how many of the folder's classes the model does not know, and ``note`` what
    to doubt of it.
    """

    images: int
    first: int
    fifth: int | None
    classes: int
    matched: str
    left_out: int = 0
    unreadable: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def top1(self) -> float:
        """The share of photographs whose class came first."""
        return self.first / self.images

    @property
    def top5(self) -> float | None:
        """The share of photographs whose class was among the first five."""
        return None if self.fifth is None else self.fifth / self.images


def match_classes(model: Model, classes: list[tuple[str, str]]) -> tuple[list[int | None], str]:
    """For each class of a folder its number in the model, None where the model has none, and how they were matched.

    By WordNet id, by name or by number; in sorted order only for a model without labels and as many folders as classes, since a folder
    with another name than its label would shift all others. TrainingError when none works. A model of 1,000 classes whose labels do not
    say otherwise has ImageNet-1k's.
    """
    number_of_wnid = wordnet_ids(model)
    keys = [key for key, _ in classes]
    found = []
    if number_of_wnid:
        found.append(([number_of_wnid.get(key) for key in keys], "WordNet id"))
    if model.labels:
        found += [(_alone([_by_name(model, word) for word in words]), "name") for words in ([name for _, name in classes], keys)]
    numbers, how = min(found, key=lambda each: each[0].count(None), default=([], ""))
    if any(number is not None for number in numbers):
        return numbers, how
    total = model.adapter.classes
    if all(key.isdecimal() and int(key) < total for key in keys):
        return [int(key) for key in keys], "number"
    if len(keys) == total and not model.labels:
        return list(range(total)), SORTED_ORDER
    ways = "WordNet id, label or number" if number_of_wnid else "label or number" if model.labels else "number, or give one for each class"
    raise TrainingError(
        f"The {len(keys)} classes ({', '.join([*keys[:3], *(['...'] if len(keys) > 3 else [])])}) cannot be matched to the {total} of "
        f"{model.card.name}: name the folders by {ways}."
    )


def _alone(numbers: list[int | None]) -> list[int | None]:
    """The numbers without those that several folders would have: a name that two of them share tells neither."""
    times = Counter(numbers)
    return [number if times[number] == 1 else None for number in numbers]


def numbering_note(matched: str, keys: Sequence[str]) -> str:
    """What to know of folders that were matched by number where their sorted order is another one, else nothing."""
    if matched != "number" or list(keys) != sorted(keys) or list(keys) == sorted(keys, key=int):
        return ""
    first = next(place for place, key in enumerate(keys) if int(key) != place)
    return (
        f"Folders are taken for the classes whose numbers they have as names. torchvision's ImageFolder numbers them in sorted order, by "
        f"which {keys[first]!r} is class {first}: if the model was trained so, give it labels in that order, "
        f"{', '.join(keys[: first + 1])} and so on."
    )


def wordnet_ids(model: Model) -> dict[str, int] | None:
    """The class number of each WordNet id, for models of the fifty classes, and of 1,000 that are ImageNet-1k's by their labels or have
    none; else None."""
    if model.labels == tuple(name for _, name in FIFTY):
        return {wnid: number for number, (wnid, _) in enumerate(FIFTY)}
    if model.adapter.classes != 1000:
        return None
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    if model.labels and not _same_order(model.labels, list(info.label_descriptions())):
        return None
    return {wnid: number for number, wnid in enumerate(info.label_names())}


def _same_order(labels: Sequence[str], descriptions: Sequence[str]) -> bool:
    """Whether labels are those of ImageNet in its order: lists of them differ in a few words and in how many synonyms they give."""
    alike = 0
    for label, description in zip(labels, descriptions, strict=True):
        synonyms = [{word.strip().lower() for word in name.replace("_", " ").split(",")} for name in (label, description)]
        alike += bool(synonyms[0] & synonyms[1])
    return alike >= 0.8 * len(labels)


def _by_name(model: Model, name: str) -> int | None:
    try:
        return model.index_of(name)
    except TargetError:
        return None


def measure_accuracy(
    model: Model, photos: LabelledPhotos, *, limit: int | None = None, report: Callable[[int, int], None] = lambda *_: None
) -> AccuracyScore:
    """Top-1 and top-5 of a model; ``limit`` takes that many photographs, spread evenly; ``report`` hears (done, in all).

    TrainingError when the classes cannot be matched or nothing can be read, TargetError for a model without classes.
    """
    import torch

    if not model.adapter.classes:
        raise TargetError(f"{model.card.name} has no classification head, so it is neither right nor wrong.")
    numbers, matched_by = match_classes(model, photos.classes)
    items = [(source, number) for source, label in photos.items if (number := numbers[label]) is not None]
    if limit is not None and limit < len(items):
        items = [items[row * len(items) // limit] for row in range(limit)]
    top = min(5, model.adapter.classes)
    images = first = fifth = 0
    unreadable: list[str] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(items), BATCH):
            chunk = items[start : start + BATCH]
            ready = [
                (x, number)
                for x, (_, number) in zip(pool.map(lambda item: _prepared(model, item[0], unreadable), chunk), chunk, strict=True)
            ]
            inputs = [x for x, _ in ready if x is not None]
            if inputs:
                labels = torch.tensor([number for x, number in ready if x is not None])
                with torch.inference_mode():
                    best = model.class_logits(torch.cat(inputs)).float().topk(top, dim=1).indices.cpu()
                images += len(inputs)
                first += int((best[:, 0] == labels).sum())
                fifth += int((best == labels[:, None]).any(dim=1).sum())
            report(min(start + BATCH, len(items)), len(items))
    if not images:
        raise TrainingError(f"None of the {len(items)} photographs could be read.")
    used = len({number for _, number in items})
    return AccuracyScore(
        images, first, fifth if model.adapter.classes > 5 else None, used, matched_by, numbers.count(None), unreadable,
        numbering_note(matched_by, [key for key, _ in photos.classes]),
    )  # fmt: skip


def _prepared(model: Model, source: Path | bytes, unreadable: list[str]) -> torch.Tensor | None:
    try:
        return model.prepare(read_image(source))
    except ImageError as error:
        unreadable.append(str(error) if isinstance(source, bytes) else f"{source}: {error}")
        return None
