"""Whether maps lie on the object: their mass in its box, the pointing game, and the references that know nothing of the image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from vizlib.errors import TrainingError
from vizlib.evaluation.pointing_game import box_masks, centred_gaussian, mass_in_box, pointing
from vizlib.stats import bootstrap_weights, middle_95, wilson

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib import Explanation, Model
    from vizlib.datasets.tiny_imagenet import ImageSet

SMALL = 0.5  # boxes under this share of the image are reported on their own: in a box that fills the image every map is right
SIGMAS = torch.arange(1, 201, dtype=torch.float64) / 200  # standard deviations tried, as shares of the image's side


def fit_sigma(masks: torch.Tensor) -> float:
    """The sigma under which the pixels of masks (N, h, w) are likeliest, every image counting the same, to half a per cent of the side."""
    images, height, width = masks.shape
    even = torch.zeros(height, width, dtype=torch.float64)
    for chunk in masks.split(1000):
        even += (chunk.double() / chunk.sum((1, 2), keepdim=True)).sum(0) / images
    likelihoods = [float((even * centred_gaussian(float(sigma), (height, width)).clamp_min(1e-300).log()).sum()) for sigma in SIGMAS]
    return float(SIGMAS[int(np.argmax(likelihoods))])


def explain_validation_set(
    model: Model, method: str, val: ImageSet, *, workers: int = 1, report: Callable[[int], None] = lambda _: None
) -> torch.Tensor:
    """Maps (N, h, w) float64 of every image for its true class, in the set's order; ``report`` hears how many were done.

    TrainingError where the model does not see whole images pixel for pixel: the boxes would then lie elsewhere.
    """
    import vizlib

    maps: dict[int, torch.Tensor] = {}

    def explain_class(label: int) -> list[int]:
        rows = np.flatnonzero(val.labels == label).tolist()
        images = [val.images[row].transpose(1, 2, 0) for row in rows]
        for row, explanation in zip(rows, cast("list[Explanation]", vizlib.explain(model, images, method, target=label)), strict=True):
            if not (explanation.seen.all() and explanation.input_map.shape == explanation.image.shape[:2]):
                raise TrainingError(f"{model.card.name} resizes or crops these images, and boxes are compared pixel for pixel.")
            maps[row] = torch.from_numpy(explanation.input_map)
        return rows

    with ThreadPoolExecutor(workers) as pool:
        for rows in pool.map(explain_class, np.unique(val.labels).tolist()):
            report(len(rows))
    return torch.stack([maps[row] for row in range(len(val))])


class BoxTruth:
    """The boxes of a validation set, and what maps and references score on them: over all images and over those with a small box."""

    def __init__(self, val: ImageSet, sigma: float) -> None:
        size = (int(val.images.shape[2]), int(val.images.shape[3]))
        self.masks = box_masks(torch.from_numpy(val.boxes), size)
        self.areas = self.masks.double().mean((1, 2))
        self.subsets = {"all": torch.ones(len(val), dtype=torch.bool), "small": self.areas < SMALL}
        self._weights = {name: torch.from_numpy(bootstrap_weights(int(rows.sum()))) for name, rows in self.subsets.items() if rows.any()}
        self.gaussian = centred_gaussian(sigma, size).expand(len(val), *size)
        self._reference = mass_in_box(self.gaussian, self.masks), pointing(self.gaussian, self.masks)

    def references(self) -> dict[str, dict[str, Any]]:
        """The scores of maps that know nothing of the image: random ones, whose expected share is the box's; the Gaussian; its centre."""
        centre = self._reference[1]
        return {
            "random": self._scores(self.areas, self.areas),
            "gaussian": self._scores(*self._reference),
            "centre": self._scores(centre, centre),
        }

    def score(self, maps: torch.Tensor) -> dict[str, Any]:
        """The scores of maps (N, h, w), how many of them say nothing, and whether they beat the centred Gaussian in paired comparison."""
        mass, hits = mass_in_box(maps, self.masks), pointing(maps, self.masks)
        scores = self._scores(mass, hits)
        for name, subset_scores in scores.items():
            rows, weights = self.subsets[name], self._weights[name]
            over = {}
            for measure, scores_of_maps, scores_of_gaussian in (("mass", mass, self._reference[0]), ("pointing", hits, self._reference[1])):
                gain = (scores_of_maps - scores_of_gaussian)[rows]
                over[measure] = [float(gain.mean()), *middle_95((weights @ gain).numpy())]
            subset_scores["over_gaussian"] = over
            subset_scores["beats_gaussian"] = {measure: low > 0 for measure, (_, low, _) in over.items()}
        return scores | {"silent": int((maps.clamp_min(0).sum((1, 2)) == 0).sum())}

    def _scores(self, mass: torch.Tensor, hits: torch.Tensor) -> dict[str, Any]:
        by_subset = {}
        for name, weights in self._weights.items():
            rows = self.subsets[name]
            mass_inside, areas, hit = mass[rows], self.areas[rows], hits[rows]
            total = int(rows.sum())
            by_subset[name] = {
                "images": total,
                "area": float(areas.mean()),
                "mass": [float(mass_inside.mean()), *middle_95((weights @ mass_inside).numpy())],
                "ratio": [float(mass_inside.mean() / areas.mean()), *middle_95(((weights @ mass_inside) / (weights @ areas)).numpy())],
                "pointing": [float(hit.mean()), *wilson(float(hit.sum()), total)],
            }
        return by_subset
