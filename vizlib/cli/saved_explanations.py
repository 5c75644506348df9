"""What a folder already holds: whether ``vizlib explain`` may write there, and what it need not make again."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.cli.errors_and_output import UsageError
from vizlib.errors import ImageError
from vizlib.explainers.manifest import MANIFEST
from vizlib.explainers.similarity import SimilarTo
from vizlib.images import read_image

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from vizlib.catalog.methods import MethodCard
    from vizlib.zoo.model import Model


@dataclass(frozen=True, eq=False)
class ExplainRequest:
    """What is to be explained, and how: the same for every photograph of a command."""

    model: Model
    card: MethodCard
    target: Any
    fit: str | None
    options: dict[str, Any]

    def is_another(self, manifest: dict[str, Any]) -> bool:
        """Whether a saved explanation is of another model, other weights or another method."""
        recipe = manifest.get("recipe") or {}
        weights = [recipe.get(part) for part in ("checkpoint", "sha256")]
        own_recipe = self.model.recipe or {}
        own_weights = [own_recipe.get(part) for part in ("checkpoint", "sha256")]
        return (manifest.get("model"), manifest.get("method"), weights) != (self.model.card.name, self.card.name, own_weights)

    def is_made(self, photo: Path, folder: Path, manifest: dict[str, Any]) -> bool:
        """Whether a folder holds just what this would make of a photograph: the same recipe, options, fit, class and picture."""
        given = {"recipe": self.model.recipe, "options": self.card.resolve(self.options), "fit": self.fit}
        if self.is_another(manifest) or any(manifest.get(name) != json.loads(json.dumps(value)) for name, value in given.items()):
            return False
        try:
            logits = saved_logits(folder)
            same = np.array_equal(read_image(folder / "image.png"), read_image(photo))
        except (OSError, KeyError, ValueError, ImageError, zipfile.BadZipFile):
            return False
        target = self.target
        if isinstance(target, SimilarTo):  # of another picture only the label is kept beside its features
            return same and isinstance(target.reference, str) and manifest.get("label") == target.label
        if target is None and self.model.adapter.classes:
            target = int(logits.argmax())
        return same and manifest.get("target") == (list(target) if isinstance(target, tuple) else target)


def manifest_in(folder: Path) -> dict[str, Any] | None:
    """What a saved explanation says of itself, or None where there is none that was written to its end."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and "method" in manifest else None


def saved_logits(folder: Path) -> np.ndarray:
    """The logits (K,) of a saved explanation."""
    with np.load(folder / "map.npz") as arrays:
        return arrays["logits"]


def check_nothing_is_lost(folders: Iterable[Path], request: ExplainRequest) -> None:
    """UsageError when a folder holds an explanation by another model or method."""
    others = [(folder, manifest) for folder in folders if (manifest := manifest_in(folder)) is not None and request.is_another(manifest)]
    if others:
        folder, manifest = others[0]
        more = f", and {len(others) - 1} more folders hold others" if len(others) > 1 else ""
        weights = (manifest.get("recipe") or {}).get("checkpoint")
        of_weights = f" with {weights}" if weights else ""
        raise UsageError(
            f"{folder} holds {manifest.get('method')} of {manifest.get('model')}{of_weights}{more}: "
            "name another folder with --out, or replace them with --force."
        )
