"""A model's evaluation transform as data, and the mapping between image pixels and model pixels that follows from it.

Coordinates are continuous and (y, x): pixel i covers [i, i + 1) and its centre is i + 0.5.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vizlib.errors import ImageError, ModelError, nearest

if TYPE_CHECKING:
    import torch

FITS = ("crop", "pad", "squash")

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
_FIT_OF_CROP_MODE = {"center": "crop", "border": "pad", "squash": "squash"}
# A crop out of a strip of 1 x 40000 pixels would first be resized to gigabytes; above this only the part that is kept is resized.
_MAX_RESIZED_PIXELS = 64_000_000
_ROWS_PER_BLOCK = 64


@dataclass(frozen=True)
class Geometry:
    """The mapping between image pixels and model pixels, both ways: ``model = image * scale + offset`` on each axis.

    ``image_size`` is (H, W), ``input_size`` (h, w), ``scale`` (sy, sx) model pixels per image pixel, ``offset`` (oy, ox) in model pixels.
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]

    @classmethod
    def identity(cls, size: tuple[int, int]) -> Geometry:
        """The geometry of a tensor (h, w) that is its own image."""
        size = (int(size[0]), int(size[1]))
        return cls(size, size, (1.0, 1.0), (0.0, 0.0))

    def to_input(self, points: Any) -> np.ndarray:
        """Points (..., 2) as (y, x) in image pixels, to model pixels; float64. Points outside stay outside."""
        return _pairs(points, "points", 2) * self.scale + self.offset

    def to_image(self, points: Any) -> np.ndarray:
        """Points (..., 2) as (y, x) in model pixels, to image pixels; float64. Points outside stay outside."""
        return (_pairs(points, "points", 2) - self.offset) / self.scale

    def box_to_input(self, boxes: Any) -> np.ndarray:
        """Boxes (..., 4) as (y0, x0, y1, x1) in image pixels, to model pixels; float64, not clipped."""
        boxes = _pairs(boxes, "boxes", 4)
        return self.to_input(boxes.reshape(*boxes.shape[:-1], 2, 2)).reshape(boxes.shape)

    def box_to_image(self, boxes: Any) -> np.ndarray:
        """Boxes (..., 4) as (y0, x0, y1, x1) in model pixels, to image pixels; float64, not clipped."""
        boxes = _pairs(boxes, "boxes", 4)
        return self.to_image(boxes.reshape(*boxes.shape[:-1], 2, 2)).reshape(boxes.shape)

    @cached_property
    def seen(self) -> np.ndarray:
        """Which image pixels have their centre inside the model's input: bool (H, W), read-only."""
        rows, columns = (_inside(self._centres_in_input(axis), self.input_size[axis]) for axis in (0, 1))
        return _read_only(rows[:, None] & columns[None, :])

    @cached_property
    def content(self) -> np.ndarray:
        """Which model pixels show the image rather than padding: bool (h, w), read-only."""
        rows, columns = (
            _inside((np.arange(self.input_size[axis]) + 0.5 - self.offset[axis]) / self.scale[axis], self.image_size[axis])
            for axis in (0, 1)
        )
        return _read_only(rows[:, None] & columns[None, :])

    def map_to_image(self, input_map: Any) -> np.ndarray:
        """A map (h, w) on the model's input, read at the centre of every image pixel: float32 (H, W).

        Bilinear between model pixels, with the border ones continued outwards; values stay values per model pixel. NaN where the model
        did not see the image. Raises ImageError when the map does not have the input's shape.
        """
        values = np.asarray(input_map, dtype=np.float64)
        if values.shape != self.input_size:
            raise ImageError(f"A map of shape {values.shape} does not lie on a model input of {self.input_size}: pass one value per pixel.")
        result = np.full(self.image_size, np.nan, dtype=np.float32)
        rows, columns = self._seen_range(0), self._seen_range(1)
        left, right, along = self._taps(1, columns)
        strip = values[:, left] + (values[:, right] - values[:, left]) * along
        above, below, down = self._taps(0, rows)
        # In blocks, so that float64 never exists for the whole image.
        for first in range(0, len(rows), _ROWS_PER_BLOCK):
            block = slice(first, min(first + _ROWS_PER_BLOCK, len(rows)))
            upper = strip[above[block]]
            mixed = strip[below[block]]
            mixed -= upper
            mixed *= down[block, None]
            mixed += upper
            result[rows.start + block.start : rows.start + block.stop, columns.start : columns.stop] = mixed
        return result

    def _centres_in_input(self, axis: int) -> np.ndarray:
        return (np.arange(self.image_size[axis]) + 0.5) * self.scale[axis] + self.offset[axis]

    def _seen_range(self, axis: int) -> range:
        seen = np.flatnonzero(_inside(self._centres_in_input(axis), self.input_size[axis]))
        return range(int(seen[0]), int(seen[-1]) + 1) if len(seen) else range(0)

    def _taps(self, axis: int, pixels: range) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The two model pixels around each image pixel's centre, and how far it is from the first to the second."""
        last = self.input_size[axis] - 1
        position = np.clip(self._centres_in_input(axis)[pixels.start : pixels.stop] - 0.5, 0, last)
        first = position.astype(np.intp)
        return first, np.minimum(first + 1, last), position - first


