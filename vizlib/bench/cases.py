"""What is measured, against which floor, and how close to it the method should come; light enough to read before torch is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import vizlib
from vizlib.catalog.methods import METHODS, method_card
from vizlib.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Sequence

FLOORS = {
    "forward": "the plain forward pass, fused attention and all",
    "backward": "forward, and backward from the top class's logit to every attention's output",
    "pixels": "forward, and backward from the top class's logit to the pixels",
}
WALKS = ("rollout", "gradient_rollout", "relevance", "legrad")
_PLAIN, _LONG = "vit_base_patch16_224.augreg2_in21k_ft_in1k", "vit_small_patch16_224.augreg_in21k_ft_in1k"
_FAMILIES = (
    _PLAIN,
    "t2t_vit_7",
    "t2t_vit_t_14",
    "cct_14_7x2_224",
    "pvt_tiny",
    "pvt_v2_b0",
    "cvt_13",
    "swin_tiny_patch4_window7_224.ms_in1k",
)
_GRADIENT_WALKS = ("gradient_rollout", "relevance")


@dataclass(frozen=True)
class Case:
    """One model at one input side (None: its own), with the methods to measure; weights are random unless they are on this machine."""

    model: str
    side: int | None
    methods: tuple[str, ...]

    @property
    def checkpoint(self) -> str | None:
        """What ``vizlib.load`` takes."""
        return None if any(card.name == self.model and card.at_hand for card in vizlib.models()) else "random"

    def aims(self, method: str) -> tuple[float | None, float | None]:
        """The ratios of time and of peak memory to reach, where this project has set any."""
        if method == "rollout":
            if (self.model, self.side) == (_LONG, 1024):
                return 1.5, 1.35
            if self.side is None and self.model in _FAMILIES:
                return (1.1 if self.model == _PLAIN else 1.5), None
        if method in _GRADIENT_WALKS:
            if self.model == _PLAIN and self.side is None:
                return 1.3, None
            if (self.model, self.side) == (_LONG, 1024):
                return None, 1.5
        if method == "balanced" and self.side is None:
            return 1.3, None
        return None, None


def floor_of(method: str) -> str:
    """The name of the floor that a method stands on."""
    card = METHODS[method]
    if not card.needs_gradient:
        return "forward"
    return "pixels" if card.wing == "gradient" else "backward"


def cases(models: Sequence[str] = (), methods: Sequence[str] = (), sides: Sequence[int] = ()) -> list[Case]:
    """The cases of these models, methods and input sides; without models one of every family with attention, the bundled ones, and
    a ViT at 4,097 tokens; without methods those that follow attention to the pixels, where they fit.

    MethodError for a method that is unknown or fits none of the models that have a card.
    """
    for name in methods:
        method_card(name)
    named = list(models) or [*_FAMILIES, *(card.name for card in vizlib.models() if card.source == "bundled")]
    pairs: list[tuple[str, int | None]] = [(name, side) for side in sides or (None,) for name in named]
    if not models and not sides:
        pairs.append((_LONG, 1024))
    selected = [Case(name, side, _fitting(name, methods or WALKS)) for name, side in pairs]
    if methods and not any(case.methods for case in selected):
        raise MethodError(f"None of {', '.join(dict.fromkeys(named))} can be explained by {' or '.join(methods)}.")
    return [case for case in selected if case.methods]


def _fitting(model: str, methods: Sequence[str]) -> tuple[str, ...]:
    card = next((card for card in vizlib.models() if card.name == model), None)
    return tuple(methods) if card is None else tuple(name for name in methods if name in card.methods)
