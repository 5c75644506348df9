"""One question of an exam, and the mark that a method gets for its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.figures.numbers import counted, decimal, ends

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import torch

    from vizlib.evaluation.exams.hidden_cells import HiddenCells
    from vizlib.zoo.model import Model


@dataclass(frozen=True, eq=False)
class Question:
    """A picture uint8 (H, W, 3) as the model gets it, its input ``x`` (1, 3, h, w), and the class ``target`` that is to be explained.

    ``truth`` float64 (h, w) >= 0 says where the evidence is; ``words`` what was built or measured. On a picture of tiles ``cells`` counts
    them along each side, and the truth is spread evenly over each. ``control`` bool (h, w) is where something is that has no effect.
    ``hidden`` is there where the truth is no area but what hiding parts of the picture does; ``truth`` is zero then.
    Questions with one ``group`` share their picture, and count as one when the spread of a mark is told.
    """

    exam: str
    picture: np.ndarray
    x: torch.Tensor
    model: Model
    target: int
    truth: np.ndarray
    words: str
    group: int
    cells: tuple[int, int] | None = None
    control: np.ndarray | None = None
    hidden: HiddenCells | None = None


class Questions(list[Question]):
    """A list of questions, and what could not become one: ``skipped`` holds (what, reason)."""

    def __init__(self, questions: Iterable[Question] = (), skipped: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(questions)
        self.skipped = tuple(skipped)


def interval_words(low: float, high: float, reference: float) -> str:
    """The ends of a mark's interval with two digits, or as many more as show on which side of the reference it lies."""
    return ends(low, high, lambda end, more: decimal(end, 2 + more), reference)


@dataclass(frozen=True)
class Mark:
    """What one method got in one exam on one model: the mean ``value`` over questions, from ``low`` to ``high`` with 95 % confidence.

    ``reference`` is the better of what an even map and a Gaussian around the middle get for the same questions; ``passed`` whether the
    interval lies above it. ``area`` is the mean share of the picture where evidence is, ``pointing`` the share of maps whose highest pixel
    lies there (both NaN where the truth is no area), ``control`` the share of the map on what has no effect over its share of the picture
    (1 is as much as an even map), ``silent`` how many maps had no positive part, ``seconds`` the time for a map, ``pictures``
    what the questions are of. All numbers are NaN where ``refused`` says why there are none.
    """

    exam: str
    method: str
    model: str
    value: float
    low: float
    high: float
    reference: float
    passed: bool
    questions: int
    unit: str
    refused: str = ""
    area: float = float("nan")
    pointing: float = float("nan")
    control: float | None = None
    silent: int = 0
    seconds: float = float("nan")
    pictures: int = 0

    @property
    def counted(self) -> str:
        """How many questions it rests on, and of how many pictures where several share one."""
        text = counted(self.questions, "question")
        return text if self.pictures in (0, self.questions) else f"{text} of {counted(self.pictures, 'picture')}"

    @property
    def interval(self) -> str:
        """Its ends in words: of a mark that lies above what maps get that know nothing, so many digits that it reads so."""
        return interval_words(self.low, self.high, self.reference)

    @property
    def ratio(self) -> float:
        """The value over the area: 1 is what an even map has where the truth is an area."""
        return self.value / self.area

    @classmethod
    def refusal(cls, exam: str, method: str, model: str, unit: str, reason: str) -> Mark:
        """A mark that could not be given."""
        nothing = float("nan")
        return cls(exam, method, model, nothing, nothing, nothing, nothing, passed=False, questions=0, unit=unit, refused=reason)
