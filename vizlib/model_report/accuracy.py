"""How often a model is right on a folder of labelled photographs, through its own transform: what ``vizlib eval`` calls."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vizlib.datasets.classes import FIFTY
from vizlib.errors import ImageError, TargetError, TrainingError
from vizlib.images import read_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from vizlib.datasets.labelled import LabelledPhotos
    from vizlib.zoo.model import Model

BATCH = 32
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class AccuracyScore:
    """Right answers among the first one and the first five, over ``images`` photographs; ``top5`` is None for five classes or fewer.

    ``matched`` says how classes were told apart, ``left_out`` how many of the folder's classes the model does not know.
    """

    images: int
    first: int
    fifth: int | None
    classes: int
    matched: str
    left_out: int = 0
    unreadable: list[str] = field(default_factory=list)

    @property
    def top1(self) -> float:
        """The share of photographs whose class came first."""
        return self.first / self.images

    @property
    def top5(self) -> float | None:
        """The share of photographs whose class was among the first five."""
        return None if self.fifth is None else self.fifth / self.images


<<<<<<< HEAD
def match(model: Model, classes: list[tuple[str, str]]) -> tuple[list[int | None], str]:
=======
def find_photos(folder: str | Path) -> LabelledPhotos:
    """The validation photographs of a folder, in one of three layouts; TrainingError when it has none of them.

    ``val.parquet`` with ``classes.json``; ``val/val_annotations.txt`` as in tiny-imagenet-200; or one folder for each class, in
    ``val/`` where there is one, else right inside ``folder``.
    """
    home = Path(folder)
    try:
        if (home / "val.parquet").is_file() and (home / "classes.json").is_file():
            photos = _from_parquet(home)
        elif (home / "val" / "val_annotations.txt").is_file():
            photos = _from_annotations(home)
        else:
            photos = _from_folders(home / "val" if (home / "val").is_dir() else home)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"The validation photographs of {folder} cannot be read: {type(error).__name__}: {error}.") from error
    if not photos.items:
        raise TrainingError(
            f"{folder} holds no validation photographs: give val.parquet with classes.json, the tiny-imagenet-200 layout, "
            "or val/CLASS/*.jpg."
        )
    return photos


def _from_parquet(home: Path) -> LabelledPhotos:
    import pyarrow.parquet as parquet

    classes = [(row["wnid"], row["name"]) for row in json.loads((home / "classes.json").read_text(encoding="utf-8"))]
    table = parquet.read_table(home / "val.parquet", columns=["jpeg", "label"])
    return LabelledPhotos(list(zip(table["jpeg"].to_pylist(), table["label"].to_pylist(), strict=True)), classes)


def _from_annotations(home: Path) -> LabelledPhotos:
    rows = [line.split("\t") for line in (home / "val" / "val_annotations.txt").read_text(encoding="utf-8").splitlines() if line.strip()]
    words = dict(FIFTY)
    if (home / "words.txt").is_file():
        for line in (home / "words.txt").read_text(encoding="utf-8").splitlines():
            wnid, _, names = line.partition("\t")
            words.setdefault(wnid, names.split(",")[0].strip())
    wnids = sorted({row[1] for row in rows})
    index = {wnid: number for number, wnid in enumerate(wnids)}
    items: list[tuple[Path | bytes, int]] = [(home / "val" / "images" / row[0], index[row[1]]) for row in rows]
    return LabelledPhotos(items, [(wnid, words.get(wnid, wnid)) for wnid in wnids])


def _from_folders(home: Path) -> LabelledPhotos:
    folders = sorted(path for path in home.iterdir() if path.is_dir() and not path.name.startswith("."))
    items: list[tuple[Path | bytes, int]] = []
    for number, folder in enumerate(folders):
        photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        items += [(path, number) for path in photos]
    return LabelledPhotos(items, [(folder.name, folder.name.replace("_", " ")) for folder in folders])


def match_classes(model: Model, classes: list[tuple[str, str]]) -> tuple[list[int | None], str]:
>>>>>>> e354dc2 (Functions of explanations, comparisons, reports and commands say what they give)
    """For each class of a folder its number in the model, None where the model has none, and how they were matched.

    By WordNet id, by name, by number, or, where there are as many folders as classes, in sorted order; TrainingError when none works.
    """
    number_of_wnid = wordnet_ids(model)
    keys = [key for key, _ in classes]
    if number_of_wnid and all(_WNID.fullmatch(key) for key in keys):
        numbers = [number_of_wnid.get(key) for key in keys]
        if any(number is not None for number in numbers):
            return numbers, "WordNet id"
    if model.labels:
        named = [_by_name(model, name) for _, name in classes]
        if None not in named and len(set(named)) == len(named):
            return named, "name"
    total = model.adapter.classes
    if all(key.isdecimal() and int(key) < total for key in keys):
        return [int(key) for key in keys], "number"
    if len(keys) == total:
        return list(range(total)), "sorted order of the folders"
    raise TrainingError(
        f"The {len(keys)} classes ({', '.join(keys[:3])}, ...) cannot be matched to the {total} of {model.card.name}: "
        "name the folders by WordNet id, label or number, or give one for each class."
    )


def wordnet_ids(model: Model) -> dict[str, int] | None:
    """The class number of each WordNet id, for models whose labels are the fifty classes or ImageNet-1k's; else None."""
    if model.labels == tuple(name for _, name in FIFTY):
        return {wnid: number for number, (wnid, _) in enumerate(FIFTY)}
    if not model.labels or len(model.labels) != 1000:
        return None
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    if tuple(info.label_descriptions()) != model.labels:
        return None
    return {wnid: number for number, wnid in enumerate(info.label_names())}


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
                    best = model(torch.cat(inputs)).float().topk(top, dim=1).indices.cpu()
                images += len(inputs)
                first += int((best[:, 0] == labels).sum())
                fifth += int((best == labels[:, None]).any(dim=1).sum())
            report(min(start + BATCH, len(items)), len(items))
    if not images:
        raise TrainingError(f"None of the {len(items)} photographs could be read.")
    used = len({number for _, number in items})
    return AccuracyScore(images, first, fifth if model.adapter.classes > 5 else None, used, matched_by, numbers.count(None), unreadable)


def _prepared(model: Model, source: Path | bytes, unreadable: list[str]) -> torch.Tensor | None:
    try:
        return model.prepare(read_image(source))
    except ImageError as error:
        unreadable.append(str(error) if isinstance(source, bytes) else f"{source}: {error}")
        return None
