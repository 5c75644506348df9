"""The images that a comparison shows: layers as pictures, profiles of their places, and why each model answered as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from vizlib.analysis.features.channels import scaled
from vizlib.analysis.features.correspondence import profiles
from vizlib.analysis.features.layers import read
from vizlib.analysis.logit_difference import integrated, same_classes
from vizlib.compare.result import Example, ExampleLayer
from vizlib.explainers.api import ranked
from vizlib.explainers.targets import class_index

if TYPE_CHECKING:
    import numpy as np

    from vizlib.compare.accumulators import ModelAccumulator

COARSE = 16  # cells a side that are compared with one another; more than that is averaged
FINE = 32  # cells a side of a mosaic
CHANNELS = 12
LONGEST = 1024  # pixels of a picture that is attributed: more would only be looked at smaller


def make_example(
    name: str,
    image: np.ndarray,
    accumulators: list[ModelAccumulator],
    *,
    target: Any,
    fit: str | None,
    baseline: str,
    steps: int,
    explain: bool = True,
) -> Example:
    """One image uint8 (H, W, 3) as all models saw it; ``target`` None is what the first model answers.

    Without ``explain`` no attributions are made. TargetError for a class that the first model does not have.
    """
    from vizlib.figures.overlay import shrunk

    picture = shrunk(image, LONGEST)
    models = [accumulator.model for accumulator in accumulators]
    readings = [read(model, model.prepare(image, fit)) for model in models]
    answers = [
        tuple((prediction.label, prediction.probability) for prediction in ranked(model, reading.forward_pass.logits[0]))
        if model.adapter.classes
        else ()
        for model, reading in zip(models, readings, strict=True)
    ]
    goal: int | None = None
    if models[0].adapter.classes:
        goal = int(readings[0].forward_pass.logits[0].float().argmax()) if target is None else class_index(models[0], target)
    attributions = [
        integrated(model, picture, goal, fit=fit, baseline=baseline, steps=steps)
        if explain and goal is not None and same_classes(models[0], model)
        else None
        for model in models
    ]
    layers = tuple(
        tuple(_layer(reading.maps(index), accumulator, index) for index in range(len(reading.layers)))
        for reading, accumulator in zip(readings, accumulators, strict=True)
    )
    height, width = picture.shape[:2]
    boxes = []
    for model in models:
        geometry = model.geometry((height, width), fit)
        y0, x0, y1, x1 = geometry.box_to_image([0, 0, *geometry.input_size])
        boxes.append((max(y0, 0.0), max(x0, 0.0), min(y1, float(height)), min(x1, float(width))))
    label = models[0].label(goal) if goal is not None else ""
    return Example(name, picture, tuple(boxes), layers, tuple(answers), goal, label, tuple(attributions))


def _layer(maps: torch.Tensor, accumulator: ModelAccumulator, index: int) -> ExampleLayer:
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
    coarse, fine = _at_most(wide, COARSE)[0], _at_most(wide, FINE)[0]
    grid = (int(coarse.shape[1]), int(coarse.shape[2]))
    deviation = fine.flatten(1).std(dim=1, correction=0)
    varied = deviation.argsort(descending=True, stable=True)[:CHANNELS]
    profile = profiles(coarse.flatten(1).T, accumulator.anchors(index), accumulator.mean(index))
    return ExampleLayer(
        grid,
        wide[0].norm(dim=0).cpu().numpy(),
        varied.cpu().numpy(),
        scaled(fine[varied], "channel").float().cpu().numpy(),
        profile.half().cpu().numpy(),
    )


def _at_most(maps: torch.Tensor, side: int) -> torch.Tensor:
    height, width = (min(side, int(length)) for length in maps.shape[2:])
    return maps if (height, width) == tuple(maps.shape[2:]) else F.adaptive_avg_pool2d(maps, (height, width))
