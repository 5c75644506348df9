"""What a model makes of a picture that is changed more and more: its answer, its read-out, and the features of every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vizlib.analysis.features import layers
from vizlib.analysis.perturbation.registry import Aids, Perturbation, perturbation
from vizlib.analysis.perturbation.response import Response, share_kept
from vizlib.errors import ImageError, MethodError, ModelError, TargetError
from vizlib.images import read_image
from vizlib.zoo.activation import divergence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.analysis.features.layers import Reading
    from vizlib.zoo.model import Model

BATCH = 16


def response(
    model: Model,
    image: Any,
    name: str,
    strengths: Sequence[float] | None = None,
    aids: Aids | None = None,
    *,
    batch: int = BATCH,
    progress: Callable[[float, float | None], object] | None = None,
) -> Response:
    """Ask a model about an image, or a prepared tensor (1, 3, h, w), at every strength of a change; None takes the change's own.

    ``progress`` is called with the pictures done and their number, and may raise to stop. MethodError for an unknown change, a strength
    or an aid it cannot use, a model whose layers or read-out are not known; TargetError for one without classes.
    """
    how, settled_aids = perturbation(name), Aids() if aids is None else aids
    if not model.adapter.classes:
        raise TargetError(f"{model.card.name} has no classification head, so no answer of it can change.")
    steps = tuple(float(strength) for strength in (how.strengths if strengths is None else strengths))
    if not steps:
        raise MethodError(f"Give at least one strength of {how.title.lower()}, in {how.unit}.")
    x = _prepared(model, image)
    pixels = to_pixels(model, x)
    still, reads = _read(model, x)
    answers, readout, drift = [], [], np.full((len(still.layers), len(steps)), np.nan)
    for start in range(0, len(steps), batch):
        if progress is not None:
            progress(start, len(steps))
        some = steps[start : start + batch]
        inputs = torch.cat([x if strength == how.neutral else from_pixels(model, how(pixels, strength, settled_aids)) for strength in some])
        reading, features = _read(model, inputs)
        answers.append(reading.forward_pass.logits.to("cpu", torch.float64))
        readout.append(F.cosine_similarity(features.to("cpu", torch.float64), reads.to("cpu", torch.float64)))
        for number, strength in enumerate(some):
            drift[:, start + number] = _drifts(still, reading, number, how, strength, settled_aids)
    before, after = still.forward_pass.logits.to("cpu", torch.float64), torch.cat(answers)
    return Response(
        perturbation=name,
        strengths=steps,
        original=model.probabilities(before)[0].numpy(),
        probabilities=model.probabilities(after).numpy(),
        divergence=divergence(before, after, model.activation or "softmax").numpy(),
        readout=torch.cat(readout).numpy(),
        layers=still.layers,
        drift=drift,
    )


def kept_over_draws(
    model: Model,
    image: Any,
    name: str,
    seeds: Sequence[int],
    *,
    batch: int = BATCH,
    progress: Callable[[float, float | None], object] | None = None,
) -> np.ndarray:
    """How much of its first answer's probability a model keeps, for each of ``seeds`` of a change that is drawn: float64 (D,).

    The mean over all strengths that change something of the share left, at most 1 at each. MethodError for a change without a seed.
    """
    from vizlib.passes.forward import run

    how = perturbation(name)
    if not how.seeded:
        raise MethodError(f"{how.title} draws nothing, so another seed gives the same.")
    x = _prepared(model, image)
    pixels = to_pixels(model, x)
    steps = [(seed, strength) for seed in seeds for strength in how.strengths if strength != how.neutral]
    before = model.probabilities(run(model, x).logits.to("cpu", torch.float64))[0]
    target, kept = int(before.argmax()), []
    for start in range(0, len(steps), batch):
        if progress is not None:
            progress(start, len(steps))
        some = steps[start : start + batch]
        inputs = torch.cat([from_pixels(model, how(pixels, strength, Aids(seed=seed))) for seed, strength in some])
        kept.append(model.probabilities(run(model, inputs).logits.to("cpu", torch.float64))[:, target])
    return share_kept(torch.cat(kept).reshape(len(seeds), -1).numpy(), float(before[target])).mean(1)


def layer_drift(still: torch.Tensor, back: torch.Tensor, seen: torch.Tensor) -> float:
    """The equivariance error of maps (C, h, w): |back - still| over the cells ``seen`` (h, w) / |still - its mean over all cells| there.

    ``back`` is the map of the changed picture with its cells put back, so that 0 is exact equivariance and 1 is no better than a map that
    is constant. NaN where no cell is seen, or where the map is constant and its change is not.
    """
    if not bool(seen.any()):
        return float("nan")
    cells, wide = seen.to(still.device), still.to(torch.float64)
    gap = float((back - wide)[:, cells].norm())
    spread = float((wide - wide.mean((1, 2), keepdim=True))[:, cells].norm())
    return gap / spread if spread > 0 else (0.0 if gap == 0 else float("nan"))


def to_pixels(model: Model, x: torch.Tensor) -> torch.Tensor:
    """Prepared inputs (B, 3, h, w) as pictures in 0..1, before the model's normalisation; ModelError where that is not known."""
    mean, std = _normalisation(model)
    return (x.detach().to("cpu", torch.float64) * std + mean).clamp(0, 1)


def from_pixels(model: Model, pixels: torch.Tensor) -> torch.Tensor:
    """Pictures (B, 3, h, w) in 0..1 as inputs of the model."""
    mean, std = _normalisation(model)
    return ((pixels.to(torch.float64) - mean) / std).to(torch.float32)


def _normalisation(model: Model) -> tuple[torch.Tensor, torch.Tensor]:
    if model.transform is None:
        raise ModelError(f"{model.card.name} does not say how its inputs are prepared; wrap it with input_size= or transform=.")
    mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (model.transform.mean, model.transform.std))
    return mean, std


def _prepared(model: Model, image: Any) -> torch.Tensor:
    if not isinstance(image, torch.Tensor):
        return model.prepare(read_image(image))
    if image.ndim != 4 or len(image) != 1:
        raise ImageError(f"A response is measured on one picture, a prepared tensor of shape (1, 3, h, w), not {tuple(image.shape)}.")
    return image.detach().cpu()


def _read(model: Model, x: torch.Tensor) -> tuple[Reading, torch.Tensor]:
    """The layers of a pass, and what its head read: (B, C)."""
    calls: list[tuple[torch.Tensor, torch.Tensor]] = []
    heads = [
        path for path, part in model.module.named_modules() if isinstance(part, nn.Linear) and part.out_features == model.adapter.classes
    ]
    hooks = [(path, lambda inputs, output: calls.append((inputs[0], output)) if output.ndim == 2 else None) for path in heads]
    reading = layers.read(model, x, hooks=hooks)
    # A distilled model answers with the mean of its two classifiers.
    if not calls or not torch.allclose(torch.stack([output for _, output in calls]).mean(0), reading.forward_pass.logits, atol=1e-4):
        raise MethodError(f"{model.card.name} does not end in a linear layer, so vizlib cannot tell what its answer is read from.")
    return reading, torch.cat([inputs for inputs, _ in calls], 1)


def _drifts(still: Reading, reading: Reading, number: int, how: Perturbation, strength: float, aids: Aids) -> list[float]:
    drifts = []
    for index, layer in enumerate(still.layers):
        before, after = still.maps(index)[0], reading.maps(index)[number]
        drifts.append(layer_drift(before, *how.undone(after, strength, aids, layer.size)))
    return drifts
