"""Photographs for training, in memory: the fifty-class parquet set and the public tiny-imagenet-200 layout."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vizlib.datasets.classes import FIFTY
from vizlib.errors import TrainingError

SIDE = 64


@dataclass(frozen=True)
class ImageSet:
    """Images uint8 (N, 3, 64, 64), labels int64 (N,), boxes int64 (N, 4) as x0, y0, x1, y1 inclusive, and the class names."""

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def fraction(self, share: float, seed: int = 0) -> ImageSet:
        """The same share of every class, drawn with ``seed``; a smaller share is a subset of a larger one."""
        keep = []
        for label in range(len(self.classes)):
            rows = np.flatnonzero(self.labels == label)
            order = np.random.default_rng([seed, label]).permutation(len(rows))
            keep.append(rows[order[: max(1, round(share * len(rows)))]])
        rows = np.sort(np.concatenate(keep))
        return ImageSet(self.images[rows], self.labels[rows], self.boxes[rows], self.classes)


def read_split(folder: str | Path, split: str) -> ImageSet:
    """The ``"train"`` or ``"val"`` images of a data folder, in either layout; TrainingError when it holds neither.

    Layouts: ``train-*.parquet``, ``val.parquet`` and ``classes.json``; or ``train/WNID/images/*.JPEG`` with
    ``WNID_boxes.txt`` and ``val/val_annotations.txt``. There the classes are those of ``classes.json`` where it is present, else the
    fifty of the bundled models where all are there, as in tiny-imagenet-200, else every folder of ``train``.
    """
    folder = Path(folder)
    try:
        if (folder / "classes.json").is_file() and (folder / "val.parquet").is_file():
            return _read_parquet(folder, split)
        if (folder / "train").is_dir() and (folder / "val").is_dir():
            return _read_folders(folder, split)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"The {split} images of {folder} cannot be read: {type(error).__name__}: {error}.") from error
    raise TrainingError(f"{folder} holds neither parquet shards with classes.json nor the tiny-imagenet-200 folders train and val.")


def _decode(jpeg: bytes, name: object) -> np.ndarray:
    try:
        image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    except OSError as error:
        raise TrainingError(f"{name} is damaged or no image: {error}.") from error
    if image.size != (SIDE, SIDE):
        image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image).transpose(2, 0, 1)


def _read_parquet(folder: Path, split: str) -> ImageSet:
    import pyarrow.parquet as parquet

    classes = tuple(row["name"] for row in json.loads((folder / "classes.json").read_text(encoding="utf-8")))
    shards = sorted(folder.glob(f"{split}*.parquet"))
    if not shards:
        raise TrainingError(f"{folder} has no {split} shards.")
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    boxes: list[list[int]] = []
    for shard in shards:
        table = parquet.read_table(shard, columns=["jpeg", "label", "box"])
        images.extend(_decode(jpeg, f"Image {row} of {shard}") for row, jpeg in enumerate(table["jpeg"].to_pylist()))
        labels.append(table["label"].to_numpy())
        boxes.extend(_box(box) for box in table["box"].to_pylist())
    numbers = np.concatenate(labels).astype(np.int64)
    if len(numbers) == 0 or not 0 <= numbers.min() <= numbers.max() < len(classes):
        raise TrainingError(f"The {split} shards of {folder} are empty or have labels outside the {len(classes)} classes of classes.json.")
    return ImageSet(np.stack(images), numbers, np.array(boxes, dtype=np.int64), classes)


def _box(box: dict[str, int] | list[int]) -> list[int]:
    return [box[key] for key in ("x0", "y0", "x1", "y1")] if isinstance(box, dict) else list(box)


def _read_folders(folder: Path, split: str) -> ImageSet:
    classes = folder_classes(folder)
    index = {wnid: label for label, (wnid, _) in enumerate(classes)}
    rows = _train_rows(folder, list(index)) if split == "train" else _val_rows(folder, index)
    if not rows:
        raise TrainingError(f"{folder} has no {split} images.")
    images = np.stack([_decode(path.read_bytes(), path) for path, _, _ in rows])
    labels = np.array([index[wnid] for _, wnid, _ in rows], dtype=np.int64)
    boxes = np.array([box for _, _, box in rows], dtype=np.int64)
    return ImageSet(images, labels, boxes, tuple(name for _, name in classes))


def folder_classes(folder: Path) -> list[tuple[str, str]]:
    """The (WordNet id, name) of each class that is read from a tiny-imagenet-200 layout, in their order."""
    if (folder / "classes.json").is_file():
        return [(row["wnid"], row["name"]) for row in json.loads((folder / "classes.json").read_text(encoding="utf-8"))]
    wnids = sorted(path.name for path in (folder / "train").iterdir() if path.is_dir())
    if {wnid for wnid, _ in FIFTY} <= set(wnids):
        return list(FIFTY)
    names = {}
    if (folder / "words.txt").is_file():
        for line in (folder / "words.txt").read_text(encoding="utf-8").splitlines():
            wnid, _, words = line.partition("\t")
            names[wnid] = words.split(",")[0].strip()
    return [(wnid, names.get(wnid) or wnid) for wnid in wnids]


def _train_rows(folder: Path, wnids: list[str]) -> list[tuple[Path, str, list[int]]]:
    rows = []
    for wnid in wnids:
        home = folder / "train" / wnid
        boxes = {}
        if (home / f"{wnid}_boxes.txt").is_file():
            for line in (home / f"{wnid}_boxes.txt").read_text(encoding="utf-8").splitlines():
                name, *box = line.split()
                boxes[name] = [int(value) for value in box]
        rows += [(path, wnid, boxes.get(path.name, [0, 0, SIDE - 1, SIDE - 1])) for path in sorted((home / "images").glob("*.JPEG"))]
    return rows


def _val_rows(folder: Path, index: dict[str, int]) -> list[tuple[Path, str, list[int]]]:
    rows = []
    for line in (folder / "val" / "val_annotations.txt").read_text(encoding="utf-8").splitlines():
        name, wnid, *box = line.split()
        if wnid in index:
            rows.append((folder / "val" / "images" / name, wnid, [int(value) for value in box]))
    return rows
