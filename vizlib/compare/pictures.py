"""The pictures of a comparison's report: layers in colour, places and their like, differences on the photograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from vizlib.analysis.pixel_attribution import BASELINES
from vizlib.compare.result import SMOOTHING
from vizlib.errors import MethodError
from vizlib.figures.layer_names import layer_title
from vizlib.figures.map_scale import share_above, upper_end
from vizlib.figures.numbers import adding_digits, percent, signed
from vizlib.figures.overlay import coloured, shrunk
from vizlib.figures.signed_overlay import between_overlay, mosaic, set_overlay

if TYPE_CHECKING:
    from vizlib.analysis.pixel_attribution import Difference
    from vizlib.compare.result import Comparison, Example

STRIP_WORDS = (
    "For layers at the same relative depth: three principal components that both layers share, as red, green and blue (alike colours hold "
    "alike content in both models); the lengths of the tokens, each from its lowest to its highest; and the channels that vary most."
)
LONGEST = 288  # pixels of a photograph in the report
TILES = 6
_MOST_PAIRS = 4
_DOUBTED = 0.35  # how strongly a map is drawn that does not say why


@dataclass(frozen=True, eq=False)
class Row:
    """A title and pictures with captions; ``note`` is read below them, and ``warnings`` before."""

    title: str
    images: list[tuple[str, np.ndarray]]
    note: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Strip:
    """One photograph with pairs of layers below it."""

    name: str
    picture: np.ndarray
    columns: list[str]
    pairs: list[Row]


def spread_pairs(comparison: Comparison, most: int = _MOST_PAIRS) -> list[tuple[int, int]]:
    """Layers of the first two models at the same depth, at most so many, spread over it, the last always among them."""
    pairs = comparison.aligned("depth")
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(most, len(pairs))).round().astype(int))
    return [pairs[index] for index in chosen]


def thumbnails(comparison: Comparison) -> list[list[np.ndarray]]:
    """Every layer of every model for the first image that is shown, in its own three principal components: uint8 (h, w, 3)."""
    if not comparison.shown:
        return []
    example = comparison.shown[0]
    return [
        [_to_uint8(example.colours((model, layer), (model, layer))[0]) for layer in range(len(layers))]
        for model, layers in enumerate(example.layers)
    ]


def correspondence_pairs(comparison: Comparison) -> list[dict[str, Any]]:
    """For the first two models and some depths: the photograph as each saw it and the likeness of all places, in 256 steps from -1 to 1."""
    pairs = []
    for example in comparison.shown[:2]:
        for first, second in spread_pairs(comparison, 3):
            ends = ((0, first), (1, second))
            grids = [example.layers[model][layer].grid for model, layer in ends]
            likeness = [[to_256_steps(example.correspondence(row, column)) for column in ends] for row in ends]
            depth = comparison.models[0].layers[first].depth
            pairs.append(
                {
                    "title": f"{example.name}, {percent(depth)} up",
                    "grids": grids,
                    "photos": [crop_seen_by(example, model) for model in (0, 1)],
                    "layers": [layer_title(comparison.models[model].layers[layer].name) for model, layer in ends],
                    "likeness": likeness,
                }
            )
    return pairs


def receptive_field_rows(comparison: Comparison) -> list[Row]:
    """The measured receptive fields of each model, and a ResNet's by its architecture alone, for some layers: the root of the weights."""
    rows = []
    for model in comparison.models:
        for measured, kind in ((model.fields, "measured"), (model.operator, "architecture alone")):
            if measured:
                chosen = np.unique(np.linspace(0, len(measured) - 1, _MOST_PAIRS).round().astype(int))
                images = [
                    (
                        f"{layer_title(model.layers[index].name)}: reach {measured[index].reach:.1f} px",
                        coloured(np.sqrt(measured[index].weights)),
                    )
                    for index in chosen
                ]
                rows.append(Row(f"{model.display_name}, {kind}", images))
    return rows


def layer_strips(comparison: Comparison) -> list[Strip]:
    """The aligned layers of the first two models for every image that is shown."""
    names = [model.display_name for model in comparison.models[:2]]
    columns = [f"{name}: {content}" for content in ("shared colours", "length", "channels") for name in names]
    drawn = []
    for example in comparison.shown:
        pairs = []
        for first, second in spread_pairs(comparison):
            chosen = [example.layers[0][first], example.layers[1][second]]
            layers = [comparison.models[0].layers[first], comparison.models[1].layers[second]]
            captions = [f"{name} {layer_title(layer.name)}" for name, layer in zip(names, layers, strict=True)]
            images = [_to_uint8(colour) for colour in example.colours((0, first), (1, second))]
            images += [coloured(layer.norms, low=float(layer.norms.min())) for layer in chosen]
            images += [mosaic(layer.mosaic[:TILES], 3) for layer in chosen]
            pairs.append(Row(" · ".join(captions), list(zip(captions * 3, images, strict=True))))
        drawn.append(Strip(example.name, shrunk(example.picture, 96), columns, pairs))
    return drawn


