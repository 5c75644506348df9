"""Models measured over the same pictures, and what each pixel adds to what they answer: computed beside the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib import Model
    from vizlib.analysis.pixel_attribution import Attribution
    from vizlib.compare.result import Comparison, Example
    from vizlib.engine.jobs import Progress

MOST_SHOWN = 8  # pictures of a set whose layers can be looked at


@dataclass(frozen=True, eq=False)
class LogitAttributions:
    """The attributions of log p(class) by model, None for one of other classes."""

    target: int
    label: str
    attributions: tuple[Attribution | None, ...]

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return sum(attribution.map.nbytes for attribution in self.attributions if attribution is not None)


def compute_comparison(*models: Model, pictures: Mapping[str, Any], fit: str | None, progress: Progress) -> Comparison:
    """All models measured over all pictures, arrays or the contents of files by name, in one pass."""
    from vizlib.compare.api import compare

    return compare(list(models), pictures, shown=MOST_SHOWN, fit=fit, explain=False, progress=progress)


def compute_attributions(
    *models: Model, shown: Example, target: int, fit: str | None, which: Sequence[bool], progress: Progress
) -> LogitAttributions:
    """What each pixel adds to log p(target), of the models that ``which`` says."""
    from vizlib.analysis.logit_difference import integrated

    attributions: list[Attribution | None] = []
    for number, (model, wanted) in enumerate(zip(models, which, strict=True)):
        progress(number, len(models), f"Explaining {model.card.display_name}")
        attributions.append(integrated(model, shown.picture, target, fit=fit) if wanted else None)
    return LogitAttributions(target, models[list(which).index(True)].label(target), tuple(attributions))
