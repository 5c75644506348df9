"""Whether a map changes when what it should tell of changes: the classifier, all weights, the class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.catalog.methods import METHODS
from vizlib.errors import MethodError, ModelError
from vizlib.evaluation.checks import CHECKS, DRAWS, LEAST, MOST, NOISE, OTHERS, Check, CheckCard
from vizlib.evaluation.progress import Steps
from vizlib.evaluation.rank_agreement import rank_correlation
from vizlib.evaluation.reexplain import check_single, checked_input, reexplain
from vizlib.evaluation.weight_randomization import blocks_below, head_of, randomized, weighted_modules_top_down
from vizlib.figures.numbers import decimal

if TYPE_CHECKING:
    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

STEPS = 8


def sanity_checks(model: Model, image: Any, explanation: Explanation) -> dict[str, Check]:
    """The checks "head", "cascade" and "class" of an explanation of this image by this model.

    Without a head there is only "cascade"; without another class there is no "class". The model is copied, never changed. Adebayo et al.,
    Sanity Checks for Saliency Maps (2018). MethodError for an explanation of another model or size, for one whose target was a function,
    and where the model with new weights gives no finite answer.
    """
    x = _checked_input(model, image, explanation)
    own_map, others = explanation.input_map, _other_targets(explanation)
    falling = weighted_modules_top_down(model, x)
    head = head_of(model, falling) if model.adapter.classes else []
    runs = 1 + DRAWS * (1 + bool(head)) + len(others)
    steps = Steps(runs * METHODS[explanation.method].passes)
    bounds = _bounds(model, x, explanation, steps)
    checks = {}
    for name, owners in (("head", head), ("cascade", falling)):
        if owners:
            maps = [_randomized_map(model, owners, seed, x, explanation, steps) for seed in range(1, 1 + DRAWS)]
            similarity = float(np.mean([abs(_similarity(own_map, changed_map)) for changed_map in maps]))
            checks[name] = _check(CHECKS[name], similarity, bounds, maps, explanation)
    if others:
        maps = [reexplain(model, x, explanation, steps, other)[0] for other in others]
        similarity = float(np.mean([_similarity(own_map, changed_map) for changed_map in maps]))
        target = explanation.target
        reversed_pair = isinstance(target, tuple) and others == [target[::-1]]
        card = replace(CHECKS["class"], condition="For the reverse") if reversed_pair else CHECKS["class"]
        checks["class"] = _check(card, similarity, bounds, maps, explanation)
    return checks


def cascade(model: Model, image: Any, explanation: Explanation, steps: int | None = None) -> list[tuple[str, float, np.ndarray]]:
    """The weights drawn anew from the classifier down: after each step the lowest layer reached, how alike the map still is, and the map.

    ``steps`` (None: 8) is at most how many there are; blocks that stand together share one. Alike is the size of Spearman's rank
    correlation, 0 to 1. MethodError as ``sanity_checks`` has it, and for fewer than two steps.
    """
    most = STEPS if steps is None else steps
    if most < 2:
        raise MethodError(f"A cascade has at least two steps, not {most}: the classifier, and all below it.")
    x = _checked_input(model, image, explanation)
    falling = weighted_modules_top_down(model, x)
    head = head_of(model, falling) if model.adapter.classes else []
    below = blocks_below(falling, head)
    groups = [[("head", head)]] if head else []
    bounds = np.linspace(0, len(below), 1 + min(most - len(groups), len(below))).round().astype(int)
    groups += [below[first:last] for first, last in pairwise(bounds.tolist())]
    progress, rows, owners = Steps(len(groups) * METHODS[explanation.method].passes), [], list[str]()
    for group in groups:
        owners += [path for _, paths in group for path in paths]
        changed = _randomized_map(model, owners, 1, x, explanation, progress)
        rows.append((group[-1][0], abs(_similarity(explanation.input_map, changed)), changed))
    return rows


def _checked_input(model: Model, image: Any, explanation: Explanation) -> torch.Tensor:
    check_single(explanation)
    if explanation.target is None and explanation.label:
        raise MethodError("The explanation's target was a function, which is not kept, so the map cannot be made again: explain a class.")
    return checked_input(model, image, explanation)


def _randomized_map(model: Model, owners: list[str], seed: int, x: torch.Tensor, explanation: Explanation, steps: Steps) -> np.ndarray:
    try:
        (changed_map,) = reexplain(randomized(model, owners, seed), x, explanation, steps)
    except ModelError as error:
        raise MethodError(f"{model.card.name} with new weights cannot be explained, so the check says nothing: {error}") from error
    return changed_map


def _other_targets(explanation: Explanation) -> list[int | tuple[int, int]]:
    """Other questions about the same image, about classes that the model hardly sees in it; none where there are no others."""
    target = explanation.target
    if target is None:
        return []
    if isinstance(target, tuple) and explanation.signed:
        return [(target[1], target[0])]
    taken = set(target) if isinstance(target, tuple) else {target}
    rest = [index for index in np.argsort(-explanation.logits, kind="stable").tolist() if index not in taken]
    unlikely = rest[len(rest) // 2 :]
    drawn = np.random.default_rng(0).permutation(len(unlikely))[:OTHERS]
    classes = [unlikely[place] for place in drawn]
    return [(index, target[1]) for index in classes] if isinstance(target, tuple) else classes


@dataclass(frozen=True)
class _Bounds:
    """How alike the map is under noise, and to moved copies of itself on the average and at most."""

    noise: float
    usual: float
    chance: float

    @property
    def same(self) -> float:
        """From which similarity on a map counts as the same."""
        return min(MOST, max(self.noise / 2, self.chance))

    @property
    def firm(self) -> bool:
        """Whether the map is the same one when nothing that matters has changed."""
        return self.noise >= max(LEAST, self.usual)


def _bounds(model: Model, x: torch.Tensor, explanation: Explanation, steps: Steps) -> _Bounds:
    own_map, x = explanation.input_map, x.float().cpu()
    shift = 2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) - 1
    (noisy,) = reexplain(model, x + NOISE * float(x.amax() - x.amin()) * shift, explanation, steps)
    by_chance = [abs(_similarity(own_map, moved_map)) for moved_map in _mirrored_and_shifted(own_map)]
    return _Bounds(_similarity(own_map, noisy), float(np.mean(by_chance)), max(by_chance))


def _mirrored_and_shifted(values: np.ndarray) -> list[np.ndarray]:
    """A map (h, w) mirrored along either axis and both, and moved by half of either side and both, around the edges."""
    half = (values.shape[0] // 2, values.shape[1] // 2)
    mirrored = [np.flip(values, axes) for axes in (0, 1, (0, 1))]
    return mirrored + [np.roll(values, move, (0, 1)) for move in ((half[0], 0), (0, half[1]), half)]


def _similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Their rank correlation, 0 where one is the same everywhere and has no order."""
    return float(np.nan_to_num(rank_correlation(first, second)))


