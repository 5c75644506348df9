"""A whole comparison as data: what was measured of each model, between them, and on the images that are shown."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.analysis.features.cka_matrix import Alignment
from vizlib.analysis.features.correspondence import correspondence
from vizlib.analysis.features.principal_colours import principal_colours
from vizlib.analysis.pixel_attribution import Difference, agreement
from vizlib.errors import MethodError

if TYPE_CHECKING:
    from vizlib.analysis.features.layer import Layer
    from vizlib.analysis.pixel_attribution import Attribution
    from vizlib.analysis.receptive_field.receptive_field import ReceptiveField

# What a measure takes at least; the reasons that ``missing`` gives begin from these.
NEEDS = {"cka": 4, "interval": 8, "rank": 2, "verdict": 4}
SMOOTHING = 0.03  # of the short side, the standard deviation by which attributions are smoothed before they are looked at


@dataclass(frozen=True, eq=False)
class HeadMeasures:
    """One attention over all images: ``entropy`` in bits and ``distance`` in input pixels of each head, (heads,) float64."""

    name: str
    depth: float
    entropy: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True, eq=False)
class OfEachImage:
    """What intervals over images are made from, float64: ``similarity`` (images, L), ``amplitude`` (images, L, 2) at frequency zero and at
    the highest one, and ``distance`` (images, heads) in input pixels of the first attention, of no heads where there is none.
    """

    similarity: np.ndarray
    amplitude: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True, eq=False)
class ModelMeasures:
    """What was measured of one model; arrays (L,) float64 by layer unless said.

    ``name`` keys files and tables, ``display_name`` is read in charts and sentences.
    ``norm`` mean token length; ``similarity`` mean cosine of tokens of one image with its standard error; ``rank`` and ``stable_rank`` of
    ``rank_rows`` sampled tokens; ``spectrum`` ln amplitude by frequency, one array a layer, the mean's being 0; ``dead`` and ``exploding``
    channels counted; ``branches`` the share that passes by each residual branch; ``fields`` and ``operator`` receptive fields; ``answers``
    (images,) classes and ``confidence`` their probabilities, None without a head. ``missing`` says why what is absent is.
    """

    name: str
    display_name: str
    title: str
    family: str
    parameters: int
    size: tuple[int, int]
    layers: tuple[Layer, ...]
    norm: np.ndarray
    similarity: np.ndarray
    similarity_error: np.ndarray
    rank: np.ndarray
    stable_rank: np.ndarray
    rank_rows: int
    spectrum: tuple[np.ndarray, ...]
    dead: np.ndarray
    exploding: np.ndarray
    branches: dict[str, float]
    heads: tuple[HeadMeasures, ...]
    fields: tuple[ReceptiveField, ...]
    operator: tuple[ReceptiveField, ...]
    answers: np.ndarray | None
    confidence: np.ndarray | None
    missing: dict[str, str]
    of_each: OfEachImage

    @property
    def diagonal(self) -> float:
        """The diagonal of the input in pixels, by which distances of models with different inputs are compared."""
        return float(np.hypot(*self.size))

    @property
    def high_frequency(self) -> np.ndarray:
        """ln amplitude of the highest frequency over the mean's, (L,); NaN for a grid of one cell."""
        return np.array([curve[-1] if len(curve) > 1 else np.nan for curve in self.spectrum])


@dataclass(frozen=True, eq=False)
class ExampleLayer:
    """One layer of one image: ``norms`` (h, w); the channels that vary most, ``channels`` (M,) and their ``mosaic`` (M, h, w) in 0..1;
    and, of each cell of ``grid``, the ``profile`` (cells, anchors) float16 by which it is compared with places of other layers.

    The grid is the layer's own, or coarser where that would be more than 16 cells a side.
    """  # fmt: skip

    grid: tuple[int, int]
    norms: np.ndarray
    channels: np.ndarray
    mosaic: np.ndarray
    profile: np.ndarray


