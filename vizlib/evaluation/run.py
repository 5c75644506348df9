"""The scores of one explanation: what it foretells of the model, beside random smooth maps and a Gaussian around the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError, nearest
from vizlib.evaluation.references import middle, random_smooth
from vizlib.evaluation.removal import area, curves
from vizlib.evaluation.score import Score
from vizlib.evaluation.subsets import CELLS, falls, infidelity, random_subsets, sensitivity, sums
from vizlib.explainers.asked import Asked, ask
from vizlib.explainers.baselines import baseline
from vizlib.explainers.run import explain
from vizlib.explainers.targets import settle
from vizlib.images import read_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

PARTS, RANDOM, SIZES, EACH, JITTERS, RADIUS = 32, 20, (4, 8, 16, 32), 32, 6, 0.02
BASELINES = ("mean", "blur", "colour")
_PARTS = f"in {PARTS} equal parts, the mean over three baselines (mean colour of the data, blur, own mean colour)"
DEFINITIONS = {
    "deletion": f"The area under the class probability as the map's highest pixels are taken away, {_PARTS}. Lower is better.",
    "insertion": f"The area under the class probability as the map's highest pixels are given back to an empty image, {_PARTS}. "
    "Higher is better.",
    "sensitivity_n": f"The correlation of the map's sum over random cells of an {CELLS} x {CELLS} grid with how far the score falls "
    f"without them, {EACH} subsets each of {', '.join(map(str, SIZES))} cells. Higher is better.",
    "infidelity": "The mean square of what the map's sum, at its best scale, leaves of that fall, over the fall's own. 0 is perfect, "
    "1 foretells nothing. Lower is better.",
    "max_sensitivity": f"The most that the map changes, as a share of its norm, when the input changes by at most {RADIUS:g} of its range, "
    f"over {JITTERS} random changes. Lower is better.",
}
HIGHER = {"insertion", "sensitivity_n"}


def evaluate(model: Model, image: Any, explanation: Explanation, metrics: Sequence[str] | None = None) -> dict[str, Score]:
    """How faithful an explanation of this image by this model is, a Score for each of ``metrics`` (None: all of DEFINITIONS).

    The image is what was explained: a picture, or the prepared tensor. Random numbers start from fixed seeds. MethodError for an unknown
    metric, for an explanation of another model or size, and for one whose target was a function.
    """
    names = list(DEFINITIONS) if metrics is None else list(metrics)
    for name in names:
        if name not in DEFINITIONS:
            raise MethodError(f"There is no metric {name!r}; there are {', '.join(DEFINITIONS)}.{nearest(name, list(DEFINITIONS))}")
    asked = _asked(model, image, explanation)
    size = explanation.input_map.shape
    mine = torch.nan_to_num(torch.from_numpy(explanation.input_map), nan=0.0)
    maps = torch.stack([mine, middle(size), *random_smooth(RANDOM, size)]).to(asked.x.device)
    found: dict[str, Score] = {}
    with torch.inference_mode(mode=False), torch.no_grad():
        by_baseline = [_measured(asked, baseline(model, asked.x, kind), maps, names) for kind in BASELINES]
    for name in names:
        if name == "max_sensitivity":
            value = _max_sensitivity(model, asked, explanation)
            found[name] = Score(value, value, value, None, None, None, higher=False, definition=DEFINITIONS[name])
        else:
            found[name] = _score(name, torch.stack([one[name] for one in by_baseline]))
    return found


def _asked(model: Model, image: Any, explanation: Explanation) -> Asked:
    if explanation.model != model.card.name:
        raise MethodError(f"The explanation is of {explanation.model}, not of {model.card.name}.")
    if explanation.target is None:
        raise MethodError("The explanation's target is no class, so there is no probability to watch: explain a class.")
    x = image[None] if isinstance(image, torch.Tensor) and image.ndim == 3 else image
    x = x if isinstance(x, torch.Tensor) else model.prepare(read_image(x), explanation.fit)
    if tuple(x.shape[2:]) != explanation.input_map.shape or len(x) != 1:
        raise MethodError(f"The explanation lies on an input of {explanation.input_map.shape}, and this image gives {tuple(x.shape)}.")
    return ask(model, x, lambda logits: settle(model, explanation.target, logits))


def _probability(asked: Asked) -> Callable[[torch.Tensor], torch.Tensor]:
    """The probability of the class (n,); of the first of two when their difference is the target, as if there were no others."""
    index = asked.targets[0].index

    def answer(images: torch.Tensor) -> torch.Tensor:
        logits = asked.model.run(asked.copied, images).double()
        return logits.softmax(1)[:, index] if isinstance(index, int) else (logits[:, index[0]] - logits[:, index[1]]).sigmoid()  # type: ignore[index]

    return answer


def _measured(asked: Asked, empty: torch.Tensor, maps: torch.Tensor, names: list[str]) -> dict[str, torch.Tensor]:
    """Each metric (M,) of maps (M, h, w) with one baseline."""
    batch, found = asked.at_once(gradients=False), {}
    for name in {"deletion", "insertion"} & set(names):
        found[name] = area(curves(_probability(asked), asked.x, empty, maps, PARTS, batch, insert=name == "insertion"))
    if {"sensitivity_n", "infidelity"} & set(names):
        subsets = random_subsets(SIZES, EACH).to(asked.x.device)
        fall, told = falls(asked.scores, asked.x, empty, subsets, batch), sums(maps, subsets)
        found |= {"sensitivity_n": sensitivity(told, fall, EACH), "infidelity": infidelity(told, fall)}
    return found


def _score(name: str, values: torch.Tensor) -> Score:
    """From values (baselines, maps): the explanation's, the Gaussian's, and those of the random maps."""
    mean = values.mean(0)
    worse = mean[2:] < mean[0] if name in HIGHER else mean[2:] > mean[0]
    percentile = 100 * float(worse.double().mean())
    ahead = bool(mean[0] > mean[1]) if name in HIGHER else bool(mean[0] < mean[1])
    return Score(
        float(mean[0]), float(values[:, 0].min()), float(values[:, 0].max()), percentile, float(mean[1]),
        good=percentile >= 95 and ahead, higher=name in HIGHER, definition=DEFINITIONS[name],
    )  # fmt: skip


def _max_sensitivity(model: Model, asked: Asked, explanation: Explanation) -> float:
    generator = torch.Generator().manual_seed(0)
    x = asked.x.float().cpu()
    reach = RADIUS * float(x.amax() - x.amin())
    before = _map(explain(model, x, explanation.method, explanation.target, **explanation.options))
    most = 0.0
    for _ in range(JITTERS):
        moved = x + reach * (2 * torch.rand(x.shape, generator=generator) - 1)
        after = _map(explain(model, moved, explanation.method, explanation.target, **explanation.options))
        most = max(most, float(((after - before) ** 2).sum() ** 0.5 / max(float((before**2).sum() ** 0.5), 1e-300)))
    return most


def _map(found: Explanation | list[Explanation]) -> np.ndarray:
    one = found[0] if isinstance(found, list) else found
    return one.input_map
