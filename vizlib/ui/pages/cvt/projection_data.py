"""What the component of convolutional projections draws, and what the stride of keys and values does in every block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.ui.components._lib import viridis
from vizlib.ui.core.message_codec import pack

if TYPE_CHECKING:
    from vizlib import Model
    from vizlib.analysis.features.squeeze import Squeeze
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture

MOST_BYTES = 6_000_000
"""Of all maps: with more only the last block of each stage is drawn."""


@dataclass(frozen=True, eq=False)
class Projections:
    """Maps and kernels for the browser, and for every block its name and what squeezing does."""

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]
    squeezed: list[tuple[str, Squeeze]]

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return sum(array.nbytes for array in self.arrays.values())


def pack_conv_projection(projections: Projections) -> bytes:
    """Everything for the component."""
    return pack(projections.facts, {**projections.arrays, "table": viridis()})


def compute_projections(model: Model, picture: Picture, fit: str | None, progress: Progress) -> Projections:
    """Run a CvT and keep one map before and three after the projections of its blocks, with their kernels."""
    from vizlib.analysis.features.conv_projection import PARTS, blocks, centre_share, constancy, projection, squeeze
    from vizlib.passes.forward import run

    progress(0, None, "Reading the projections")
    forward = run(model, model.prepare(picture.pixels, fit))
    places = blocks(forward)
    squeezed = []
    for index, (stage, block) in enumerate(places):
        progress(index, len(places), "Asking with all keys instead of the squeezed ones")
        squeezed.append((f"stage {stage + 1}, layer {block + 1}", squeeze(forward, stage, block)))
    last = dict(places)
    drawn = places if _bytes(forward, places) <= MOST_BYTES else list(last.items())
    arrays: dict[str, np.ndarray] = {}
    facts = []
    for index, (stage, block) in enumerate(drawn):
        maps = projection(forward, stage, block)
        arrays[f"{index}.before"] = _shades(maps.before.float().cpu().numpy())
        numbers = {}
        for part in PARTS:
            kernels = maps.kernels[part].float().cpu()
            arrays[f"{index}.{part}"] = _shades(maps.after[part].float().cpu().numpy())
            arrays[f"{index}.{part}.kernel"] = kernels.flatten(1).numpy()
            numbers[part] = {"centre": float(centre_share(kernels).mean()), "constancy": float(constancy(kernels).mean())}
        spread = maps.before.flatten(1).std(1)
        facts.append(
            {
                "stage": stage + 1,
                "block": block + 1,
                "channels": len(maps.before),
                "facts": numbers,
                "grid": list(maps.before.shape[1:]),
                "keys": list(maps.after["k"].shape[1:]),
                "clearest": int(spread.argmax()),
            }
        )
    return Projections({"size": list(forward.size), "blocks": facts}, arrays, squeezed)


def _bytes(forward: Any, places: list[tuple[int, int]]) -> int:
    notes, module = forward.recording.notes, forward.model.module
    return sum(int(2.5 * notes[module.stage(stage).blocks[block].attn.value_site]["x"][0].numel()) for stage, block in places)


def _shades(values: np.ndarray) -> np.ndarray:
    """Maps (C, h, w) as uint8, each channel from its lowest to its highest value."""
    low, high = values.min((1, 2), keepdims=True), values.max((1, 2), keepdims=True)
    scale = np.divide(255, high - low, out=np.zeros_like(low), where=high > low)
    return np.rint((values - low) * scale).astype(np.uint8)
