"""The pictures of an audit in their order, with what is known of each: class, box, mask. Nothing is decoded here."""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.auditing.names import unique
from vizlib.datasets.labelled import LabelledPhotos, find_photos
from vizlib.errors import AuditError, ImageError, TrainingError
from vizlib.images import is_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Box = tuple[float, float, float, float]
_BOXES = (("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))
_PATHS, _BYTES, _LABELS = ("path", "file", "filename", "file_name"), ("jpeg", "image", "bytes", "png"), ("label", "class")
_TABLES = frozenset({".parquet", ".csv", ".tsv", ".json", ".jsonl"})


@dataclass(frozen=True)
class Row:
    """One cell of a Parquet file that holds a picture's bytes."""

    file: Path
    column: str
    row: int


@dataclass(frozen=True)
class Item:
    """One item of a data set in memory, as a torch Dataset or a list of arrays: read when its turn comes."""

    data: Any
    index: int


@dataclass(frozen=True)
class AuditPicture:
    """A picture by its ``name``, unique in its audit. ``label`` is the number of its class among those of the data set.

    ``box`` (x0, y0, x1, y1) in pixels of the picture, all inside it; ``mask`` the file of a picture that is not black where
    the object is.
    """

    name: str
    source: Path | Row | Item
    label: int | None = None
    box: Box | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class AuditPictures:
    """The pictures, and the classes of their labels as (key, words)."""

    items: list[AuditPicture]
    classes: list[tuple[str, str]]

    def fingerprint(self) -> str:
        """The SHA-256 of names, labels, boxes and masks: what an audit that goes on must agree with."""
        digest = hashlib.sha256(json.dumps(self.classes, ensure_ascii=False).encode())
        for picture in self.items:
            facts = [picture.name, picture.label, picture.box, None if picture.mask is None else str(picture.mask)]
            digest.update(json.dumps(facts, ensure_ascii=False).encode() + b"\n")
        return digest.hexdigest()


def audit_pictures(data: Any) -> AuditPictures:
    """The pictures that ``data`` names, in an order that does not change.

    A folder (with val.parquet, as tiny-imagenet-200, one folder for each class, or pictures anywhere below it), a table (Parquet, CSV, TSV,
    JSON lines: path or image bytes, label, box, mask), a text file with one path a line, a glob, a list of paths or arrays, {name: path,
    bytes or array}, or a torch Dataset of (picture, label) or pictures, whose labels are those in its ``targets`` or ``labels``.
    AuditError where there is none.
    """
    if isinstance(data, str | os.PathLike):
        pictures = _of_path(Path(data).expanduser(), str(data))
    elif isinstance(data, Mapping):
        named = list(data.values())
        pictures = AuditPictures([AuditPicture(str(name), Item(named, place)) for place, name in enumerate(data)], [])
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        pictures = _of_sequence(data)
    else:
        raise AuditError(f"An audit goes over a folder, a table, a list or a data set with a length, not over a {type(data).__name__}.")
    if not pictures.items:
        raise AuditError(f"There are no pictures in {str(data)[:200]!r}.")
    names = unique(picture.name for picture in pictures.items)  # a table may name a file twice, with another box
    return replace(pictures, items=[replace(picture, name=name) for picture, name in zip(pictures.items, names, strict=True)])


def _of_path(path: Path, word: str) -> AuditPictures:
    if path.is_dir():
        return _of_folder(path)
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix in _TABLES:
            return _of_table(path)
        if suffix in (".txt", ".lst"):
            lines = [line.strip() for line in _read(path, lambda: path.read_text(encoding="utf-8-sig")).splitlines()]
            return AuditPictures([AuditPicture(line, path.parent / line) for line in lines if line], [])
        return AuditPictures([AuditPicture(path.name, path)], [])
    if glob.has_magic(word):
        files = sorted(Path(found) for found in glob.glob(str(path), recursive=True))  # noqa: PTH207  Path.glob takes no absolute patterns
        return AuditPictures([AuditPicture(str(file), file) for file in files if is_picture(file)], [])
    raise AuditError(f"There is no {word!r}: check the name and the folder.")


def _of_folder(home: Path) -> AuditPictures:
    direct = sorted(file for file in home.iterdir() if is_picture(file))
    layout = (home / "val.parquet").is_file() and (home / "classes.json").is_file()
    if layout:
        return _of_parquet_layout(home)
    if not direct:
        try:
            return _labelled(home, find_photos(home))
        except TrainingError:
            pass  # no layout with classes: every picture below counts, without a label
    files = sorted(file for file in home.rglob("*") if is_picture(file))
    return AuditPictures([AuditPicture(file.relative_to(home).as_posix(), file) for file in files], [])


def _labelled(home: Path, photos: LabelledPhotos) -> AuditPictures:
    items = [AuditPicture(source.relative_to(home).as_posix(), source, label) for source, label in photos.items if isinstance(source, Path)]
    return AuditPictures(items, photos.classes)


def _of_parquet_layout(home: Path) -> AuditPictures:
    import pyarrow.parquet as parquet

    file = home / "val.parquet"
    names = [name for name in ("label", "box") if name in _read(file, lambda: parquet.read_schema(file)).names]
    columns = _read(file, lambda: parquet.read_table(file, columns=names)).to_pydict()
    listed = _read(home / "classes.json", lambda: json.loads((home / "classes.json").read_text(encoding="utf-8")))
    classes = [(str(row["wnid"]), str(row["name"])) for row in listed]
    if "label" not in columns:
        raise AuditError(f"{file} has no column 'label'.")
    boxes = columns.get("box", [None] * len(columns["label"]))
    items = [
        AuditPicture(name := f"val.parquet:{row}", Row(file, "jpeg", row), int(label), _box(box, name))
        for row, (label, box) in enumerate(zip(columns["label"], boxes, strict=True))
    ]
    return AuditPictures(items, classes)


def _of_table(path: Path) -> AuditPictures:
    columns = _columns(path)
    known = {name.lower(): name for name in columns}
    by_path = next((known[name] for name in _PATHS if name in known), None)
    by_bytes = next((known[name] for name in _BYTES if name in known), None) if path.suffix.lower() == ".parquet" else None
    if by_path is None and by_bytes is None:
        raise AuditError(
            f"{path} has no column 'path' (nor, in Parquet, 'image' with bytes); its columns are {', '.join(columns) or 'none'}."
        )
    corners = next(([known[name] for name in names] for names in _BOXES if all(name in known for name in names)), None)
    label_column = next((known[name] for name in _LABELS if name in known), None)
    rows = len(columns[by_path or by_bytes or ""])
    labels, classes = _numbered(columns[label_column] if label_column else [None] * rows)
    masks = columns.get(known.get("mask", ""), [None] * rows)
    items = []
    for row in range(rows):
        if by_path is not None:
            name = str(columns[by_path][row])
            source: Path | Row = path.parent / name
        else:
            name, source = f"{path.name}:{row}", Row(path, str(by_bytes), row)
        box = _box([columns[corner][row] for corner in corners] if corners else columns.get(known.get("box", ""), [None] * rows)[row], name)
        mask = path.parent / str(masks[row]) if masks[row] not in (None, "") else None
        items.append(AuditPicture(name, source, labels[row], box, mask))
    return AuditPictures(items, classes)


def _columns(path: Path) -> dict[str, list[Any]]:
    """The columns of a table; of a Parquet file with pictures in it, the bytes are left where they are."""
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as parquet

        def read() -> dict[str, list[Any]]:
            schema = parquet.read_schema(path)
            heavy = [field.name for field in schema if pa.types.is_binary(field.type) or pa.types.is_struct(field.type)]
            table = parquet.read_table(path, columns=[name for name in schema.names if name not in heavy])
            lists: dict[str, list[Any]] = table.to_pydict()
            rows = parquet.read_metadata(path).num_rows
            return lists | {name: [None] * rows for name in heavy}

        return _read(path, read)
    if path.suffix.lower() in (".json", ".jsonl"):

        def rows() -> list[dict[str, Any]]:
            text = path.read_text(encoding="utf-8-sig")
            by_line = path.suffix.lower() == ".jsonl"
            parsed = [json.loads(line) for line in text.splitlines() if line.strip()] if by_line else json.loads(text)
            if not isinstance(parsed, list) or not all(isinstance(row, dict) for row in parsed):
                raise ValueError("it is no list of records")
            return parsed

        records = _read(path, rows)
    else:
        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        records = _read(path, lambda: list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines(), delimiter=delimiter)))
    names = list(dict.fromkeys(name for record in records for name in record if isinstance(name, str)))
    return {name: [record.get(name) for record in records] for name in names}


