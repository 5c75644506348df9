"""What can be sorted by: the columns of an audit's table, and the presets that put the pictures worth a look first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vizlib.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Column:
    """A column: its ``title``, what it means, and how it is written: "text", "share", "number", "count", "flag" or "place", an index."""

    name: str
    title: str
    hint: str
    kind: str


TABLE = (
    Column("picture", "#", "The picture's place in the audit, counted from 1; files and Python count from 0.", "place"),
    Column("path", "picture", "Its name in the data.", "text"),
    Column("label_name", "label", "The class that the data gives it.", "text"),
    Column("predicted", "answer", "The model's first answer.", "text"),
    Column("right", "right", "Whether the answer is the label.", "flag"),
    Column("probability", "sure", "The probability of the answer.", "share"),
    Column("label_probability", "label's", "The probability of the label.", "share"),
    Column("label_rank", "rank", "The label's place among the answers, 1 the first.", "count"),
    Column("evenness", "evenness", "The map's entropy over that of an even map: 1 singles nothing out.", "number"),
    Column("strongest", "strongest", "The share of the map in its strongest cell.", "share"),
    Column("sink", "sink", "The share of a rollout that ends in learned tokens instead of pixels.", "share"),
    Column("region_share", "on object", "The share of the map's positive part in the box or mask.", "share"),
    Column("region_area", "object", "The share of what the model sees that box or mask cover: what an even map would have on it.", "share"),
    Column("region_lift", "lift", "On object over object: 1 is an even map, below it lies elsewhere.", "number"),
    Column("pointing", "points", "Whether the map's highest pixel lies in box or mask.", "share"),
    Column("artifacts", "artifacts", "Tokens that stand out by their norm.", "count"),
    Column("methods_apart", "methods apart", "How far the map lies from that of the method that differs most: 0 alike, 1 apart.", "number"),
    Column("from_last", "from the last", "How far the map lies from the last model's: 0 alike, 1 apart.", "number"),
    Column("models_apart", "models apart", "How far the map lies from that of the model that differs most: 0 alike, 1 apart.", "number"),
)


def table_columns(scores: Sequence[str]) -> tuple[Column, ...]:
    """The columns of an audit's table with those of its scores."""
    own = [Column(f"score_{name}", METRICS[name].title.lower(), METRICS[name].definition, "number") for name in scores]
    return (*TABLE, *own)


_HOLDS: dict[str, Callable[[Any, Any], bool]] = {"==": lambda a, b: a == b, "<": lambda a, b: a < b, ">": lambda a, b: a > b}


@dataclass(frozen=True)
class Preset:
    """The ``rows`` ``where`` all (column, "==", "<" or ">", value) hold, sorted ``by`` a column into their ``order``; where to
    ``look`` then.

    ``missing`` says why there may be none. Data, not code, since the browser sorts by the same.
    """

    name: str
    title: str
    rows: str
    order: str
    look: str
    where: tuple[tuple[str, str, Any], ...]
    by: str
    falling: bool
    missing: str

    def score(self, row: Mapping[str, Any]) -> float | None:
        """What the rows are sorted by, falling; None for a row that is not among them."""
        if any(row[column] is None or not _HOLDS[sign](row[column], value) for column, sign, value in self.where):
            return None
        value = row[self.by]
        return None if value is None else float(value) if self.falling else -float(value)


PRESETS = (
    Preset(
        "wrong_sure", "Wrong and sure", "Wrong answers", "the surest first",
        "look at what the map lies on, and at labels that may be wrong",
        (("right", "==", False),), "probability", falling=True, missing="no answer is wrong by a label",
    ),
    Preset(
        "outside", "Right, but looking elsewhere", "Right answers whose map lies less on the box or mask than an even map would",
        "the least first", "they may be right for another reason",
        (("right", "==", True), ("region_lift", "<", 1)), "region_lift", falling=False,
        missing="no right answer has a box or mask that its map avoids",
    ),
    Preset(
        "flat", "Flat maps", "Maps", "the most even first", "one with an evenness of 1 singles nothing out",
        (("evenness", ">", 0),), "evenness", falling=True, missing="there is no map",
    ),
    Preset(
        "artifacts", "Artifacts", "Pictures with tokens that stand out by their norm", "the most tokens first",
        "such maps may point at them and not at the object",
        (("artifacts", ">", 0),), "artifacts", falling=True,
        missing="no token stands out, or the audit was made without heads, which counts them",
    ),
    Preset(
        "methods_apart", "Methods disagree", "Pictures whose map differs from another method's of the same model",
        "the farthest apart first", "evidence against, where maps have it, is left aside",
        (("methods_apart", ">", 0),), "methods_apart", falling=True, missing="there is one method",
    ),
    Preset(
        "from_last", "Changed most", "Pictures whose map differs from the last model's", "the farthest apart first",
        "those of an early model show what changed",
        (("from_last", ">", 0),), "from_last", falling=True, missing="there are fewer than three models, or this is the last",
    ),
    Preset(
        "models_apart", "Models disagree", "Pictures whose map differs from another model's, each for its own target",
        "the farthest apart first", "evidence against, where maps have it, is left aside",
        (("models_apart", ">", 0),), "models_apart", falling=True, missing="there is one model, or models see other parts of the pictures",
    ),
)  # fmt: skip
