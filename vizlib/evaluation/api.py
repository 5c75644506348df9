"""The scores of one explanation: what it predicts of the model, beside random smooth maps and a Gaussian around the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from vizlib.errors import MethodError
from vizlib.evaluation.faithfulness import FaithfulnessScorer
from vizlib.evaluation.reexplain import check_single, checked_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.evaluation.over_sets import SetScore
    from vizlib.evaluation.score import Score
    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model


@overload
def evaluate(model: Model, image: Any, explanation: Explanation, metrics: Sequence[str] | None = None) -> dict[str, Score]: ...


@overload
def evaluate(model: Model, image: Any, explanation: list[Explanation], metrics: Sequence[str] | None = None) -> dict[str, SetScore]: ...


def evaluate(
    model: Model, image: Any, explanation: Explanation | list[Explanation], metrics: Sequence[str] | None = None
) -> dict[str, Score] | dict[str, SetScore]:
    """How faithful an explanation of this image by this model is, a Score for each of ``metrics`` (None: those of a badge).

    The image is what was explained: a picture, or the prepared tensor; of a list of images and one of their explanations, a SetScore each,
    with intervals over the pictures. Random numbers start from fixed seeds. A FaithfulnessScorer measures many maps of one image for little
    more. MethodError for an unknown metric, for an explanation of another model, picture or size, and for one whose target was a function.
    """
    if isinstance(explanation, list):
        from vizlib.evaluation.over_sets import evaluate_set

        return evaluate_set(model, image, explanation, metrics)
    check_single(explanation)
    if explanation.target is None:
        raise MethodError("The explanation's target is no class, so there is no probability to watch: explain a class.")
    return FaithfulnessScorer(model, checked_input(model, image, explanation), explanation.target).score(explanation, metrics)
