"""Every change of a picture that a model can be asked about, by name: how it is made, and how it is undone on a feature map.

All of them take pictures (B, 3, h, w) in 0..1 as the model gets them, before its normalisation, and give new ones of that shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from vizlib.analysis.perturbation import filtering as filtered
from vizlib.analysis.perturbation import geometric as moves
from vizlib.analysis.perturbation import phase_amplitude
from vizlib.analysis.perturbation.cards import CARDS, PerturbationCard
from vizlib.analysis.perturbation.occlusion import occluded, order
from vizlib.analysis.perturbation.patch_shuffle import random_order, shuffle_patches
from vizlib.errors import MethodError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.analysis.perturbation.geometric import Motion

    Apply = Callable[[torch.Tensor, float, "Aids"], torch.Tensor]
    Undo = Callable[[torch.Tensor, float, "Aids", tuple[int, int]], tuple[torch.Tensor, torch.Tensor]]

PATCHES = 8
"""Patches down and across that an occlusion hides: on 64 px those of 8 px."""


@dataclass(frozen=True, eq=False)
class Aids:
    """What some changes need beside a strength.

    ``seed`` of noise, orders and random patches; ``fill`` of what comes in at edges ("reflect", "mean" or, for a shift, "wrap");
    ``margin``, how many pixels around a cell must show the picture for it to be compared after a motion; ``patches`` (down, across) of an
    occlusion; ``salience`` (h, w), a map on the picture; ``other`` (3, h, w) in 0..1, a second picture.
    """

    seed: int = 0
    fill: str = "reflect"
    margin: float = 0.0
    patches: tuple[int, int] = (PATCHES, PATCHES)
    salience: torch.Tensor | None = None
    other: torch.Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Perturbation(PerturbationCard):
    """A change that can be made, and undone on a feature map where it moves something."""

    apply: Apply
    undo: Undo | None = None

    def __call__(self, pixels: torch.Tensor, strength: float, aids: Aids | None = None) -> torch.Tensor:
        """Pictures (B, 3, h, w) in 0..1 changed by this much; the very same tensor where the strength changes nothing.

        MethodError for a strength outside its range, or an aid that is missing.
        """
        settled_aids = Aids() if aids is None else aids
        if self.needs and getattr(settled_aids, self.needs) is None:
            raise MethodError(f"{self.title} needs {_NEEDS[self.needs]}: give Aids({self.needs}=...).")
        return pixels if strength == self.neutral else self.apply(pixels, strength, settled_aids)

    def undone(self, maps: torch.Tensor, strength: float, aids: Aids, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (C, h, w) of a changed picture (H, W), their cells put back: float64 (C, h, w), and bool (h, w) where that is possible.

        A change that moves nothing leaves every cell where it is.
        """
        if self.undo is None or strength == self.neutral:
            return maps.to(torch.float64), torch.ones(maps.shape[1:], dtype=torch.bool)
        return self.undo(maps, strength, aids, size)


def perturbation(name: str) -> Perturbation:
    """The change of a name; MethodError, with the nearest ones, for a name that there is not."""
    if name not in PERTURBATIONS:
        raise MethodError(f"There is no change {name!r}; there are {', '.join(PERTURBATIONS)}.{nearest(name, list(PERTURBATIONS))}")
    return PERTURBATIONS[name]


_NEEDS = {"salience": "a map of what is salient", "other": "a second picture"}


def _moving(motion: Callable[[float, str], Motion]) -> tuple[Apply, Undo]:
    def apply(pixels: torch.Tensor, strength: float, aids: Aids) -> torch.Tensor:
        return moves.moved(pixels, motion(strength, aids.fill), aids.fill)

    def undo(maps: torch.Tensor, strength: float, aids: Aids, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        return moves.undone(maps, motion(strength, aids.fill), size, aids.margin)

    return apply, undo


def _scaled(pixels: torch.Tensor, factor: float, aids: Aids) -> torch.Tensor:
    """Blurred before it shrinks, by as much as scikit-image's ``rescale`` does, or what is fine would come back as something coarse."""
    sharp = pixels if factor >= 1 or not factor > 0 else filtered.blur(pixels, (1 / factor - 1) / 2)
    return moves.moved(sharp, moves.scale_by(factor, aids.fill), aids.fill)


def _shuffled(pixels: torch.Tensor, strength: float, aids: Aids) -> torch.Tensor:
    count = _whole(strength)
    height, width = pixels.shape[-2:]
    if height % count or width % count:
        raise MethodError(f"A picture of {height} x {width} pixels does not divide into {count} x {count} patches.")
    return shuffle_patches(pixels, (height // count, width // count), random_order(count * count, aids.seed))


def _unshuffled(maps: torch.Tensor, strength: float, aids: Aids, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ARG001
    count, (height, width) = _whole(strength), maps.shape[1:]
    if height % count or width % count:  # a cell holds pixels of several patches, which have gone apart
        return maps.to(torch.float64), torch.zeros(maps.shape[1:], dtype=torch.bool)
    back = random_order(count * count, aids.seed).argsort()
    return shuffle_patches(maps.to(torch.float64), (height // count, width // count), back), torch.ones(maps.shape[1:], dtype=torch.bool)


def _whole(strength: float) -> int:
    if strength < 1 or strength != round(strength):
        raise MethodError(f"Patches are counted in whole numbers from 1 on, not {strength}.")
    return round(strength)


def _hidden(pixels: torch.Tensor, share: float, aids: Aids, *, by: str) -> torch.Tensor:
    if aids.salience is not None and by != "random" and aids.salience.shape != pixels.shape[-2:]:
        raise MethodError(f"A map of {tuple(aids.salience.shape)} does not lie on a picture of {tuple(pixels.shape[-2:])} pixels.")
    return occluded(pixels, share, order(aids.patches, by, seed=aids.seed, salience=aids.salience), aids.patches)


def _mixed(
    pixels: torch.Tensor, share: float, aids: Aids, *, mix: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
) -> torch.Tensor:
    if aids.other is None:
        raise MethodError("Spectra are swapped between two pictures: give Aids(other=...).")
    return mix(pixels, aids.other, share)


_RULES: dict[str, tuple[Apply, Undo | None]] = {
    "shift": _moving(moves.shift_by),
    "rotation": _moving(moves.rotation_by),
    "scale": (_scaled, _moving(moves.scale_by)[1]),
    "blur": (lambda pixels, sigma, _: filtered.blur(pixels, sigma), None),
    "noise": (lambda pixels, sigma, aids: filtered.noise(pixels, sigma, aids.seed), None),
    "jpeg": (lambda pixels, quality, _: filtered.jpeg(pixels, quality), None),
    "occlusion": (partial(_hidden, by="random"), None),
    "salient": (partial(_hidden, by="salient"), None),
    "unsalient": (partial(_hidden, by="other"), None),
    "shuffle": (_shuffled, _unshuffled),
    "grey": (lambda pixels, share, _: filtered.grey(pixels, share), None),
    "low_pass": (lambda pixels, cutoff, _: filtered.low_pass(pixels, cutoff), None),
    "high_pass": (lambda pixels, cutoff, _: filtered.high_pass(pixels, cutoff), None),
    "amplitude": (partial(_mixed, mix=phase_amplitude.swap_amplitude), None),
    "phase": (partial(_mixed, mix=phase_amplitude.swap_phase), None),
}
PERTURBATIONS = {name: Perturbation(**vars(card), apply=_RULES[name][0], undo=_RULES[name][1]) for name, card in CARDS.items()}
