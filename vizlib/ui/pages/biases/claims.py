"""Claims of papers about what architectures assume, each with what to expect and what was measured, in words made from the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vizlib.analysis.perturbation.cards import CARDS
from vizlib.claims import Claim, Verdict, verdict_above
from vizlib.figures.model_marks import short_name
from vizlib.figures.numbers import apart, decimal, percent, points, written_gap
from vizlib.stats import mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vizlib.analysis.perturbation.response import Response

ALONE = "own"
_VIT, _RESNET = "vit_tiny50", "resnet_tiny50"
_DOSOVITSKIY = "Dosovitskiy et al., An Image is Worth 16x16 Words (2021), https://arxiv.org/abs/2010.11929"
_NASEER = "Naseer et al., Intriguing Properties of Vision Transformers (2021), https://arxiv.org/abs/2105.10497"
_ZHANG = "Zhang, Making Convolutional Networks Shift-Invariant Again (2019), https://arxiv.org/abs/1904.11486"
_GEIRHOS = "Geirhos et al., ImageNet-trained CNNs are biased towards texture (2019), https://arxiv.org/abs/1811.12231"
_PARK = "Park and Kim, How Do Vision Transformers Work? (2022), https://arxiv.org/abs/2202.06709"


@dataclass(frozen=True)
class Measure:
    """A number read off a response, how that of two models reads in a sentence, and the smallest difference that counts.

    ``write`` is for the number, ``gap`` for a difference of two, ``pair`` for two and their difference with its interval, in words that
    agree; ``place`` says at which strength the number was read.
    Where ``exact``, that of ``less`` is to be 0.
    """

    read: Callable[[Response], float]
    said: str
    write: Callable[[float], str]
    gap: Callable[[float], str]
    pair: Callable[..., tuple[str, str, str]]
    least: float
    exact: bool = False
    place: Callable[[Response], str] | None = None


@dataclass(frozen=True)
class Preset:
    """A claim to be put to the test: ``more`` is expected to have the larger number of the two models by its measure.

    ``at`` is where the slider starts.
    """

    title: str
    claim: str
    expect: str
    papers: tuple[str, ...]
    perturbation: str
    at: float
    more: str
    less: str
    measure: Measure


def kept(response: Response) -> float:
    """The mean share of its first answer's probability that a model keeps, over all strengths that change something."""
    return float(response.kept[_changing(response)].mean())


def best_first_layer(response: Response) -> float:
    """The smallest drift of the first layer over all strengths that change something."""
    return float(np.nanmin(response.drift[0, _changing(response)]))


def best_shift(response: Response) -> str:
    """The strength of that drift."""
    changing = np.where(_changing(response), response.drift[0], np.nan)
    return f" (at {response.strengths[int(np.nanargmin(changing))]:g}\u00a0px)"


def last_layer(response: Response) -> float:
    """The mean drift of the last layer over all strengths that change something and can be measured."""
    return float(np.nanmean(response.drift[-1, _changing(response)]))


def _changing(response: Response) -> np.ndarray:
    return np.array([strength != CARDS[response.perturbation].neutral for strength in response.strengths])


def _drifts(more: float, less: float, *interval: float) -> tuple[str, str, str]:
    """Two drifts and the difference of what is written of them."""
    first, second = decimal(more), decimal(less)
    return first, second, f"{decimal(written_gap(more, less))} (95\u00a0%: {' to '.join(map(decimal, interval))})"


_KEPT = Measure(
    kept,
    "averaged over all strengths that change something, at most 100\u00a0% at each, {more} keeps {} of its first answer's probability, "
    "{less} {}",
    percent,
    points,
    apart,
    0.03,
)
_BEST = Measure(
    best_first_layer,
    "at its best shift the first layer of {more} drifts by {}, that of {less} by {}",
    decimal,
    decimal,
    _drifts,
    0.03,
    exact=True,
    place=best_shift,
)
_LAST = Measure(
    last_layer, "averaged over all shifts, the last layer of {more} drifts by {}, that of {less} by {}", decimal, decimal, _drifts, 0.03
)  # fmt: skip

