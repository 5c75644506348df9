"""What a comparison found, in sentences with numbers, and how claims of papers fare in it. Nothing is said that was not measured."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from vizlib.claims import Claim, Verdict, all_of, verdict_above, verdict_below
from vizlib.compare.result import NEEDS
from vizlib.compare.text import READINGS, ROUGH
from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import adding_digits, counted, decimal, ends, of_pictures, percent, signed
from vizlib.stats import bootstrap_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.compare.result import Comparison, ModelMeasures

CONVOLUTIONAL = ("resnet",)
NEAR, FAR = 0.15, 0.3  # of the input's diagonal: a head's mean distance below which it looks nearby, and above which globally
_STEP = 0.1  # of log amplitude in sum, from which on a curve rises or falls
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
        sentences += _reach_findings(model, len(comparison.images))
    sentences += [_spectrum_finding(model) for model in comparison.models if np.isfinite(model.high_frequency[[0, -1]]).all()]
    sentences += [_similarity_finding(model) for model in comparison.models if np.isfinite(model.similarity).all()]
    sentences += [_channels_finding(model) for model in comparison.models if model.dead.any() or model.exploding.any()]
    return sentences


def _pair_findings(comparison: Comparison, first: int, second: int) -> list[Finding]:
    names = [comparison.models[model].display_name for model in (first, second)]
    sentences = []
    same = comparison.same_answers(first, second)
    if same is not None:
        sentences.append(Finding(_same_answers_words(names, round(same * len(comparison.images)), len(comparison.images))))
    if comparison.cka:
        reading, kernel = next(iter(comparison.cka))
        if np.isfinite(comparison.between(first, second, reading, kernel).value).all():
            sentences.append(Finding(_most_alike_words(comparison, (first, second), reading, kernel)))
    return sentences


def _same_answers_words(names: Sequence[str], same: int, pictures: int) -> str:
    if pictures == 1:
        return f"{names[0]} and {names[1]} give the picture {'the same first answer' if same else 'different first answers'}."
    return f"{names[0]} and {names[1]} give the same first answer to {of_pictures(same, pictures)}."


def _most_alike_words(comparison: Comparison, both: tuple[int, int], reading: str, kernel: str) -> str:
    """The two layers most alike, and how many other pairs cannot be told from them."""
    alignment, models = comparison.between(*both, reading, kernel), [comparison.models[model] for model in both]
    value = alignment.value
    places = divmod(int(value.argmax()), value.shape[1])
    best = float(value[places])
    layers = [model.layers[place] for model, place in zip(models, places, strict=True)]
    others = value.size - 1
    interval, alike = "", int((np.round(value, 2) >= round(best, 2)).sum()) - 1
    meet = f"{alike} of {others} other pairs {'reads' if alike == 1 else 'read'} the same"
    # Of few minibatches an interval would read as surer than it is: two that chance to agree leave none.
    if alignment.batches >= ROUGH and alignment.low is not None and alignment.high is not None and np.isfinite(alignment.high).all():
        low, high = float(alignment.low[places]), float(alignment.high[places])
        interval, alike = f" (95\u00a0%: {decimal(low)} to {decimal(high)})", int((alignment.high >= low).sum()) - 1
        meet = f"{alike} of {others} other pairs {'has' if alike == 1 else 'have'} an interval that meets it"
    last = all(place == len(model.layers) - 1 for model, place in zip(models, places, strict=True))
    depths = list(dict.fromkeys(percent(layer.depth) for layer in layers))
    where = "their last layers" if last else f"{'both ' if len(depths) == 1 else ''}at {' and '.join(depths)} of the way up"
    rest = [meet] * (alike > 0) + ([] if last else [f"the last layers have {decimal(float(value[-1, -1]))}"])
    names = [f"{layer_title(layer.name)} of {model.display_name}" for layer, model in zip(layers, models, strict=True)]
    return (
        f"Most alike ({READINGS[reading]}, {kernel}) are {names[0]} and {names[1]}, {where}: CKA {decimal(best)}{interval}"
        f"{'; '.join(['', *rest])}."
    )


def _reach_findings(model: ModelMeasures, pictures: int) -> list[Finding]:
    sentences = []
    heads = [site for site in model.heads if np.isfinite(site.distance).all()]
    if heads:
        # Attention whose queries or keys are learned tokens has no distance.
        attention = "attention" if len(heads) == len(model.heads) else "attention between patches"
        first, last = heads[0].distance / model.diagonal, heads[-1].distance / model.diagonal
        those = "that" if len(last) == 1 else "those"
        text = (
            f"The {'head' if len(first) == 1 else 'heads'} of {model.display_name}'s first {attention} "
            f"{'looks' if len(first) == 1 else 'look'} {_span(first)} of the input's diagonal far"
            f"{f', {those} of its last {_span(last)}' if len(heads) > 1 else ''}; an even look over all of it would be "
            f"{percent(_even_distance(model))}."
        )
        sentences.append(Finding(text, global_heads(model) if np.isfinite(model.of_each.distance).all() else None))
    if model.fields and model.family in CONVOLUTIONAL:
        reach = [receptive_field.reach / model.diagonal for receptive_field in model.fields]
        measured = len(model.fields[0].reaches)
        few = f" Fields are of the first {measured} of {pictures} pictures." if 0 < measured < pictures else ""
        text = (
            f"The receptive field of {model.display_name} reaches {percent(reach[0])} of the diagonal in "
            f"{layer_title(model.layers[0].name)} and {percent(reach[-1])} in {layer_title(model.layers[-1].name)}.{few}"
        )
        sentences.append(Finding(text, growing_field(model)))
    return sentences


def _span(shares: np.ndarray) -> str:
    """From the least to the largest of some shares, once where both read the same."""
    low, high = percent(float(shares.min())), percent(float(shares.max()))
    return low if low == high else f"{low} to {high}"


def global_heads(model: ModelMeasures) -> Claim:
    """Whether a head of the first attention looks globally, beside an even look over the whole picture."""
    each = model.of_each.distance / model.diagonal
    low, high = _interval(each, lambda means: means.max(1))
    return Claim(
        "Transformers have heads that look globally from the first layer on.",
        f"at least one head of {model.display_name}'s first attention looks over {percent(FAR)} of the diagonal far.",
        f"the farthest head looks {percent(each.mean(0).max())} far{_range(low, high, _percent, FAR)}; a head that looks everywhere alike "
        f"would look {percent(_even_distance(model))} far.{_few(len(each))}",
        verdict_above(low, high, FAR),
        (_RAGHU,),
    )


def growing_field(model: ModelMeasures) -> Claim:
    """Whether the receptive field of a convolutional network begins small and grows."""
    reaches = np.array([receptive_field.reaches for receptive_field in model.fields]).T / model.diagonal
    weights = np.array([receptive_field.energies or (1.0,) * len(reaches) for receptive_field in model.fields]).T

    def reach(means: np.ndarray) -> np.ndarray:
        return means[..., 0] / means[..., 1]  # by the energy of each picture, as in the field that is drawn

    each = np.stack([reaches * weights, weights], -1)
    first = _interval(each, lambda means: reach(means)[:, 0])
    growth = _interval(each, lambda means: reach(means)[:, -1] - reach(means)[:, 0])
    alone = [receptive_field.reach / model.diagonal for receptive_field in model.operator]
    control = f"; the architecture alone, without weights, gives {percent(alone[0])} and {percent(alone[-1])}" if alone else ""
    begin, end = (float(share) for share in reach(each.mean(0))[[0, -1]])
    farther = ""
    if np.isfinite(growth).all():
        farther = f"; the last one reaches farther by {ends(*growth, _points, 0.0)} percentage points (95\u00a0%)"
    return Claim(
        "A ResNet starts locally, and its receptive field grows with depth.",
        f"the first layer of {model.display_name} reaches less than {percent(NEAR)} of the diagonal, the last one farther than the first.",
        f"{percent(begin)} in the first layer{_range(*first, _percent, NEAR)} and {percent(end)} in the last{farther}{control}."
        f"{_few(len(each))}",
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
        f"The fine structure of {model.display_name} {_way(change)} from the first layer to the last: log amplitude "
        f"{signed(curve[0])}, then {signed(curve[-1])}."
    )
    same = _same_grids(model)
    if not same.any():
        text += " No layer lies on the grid of the one before it, and with the grid changes which frequency is the highest."
    elif not same.all():
        text += (
            f" Where two layers lie on one grid it changes by {signed(_within_grids(model, curve))} in sum; elsewhere the grid "
            "changes, and with it which frequency is the highest."
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

    expected = (
        f"between layers of one grid, the log amplitude of {model.display_name}'s highest frequency {'rises' if rises else 'falls'} by "
        f"more than {_STEP:g} in sum."
    )
    if not same.any():
        return Claim(statement, expected, "no layer lies on the grid of the one before it.", Verdict.CANNOT_TELL, (_PARK,))
    low, high = _interval(each, change)
    threshold = _STEP if rises else -_STEP
    verdict = verdict_above(low, high, threshold) if rises else verdict_below(low, high, threshold)
    whole = "" if rises else " These are whole blocks, attention and MLP together, where the paper looks at each alone."
    return Claim(
        statement,
        expected,
        f"it changes by {signed(float(change(each.mean(0)[None])[0]))} in sum{_range(low, high, _signed, threshold)}.{whole}"
        f"{_few(len(each))}",
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
    digits = adding_digits((last - first, last, -first), digits=2)
    text = (
        f"The {'tokens' if model.heads else 'places'} of one picture have a mean cosine of {decimal(first, digits)} in the first layer of "
        f"{model.display_name} and {decimal(last, digits)} in the last."
    )
    return Finding(text, oversmoothing(model)) if model.heads else Finding(text)


def oversmoothing(model: ModelMeasures) -> Claim:
    """Whether the tokens of one picture become alike from the first layer to the last."""
    each = model.of_each.similarity[:, -1] - model.of_each.similarity[:, 0]
    low, high = _interval(each, lambda means: means)
    digits = adding_digits((model.similarity[-1] - model.similarity[0], model.similarity[-1], -model.similarity[0]), digits=2)
    return Claim(
        "Tokens of transformers become alike with depth.",
        f"the mean cosine between the tokens of one picture is more than {_ALIKE:.2f} higher in the last layer of {model.display_name} "
        "than in its first.",
        f"{signed(each.mean(), digits)}{_range(low, high, _signed, _ALIKE)}.{_few(len(each))}",
        verdict_above(low, high, _ALIKE),
        (_SHI,),
    )


def _channels_finding(model: ModelMeasures) -> Finding:
    counts = {"dead": round(model.dead.sum()), "exploding": round(model.exploding.sum())}
    words = [counted(count, f"{kind} channel") for kind, count in counts.items() if count]
    where = "this picture" if len(model.of_each.similarity) == 1 else "these pictures"
    return Finding(f"On {where} {model.display_name} has {' and '.join(words)}, all its layers taken together.")


def _interval(each: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """The interval of a statistic over pictures; NaN where they are too few for one."""
    return bootstrap_interval(each, statistic) if len(each) >= NEEDS["verdict"] else (np.nan, np.nan)


def _range(low: float, high: float, write: Callable[[float, int], str], threshold: float) -> str:
    """An interval behind its value, which reads as its verdict beside a threshold says; nothing where there is none."""
    return f" (95\u00a0%: {ends(low, high, write, threshold)})" if np.isfinite([low, high]).all() else ""


def _points(share: float, more: int) -> str:
    return signed(100 * share, more)


def _signed(value: float, more: int) -> str:
    return signed(value, 2 + more)


def _percent(share: float, more: int) -> str:
    return percent(share, more) if more else percent(share)


def _few(pictures: int) -> str:
    least = NEEDS["verdict"]
    return (
        ""
        if pictures >= least
        else f" An interval takes at least {least} pictures, and there {'is' if pictures == 1 else 'are'} {pictures}."
    )
