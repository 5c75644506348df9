"""An audit as it lies in its folder: its facts, its rows and its maps, read part by part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.auditing.plan import read_manifest
from vizlib.errors import AuditError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class Audit:
    """The audit in ``folder``: manifest.json, pictures/part-*.parquet with one row a picture, model and method, maps/part-*.npz."""

    folder: Path

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Audit:
        """An audit by its folder; AuditError where it holds none."""
        opened = cls(Path(folder))
        read_manifest(opened.folder)
        return opened

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What was asked: models, methods, number of pictures, target, versions."""
        return read_manifest(self.folder)

    @property
    def models(self) -> list[str]:
        """The models as rows call them."""
        return [model["name"] for model in self.facts["models"]]

    @property
    def methods(self) -> list[str]:
        """The methods as rows call them."""
        return [method["name"] for method in self.facts["methods"]]

    @property
    def notes(self) -> list[str]:
        """What to know of the labels before believing how often a model is right: one sentence for each model that it is said of."""
        from vizlib.auditing.label_notes import label_note

        said = ((model["name"], label_note(model, self.facts["classes"])) for model in self.facts["models"])
        return [f"{name}: {note}" for name, note in said if note]

    @property
    def parts(self) -> list[Path]:
        """The files of rows that are there, in order."""
        return sorted((self.folder / "pictures").glob("part-*.parquet"))

    @property
    def complete(self) -> bool:
        """Whether every chunk is there."""
        chunks = -(-self.facts["pictures"] // self.facts["chunk"])
        return len(self.parts) == chunks * len(self.facts["models"])

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows as an Arrow table, or some of their columns; AuditError where a part cannot be read."""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        if not self.parts:
            raise AuditError(f"{self.folder} has no rows yet.")
        try:
            return pa.concat_tables([parquet.read_table(part, columns=None if columns is None else list(columns)) for part in self.parts])
        except (OSError, ValueError, KeyError) as error:
            raise AuditError(f"The rows in {self.folder} cannot be read: {str(error)[:200]}.") from error

    def rows(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """All rows as a data frame."""
        return self.table(columns).to_pandas()

    def parts_rows(self, columns: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
        """Some columns of the rows, part by part; AuditError where a part cannot be read."""
        import pyarrow.parquet as parquet

        for part in self.parts:
            try:
                yield parquet.read_table(part, columns=list(columns)).to_pydict()
            except (OSError, ValueError, KeyError) as error:
                raise AuditError(f"The rows in {part} cannot be read: {str(error)[:200]}.") from error

    def model_tables(self, model: str, columns: Sequence[str], method: str | None = None) -> Iterator[pa.Table]:
        """Some columns of a model's rows, part by part, as Arrow tables; AuditError for names that the audit lacks."""
        import pyarrow.parquet as parquet

        for part in self._parts_of(model, method):
            try:
                yield parquet.read_table(part, columns=list(columns))
            except (OSError, ValueError, KeyError) as error:
                raise AuditError(f"The rows in {part} cannot be read: {str(error)[:200]}.") from error

    def maps(self, model: str, method: str) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the picture, map float32 (rows, columns)) of every map of a model and a method, in the order of the pictures.

        Maps are the explanation's own numbers on their grid, to the precision of float16. AuditError for names that the audit lacks.
        """
        for part in self._parts_of(model, method):
            for row, grid_map in self._part_maps(part, ["picture", "method"]):
                if row["method"] == method and grid_map is not None:
                    yield row["picture"], grid_map

    def chunks(self, columns: Sequence[str]) -> Iterator[list[tuple[dict[str, Any], np.ndarray | None]]]:
        """Chunk by chunk, the rows of all models with their maps, float32 (rows, columns), None where there is none.

        Rows of a model that has not come so far are left out. AuditError where a part cannot be read.
        """
        for number in range(-(-self.facts["pictures"] // self.facts["chunk"])):
            parts = (self.folder / "pictures" / f"part-{model:02d}-{number:06d}.parquet" for model in range(len(self.models)))
            rows = [row for part in parts if part.is_file() for row in self._part_maps(part, columns)]
            if rows:
                yield rows

    def _part_maps(self, part: Path, columns: Sequence[str]) -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
        import pyarrow.parquet as parquet

        needed = list(dict.fromkeys([*columns, "method", "map", "scale"]))
        try:
            rows = parquet.read_table(part, columns=needed).to_pylist()
            with np.load(self._arrays(part), allow_pickle=False) as arrays:
                maps = {method: arrays[method] for method in self.methods if method in arrays.files}
            for row in rows:
                grid_map = None if row["map"] is None else maps[row["method"]][row["map"]].astype(np.float32) * np.float32(row["scale"])
                yield row, grid_map
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise AuditError(f"The rows and maps of {part} cannot be read: {str(error)[:200]}.") from error

    def heads(self, model: str, measure: str) -> dict[str, np.ndarray]:
        """By attention site, "entropy" (bits) or "distance" (pixels of the input) of its heads: float32 (pictures, heads).

        NaN for pictures that could not be read; attention inside windows, which has no rows over the whole grid, is left out. AuditError
        where the audit was made without ``heads``, and for a model with no other attention.
        """
        if measure not in ("entropy", "distance"):
            raise AuditError(f"Heads have an 'entropy' and a 'distance', not {measure[:40]!r}.")
        if not self.facts["heads"]:
            raise AuditError("This audit has no statistics of heads: make it with heads=True.")
        gathered: dict[str, np.ndarray] = {}
        for first, arrays in self.head_parts(model):
            for name, values in arrays.items():
                kind, _, site = name.partition(".")
                if kind == measure:
                    whole = gathered.setdefault(site, np.full((self.facts["pictures"], values.shape[1]), np.nan, np.float32))
                    whole[first : first + len(values)] = values
        if not gathered:
            raise AuditError(f"No attention of {model} looks over its whole grid, so its heads have no such statistics.")
        return gathered

    def head_parts(self, model: str) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """(number of the first picture, {"MEASURE.SITE": float32 (pictures, heads)}) part by part; nothing without heads."""
        for part in self._parts_of(model):
            try:
                with np.load(self._arrays(part), allow_pickle=False) as arrays:
                    kept = {name: arrays[name] for name in arrays.files if name.partition(".")[0] in ("entropy", "distance")}
            except (OSError, ValueError) as error:
                raise AuditError(f"The maps of {part} cannot be read: {str(error)[:200]}.") from error
            if kept:
                yield int(part.stem.rpartition("-")[2]) * self.facts["chunk"], kept

    def features(self, model: str) -> list[str]:
        """The layers of a model whose features are kept, in their order; AuditError where the audit was made without them."""
        if not self.facts["features"]:
            raise AuditError("This audit has no features: make it with features=True.")
        for part in self._parts_of(model):
            with np.load(self._arrays(part), allow_pickle=False) as arrays:
                names = sorted(name for name in arrays.files if name.startswith("features."))
            if names:
                return [name.split(".", 2)[2] for name in names]
        return []

    def feature_parts(
        self, model: str, layers: Sequence[int] | None = None, *, token: bool = False
    ) -> Iterator[tuple[int, list[np.ndarray]]]:
        """(number of the first picture, float32 (pictures, channels) of each layer, or of some by number) part by part.

        The means over cells, or with ``token`` the first learned token of those layers that have one. NaN for pictures that could not
        be read; a part of such alone is left out.
        """
        for part in self._parts_of(model):
            with np.load(self._arrays(part), allow_pickle=False) as arrays:
                names = sorted(name for name in arrays.files if name.startswith("token." if token else "features."))
                kept = [arrays[name] for name in names if layers is None or int(name.split(".", 2)[1]) in layers]
            if kept:
                yield int(part.stem.rpartition("-")[2]) * self.facts["chunk"], kept

    def lens_parts(self, model: str) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """(number of the first picture, {block: float32 (pictures, 4)}) part by part: class and probability of the answer after the block,
        the probabilities of the model's answer and of the label.

        NaN for what could not be read or has no label; AuditError where the audit was made without ``lens``.
        """
        if not self.facts["lens"]:
            raise AuditError("This audit has no answers by layer: make it with lens=True.")
        for part in self._parts_of(model):
            with np.load(self._arrays(part), allow_pickle=False) as arrays:
                kept = {name.split(".", 2)[2]: arrays[name] for name in sorted(arrays.files) if name.startswith("lens.")}
            if kept:
                yield int(part.stem.rpartition("-")[2]) * self.facts["chunk"], kept

    def _parts_of(self, model: str, method: str | None = None) -> list[Path]:
        number = self._number(model, method)
        return [part for part in self.parts if part.name.startswith(f"part-{number:02d}-")]

    def _arrays(self, part: Path) -> Path:
        return self.folder / "maps" / f"{part.stem}.npz"

    def _number(self, model: str, method: str | None) -> int:
        if model not in self.models:
            raise AuditError(f"This audit has no model {model[:80]!r}; it has {', '.join(self.models)}.")
        if method is not None and method not in self.methods:
            raise AuditError(f"This audit has no method {method[:80]!r}; it has {', '.join(self.methods)}.")
        return self.models.index(model)
