"""The frozen result of a method: the map, what it explains, and all that is needed to make it again."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.catalog.methods import METHODS
from vizlib.errors import MethodError, VizlibError
from vizlib.explainers.manifest import FORMAT, MANIFEST
from vizlib.figures.map_scale import even_share, upper_end
from vizlib.figures.numbers import percent

if TYPE_CHECKING:
    import os

    from vizlib.geometry import Geometry

REFERENCE = "reference.npz"


@dataclass(frozen=True, eq=False)
class Explanation:
    """One map of one image by one model.

    ``input_map`` float64 (h, w) lies on the model's input and is never rescaled: for a rollout it sums to 1 - ``sink``. ``map`` float32
    (H, W) lies on the upright image, bilinear between input pixels, NaN where ``seen`` (H, W) is False. ``target`` is a class, a pair
    of them, or None; ``notes`` say what a reader of this very map has to know; ``stages`` are the maps of a rollout on the grids above
    the pixels, coarse to fine; ``facts`` numbers of this map: for one that should add up, how far it does; ``drawn`` the map that pictures
    show, ``input_map`` but for a rollout with artifact tokens, which pictures leave out and arrays never; ``similar_to`` the features (D,)
    that the image's own were held against, where that was the target.
    """

    input_map: np.ndarray
    sink: float | None
    target: int | tuple[int, int] | None
    label: str
    method: str
    model: str
    options: dict[str, Any]
    seconds: float
    geometry: Geometry = field(repr=False)
    image: np.ndarray = field(repr=False)
    logits: np.ndarray = field(repr=False)
    notes: tuple[str, ...] = ()
    stages: tuple[np.ndarray, ...] = field(default=(), repr=False)
    facts: dict[str, float] = field(default_factory=dict)
    recipe: dict[str, Any] | None = field(default=None, repr=False)
    fit: str | None = None
    prepared: np.ndarray | None = field(default=None, repr=False)
    without_artifacts: np.ndarray | None = field(default=None, repr=False)
    stages_without_artifacts: tuple[np.ndarray, ...] = field(default=(), repr=False)
    similar_to: np.ndarray | None = field(default=None, repr=False)

    @property
    def signed(self) -> bool:
        """Whether the map tells evidence for the target from evidence against it: a mean square or variance of such maps does not."""
        return METHODS[self.method].signed and self.options.get("smoothing", "none") in ("none", "mean")

    @property
    def drawn(self) -> np.ndarray:
        """The map on the model's input that pictures show, float64 (h, w)."""
        return self.input_map if self.without_artifacts is None else self.without_artifacts

    @property
    def drawn_stages(self) -> tuple[np.ndarray, ...]:
        """The maps on the grids above the pixels that pictures show, coarse to fine."""
        return self.stages if self.without_artifacts is None else self.stages_without_artifacts

    @property
    def drawn_sink(self) -> float | None:
        """What of the drawn map ended in learned tokens: pixels and sink sum to 1 there too."""
        return self.sink if self.without_artifacts is None else max(0.0, 1.0 - float(self.without_artifacts.sum()))

    @cached_property
    def map(self) -> np.ndarray:
        """The map on the upright image, float32 (H, W), per input pixel; made on first use."""
        return self.geometry.map_to_image(self.input_map)

    @property
    def seen(self) -> np.ndarray:
        """Which image pixels the model saw, bool (H, W)."""
        return self.geometry.seen

    def picture(self, opacity: float = 0.6, colormap: str = "viridis") -> np.ndarray:
        """The map over the photograph: uint8 (H, W, 3), its colours to the 99 % quantile, what was not seen greyed.

        Evidence for and against has colours of its own, over the photograph in grey.
        """
        from vizlib.figures.overlay import overlay, signed_overlay

        if isinstance(opacity, bool) or not isinstance(opacity, int | float) or not 0 <= opacity <= 1:
            raise MethodError(f"opacity is a number from 0 to 1, not {str(opacity)[:40]!r}.")
        drawn = self.drawn
        placed = self.map if drawn is self.input_map else self.geometry.map_to_image(drawn)
        values = drawn[self.geometry.content & np.isfinite(drawn)]
        if self.signed:
            return signed_overlay(self.image, placed, opacity=opacity, reach=upper_end(values))
        even = 1.0 if self.options.get("show") == "lift" else even_share(drawn, self.drawn_sink)
        return overlay(self.image, placed, opacity=opacity, colormap=colormap, high=upper_end(values, even))

    def png(self, path: str | os.PathLike[str], opacity: float = 0.6, colormap: str = "viridis") -> Path:
        """Write the map over the photograph as a PNG file; the path it was written to."""
        target = Path(path)
        target.write_bytes(_png(self.picture(opacity, colormap)))
        return target

    def npz(self) -> bytes:
        """The arrays as the bytes of an NPZ file: input_map, map, seen, logits and, where there is one, sink."""
        import io

        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"input_map": self.input_map, "map": self.map, "seen": self.seen, "logits": self.logits}
        if self.sink is not None:
            arrays["sink"] = np.float64(self.sink)
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    def __repr__(self) -> str:
        height, width = self.input_map.shape
        return f"Explanation({', '.join(self._lines())}; input_map {height} x {width})"

    def _repr_png_(self) -> bytes:
        return _png(self.picture())

    def _repr_html_(self) -> str:
        from vizlib.figures.notebook import picture_html

        return picture_html(self.picture(), [*self._lines(), *self.notes])

    def _lines(self) -> list[str]:
        """What it is in a few words: method and model, the class, and how much ended in learned tokens."""
        lines = [f"{METHODS[self.method].title} of {self.model}", f"for {self.label}" if self.label else ""]
        return [*filter(None, lines), *([f"sink {percent(self.sink)}"] if self.sink else [])]

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write map.png, map.npz, the image and, last, explanation.json, from which ``vizlib.replay`` makes the map again.

        The folder; ModelError when it holds another explanation's files that cannot be replaced.
        """
        home = Path(folder)
        try:
            home.mkdir(parents=True, exist_ok=True)
            (home / MANIFEST).unlink(missing_ok=True)
            self.png(home / "map.png")
            (home / "map.npz").write_bytes(self.npz())
            (home / "image.png").write_bytes(_png(self.image))
            if self.prepared is not None:
                np.savez_compressed(home / "input.npz", x=self.prepared)
            if self.similar_to is not None:
                np.savez_compressed(home / REFERENCE, features=self.similar_to)
            part = home / f"{MANIFEST}.part"
            part.write_text(json.dumps(self.manifest(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            part.replace(home / MANIFEST)
        except OSError as error:
            raise VizlibError(f"The explanation cannot be written to {home}: {error.strerror or error}.") from error
        return home

    def manifest(self) -> dict[str, Any]:
        """What ``save`` writes as JSON: everything but the arrays."""
        from importlib.metadata import version

        obstacle = self.obstacle()
        return {
            "format": FORMAT,
            "method": self.method,
            "options": self.options,
            "model": self.model,
            "recipe": self.recipe,
            "target": list(self.target) if isinstance(self.target, tuple) else self.target,
            "label": self.label,
            "similar_to": None if self.similar_to is None else REFERENCE,
            "fit": self.fit,
            "sink": self.sink,
            "notes": list(self.notes),
            "facts": self.facts,
            "image_size": list(self.geometry.image_size),
            "input_size": list(self.geometry.input_size),
            "input": "input.npz" if self.prepared is not None else "image.png",
            "replayable": obstacle is None,
            "obstacle": obstacle,
            "seconds": round(self.seconds, 4),
            "made_with": {name: version(name) for name in ("torch", "timm", "numpy", "pillow")} | {"python": platform.python_version()},
        }

    def obstacle(self) -> str | None:
        """Why this explanation cannot be made again from its folder, or None when it can."""
        if self.recipe is None:
            return "the model was a live module, which is not kept in the folder"
        if self.target is None and self.label and self.similar_to is None:
            return "the target was a function, which is not kept in the folder"
        return None


class Explanations(list[Explanation]):
    """A list of explanations, which a notebook shows as a gallery."""

    SHOWN = 24

    def _repr_html_(self) -> str:
        from vizlib.figures.notebook import gallery_html, picture_html

        few = [picture_html(explanation.picture(), explanation._lines(), widest=220) for explanation in self[: self.SHOWN]]
        return gallery_html(few, rest=len(self) - len(few))


def _png(picture: np.ndarray) -> bytes:
    from vizlib.figures.overlay import encode_png

    return encode_png(picture)
