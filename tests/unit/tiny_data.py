"""Data folders with a few small photographs, in the layouts that training and evaluation read."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

WNIDS = ("n00000001", "n00000002")
NAMES = ("plum", "leaf")


def jpeg(label: int, number: int, side: int = 64) -> bytes:
    """A noisy square in its class's colour."""
    rng = np.random.default_rng([label, number])
    colour = np.array([(200, 40, 160), (40, 200, 60)][label % 2]) + 7 * (label // 2)
    pixels = np.clip(rng.normal(colour, 25, (side, side, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def folder_layout(home: Path, wnids: tuple[str, ...] = WNIDS, names: tuple[str, ...] = NAMES, train: int = 6, val: int = 3) -> Path:
    """The layout of tiny-imagenet-200."""
    annotations = []
    (home / "val" / "images").mkdir(parents=True)
    for label, wnid in enumerate(wnids):
        images = home / "train" / wnid / "images"
        images.mkdir(parents=True)
        for number in range(train):
            (images / f"{wnid}_{number}.JPEG").write_bytes(jpeg(label, number))
        (home / "train" / wnid / f"{wnid}_boxes.txt").write_text(
            "".join(f"{wnid}_{n}.JPEG\t{n}\t1\t62\t63\n" for n in range(train)), encoding="utf-8"
        )
        for number in range(val):
            name = f"val_{label}_{number}.JPEG"
            (home / "val" / "images" / name).write_bytes(jpeg(label, 1000 + number))
            annotations.append(f"{name}\t{wnid}\t0\t0\t63\t{number}\n")
    (home / "val" / "val_annotations.txt").write_text("".join(annotations), encoding="utf-8")
    (home / "words.txt").write_text(
        "".join(f"{wnid}\t{name}, another word\n" for wnid, name in zip(wnids, names, strict=True)), encoding="utf-8"
    )
    return home


def parquet_layout(home: Path, train: int = 6, val: int = 3) -> Path:
    """Two train shards, one of val, and classes.json."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    home.mkdir(parents=True, exist_ok=True)
    rows = [{"index": label, "wnid": wnid, "name": name} for label, (wnid, name) in enumerate(zip(WNIDS, NAMES, strict=True))]
    (home / "classes.json").write_text(json.dumps(rows), encoding="utf-8")
    for name, numbers in (("train-0", range(train // 2)), ("train-1", range(train // 2, train)), ("val", range(1000, 1000 + val))):
        cells = [(label, number) for number in numbers for label in range(len(WNIDS))]
        table = {
            "name": [f"{label}_{number}" for label, number in cells],
            "jpeg": [jpeg(label, number) for label, number in cells],
            "label": [label for label, _ in cells],
            "box": [{"x0": 1, "y0": 2, "x1": 60, "y1": 63} for _ in cells],
        }
        parquet.write_table(pa.table(table), home / f"{name}.parquet")
    return home
