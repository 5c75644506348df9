"""A vision transformer from its patches to its answer, and whether a map of it can be trusted: each a question with its outcome."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from vizlib.analysis.attention.head_statistics import head_statistics, matrix
from vizlib.analysis.features.depth_answers import logit_lens
from vizlib.analysis.lesson.outcome import TELLS, Outcome, largest
from vizlib.catalog.methods import METHODS
from vizlib.explainers.api import explain
from vizlib.passes.ablation import HeadAblation
from vizlib.passes.forward import run, traces
from vizlib.passes.head_ablation import ablated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.zoo.model import Model

MAPS = ("rollout", "relevance", "saliency")
REMOVED = 4  # one patch in so many is removed
RANDOM = 20
ALIKE = 0.01  # distances that differ by a smaller share are drawn alike


def tokens(model: Model, x: torch.Tensor) -> Outcome:
    """Into how many patches an input (1, 3, h, w) is cut, beside a quarter and four times as many, and as many as it has pixels."""
    grid = traces(model, x)[0].attention[0].query_grid
    count, (height, width) = grid.cells, (int(x.shape[2]), int(x.shape[3]))
    choices = sorted({max(1, count // 4), count, count * 4, height * width})
    numbers = tuple(float(choice) for choice in choices)
    patch = (height // grid.height, width // grid.width)
    facts: dict[str, str | float | tuple[float, ...]] = {
        "rows": grid.height, "columns": grid.width, "learned": grid.prefix, "tall": patch[0], "wide": patch[1],
        "numbers": 3 * patch[0] * patch[1], "height": height, "width": width,
    }  # fmt: skip
    return Outcome(tuple(f"{choice:,}" for choice in choices), numbers, (choices.index(count),), ordered=True, facts=facts)


def farthest(model: Model, x: torch.Tensor) -> Outcome:
    """In which layer the heads look farthest on average; the values are pixels of the input, the mean over heads and patches.

    The facts ``nearest`` and ``widest`` are the first layer's heads that look least and most far.
    """
    sites = traces(model, x)[0].attention
    size = (int(x.shape[2]), int(x.shape[3]))
    heads = matrix([head_statistics(site, size) for site in sites], "distance")
    values = tuple(np.nanmean(heads, 1).tolist())
    patch = size[1] / sites[0].query_grid.width
    facts = {"patch": patch, "nearest": float(np.nanmin(heads[0])), "widest": float(np.nanmax(heads[0]))}
    return Outcome(_layers(len(values)), values, largest(values, ALIKE * max(values)), ordered=True, facts=facts)


def settled(model: Model, x: torch.Tensor) -> Outcome:
    """From which layer on the answer leads by the logit lens; the values are its probability after each layer.

    The fact ``before`` has the leaders up to there in turn, "; " between them.
    """
    lens = logit_lens(model, x[0], patches=False)
    values = tuple(lens.probabilities[:, lens.target].tolist())
    leaders = [model.label(int(index)) for index in lens.answers]
    before = [leader for leader, _ in itertools.groupby(leaders[: lens.settled])]
    return Outcome(_layers(len(values)), values, (lens.settled,), ordered=True, facts={"label": lens.label, "before": "; ".join(before)})


def layers_off(model: Model, x: torch.Tensor) -> Outcome:
    """Without the heads of which layer the answer loses most; the values are the probability lost, all heads of one layer set to zero."""
    sites = run(model, x).lineage().sites
    changes = [HeadAblation({(number, head): "zero" for head in range(site.heads)}) for number, site in enumerate(sites)]
    values, facts = _lost(model, x, changes)
    return Outcome(_layers(len(values)), values, largest(values, TELLS), ordered=True, facts=facts)


def patches_out(model: Model, x: torch.Tensor) -> Outcome:
    """Without which patch the answer loses most; the values are the probability lost where no token may look at that patch."""
    grid = run(model, x).lineage().sites[0].query_grid
    values, facts = _lost(model, x, [HeadAblation(dropped=(grid.prefix + cell,)) for cell in range(grid.cells)])
    names = tuple(f"row {cell // grid.width + 1}, column {cell % grid.width + 1}" for cell in range(grid.cells))
    return Outcome(names, values, largest(values, TELLS), grid=grid.shape, facts=facts)


def trusted(model: Model, x: torch.Tensor, seed: int = 0) -> Outcome:
    """Which map finds the patches that matter: the probability lost where the quarter of patches that each calls most important is greyed.

    The last option is a random quarter, the mean of twenty; the fill is the input's mean colour.
    """
    grid = run(model, x).lineage().sites[0].query_grid
    count = max(1, grid.cells // REMOVED)
    masks = []
    for method in MAPS:
        explanation = explain(model, x[0], method)
        assert not isinstance(explanation, list)  # noqa: S101  one image
        cells = F.adaptive_avg_pool2d(torch.from_numpy(np.abs(explanation.input_map))[None], grid.shape).flatten()
        masks.append(_mask(cells.topk(count).indices, grid.cells))
    generator = torch.Generator().manual_seed(seed)
    masks += [_mask(torch.randperm(grid.cells, generator=generator)[:count], grid.cells) for _ in range(RANDOM)]
    pixels = F.interpolate(torch.stack(masks).unflatten(1, (1, *grid.shape)).to(x), size=x.shape[2:], mode="nearest")
    greyed = x * (1 - pixels) + x.mean((2, 3), keepdim=True) * pixels
    with torch.inference_mode():
        shares = model.probabilities(model(torch.cat([x, greyed])).float().cpu())
    answer = int(shares[0].argmax())
    lost = (shares[0, answer] - shares[1:, answer]).tolist()
    by_chance = lost[len(MAPS) :]
    values = (*lost[: len(MAPS)], float(np.mean(by_chance)))
    facts: dict[str, str | float | tuple[float, ...]] = {
        "label": model.label(answer), "probability": float(shares[0, answer]), "removed": count, "patches": grid.cells,
        "low": min(by_chance), "high": max(by_chance), "random": RANDOM,
    }  # fmt: skip
    options = (*(METHODS[name].title for name in MAPS), "a random quarter")
    return Outcome(options, values, largest(values, TELLS), facts=facts)


def _mask(cells: torch.Tensor, count: int) -> torch.Tensor:
    mask = torch.zeros(count)
    mask[cells] = 1
    return mask


def _layers(count: int) -> tuple[str, ...]:
    return tuple(f"layer {number + 1}" for number in range(count))


def _lost(model: Model, x: torch.Tensor, changes: Sequence[HeadAblation]) -> tuple[tuple[float, ...], dict[str, str | float]]:
    """How much probability the answer loses with each change, and its name and probability without any."""
    before = run(model, x)
    sites = before.lineage().sites
    shares = model.probabilities(before.logits.float().cpu())[0]
    answer = int(shares.argmax())
    values = []
    for change in changes:
        with ablated(sites, change):
            after = run(model, x).logits
        values.append(float(shares[answer] - model.probabilities(after.float().cpu())[0, answer]))
    return tuple(values), {"label": model.label(answer), "probability": float(shares[answer])}
