"""What T2T-ViT, PVT, CvT and CCT changed, as two questions about one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.analysis.lesson.outcome import Outcome
from vizlib.analysis.perturbation.patch_shuffle import shuffled
from vizlib.figures.model_marks import short_name
from vizlib.passes.forward import traces

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from vizlib.zoo.model import Model

PIECES = 4  # a side
SHUFFLES = 5


def keys_of_first_stage(pyramid: Model, x: torch.Tensor, others: Sequence[tuple[Model, torch.Tensor]] = ()) -> Outcome:
    """How many keys a query of a pyramid's first attention looks at; ``others`` are told beside it, with their inputs (1, 3, h, w)."""
    site = traces(pyramid, x)[0].attention[0]
    queries, keys = site.query_grid.tokens, site.key_grid.tokens
    choices = sorted({max(1, queries // 64), max(1, queries // 16), max(1, queries // 4), queries, keys})
    facts: dict[str, str | float | tuple[float, ...]] = {
        "queries": queries, "keys": keys, "model": short_name(pyramid.card.name),
        "key_rows": site.key_grid.height, "key_columns": site.key_grid.width,
    }  # fmt: skip
    for model, given in others:
        sites = traces(model, given)[0].attention
        facts[short_name(model.card.name)] = tuple(float(one.query_grid.cells) for one in sites)
    numbers = tuple(map(float, choices))
    return Outcome(tuple(f"{choice:,}" for choice in choices), numbers, (choices.index(keys),), ordered=True, facts=facts)


def shuffled_pieces(models: Sequence[Model], inputs: Sequence[torch.Tensor]) -> Outcome:
    """Whose answer moves least when the picture is cut into 4 x 4 pieces and shuffled.

    The values are how far each answer stays: 1 minus half the sum of |p' - p| over all classes, the mean of five shuffles. Right is the
    highest, and after it all whose range over the shuffles overlaps with its own: these cannot be told apart.
    """
    values: list[float] = []
    facts: dict[str, str | float | tuple[float, ...]] = {}
    ranges: list[tuple[float, float]] = []
    for model, x in zip(models, inputs, strict=True):
        effects = shuffled(model, x, int(x.shape[-1]) // PIECES, range(SHUFFLES))
        stays = [1 - effect.distance for effect in effects]
        values.append(sum(stays) / len(stays))
        ranges.append((min(stays), max(stays)))
        facts[short_name(model.card.name)] = ranges[-1]
    best = max(range(len(values)), key=values.__getitem__)
    alike = (place for place, (_, high) in enumerate(ranges) if place != best and high >= ranges[best][0])
    return Outcome(
        tuple(short_name(model.card.name) for model in models),
        tuple(values),
        (best, *alike),
        facts=facts,
    )
