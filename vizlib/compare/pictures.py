"""The pictures of a comparison's report: layers in colour, places and their like, differences on the photograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from vizlib.compare.result import SMOOTHING
from vizlib.errors import MethodError
from vizlib.figures.overlay import coloured, shrunk
from vizlib.figures.signed_overlay import between_overlay, mosaic, set_overlay

if TYPE_CHECKING:
    from vizlib.analysis.logit_difference import Difference
    from vizlib.compare.result import Comparison, Example

STRIP_WORDS = (
    "For layers at the same relative depth: three principal components that both layers share, as red, green and blue (alike colours hold "
    "alike content in both models); the lengths of the tokens, each from its lowest to its highest; and the channels that vary most."
)
LONGEST = 288  # pixels of a photograph in the report
TILES = 6
_MOST_PAIRS = 4


@dataclass(frozen=True, eq=False)
class Row:
    """A title and pictures with captions; ``note`` is read below them."""

    title: str
    images: list[tuple[str, np.ndarray]]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Strip:
    """One photograph with pairs of layers below it."""

    name: str
    picture: np.ndarray
    columns: list[str]
    pairs: list[Row]


def spread_pairs(found: Comparison, most: int = _MOST_PAIRS) -> list[tuple[int, int]]:
    """Layers of the first two models at the same depth, at most so many, spread over it, the last always among them."""
    pairs = found.aligned("depth")
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(most, len(pairs))).round().astype(int))
    return [pairs[index] for index in chosen]


def thumbnails(found: Comparison) -> list[list[np.ndarray]]:
    """Every layer of every model for the first image that is shown, in its own three principal components: uint8 (h, w, 3)."""
    if not found.shown:
        return []
    one = found.shown[0]
    return [
        [_bytes(one.colours((model, layer), (model, layer))[0]) for layer in range(len(layers))] for model, layers in enumerate(one.layers)
    ]


def correspondences(found: Comparison) -> list[dict[str, Any]]:
    """For the first two models and some depths: the photograph as each saw it and the likeness of all places, in 256 steps from -1 to 1."""
    made = []
    for one in found.shown[:2]:
        for first, second in spread_pairs(found, 3):
            ends = ((0, first), (1, second))
            grids = [one.layers[model][layer].grid for model, layer in ends]
            likeness = [[steps_of(one.correspondence(mine, theirs)) for theirs in ends] for mine in ends]
            depth = found.models[0].layers[first].depth
            made.append(
                {
                    "title": f"{one.name}, {depth:.0%} up",
                    "grids": grids,
                    "photos": [seen_by(one, model) for model in (0, 1)],
                    "layers": [found.models[model].layers[layer].name for model, layer in ends],
                    "likeness": likeness,
                }
            )
    return made


def fields(found: Comparison) -> list[Row]:
    """The measured receptive fields of each model, and a ResNet's by its architecture alone, for some layers: the root of the weights."""
    made = []
    for model in found.models:
        for measured, what in ((model.fields, "measured"), (model.operator, "architecture alone")):
            if measured:
                chosen = np.unique(np.linspace(0, len(measured) - 1, _MOST_PAIRS).round().astype(int))
                images = [
                    (f"{model.layers[index].name}: {measured[index].reach:.1f} px", coloured(np.sqrt(measured[index].weights)))
                    for index in chosen
                ]
                made.append(Row(f"{model.name}, {what}", images))
    return made


def strips(found: Comparison) -> list[Strip]:
    """The aligned layers of the first two models for every image that is shown."""
    names = [model.name for model in found.models[:2]]
    columns = [f"{name}: {what}" for what in ("shared colours", "length", "channels") for name in names]
    made = []
    for one in found.shown:
        pairs = []
        for first, second in spread_pairs(found):
            chosen = [one.layers[0][first], one.layers[1][second]]
            layers = [found.models[0].layers[first], found.models[1].layers[second]]
            captions = [f"{name} {layer.name}" for name, layer in zip(names, layers, strict=True)]
            images = [_bytes(colour) for colour in one.colours((0, first), (1, second))]
            images += [coloured(layer.norms, low=float(layer.norms.min())) for layer in chosen]
            images += [mosaic(layer.mosaic[:TILES], 3) for layer in chosen]
            pairs.append(Row(" · ".join(captions), list(zip(captions * 3, images, strict=True))))
        made.append(Strip(one.name, shrunk(one.picture, 96), columns, pairs))
    return made


def differences(found: Comparison) -> list[Row]:
    """For every image and every other model: the difference of its log-probability to the first model's, and where each looks."""
    made = []
    for one in found.shown:
        for other in range(1, len(found.models)):
            try:
                difference = one.difference(0, other)
            except MethodError:
                continue
            mine, theirs = found.models[0].name, found.models[other].name
            codes = one.agreement(0, other)
            photo = shrunk(one.picture, LONGEST)
            values = cv2.GaussianBlur(difference.map, (0, 0), SMOOTHING * min(difference.map.shape), borderType=cv2.BORDER_REFLECT)
            values = cv2.resize(values, photo.shape[1::-1], interpolation=cv2.INTER_AREA)
            sets = cv2.resize(codes, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            seen = codes >= 0
            shares = [float((codes[seen] == code).mean()) if seen.any() else 0.0 for code in (1, 2, 3)]
            made.append(
                Row(
                    f"{one.name}: {one.label}, {mine} against {theirs}",
                    [
                        ("the photograph", photo),
                        (f"blue: for {mine}, red: for {theirs}", between_overlay(photo, values, float(np.quantile(np.abs(values), 0.995)))),
                        (f"yellow: both, blue: {mine} alone, red: {theirs} alone", set_overlay(photo, sets)),
                    ],
                    f"{_numbers(one, difference, (mine, theirs), shares)} {_said(one, mine, 0)}, {_said(one, theirs, other)}.",
                )
            )
    return made


def _numbers(one: Example, difference: Difference, names: tuple[str, str], shares: list[float]) -> str:
    mine, theirs = names
    return (
        f"log p({one.label}) is {difference.first.score:.2f} in {mine} and {difference.second.score:.2f} in {theirs}: a difference of "
        f"{difference.score:+.2f}, and {difference.base:+.2f} for the baseline. The map sums to {difference.map.sum():+.2f}; the "
        f"completeness gap is {difference.gap:+.3f}. Both look at {shares[0]:.1%} of the pixels, {mine} alone at {shares[1]:.1%}, "
        f"{theirs} alone at {shares[2]:.1%}."
    )


def _said(one: Example, name: str, model: int) -> str:
    label, share = one.answers[model][0]
    return f"{name} answers {label} ({share:.0%})"


def seen_by(one: Example, model: int) -> np.ndarray:
    """The part of the picture that a model saw, uint8 (h, w, 3), at most 288 pixels long."""
    y0, x0, y1, x1 = (round(side) for side in one.boxes[model])
    return shrunk(np.ascontiguousarray(one.picture[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]), LONGEST)


def _bytes(colours: np.ndarray) -> np.ndarray:
    return np.rint(255 * colours).astype(np.uint8)


def steps_of(likeness: np.ndarray) -> np.ndarray:
    """Likeness -1..1 in 256 steps, uint8."""
    return np.rint(127.5 * (likeness + 1)).astype(np.uint8)