def _numbered(values: Sequence[Any]) -> tuple[list[int | None], list[tuple[str, str]]]:
    """Labels as numbers among their classes: whole numbers stay what they are, words are numbered in their sorted order."""
    present = [None if value in (None, "") else value for value in values]
    numbers = [_whole(value) for value in present if value is not None]
    if numbers and all(number is not None for number in numbers):
        most = max(number for number in numbers if number is not None)
        return [None if value is None else _whole(value) for value in present], [(str(number), str(number)) for number in range(most + 1)]
    words = sorted({str(value) for value in present if value is not None})
    place = {word: number for number, word in enumerate(words)}
    return [None if value is None else place[str(value)] for value in present], [(word, word.replace("_", " ")) for word in words]


def _whole(value: Any) -> int | None:
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else None


def _box(value: Any, name: str) -> Box | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    parts = value.replace(",", " ").split() if isinstance(value, str) else list(value)
    if len(parts) == 4 and all(part in (None, "") for part in parts):
        return None
    try:
        x0, y0, x1, y1 = (float(part) for part in parts)
    except (TypeError, ValueError) as error:
        raise AuditError(f"The box of {name} is not four numbers x0 y0 x1 y1: {str(value)[:60]!r}.") from error
    if not (x1 >= x0 and y1 >= y0):
        raise AuditError(f"The box of {name} is empty: x0 y0 x1 y1 are {x0:g} {y0:g} {x1:g} {y1:g}.")
    return (x0, y0, x1, y1)


