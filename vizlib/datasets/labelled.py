"""Labelled photographs in the folders that people have, and what their classes are called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from vizlib.datasets.classes import FIFTY
from vizlib.errors import TrainingError
from vizlib.images import is_picture


@dataclass(frozen=True)
class LabelledPhotos:
    """Photographs as (path or bytes, class), and for each class the name of its folder or WordNet id, and its name in words."""

    items: list[tuple[Path | bytes, int]]
    classes: list[tuple[str, str]]


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
        photos = sorted(path for path in folder.rglob("*") if is_picture(path))
        items += [(path, number) for path in photos]
    return LabelledPhotos(items, [(folder.name, folder.name.replace("_", " ")) for folder in folders])
