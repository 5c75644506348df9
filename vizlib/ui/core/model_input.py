"""The picture as a model gets it, for pages whose maps lie on the model's input."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vizlib import Geometry
    from vizlib.ui.core.pictures import Picture

LONGEST = 480


def model_input(picture: Picture, geometry: Geometry, longest: int = LONGEST) -> np.ndarray:
    """The part of a picture that a model's input shows, uint8 (h, w, 3), finer than the input itself; padding is black."""
    from PIL import Image

    height, width = geometry.input_size
    factor = longest / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    top, left, bottom, right = geometry.box_to_image([0.0, 0.0, float(height), float(width)]).tolist()
    image = Image.fromarray(picture.pixels)
    # PIL reads outside of a picture in whole pixels only: the part inside is resized to where it lies.
    inside = (max(left, 0.0), max(top, 0.0), min(right, float(image.width)), min(bottom, float(image.height)))
    sx, sy = size[0] / (right - left), size[1] / (bottom - top)
    corner = (round((inside[0] - left) * sx), round((inside[1] - top) * sy))
    shown = (max(1, round((inside[2] - inside[0]) * sx)), max(1, round((inside[3] - inside[1]) * sy)))
    canvas = Image.new("RGB", size)
    canvas.paste(image.resize(shown, Image.Resampling.BICUBIC, box=inside, reducing_gap=3.0), corner)
    return np.asarray(canvas)


def as_jpeg(pixels: np.ndarray) -> np.ndarray:
    """A picture uint8 (h, w, 3) as the bytes of a JPEG: uint8 (length,), to go with other arrays."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    return np.frombuffer(buffer.getvalue(), np.uint8)
