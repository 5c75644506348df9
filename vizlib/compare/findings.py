"""What a comparison found, in sentences with numbers, beside what the papers claim. Nothing is said that was not measured."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import percent

if TYPE_CHECKING:
    from vizlib.compare.result import Comparison, ModelMeasures

CONVOLUTIONAL = ("resnet",)
NEAR, FAR = 0.15, 0.3  # of the input's diagonal: a head's mean distance below which it looks nearby, and above which globally
_STEP = 0.1  # of ln amplitude in sum, from which on a curve rises or falls
_SAMPLES = 24  # places a side
_ALIKE = 0.05  # of the mean cosine, from which on tokens have become more alike


@dataclass(frozen=True)
class Finding:
    """One sentence; ``claim`` what a paper says of it, where one does, and whether this measurement agrees."""

    text: str
    claim: str = ""
    agrees: bool | None = None


def findings(comparison: Comparison) -> list[Finding]:
    """The findings in the order of the report: pairs of models, how far each looks, its spectrum, its tokens, its odd channels."""
    sentences = []
    for first, second in combinations(range(len(comparison.models)), 2):
        sentences += _pair_findings(comparison, first, second)
    for model in comparison.models:
        sentences += _reach_findings(model)
    sentences += [_spectrum_finding(model) for model in comparison.models if np.isfinite(model.high_frequency[[0, -1]]).all()]
    sentences += [_similarity_finding(model) for model in comparison.models if np.isfinite(model.similarity).all()]
    for model in comparison.models:
        if model.dead.sum() + model.exploding.sum():
            sentences.append(
                Finding(
                    f"{model.display_name} has {model.dead.sum():.0f} dead and {model.exploding.sum():.0f} exploding channels in all "
                    "layers."
                )
            )
    return sentences


def _pair_findings(comparison: Comparison, first: int, second: int) -> list[Finding]:
    first_model, second_model = comparison.models[first], comparison.models[second]
    sentences = []
    same = comparison.same_answers(first, second)
    if same is not None:
        sentences.append(
            Finding(
                f"{first_model.display_name} and {second_model.display_name} give the same first answer to {percent(same)} of "
                f"{len(comparison.images)} pictures."
            )
        )
    if comparison.cka:
        reading, kernel = next(iter(comparison.cka))
        value = comparison.between(first, second, reading, kernel).value
        if np.isfinite(value).all():
            i, j = np.unravel_index(value.argmax(), value.shape)
            row, column = first_model.layers[i], second_model.layers[j]
            sentences.append(
                Finding(
                    f"Most alike are {layer_title(row.name)} of {first_model.display_name} and {layer_title(column.name)} of "
                    f"{second_model.display_name}: CKA {value[i, j]:.2f} ({reading}, {kernel}), at {percent(row.depth)} and "
                    f"{percent(column.depth)} of the way up; "
                    f"the last layers have {value[-1, -1]:.2f}."
                )
            )
    return sentences


def _reach_findings(model: ModelMeasures) -> list[Finding]:
    sentences = []
    heads = [site for site in model.heads if np.isfinite(site.distance).all()]
    if heads:
        first = heads[0].distance / model.diagonal
        widest = bool(first.max() > FAR)
        sentences.append(
            Finding(
                f"The heads of {model.display_name}'s first attention look {percent(first.min())} to {percent(first.max())} of the "
                f"input's diagonal far, those of its last {percent(heads[-1].distance.min() / model.diagonal)} to "
                f"{percent(heads[-1].distance.max() / model.diagonal)}; an even look over all of it would be "
                f"{percent(_even_distance(model))}.",
                f"Transformers have heads that look globally (over {percent(FAR)}) from the first layer on (Raghu et al. 2021)",
                widest,
            )
        )
    if model.fields and model.family in CONVOLUTIONAL:
        reach = [receptive_field.reach / model.diagonal for receptive_field in model.fields]
        sentences.append(
            Finding(
                f"The receptive field of {model.display_name} reaches {percent(reach[0])} of the diagonal in "
                f"{layer_title(model.layers[0].name)} and "
                f"{percent(reach[-1])} in {layer_title(model.layers[-1].name)}.",
                f"A ResNet starts locally (below {percent(NEAR)}) and grows (Luo et al. 2016)",
                bool(reach[0] < NEAR and reach[-1] > reach[0]),
            )
        )
    return sentences


def _even_distance(model: ModelMeasures) -> float:
    """The mean distance of two places of the input, drawn alike everywhere, over its diagonal."""
    down, across = ((np.arange(_SAMPLES) + 0.5) * side / _SAMPLES for side in model.size)
    gaps = [np.subtract.outer(centres, centres).ravel() for centres in (down, across)]
    return float(np.hypot(gaps[0][:, None], gaps[1][None]).mean()) / model.diagonal


def _spectrum_finding(model: ModelMeasures) -> Finding:
    curve = model.high_frequency
    change = _within_grids(model, curve)
    way = "falls" if change < -_STEP else "rises" if change > _STEP else "hardly changes"
    text = (
        f"The fine structure of {model.display_name} {way} with depth: ln amplitude {curve[0]:+.2f} in the first layer, {curve[-1]:+.2f} "
        f"in the last, and {change:+.2f} in sum from layer to layer where the grid stays."
    )
    if model.family in CONVOLUTIONAL:
        return Finding(text, "Convolutions are high-pass filters (Park and Kim 2022)", way == "rises")
    if model.heads:
        return Finding(text, "Self-attention is a low-pass filter (Park and Kim 2022)", way == "falls")
    return Finding(text)


def _within_grids(model: ModelMeasures, curve: np.ndarray) -> float:
    """The sum of a curve's steps between layers of one grid: on another grid the highest frequency is another one."""
    same = [layer.grid == next_layer.grid for layer, next_layer in zip(model.layers, model.layers[1:], strict=False)]
    return float(np.diff(curve)[same].sum())


def _similarity_finding(model: ModelMeasures) -> Finding:
    first, last = model.similarity[0], model.similarity[-1]
    text = (
        f"The tokens of one picture have a mean cosine of {first:.2f} in the first layer of {model.display_name} and {last:.2f} in the "
        "last."
    )
    if not model.heads:
        return Finding(text)
    return Finding(text, "Tokens of transformers become alike with depth (Shi et al. 2022)", bool(last - first > _ALIKE))
