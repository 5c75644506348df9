"""What of a map stays when the input changes by less than an eye sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.catalog.methods import METHODS
from vizlib.errors import MethodError
from vizlib.evaluation.measured import StabilityBands
from vizlib.evaluation.progress import Steps
from vizlib.evaluation.reexplain import check_single, checked_input, reexplain
from vizlib.figures.numbers import percent

if TYPE_CHECKING:
    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

_MOSTLY = 0.5  # of an area on the edge of the highest, from which on it is among them
TOGETHER = 4  # runs made in one batch: between them a listener may stop the work


def stability(
    model: Model, image: Any, explanation: Explanation, runs: int = 12, radius: float = 0.02, top: float = 0.2, seed: int = 0
) -> StabilityBands:
    """The map of ``runs`` copies of the image under uniform noise of ``radius`` of the input's range, with the same target and options.

    The highest pixels are the ``top`` share of the map's area. MethodError for an explanation of another model or size, for one whose
    target was a function, and for numbers out of range.
    """
    if runs < 2 or not 0 < top < 1 or not radius >= 0:
        raise MethodError(f"Stability takes two runs or more, a radius from 0 and a top between 0 and 1, not {runs}, {radius} and {top}.")
    check_single(explanation)
    if explanation.target is None and explanation.label:
        raise MethodError("The explanation's target was a function, which is not kept, so the map cannot be made again: explain a class.")
    x = checked_input(model, image, explanation).float().cpu()
    generator, reach = torch.Generator().manual_seed(seed), radius * float(x.amax() - x.amin())
    steps, maps = Steps(runs * METHODS[explanation.method].passes), list[np.ndarray]()
    while len(maps) < runs:
        count = min(TOGETHER, runs - len(maps))
        noise = 2 * torch.rand((count, *x.shape[1:]), generator=generator) - 1
        maps += reexplain(model, x + reach * noise, explanation, steps)
    stack = np.nan_to_num(np.stack(maps))
    first = top_area(np.nan_to_num(explanation.input_map), top)
    tops = np.stack([top_area(values, top) for values in stack])
    low, high = np.quantile(stack, (0.1, 0.9), axis=0)
    definition = (
        f"The map is made again for {runs} copies of the image with uniform noise of at most {radius:g} of the input's range. The "
        f"overlap is the area that the highest {percent(top)} of the map and of a copy's map have in common, over the area of both: "
        f"the mean. Where equal values share the edge of these {percent(top)}, each counts in part; a line takes it in from a half on."
    )
    steady = (tops >= _MOSTLY).mean(0)  # a region that is wholly at the edge in every run would else be told as one that comes and goes
    return StabilityBands(stack.mean(0), low, high, steady, _overlap(first, tops), runs, radius, definition)


def top_area(values: np.ndarray, share: float) -> np.ndarray:
    """How far each pixel of values (h, w) is in the highest ``share`` of the area, 0 to 1: equal ones on the edge share what is left."""
    wanted = share * values.size
    edge = np.sort(values, axis=None)[::-1][min(values.size - 1, int(np.ceil(wanted)) - 1)]
    above, on = values > edge, values == edge
    return above + on * ((wanted - above.sum()) / on.sum())


def _overlap(first: np.ndarray, others: np.ndarray) -> float:
    """The mean of Jaccard's index of the areas first (h, w) and others (runs, h, w)."""
    both, either = np.minimum(first, others).sum((1, 2)), np.maximum(first, others).sum((1, 2))
    return float((both / either).mean())
