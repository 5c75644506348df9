"""How much of an answer one region of the picture carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.errors import MethodError
from vizlib.evaluation.measured import BaselineSpread, RegionScore
from vizlib.evaluation.protocol import BASELINES
from vizlib.evaluation.reexplain import input_of
from vizlib.explainers.parts.baselines import baseline
from vizlib.explainers.targets import resolve_targets
from vizlib.images import read_image
from vizlib.passes.forward import check_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.zoo.model import Model

_DEFINITION = (
    "{probability} with the whole picture, with the region alone, without it, and with neither, the rest showing a picture without "
    "evidence: the mean over {names}, and its least and most. Of the score ({score}) between the empty picture and the whole one, the "
    "region brings the share that it has alone, and loses the share that is missing without it."
)
_NAMES = {"mean": "the data's mean colour", "black": "black", "blur": "blur", "colour": "the picture's own mean colour"}


def region_score(
    model: Model,
    image: Any,
    region: np.ndarray,
    target: Any = None,
    fit: str | None = None,
    baselines: Sequence[str] = BASELINES,
) -> RegionScore:
    """What the region, bool on the input (h, w) or on the upright image (H, W), does for the target; one batch through the model.

    ``target`` is a class, a label, or a pair for a difference, whose probability is that of the first as if there were no others; None is
    the top prediction. MethodError for a region of another size or kind, without a baseline, and for a target that is no class.
    """
    if not baselines:
        raise MethodError("A region is compared with pictures without evidence: name at least one baseline.")
    picture = None if isinstance(image, torch.Tensor) else read_image(image)
    x = input_of(model, image if picture is None else picture, fit)
    x = model.cast(x)
    inside = torch.from_numpy(_on_input(model, region, x, picture, fit)).to(x.device)
    empties = [baseline(model, x, kind) for kind in baselines]
    images = [
        x,
        *(picture_shown for empty in empties for picture_shown in (torch.where(inside, x, empty), torch.where(inside, empty, x), empty)),
    ]
    with torch.inference_mode():
        logits = model(torch.cat(images)).double()
    check_finite(model, x, logits)
    goal = resolve_targets(model, target, logits[:1])[0]
    if goal.index is None:
        raise MethodError("The target is no class, so there is no probability to watch: ask for a class or a difference of two.")
    scores = goal.score(logits).cpu()
    chances = model.target_probability(logits, goal.index).cpu()
    whole, (kept, hidden, empty) = float(scores[0]), scores[1:].unflatten(0, (-1, 3)).mean(0).tolist()
    reach = whole - empty
    shown = chances[1:].unflatten(0, (-1, 3))
    return RegionScore(
        whole=_spread(chances[:1]),
        kept=_spread(shown[:, 0]),
        hidden=_spread(shown[:, 1]),
        empty=_spread(shown[:, 2]),
        area=float(inside.double().mean()),
        brings=(kept - empty) / reach if reach > 0 else float("nan"),
        loses=(whole - hidden) / reach if reach > 0 else float("nan"),
        definition=_definition(baselines, pair=isinstance(goal.index, tuple)),
    )


def _definition(baselines: Sequence[str], *, pair: bool) -> str:
    return _DEFINITION.format(
        names=", ".join(_NAMES[kind] for kind in baselines),
        probability="The probability of the first of the two classes, as if there were no others," if pair else "The class probability",
        score="the difference of the two logits" if pair else "logit",
    )


def _spread(values: torch.Tensor) -> BaselineSpread:
    return float(values.mean()), float(values.min()), float(values.max())


def _on_input(model: Model, region: np.ndarray, x: torch.Tensor, picture: np.ndarray | None, fit: str | None) -> np.ndarray:
    """The region on the model's input, bool (h, w)."""
    size = tuple(x.shape[2:])
    if region.dtype != bool:
        raise MethodError(f"A region is an array of bool, not of {region.dtype}.")
    if region.shape == size:
        return np.ascontiguousarray(region)
    if picture is None or region.shape != picture.shape[:2]:
        accepted = f"the input, {size}" + ("" if picture is None else f", or on the image, {picture.shape[:2]}")
        raise MethodError(f"A region lies on {accepted}; this one has shape {region.shape}.")
    geometry = model.geometry(picture.shape[:2], fit)
    rows, columns = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    centres = geometry.to_image(np.stack(np.meshgrid(rows, columns, indexing="ij"), -1))
    places = np.clip(np.floor(centres).astype(int), 0, np.array(region.shape) - 1)
    return np.asarray(region[places[..., 0], places[..., 1]] & geometry.content)
