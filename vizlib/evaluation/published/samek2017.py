"""Region perturbation of Samek et al. (2017): pixel flipping, nine by nine pixels at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.evaluation.published.protocol import PublishedProtocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from vizlib.zoo.model import Model

SIDE, STEPS, DRAWS = 9, 100, 10


def compute(model: Model, x: torch.Tensor, label: int, maps: Mapping[str, torch.Tensor]) -> list[float]:  # noqa: ARG001  the predicted class
    """The mean over steps k = 0 .. L of f(x) - f(x after k regions), f the predicted class's logit: AOPC, highest regions first.

    Samek et al., Evaluating the Visualization of What a Deep Neural Network Has Learned (2017), https://arxiv.org/abs/1509.06321.
    """
    import torch

    from vizlib.evaluation.published.exchanged_pixels import logits_of

    regions = region_sums(maps["predicted"])
    rows, columns = regions.shape
    order = regions.flatten().argsort(descending=True, stable=True)[:STEPS]
    places = torch.full((rows * columns,), rows * columns)
    places[order] = torch.arange(len(order))
    steps = torch.arange(len(order) + 1)
    gone = (places < steps[:, None]).unflatten(1, (rows, columns)).repeat_interleave(SIDE, 1).repeat_interleave(SIDE, 2)
    hidden = torch.zeros(len(steps), *x.shape[2:], dtype=torch.bool)
    hidden[:, : rows * SIDE, : columns * SIDE] = gone
    predicted = int(logits_of(model, x)[0].argmax())
    generator, falls = torch.Generator().manual_seed(0), []
    for _ in range(DRAWS):
        noise = _normalised(model, torch.rand(x.shape, generator=generator)).to(x)
        scores = logits_of(model, torch.where(hidden[:, None].to(x.device), noise, x))[:, predicted]
        falls.append(float((scores[0] - scores).mean()))
    return [sum(falls) / DRAWS]


def region_sums(values: torch.Tensor) -> torch.Tensor:
    """The sum of a map (h, w) over each whole region of SIDE by SIDE pixels, from the upper left corner: (h // SIDE, w // SIDE)."""
    rows, columns = values.shape[0] // SIDE, values.shape[1] // SIDE
    return values[: rows * SIDE, : columns * SIDE].cpu().reshape(rows, SIDE, columns, SIDE).sum((1, 3))


def _normalised(model: Model, colours: torch.Tensor) -> torch.Tensor:
    """Colours (1, 3, h, w) from 0 to 1 as the model takes them."""
    import torch

    transform = model.transform
    if transform is None:
        from vizlib.errors import MethodError

        raise MethodError(f"{model.card.name} does not say how it normalises, so the range of its colours is not known.")
    mean, std = (torch.tensor(values, dtype=colours.dtype)[None, :, None, None] for values in (transform.mean, transform.std))
    return (colours - mean) / std


PROTOCOL = PublishedProtocol(
    "samek2017",
    "Region perturbation",
    "Samek et al., Evaluating the Visualization of What a Deep Neural Network Has Learned (2017)",
    "https://arxiv.org/abs/1509.06321",
    "How far the predicted class's logit has fallen after 0, 1, ... 100 regions of 9 by 9 pixels (or all that there are), highest sum of "
    "the map first, became colours drawn evenly, the mean over steps and 10 draws: AOPC, higher is better.",
    {"AOPC": True},
    ("predicted",),
    compute,
)