def difference_rows(comparison: Comparison) -> list[Row]:
    """For every image and every other model: the difference of its log-probability to the first model's, and where each looks."""
    rows, baseline = [], BASELINES[comparison.settings["baseline"]]
    for example in comparison.shown:
        for other in range(1, len(comparison.models)):
            try:
                difference = example.difference(0, other)
            except MethodError:
                continue
            first_name, second_name = comparison.models[0].display_name, comparison.models[other].display_name
            codes = example.agreement(0, other)
            photo = shrunk(example.picture, LONGEST)
            values = cv2.GaussianBlur(difference.map, (0, 0), SMOOTHING * min(difference.map.shape), borderType=cv2.BORDER_REFLECT)
            values = cv2.resize(values, photo.shape[1::-1], interpolation=cv2.INTER_AREA)
            sets = cv2.resize(codes, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            seen_by_all = codes >= 0
            seen_values = values[sets >= 0]
            end = upper_end(seen_values)
            above = percent(share_above(seen_values, end))
            scale = f"full from ±{1000 * end:.2g} per 1,000 pixels on, {above} of the pixels are above"
            if not end:
                scale = "no pixel makes a difference"
            overlay = between_overlay(photo, np.where(sets < 0, np.nan, values), end)
            doubts = tuple(difference.doubts)
            if doubts:
                overlay = cv2.addWeighted(overlay, _DOUBTED, photo, 1 - _DOUBTED, 0)
            shares = [float((codes[seen_by_all] == code).mean()) if seen_by_all.any() else 0.0 for code in (1, 2, 3)]
            rows.append(
                Row(
                    f"{example.name}: {example.label}, {first_name} against {second_name}",
                    [
                        ("the picture", photo),
                        (
                            f"blue: more for {example.label} in {first_name}, red: in {second_name}; {scale}",
                            overlay,
                        ),
                        (f"yellow: both, blue: {first_name} alone, red: {second_name} alone", set_overlay(photo, sets)),
                    ],
                    f"{_difference_sentences(example, difference, (first_name, second_name), shares, baseline)} "
                    f"{_answer_sentence(example, first_name, 0)}, {_answer_sentence(example, second_name, other)}.",
                    doubts,
                )
            )
    return rows


def _difference_sentences(example: Example, difference: Difference, names: tuple[str, str], shares: list[float], baseline: str) -> str:
    first_name, second_name = names
    total = float(difference.map.sum())
    scores = (difference.score, difference.first.score, -difference.second.score)
    digits = adding_digits(scores, (total, difference.score, -difference.base, difference.gap), digits=2)
    return (
        f"log p({example.label}) is {signed(difference.first.score, digits)} in {first_name} and "
        f"{signed(difference.second.score, digits)} in {second_name}: a difference of {signed(difference.score, digits)}, and "
        f"{signed(difference.base, digits)} for the baseline, {baseline}. The map sums to {signed(total, digits)}; the completeness gap is "
        f"{signed(difference.gap, digits)}. Of the pixels that both see, both look at {percent(shares[0])}, {first_name} alone at "
        f"{percent(shares[1])}, {second_name} alone at {percent(shares[2])}."
    )


def _answer_sentence(example: Example, name: str, model: int) -> str:
    label, share = example.answers[model][0]
    return f"{name} answers {label} ({percent(share)})"


def crop_seen_by(example: Example, model: int) -> np.ndarray:
    """The part of the picture that a model saw, uint8 (h, w, 3), at most 288 pixels long."""
    y0, x0, y1, x1 = (round(side) for side in example.boxes[model])
    return shrunk(np.ascontiguousarray(example.picture[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]), LONGEST)


def _to_uint8(colours: np.ndarray) -> np.ndarray:
    return np.rint(255 * colours).astype(np.uint8)


def to_256_steps(likeness: np.ndarray) -> np.ndarray:
    """Likeness, -1 to 1, of any shape, in 256 steps: uint8, 0 for -1 and 255 for 1."""
    return np.rint(127.5 * (likeness + 1)).astype(np.uint8)