@dataclass(frozen=True)
class Transform:
    """A model's evaluation transform as data: how an image becomes its input, bit for bit as timm does it.

    ``size`` is the model's input (h, w); ``fit`` the model's own way of fitting an image into it: "crop" (short side resized to
    size / crop_pct, centre kept), "pad" (whole image, bordered with the mean colour) or "squash" (aspect ratio given up).
    Raises ModelError for values that no image could be prepared with.
    """

    size: tuple[int, int]
    crop_pct: float = 0.875
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    fit: str = "crop"

    def __post_init__(self) -> None:
        if not _are_numbers(self.size, 2) or min(self.size) < 1:
            raise ModelError(f"A model input of size {self.size} cannot hold an image: give (height, width) in pixels.")
        if not _are_numbers((self.crop_pct,), 1) or not self.crop_pct > 0:
            raise ModelError(f"crop_pct is {self.crop_pct}: give a number above 0, such as 0.875, or 1 to keep the whole short side.")
        if not isinstance(self.interpolation, str) or self.interpolation not in _FILTERS:
            choices = ", ".join(_FILTERS)
            raise ModelError(
                f"Unknown interpolation {self.interpolation!r}: choose one of {choices}.{nearest(str(self.interpolation), list(_FILTERS))}"
            )
        if not _are_numbers(self.mean, 3) or not _are_numbers(self.std, 3) or min(self.std) <= 0:
            raise ModelError(f"mean {self.mean} and std {self.std} do not fit RGB images: give three numbers each, std above 0.")
        _check_fit(self.fit)

    @classmethod
    def from_timm(cls, cfg: dict[str, Any]) -> Transform:
        """The transform of ``timm.data.resolve_model_data_config(model)``; raises ModelError for a model that does not take RGB images."""
        try:
            input_size, size = tuple(cfg["input_size"]), tuple(int(side) for side in cfg["input_size"][-2:])
            mean, std = (tuple(float(value) for value in cfg[key]) for key in ("mean", "std"))
            crop_pct = float(cfg.get("crop_pct") or 0.875)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(
                f"This is not timm's data configuration ({type(error).__name__}: {error}): give what resolve_model_data_config gives."
            ) from error
        if len(input_size) == 3 and input_size[0] != 3:
            raise ModelError(f"This model takes {input_size[0]} channels: vizlib reads RGB images, so it needs a model with 3.")
        return cls(
            size=size,  # type: ignore[arg-type]
            crop_pct=crop_pct,
            interpolation=cfg.get("interpolation") or "bilinear",
            mean=mean,  # type: ignore[arg-type]
            std=std,  # type: ignore[arg-type]
            fit=_FIT_OF_CROP_MODE.get(str(cfg.get("crop_mode") or "center"), "crop"),
        )

    def prepare(self, image: np.ndarray, fit: str | None = None) -> torch.Tensor:
        """The model's input for an image uint8 (H, W, 3): float32 (1, 3, h, w), normalised.

        ``fit`` None is the model's own transform; "squash" and "pad" show the whole image whatever crop_pct says.
        Raises ImageError for an unknown fit or an array of another kind.
        """
        import torch

        if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ImageError("prepare takes a uint8 array of shape (height, width, 3): pass the input through vizlib.read_image first.")
        x = torch.from_numpy(self._fitted(image, fit)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        mean, std = (torch.tensor(values, dtype=torch.float32).view(3, 1, 1) for values in (self.mean, self.std))
        return x.sub_(mean).div_(std).unsqueeze(0)

    def geometry(self, image_size: tuple[int, int], fit: str | None = None) -> Geometry:
        """Where ``prepare`` puts the pixels of an image of ``image_size`` (H, W); raises ImageError for an unknown fit."""
        (height, width), (top, left) = self._plan(image_size, fit)
        size = (int(image_size[0]), int(image_size[1]))
        return Geometry(size, self.size, (height / size[0], width / size[1]), (float(-top), float(-left)))

    def to_rgb(self, x: torch.Tensor | np.ndarray) -> np.ndarray:
        """A prepared input (3, h, w) or (1, 3, h, w) as the picture the model gets: uint8 (h, w, 3), clipped to what can be shown."""
        values = x if isinstance(x, np.ndarray) else x.detach().float().cpu().numpy()
        if values.ndim == 4 and len(values) == 1:
            values = values[0]
        if values.ndim != 3 or len(values) != 3:
            raise ImageError(f"An input of shape {values.shape} is not one picture: pass one of shape (3, h, w).")
        picture = values.transpose(1, 2, 0).astype(np.float64) * self.std + self.mean
        return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)

    def _fitted(self, image: np.ndarray, fit: str | None) -> np.ndarray:
        """The image resized and placed on the model's input: uint8 (h, w, 3)."""
        (height, width), (top, left) = self._plan(image.shape[:2], fit)
        h, w = self.size
        # The part of the resized image that the input holds.
        y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + h, height), min(left + w, width)
        picture, resampling = Image.fromarray(image), _FILTERS[self.interpolation]
        if height * width <= _MAX_RESIZED_PIXELS:
            kept = picture.resize((width, height), resampling).crop((x0, y0, x1, y1))
        else:
            sy, sx = picture.height / height, picture.width / width
            kept = picture.resize((x1 - x0, y1 - y0), resampling, box=(x0 * sx, y0 * sy, x1 * sx, y1 * sy))
        # timm borders with the mean colour, and pads a crop that is too small with black.
        border = [round(255 * value) for value in self.mean] if (fit or self.fit) == "pad" else [0, 0, 0]
        canvas = np.empty((h, w, 3), dtype=np.uint8)
        canvas[:] = np.clip(border, 0, 255)
        canvas[y0 - top : y1 - top, x0 - left : x1 - left] = np.asarray(kept)
        return canvas

    def _plan(self, image_size: tuple[int, ...], fit: str | None) -> tuple[tuple[int, int], tuple[int, int]]:
        """What the image is resized to (height, width), and where the input starts in that (top, left; negative is padding).

        The rounding is torchvision's Resize and CenterCrop and timm's ResizeKeepRatio and CenterCropOrPad.
        """
        height, width = image_size
        if min(height, width) < 1:
            raise ImageError(f"An image of {height} x {width} pixels holds nothing to look at: choose another one.")
        way = self.fit if fit is None else fit
        _check_fit(way)
        crop_pct = self.crop_pct if fit is None or fit == "crop" else 1.0
        target = (max(1, math.floor(self.size[0] / crop_pct)), max(1, math.floor(self.size[1] / crop_pct)))
        if way == "squash":
            resized = target
        elif way == "crop" and target[0] == target[1]:
            short, long = sorted((height, width))
            longer = int(target[0] * long / short)
            resized = (longer, target[0]) if width <= height else (target[0], longer)
        else:
            ratios = (height / target[0], width / target[1])
            ratio = max(ratios) if way == "pad" else min(ratios)
            resized = (max(1, round(height / ratio)), max(1, round(width / ratio)))
        return resized, (_start(resized[0], self.size[0]), _start(resized[1], self.size[1]))


def _start(length: int, wanted: int) -> int:
    return -((wanted - length) // 2) if wanted > length else round((length - wanted) / 2.0)


def _are_numbers(values: Any, count: int) -> bool:
    return isinstance(values, tuple | list) and len(values) == count and all(isinstance(value, numbers.Real) for value in values)


def _check_fit(fit: str) -> None:
    if not isinstance(fit, str) or fit not in FITS:
        choices = '"crop", "pad" or "squash"'
        raise ImageError(f"Unknown fit {str(fit)[:40]!r}: choose {choices}.{nearest(str(fit), list(FITS))}")


def _pairs(values: Any, what: str, length: int) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != length:
        order = "(y, x)" if length == 2 else "(y0, x0, y1, x1)"
        raise ImageError(f"An array of shape {array.shape} does not hold {what}: the last axis must be {order}.")
    return array


def _inside(positions: np.ndarray, length: int) -> np.ndarray:
    return (positions >= 0) & (positions < length)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
