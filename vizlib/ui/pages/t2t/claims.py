"""What the T2T-ViT paper claims of its Figure 2, put to the test by counting channels."""

from __future__ import annotations

from dataclasses import dataclass

from vizlib.claims import Claim, of_untrained, verdict_above, verdict_below
from vizlib.figures.numbers import apart, percent
from vizlib.stats import CHANCE, share_difference, wilson

_YUAN = "Yuan et al., Tokens-to-Token ViT (2021), https://arxiv.org/abs/2101.11986"
MANY = 0.01
"""The share of channels from which on "many" are invalid: one in a hundred."""
CASE = (
    "Channels are counted as if they were independent, on one picture; a map that only follows where the picture is busy counts too. These "
    "small models were trained on 64-px pictures; the paper looked "
    "at ResNet-50 and ViT-L/16 on ImageNet, by eye and with each map scaled for itself."
)


@dataclass(frozen=True)
class Counts:
    """Of one model: how many of the ``channels`` of its ``first`` layer are ``low_level``, and how many of ``all`` drawn are ``broken``."""

    title: str
    first: str
    low_level: int
    channels: int
    broken: int
    all: int

    @property
    def share(self) -> float:
        """The share of the first layer's channels that are low-level."""
        return self.low_level / self.channels

    def words(self, share: str = "") -> str:
        """The count of the first layer in a sentence, its share as a reader sees it or as it is written beside another."""
        return f"{self.title} {self.low_level:,} of {self.channels:,} ({share or percent(self.share)}, {self.first})"


def figure_2_claims(resnet: Counts, vit: Counts, t2t: Counts, *, trained: bool = True) -> list[Claim]:
    """The paper's claims: more edges in ResNet than in ViT, none in ViT, edges in T2T-ViT again, and invalid maps in ViT.

    ``trained`` is of T2T-ViT, whose weights may be random.
    """
    low, high = wilson(vit.low_level, vit.channels)
    control = f"By chance alone it would be {percent(CHANCE)} of each."
    overlapping = Claim(
        "T2T-ViT, which lets windows overlap, holds that structure where ViT loses it.",
        "more of T2T-ViT's first channels than of ViT's follow this picture's edges.",
        f"{_both(t2t, vit)}. {control}",
        verdict_above(*_apart(t2t, vit)),
        (_YUAN,),
    )
    return [
        Claim(
            "The early maps of a ResNet hold low-level structure, edges and lines, more than those of a ViT.",
            "more of ResNet's first channels than of ViT's follow this picture's edges rather than another picture's.",
            f"{_both(resnet, vit)}. {control}",
            verdict_above(*_apart(resnet, vit)),
            (_YUAN,),
        ),
        Claim(
            "The early maps of a ViT do not hold low-level structure.",
            f"no more of ViT's first channels follow this picture's edges than by chance, {percent(CHANCE)}.",
            f"{vit.words()}, 95 %: {percent(low)} to {percent(high)}.",
            verdict_below(low, high, CHANCE),
            (_YUAN,),
        ),
        overlapping if trained else of_untrained(overlapping),
        Claim(
            "Many maps of a ViT are invalid: zero, or with values too large.",
            f"more than {percent(MANY)} of ViT's channels are dead or explode.",
            f"{_broken(vit)} in all layers; ResNet: {_broken(resnet)}.",
            verdict_above(*wilson(vit.broken, vit.all), MANY),
            (_YUAN,),
        ),
    ]


def _broken(counts: Counts) -> str:
    low, high = wilson(counts.broken, counts.all)
    return f"{counts.broken:,} of {counts.all:,} (95 %: {percent(low)} to {percent(high)})"


def _apart(first: Counts, second: Counts) -> tuple[float, float]:
    return share_difference(first.low_level, first.channels, second.low_level, second.channels)


def _both(first: Counts, second: Counts) -> str:
    """The counts of two models and the difference of their shares."""
    share, other, gap = apart(first.share, second.share, *_apart(first, second))
    return f"{first.words(share)}; {second.words(other)}; a difference of {gap}"
