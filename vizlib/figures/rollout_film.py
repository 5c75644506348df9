"""A rollout on its way down, from the coarsest grid to the pixels: side by side, and as a film."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Protocol

import cv2

from vizlib.figures.map_scale import colours_end
from vizlib.figures.overlay import overlay, shrunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from vizlib.geometry import Geometry


class RolloutExplanation(Protocol):
    """What is drawn: an Explanation of a rollout."""

    @property
    def drawn_stages(self) -> Sequence[np.ndarray]:
        """The maps (h, w) on each grid, coarse to fine, as shares that sum to 1 with the sink, without artifact tokens."""

    @property
    def drawn(self) -> np.ndarray:
        """The map (h, w) on the model's input, without artifact tokens."""

    @property
    def drawn_sink(self) -> float | None:
        """The share of it that ends in learned tokens."""

    @property
    def image(self) -> np.ndarray:
        """The photograph uint8 (H, W, 3)."""

    @property
    def geometry(self) -> Geometry:
        """How the photograph's pixels lie on the model's."""


def stages_on_input(explanation: RolloutExplanation) -> list[np.ndarray]:
    """The maps of a walk on each of its grids and on the pixels, each spread evenly over its cells: float64 (h, w), values per pixel."""
    height, width = explanation.drawn.shape
    spread = []
    for stage in explanation.drawn_stages:
        values = cv2.resize(stage, (width, height), interpolation=cv2.INTER_NEAREST)
        spread.append(values * (stage.sum() / values.sum() if values.sum() > 0 else 1.0))
    return [*spread, explanation.drawn]


def film_frames(
    explanation: RolloutExplanation, *, opacity: float = 0.6, colormap: str = "viridis", longest: int = 480
) -> list[np.ndarray]:
    """Each map of ``stages_on_input`` over the photograph, coloured to its own 99 % quantile and at least to twice the even share.

    uint8 (H, W, 3), at most ``longest`` pixels long.
    """
    image = shrunk(explanation.image, longest)
    shown = []
    for values in stages_on_input(explanation):
        placed = cv2.resize(explanation.geometry.map_to_image(values), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        high = colours_end(values, explanation.geometry.content, explanation.drawn_sink)
        shown.append(overlay(image, placed, opacity=opacity, colormap=colormap, high=high))
    return shown


def gif(frames: list[np.ndarray], seconds: float = 0.7) -> bytes:
    """Frames uint8 (H, W, 3) as an animated GIF that loops and rests on its last frame."""
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    times = [round(1000 * seconds)] * len(images)
    times[-1] *= 3
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=times, loop=0)
    return buffer.getvalue()
