"""A map over a photograph, as pixels and as files."""

from __future__ import annotations

import cv2
import numpy as np

from vizlib.errors import VizlibError
from vizlib.figures.colormaps import diverging, table

# What a model did not see: grey, with this share of its brightness, under stripes; as components/_lib/unseen.css draws it.
UNSEEN_BRIGHTNESS = 0.4
UNSEEN_DARK, UNSEEN_LIGHT = 0.35, 0.1  # how far the stripes go to black and to white
UNSEEN_STRIPE, UNSEEN_PERIOD = 5, 7  # pixels across the stripes: how wide the dark ones are, and after how many they come again


def coloured(values: np.ndarray, colormap: str = "viridis", low: float = 0.0, high: float | None = None) -> np.ndarray:
    """Values (H, W) as colours uint8 (H, W, 3), ``low`` to ``high`` (the largest finite value) across the map; NaN becomes black.

    VizlibError for an unknown colour map.
    """
    colours_of_level = table(colormap)
    finite = np.isfinite(values)
    top = float(values[finite].max()) if high is None and finite.any() else (high if high is not None else 1.0)
    scale = 255 / (top - low) if top > low else 0.0
    levels = np.clip((np.where(finite, values, low) - low) * scale, 0, 255).astype(np.uint8)
    colours = colours_of_level[levels]
    colours[~finite] = 0
    return colours


def overlay(
    image: np.ndarray, values: np.ndarray, *, opacity: float = 0.6, colormap: str = "viridis", low: float = 0.0, high: float | None = None
) -> np.ndarray:
    """A map (H, W) over its photograph uint8 (H, W, 3), coloured from ``low`` to ``high``; NaN, what was not seen, is hatched."""
    mixed = cv2.addWeighted(coloured(values, colormap, low, high), opacity, image, 1 - opacity, 0)
    return hatched(mixed, image, ~np.isfinite(values))


def signed_overlay(image: np.ndarray, values: np.ndarray, *, opacity: float = 0.6, reach: float | None = None) -> np.ndarray:
    """A map (H, W) of evidence for (red) and against (blue) over its photograph uint8 (H, W, 3) in grey, to ``reach`` on both sides.

    ``reach`` is the largest magnitude unless given. Colours are as dense as the root of the evidence, so that the photograph shows where
    there is none; NaN, what was not seen, is hatched.
    """
    finite = np.isfinite(values)
    top = (float(np.abs(values[finite]).max()) if finite.any() else 0.0) if reach is None else reach
    share = np.clip(np.where(finite, values, 0) / top, -1, 1) if top > 0 else np.zeros(values.shape)
    colours = np.frombuffer(diverging(), np.uint8).reshape(256, 3)[((share + 1) * 127.5).astype(np.uint8)]
    density = opacity * np.sqrt(np.abs(share))[:, :, None]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None]  # which no red or blue of the photograph hides
    mixed = np.rint(colours * density + grey * (1 - density)).astype(np.uint8)
    return hatched(mixed, image, ~finite)


def hatched(drawn: np.ndarray, image: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """``drawn`` uint8 (H, W, 3) with the picture ``image`` in dark grey under stripes where it was ``unseen``, bool (H, W)."""
    if not unseen.any():
        return drawn
    rows, columns = np.nonzero(unseen)
    grey = UNSEEN_BRIGHTNESS * cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[unseen].astype(np.float64)
    dark = (columns + rows) / np.sqrt(2) % UNSEEN_PERIOD < UNSEEN_STRIPE
    striped = np.where(dark, grey * (1 - UNSEEN_DARK), grey + (255 - grey) * UNSEEN_LIGHT)
    drawn = drawn.copy()
    drawn[unseen] = np.rint(striped)[:, None].astype(np.uint8)
    return drawn


def shrunk(image: np.ndarray, longest: int) -> np.ndarray:
    """An image or map whose longer side is at most ``longest`` pixels, by area averages."""
    height, width = image.shape[:2]
    if max(height, width) <= longest:
        return image
    factor = longest / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def encode_png(image: np.ndarray) -> bytes:
    """An image uint8 (H, W, 3) as the bytes of a PNG file."""
    return _encode(".png", image, [])


def encode_jpeg(image: np.ndarray, quality: int = 90) -> bytes:
    """An image uint8 (H, W, 3) as the bytes of a JPEG file."""
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encode(kind: str, image: np.ndarray, options: list[int]) -> bytes:
    encoded, buffer = cv2.imencode(kind, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not encoded:
        raise VizlibError(f"An image of shape {image.shape} cannot be written as {kind}.")
    return buffer.tobytes()
