"""What a comparison found, in sentences with numbers, and how claims of papers fare in it. Nothing is said that was not measured."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from vizlib.claims import Claim, Verdict, all_of, verdict_above, verdict_below
from vizlib.compare.result import NEEDS
from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import percent
from vizlib.stats import bootstrap_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.compare.result import Comparison, ModelMeasures

CONVOLUTIONAL = ("resnet",)
NEAR, FAR = 0.15, 0.3  # of the input's diagonal: a head's mean distance below which it looks nearby, and above which globally
_STEP = 0.1  # of ln amplitude in sum, from which on a curve rises or falls
_SAMPLES = 24  # places a side
_ALIKE = 0.05  # of the mean cosine, from which on tokens have become more alike
_RAGHU = "Raghu et al., Do Vision Transformers See Like Convolutional Neural Networks? (2021), https://arxiv.org/abs/2108.08810"
_LUO = "Luo et al., Understanding the Effective Receptive Field (2016), https://arxiv.org/abs/1701.04128"
_PARK = "Park and Kim, How Do Vision Transformers Work? (2022), https://arxiv.org/abs/2202.06709"
_SHI = "Shi et al., Revisiting Over-smoothing in BERT (2022), https://arxiv.org/abs/2202.08625"


@dataclass(frozen=True)
class Finding:
    """One sentence; ``claim`` what a paper says of it, where one does, and how that fares here."""

    text: str
    claim: Claim | None = None


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
                f"{first_model.display_name} and {second_model.display_name} give the same first answer to "
                f"{round(same * len(comparison.images)):,} of {len(comparison.images):,} pictures."
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
        first, last = heads[0].distance / model.diagonal, heads[-1].distance / model.diagonal
        text = (
            f"The heads of {model.display_name}'s first attention look {percent(first.min())} to {percent(first.max())} of the "
            f"input's diagonal far, those of its last {percent(last.min())} to {percent(last.max())}; an even look over all of it would be "
            f"{percent(_even_distance(model))}."
        )
        sentences.append(Finding(text, global_heads(model)))
    if model.fields and model.family in CONVOLUTIONAL:
        reach = [receptive_field.reach / model.diagonal for receptive_field in model.fields]
        text = (
            f"The receptive field of {model.display_name} reaches {percent(reach[0])} of the diagonal in "
            f"{layer_title(model.layers[0].name)} and {percent(reach[-1])} in {layer_title(model.layers[-1].name)}."
        )
        sentences.append(Finding(text, growing_field(model)))
    return sentences


def global_heads(model: ModelMeasures) -> Claim:
    """Whether a head of the first attention looks globally, beside an even look over the whole picture."""
    each = model.of_each.distance / model.diagonal
    low, high = _interval(each, lambda means: means.max(1))
    return Claim(
        "Transformers have heads that look globally from the first layer on.",
        f"at least one head of {model.display_name}'s first attention looks over {percent(FAR)} of the diagonal far.",
        f"the farthest head looks {percent(each.mean(0).max())} far{_range(low, high, percent)}; a head that looks everywhere alike would "
        f"look {percent(_even_distance(model))} far.{_few(len(each))}",
        verdict_above(low, high, FAR),
        (_RAGHU,),
    )


def growing_field(model: ModelMeasures) -> Claim:
    """Whether the receptive field of a convolutional network begins small and grows."""
    each = np.array([receptive_field.reaches for receptive_field in model.fields]).T / model.diagonal
    first, growth = _interval(each, lambda means: means[:, 0]), _interval(each, lambda means: means[:, -1] - means[:, 0])
    alone = [receptive_field.reach / model.diagonal for receptive_field in model.operator]
    control = f"; the architecture alone, without weights, gives {percent(alone[0])} and {percent(alone[-1])}" if alone else ""
    begin, end = each.mean(0)[[0, -1]]
    return Claim(
        "A ResNet starts locally, and its receptive field grows with depth.",
        f"the first layer of {model.display_name} reaches less than {percent(NEAR)} of the diagonal, the last one farther than the first.",
        f"{percent(begin)} in the first layer{_range(*first, percent)} and {percent(end)} in the last; {percent(end - begin)} of the "
        f"diagonal lie between{_range(*growth, percent)}{control}.{_few(len(each))}",
        all_of(verdict_below(*first, NEAR), verdict_above(*growth)),
        (_LUO,),
    )


def _even_distance(model: ModelMeasures) -> float:
    """The mean distance of two places of the input, drawn alike everywhere, over its diagonal."""
    down, across = ((np.arange(_SAMPLES) + 0.5) * side / _SAMPLES for side in model.size)
    gaps = [np.subtract.outer(centres, centres).ravel() for centres in (down, across)]
    return float(np.hypot(gaps[0][:, None], gaps[1][None]).mean()) / model.diagonal


def _spectrum_finding(model: ModelMeasures) -> Finding:
    curve = model.high_frequency
    change = float(curve[-1] - curve[0])
    text = (
        f"The fine structure of {model.display_name} {_way(change)} from the first layer to the last: ln amplitude {curve[0]:+.2f}, then "
        f"{curve[-1]:+.2f}."
    )
    if not _same_grids(model).all():
        text += (
            f" Where two layers lie on one grid it changes by {_within_grids(model, curve):+.2f} in sum; elsewhere the grid changes, and "
            "with it which frequency is the highest."
        )
    if model.family in CONVOLUTIONAL:
        return Finding(text, filtering(model, "Convolutions are high-pass filters: they amplify fine structure.", rises=True))
    if model.heads:
        return Finding(text, filtering(model, "Self-attention is a low-pass filter: it takes fine structure away.", rises=False))
    return Finding(text)


def filtering(model: ModelMeasures, statement: str, *, rises: bool) -> Claim:
    """Whether the highest frequency rises, or falls, over all steps between layers of one grid."""
    each, same = model.of_each.amplitude, _same_grids(model)

    def change(means: np.ndarray) -> np.ndarray:
        return np.diff(np.log(means[..., 1] / means[..., 0]), axis=1)[:, same].sum(1)

    low, high = _interval(each, change)
    verdict = verdict_above(low, high, _STEP) if rises else verdict_below(low, high, -_STEP)
    if not same.any():
        verdict = Verdict.CANNOT_TELL
    whole = "" if rises else " These are whole blocks, attention and MLP together, where the paper looks at each alone."
    return Claim(
        statement,
        f"between layers of one grid, the ln amplitude of {model.display_name}'s highest frequency {'rises' if rises else 'falls'} by more "
        f"than {_STEP:g} in sum.",
        f"it changes by {float(change(each.mean(0)[None])[0]):+.2f} in sum{_range(low, high, _signed)}.{whole}{_few(len(each))}",
        verdict,
        (_PARK,),
    )


def _way(change: float) -> str:
    return "falls" if change < -_STEP else "rises" if change > _STEP else "hardly changes"


def _same_grids(model: ModelMeasures) -> np.ndarray:
    return np.array([layer.grid == following.grid for layer, following in zip(model.layers, model.layers[1:], strict=False)], bool)


def _within_grids(model: ModelMeasures, curve: np.ndarray) -> float:
    """The sum of a curve's steps between layers of one grid: on another grid the highest frequency is another one."""
    return float(np.diff(curve)[_same_grids(model)].sum())