CLAIMS = {
    "occlusion": Preset(
        "Occlusion",
        "Vision transformers hold on to their answer when many patches are hidden, more than CNNs do: attention can turn to what is left.",
        "ViT keeps more of its answer than ResNet when random patches are covered with the mean colour.",
        (_NASEER,), "occlusion", 0.3, _VIT, _RESNET, _KEPT,
    ),
    "local": Preset(
        "Local structure",
        "Convolution assumes that neighbouring pixels belong together. A ViT knows what lies beside what by its table of positions alone.",
        "ViT keeps more of its answer than ResNet when patches are shuffled, because fewer of its parts rely on neighbours.",
        (_DOSOVITSKIY, _NASEER), "shuffle", 4.0, _VIT, _RESNET, _KEPT,
    ),
    "sharing": Preset(
        "Weight sharing",
        "A convolution uses the same weights at every place, so its features move along with the picture by whole strides. A ViT shares "
        "the weights of its patches too, but its table of positions tells places apart.",
        "at its best shift the first layer of ResNet follows (drift under 0.03, and 0 would be exact); that of ViT does not.",
        (_DOSOVITSKIY,), "shift", 8.0, _VIT, _RESNET, _BEST,
    ),
    "shift": Preset(
        "Shift equivariance",
        "CNNs are built to move along with their picture; each stride and each border takes some of that away, and a ViT has to learn it.",
        "averaged over shifts of 1 to 16 px, the last layer of ViT drifts more than that of ResNet.",
        (_ZHANG, _DOSOVITSKIY), "shift", 3.0, _VIT, _RESNET, _LAST,
    ),
    "texture": Preset(
        "Texture or shape",
        "CNNs go by texture more than by shape; transformers lean less to texture. Amplitudes of the Fourier transform carry much of the "
        "texture, phases carry where edges are.",
        "ViT keeps more of its answer than ResNet while another picture's amplitudes come in and its own phases stay.",
        (_GEIRHOS, _NASEER), "amplitude", 0.5, _VIT, _RESNET, _KEPT,
    ),
    "low": Preset(
        "ViT is low-pass",
        "Self-attention averages tokens and so passes low frequencies on: transformers live on coarse structure.",
        "ViT keeps more of its answer than ResNet when fine detail is taken out.",
        (_PARK,), "low_pass", 9.0, _VIT, _RESNET, _KEPT,
    ),
    "high": Preset(
        "ResNet is high-pass",
        "Convolutions amplify high frequencies: CNNs live on edges and texture.",
        "ResNet keeps more of its answer than ViT when coarse structure is taken out.",
        (_PARK,), "high_pass", 3.0, _RESNET, _VIT, _KEPT,
    ),
}  # fmt: skip


def needed(preset: Preset) -> tuple[str, str]:
    """The models that a preset compares."""
    return preset.more, preset.less


def claim_of(
    preset: Preset, responses: Mapping[str, Response], draws: Mapping[str, np.ndarray] | None = None, *, changed: bool = True
) -> Claim:
    """What the two models of a claim did with this picture, and whether that is as expected.

    ``draws`` (D,) are the measure of each model over draws of what is random, paired: the interval of their mean difference then decides
    too. One picture has no interval of its own, so a smallest difference stands for it.
    Where no strength ``changed`` the picture, nothing was put to the test.
    """
    if not changed:
        return Claim(preset.claim, preset.expect, "this change leaves this picture as it is.", Verdict.CANNOT_TELL, preset.papers)
    measure = preset.measure
    if draws is None:
        more, less = (measure.read(responses[name]) for name in needed(preset))
        low = high = gap = more - less
        written, over = [measure.write(number) for number in (more, less)], ""
    else:
        own, other = (draws[name] for name in needed(preset))
        more, less, gaps = float(own.mean()), float(other.mean()), own - other
        gap, (low, high) = more - less, mean_interval(float(gaps.sum()), float((gaps**2).sum()), len(gaps))
        *written, difference = measure.pair(more, less, low, high)
        over = f", means of {len(gaps)} draws; their difference is {difference}"
    places = ["", ""] if measure.place is None else [measure.place(responses[name]) for name in needed(preset)]
    numbers = (number + place for number, place in zip(written, places, strict=True))
    said = measure.said.format(*numbers, more=short_name(preset.more), less=short_name(preset.less))
    measured = f"{said}{over}. On one picture a difference counts from {measure.gap(measure.least).removeprefix('+')} on."
    verdict = verdict_above(min(low, gap - measure.least), max(high, gap + measure.least))
    if measure.exact and less >= measure.least:
        verdict = Verdict.NOT_SO
    return Claim(preset.claim, preset.expect, measured, verdict, preset.papers)


def untested(preset: Preset, why: str) -> Claim:
    """The claim before it was put to the test."""
    return Claim(preset.claim, preset.expect, why, None, preset.papers)