def _of_sequence(data: Any) -> AuditPictures:
    classes = getattr(data, "classes", None)
    targets = getattr(data, "targets", getattr(data, "labels", None))
    listed = isinstance(data, list | tuple)
    items: list[AuditPicture] = []
    for index in range(len(data)):
        item = data[index] if listed else None
        label = None
        if listed and isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], int):
            item, label = item
        if isinstance(item, str | os.PathLike):
            items.append(AuditPicture(str(item), Path(item), label))
        else:
            # What a Dataset gives is only known when it is read; its labels are taken from its list of them where it keeps one.
            known = label if listed else _whole(targets[index]) if targets is not None and len(targets) == len(data) else None
            items.append(AuditPicture(f"item {index}", Item(data, index), known))
    if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
        most = max((picture.label for picture in items if picture.label is not None), default=-1)
        classes = [str(number) for number in range(most + 1)]
    return AuditPictures(items, [(str(name), str(name).replace("_", " ")) for name in classes])


def read_sources(pictures: Iterable[AuditPicture]) -> list[Any]:
    """What can be read of each picture: a path, bytes, an array, or the ImageError of a data set that gives none.

    Cells of a Parquet file are read together.
    """
    listed = list(pictures)
    cells: dict[tuple[Path, str], list[int]] = {}
    for picture in listed:
        if isinstance(picture.source, Row):
            cells.setdefault((picture.source.file, picture.source.column), []).append(picture.source.row)
    held = {key: _cells(*key, rows) for key, rows in cells.items()}
    return [
        held[picture.source.file, picture.source.column][picture.source.row]
        if isinstance(picture.source, Row)
        else _of_item(picture.source)
        if isinstance(picture.source, Item)
        else picture.source
        for picture in listed
    ]


def _of_item(item: Item) -> Any:
    """The picture of an item, or why there is none: a data set's own code may fail in any way."""
    try:
        value = item.data[item.index]
    except Exception as error:  # noqa: BLE001
        return ImageError(f"The data set gives no item {item.index}: {type(error).__name__}: {str(error)[:200]}.")
    return value[0] if isinstance(value, tuple) and value else value


def _cells(file: Path, column: str, rows: Sequence[int]) -> dict[int, bytes]:
    """The bytes in some rows of a column, of which only the row groups that hold them are read."""
    import pyarrow.parquet as parquet

    def read() -> dict[int, bytes]:
        wanted, first = set(rows), 0
        found: dict[int, bytes] = {}
        with parquet.ParquetFile(file) as table:
            for group in range(table.num_row_groups):
                count = table.metadata.row_group(group).num_rows
                here = sorted(row for row in wanted if first <= row < first + count)
                if here:
                    values = table.read_row_group(group, columns=[column])[column]
                    for row in here:
                        value = values[row - first].as_py()
                        found[row] = bytes(value.get("bytes") or b"") if isinstance(value, dict) else bytes(value or b"")
                first += count
        return found

    return _read(file, read)


def _read(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except AuditError:
        raise
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise AuditError(f"{path} cannot be read: {str(error)[:200]}.") from error