def _check(card: CheckCard, similarity: float, bounds: _Bounds, changed: list[np.ndarray], explanation: Explanation) -> Check:
    flat = bool(np.nanmax(explanation.input_map) == np.nanmin(explanation.input_map))
    passed = similarity < bounds.same and bounds.firm and not flat
    reason = _reason(card, similarity, bounds, explanation, flat=flat)
    return Check(card.name, card.title, similarity, passed, reason, card.definition, changed[0], len(changed))


def _reason(card: CheckCard, similarity: float, bounds: _Bounds, explanation: Explanation, *, flat: bool) -> str:
    if flat:
        return "The map is the same everywhere, so nothing can change in it."
    if bounds.noise < LEAST:
        return f"Even a little noise makes it another map (similarity {decimal(bounds.noise)}), so this check says nothing."
    if not bounds.firm:
        noise, usual = _told(bounds.noise, bounds.usual)
        return (
            f"A little noise leaves it less alike (similarity {noise}) than being mirrored or moved does ({usual} on average), so this "
            "check says nothing."
        )
    said, bound = _told(similarity, bounds.same)
    if similarity < bounds.same:
        return f"{card.condition} it is another map: similarity {said}, below {bound}."
    if card.by_class and not METHODS[explanation.method].class_specific:
        return f"{card.condition} it stays the same by design, similarity {said}: the method does not look at the class."
    return f"{card.condition} it does not change enough: similarity {said}, where a change is below {bound}."


def _told(first: float, second: float) -> tuple[str, str]:
    """Two numbers with two digits, or with as many more, up to six, as show which is the larger."""
    digits = next((digits for digits in range(2, 6) if decimal(first, digits) != decimal(second, digits)), 6 if first != second else 2)
    return decimal(first, digits), decimal(second, digits)