@dataclass(frozen=True, eq=False)
class Example:
    """One image as all models saw it: the picture uint8 (H, W, 3), the layers by model, and why each answered as it did.

    ``boxes`` are the parts of the picture that each model saw, (y0, x0, y1, x1) in its pixels. ``attributions`` are those of log p(target)
    by model, None for one of other classes or none.
    """

    name: str
    picture: np.ndarray
    boxes: tuple[tuple[float, float, float, float], ...]
    layers: tuple[tuple[ExampleLayer, ...], ...]
    answers: tuple[tuple[tuple[str, float], ...], ...]
    target: int | None
    label: str
    attributions: tuple[Attribution | None, ...]

    def difference(self, first: int = 0, second: int = 1) -> Difference:
        """Why the log-probabilities of two models differ; MethodError where they know different classes."""
        first_attribution, second_attribution = self.attributions[first], self.attributions[second]
        if first_attribution is None or second_attribution is None or self.target is None:
            raise MethodError("These models know different classes, so only their features can be compared.")
        return Difference(first_attribution, second_attribution, self.target, self.label)

    def agreement(self, first: int = 0, second: int = 1, share: float = 0.1) -> np.ndarray:
        """Where both models look and where one looks alone: int8 (H, W) codes into ``pixel_attribution.SETS``, -1 where one saw nothing.

        Of each the pixels above the 1 - ``share`` quantile of |attribution|, smoothed by a Gaussian of 3 % of the short side.
        """
        import cv2

        difference = self.difference(first, second)
        unseen = ~(self._seen(first) & self._seen(second))
        sigma = SMOOTHING * min(self.picture.shape[:2])
        maps = []
        for attribution in (difference.first, difference.second):
            smooth = cv2.GaussianBlur(np.abs(attribution.map), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
            maps.append(np.where(unseen, np.nan, smooth))
        return agreement(maps[0], maps[1], share)

    def _seen(self, model: int) -> np.ndarray:
        y0, x0, y1, x1 = self.boxes[model]
        rows, columns = (np.arange(side) + 0.5 for side in self.picture.shape[:2])
        return ((rows >= y0) & (rows < y1))[:, None] & ((columns >= x0) & (columns < x1))[None]

    def correspondence(self, first: tuple[int, int], second: tuple[int, int]) -> np.ndarray:
        """How alike each place of one (model, layer) is to each of another: (cells, cells) float64 in -1..1."""
        return correspondence(*(self.layers[model][layer].profile for model, layer in (first, second)))

    def colours(self, first: tuple[int, int], second: tuple[int, int]) -> list[np.ndarray]:
        """Two layers, each as (model, layer), as pictures (h, w, 3) in 0..1: three principal components that both share."""
        chosen = [self.layers[model][layer] for model, layer in (first, second)]
        painted = principal_colours([drawn.profile.astype(np.float64) for drawn in chosen])
        return [colour.reshape(*drawn.grid, 3) for colour, drawn in zip(painted, chosen, strict=True)]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models over the same images. ``cka`` is keyed by (reading, kernel) and runs over the layers of all models, one after the other.

    ``missing`` says what was not measured between the models, and why; ``skipped`` the files that could not be read, with the reasons.
    """

    models: tuple[ModelMeasures, ...]
    images: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    cka: dict[tuple[str, str], Alignment]
    shown: tuple[Example, ...]
    missing: dict[str, str]
    settings: dict[str, Any]
    seconds: float
    facts: dict[str, str] = field(default_factory=dict)

    def span(self, model: int) -> slice:
        """Where a model's layers lie on each axis of ``cka``."""
        start = sum(len(measures.layers) for measures in self.models[:model])
        return slice(start, start + len(self.models[model].layers))

    def between(self, first: int, second: int, reading: str = "tokens", kernel: str = "linear") -> Alignment:
        """CKA of the layers of one model (rows) with those of another (columns), or of its own; MethodError where it was not measured."""
        whole = self.cka.get((reading, kernel))
        if whole is None:
            raise MethodError(self.missing.get("cka", f"CKA was not measured for {reading} with a {kernel} kernel."))
        rows, columns = self.span(first), self.span(second)
        low, high = (None if bound is None else bound[rows, columns] for bound in (whole.low, whole.high))
        return Alignment(whole.value[rows, columns], low, high, whole.batches)

    def aligned(self, way: str = "depth", first: int = 0, second: int = 1) -> list[tuple[int, int]]:
        """For every layer of one model its partner in another, by depth, stride or cka (of the first reading and kernel measured)."""
        from vizlib.analysis.features.layer_alignment import aligned

        matrix = self.between(first, second, *next(iter(self.cka), ("tokens", "linear"))).value if way == "cka" else None
        return aligned(way, self.models[first].layers, self.models[second].layers, matrix)

    def same_answers(self, first: int = 0, second: int = 1) -> float | None:
        """The share of images to which two models give the same class; None where their classes are not the same."""
        first_answers, second_answers = self.models[first].answers, self.models[second].answers
        if first_answers is None or second_answers is None or f"classes {first} {second}" in self.missing:
            return None
        return float((first_answers == second_answers).mean())

    @property
    def nbytes(self) -> int:
        """How many bytes the arrays take, for whoever keeps comparisons."""
        return _array_bytes(self)


def _array_bytes(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if is_dataclass(value):
        return sum(_array_bytes(getattr(value, part.name)) for part in fields(value))
    if isinstance(value, dict):
        return sum(map(_array_bytes, value.values()))
    return sum(map(_array_bytes, value)) if isinstance(value, tuple | list) else 0