def _similarity_finding(model: ModelMeasures) -> Finding:
    first, last = model.similarity[0], model.similarity[-1]
    text = (
        f"The tokens of one picture have a mean cosine of {first:.2f} in the first layer of {model.display_name} and {last:.2f} in the "
        "last."
    )
    return Finding(text, oversmoothing(model)) if model.heads else Finding(text)


def oversmoothing(model: ModelMeasures) -> Claim:
    """Whether the tokens of one picture become alike from the first layer to the last."""
    each = model.of_each.similarity[:, -1] - model.of_each.similarity[:, 0]
    low, high = _interval(each, lambda means: means)
    return Claim(
        "Tokens of transformers become alike with depth.",
        f"the mean cosine between the tokens of one picture is more than {_ALIKE:.2f} higher in the last layer of {model.display_name} "
        "than in its first.",
        f"{each.mean():+.2f}{_range(low, high, _signed)}.{_few(len(each))}",
        verdict_above(low, high, _ALIKE),
        (_SHI,),
    )


def _interval(each: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """The interval of a statistic over pictures; NaN where they are too few for one."""
    return bootstrap_interval(each, statistic) if len(each) >= NEEDS["verdict"] else (np.nan, np.nan)


def _range(low: float, high: float, write: Callable[[float], str]) -> str:
    return f" (95 %: {write(low)} to {write(high)})" if np.isfinite([low, high]).all() else ""


def _signed(value: float) -> str:
    return f"{value:+.2f}"


def _few(pictures: int) -> str:
    least = NEEDS["verdict"]
    return (
        ""
        if pictures >= least
        else f" An interval takes at least {least} pictures, and there {'is' if pictures == 1 else 'are'} {pictures}."
    )
