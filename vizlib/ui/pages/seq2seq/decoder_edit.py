"""What is changed by hand at one step of the decoder, and the weights that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from vizlib.seq2seq.translation import Step


@dataclass(frozen=True)
class Edit:
    """What was changed by hand at one step: temperature, scale ("as" trained, "on", "off"), hidden keys, and scores (place, value)."""

    tau: float = 1.0
    scale: str = "as"
    mask: tuple[int, ...] = ()
    scores: tuple[tuple[int, float], ...] = ()

    @classmethod
    def read(cls, view: dict[str, Any], keys: int) -> Edit:
        """The edit that a view names, as far as it fits a text of so many characters."""
        mask = tuple(j for j in map(int, filter(None, view["mask"].split("_"))) if j < keys)
        parts = (part.split(":") for part in view["scores"].split("_") if part)
        scores = tuple((int(j), float(value)) for j, value in parts if int(j) < keys)
        return cls(float(view["tau"]), view["scale"], mask if len(mask) < keys else (), scores)

    @property
    def view(self) -> dict[str, str]:
        """The edit as the browser keeps it."""
        scores = "_".join(f"{j}:{plain_number(value)}" for j, value in self.scores)
        return {"tau": plain_number(self.tau), "scale": self.scale, "mask": "_".join(map(str, self.mask)), "scores": scores}


AS_IT_WAS = Edit()


@dataclass(frozen=True)
class View:
    """One attention of a step: a model's only one, or one head of a Transformer's last layer; arrays as in ``Step``."""

    query: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    context: np.ndarray

    @property
    def width(self) -> int:
        """The number d of a key's components."""
        return int(self.keys.shape[-1])


def view_of(step: Step, head: int) -> View:
    """The attention of a step that is looked at."""
    if step.per_head:
        return View(**{name: np.asarray(step.per_head[name][head]) for name in View.__dataclass_fields__})
    return View(**{name: np.asarray(getattr(step, name)) for name in View.__dataclass_fields__})


def divided(edit: Edit, *, scaled: bool) -> bool:
    """Whether scores are divided by sqrt(d) after an edit, in a model that does so or not (``scaled``)."""
    return scaled if edit.scale == "as" else edit.scale == "on"


def weights_of(raw: np.ndarray, edit: Edit, *, scaled: bool, width: int) -> np.ndarray:
    """softmax of the edited scores over the keys that are not hidden, float64 (n,).

    ``raw`` (n,) are scores without 1 / sqrt(width), ``scaled`` says whether the model divides by it.
    """
    scores = np.asarray(raw, np.float64) / (np.sqrt(width) if divided(edit, scaled=scaled) else 1.0)
    for place, value in edit.scores:
        scores[place] = value
    scores /= edit.tau
    scores[list(edit.mask)] = -np.inf
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def raw_scores(view: View, *, divided_by: bool) -> np.ndarray:
    """Scores (n,) before any division by sqrt(d), float64."""
    return np.asarray(view.scores, np.float64) * (np.sqrt(view.width) if divided_by else 1.0)


def plain_number(value: float) -> str:
    """A number as JavaScript writes it."""
    return repr(value).removesuffix(".0")
