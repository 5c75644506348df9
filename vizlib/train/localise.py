"""Whether maps lie on the object: their mass in its box, the pointing game, and the references that know nothing of the image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from vizlib.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib import Explanation, Model
    from vizlib.train.data import ImageSet

TIED = 1e-9  # maxima closer than this, relatively, differ by rounding alone
SMALL = 0.5  # boxes under this share of the image are reported on their own: in a box that fills the image every map is right
RESAMPLES = 2000
SIGMAS = torch.arange(1, 201, dtype=torch.float64) / 200  # standard deviations tried, as shares of the image's side


def box_masks(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bool (N, h, w) from boxes (N, 4) as x0, y0, x1, y1, all inclusive."""
    x0, y0, x1, y1 = boxes[:, :, None, None].unbind(1)
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])[None]
    return (rows >= y0) & (rows <= y1) & (columns >= x0) & (columns <= x1)


def mass_in_box(maps: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """The share (N,) of each map's positive part (N, h, w) that lies in its mask; a map without any says as much as an even one."""
    positive = maps.to(torch.float64).clamp_min(0)
    positive = torch.where(positive.sum((1, 2), keepdim=True) > 0, positive, 1.0)
    return (positive * masks).sum((1, 2)) / positive.sum((1, 2))


def pointing(maps: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """1 where the map's (N, h, w) highest pixel lies in its mask, else 0; where several are highest, the share of them that do: (N,).

    Zhang et al., Top-down Neural Attention by Excitation Backprop (2016), https://arxiv.org/abs/1608.00507, without its margin.
    """
    highest = maps.amax((1, 2), keepdim=True)
    top = maps >= highest - TIED * highest.abs()
    return (top & masks).sum((1, 2)).double() / top.sum((1, 2))


def centred_gaussian(sigma: float, size: tuple[int, int]) -> torch.Tensor:
    """A map (h, w) that sums to 1: exp(-r^2 / 2 s^2) around the image's centre, s being ``sigma`` times its side, along each axis."""
    rows, columns = (((torch.arange(side, dtype=torch.float64) + 0.5) / side - 0.5) / sigma for side in size)
    heights = torch.exp(-(rows[:, None] ** 2 + columns[None] ** 2) / 2)
    return heights / heights.sum()


def fit_sigma(masks: torch.Tensor) -> float:
    """The sigma under which the pixels of masks (N, h, w) are likeliest, every image counting the same, to half a per cent of the side."""
    images, height, width = masks.shape
    even = torch.zeros(height, width, dtype=torch.float64)
    for chunk in masks.split(1000):
        even += (chunk.double() / chunk.sum((1, 2), keepdim=True)).sum(0) / images
    likelihoods = [float((even * centred_gaussian(float(sigma), (height, width)).clamp_min(1e-300).log()).sum()) for sigma in SIGMAS]
    return float(SIGMAS[int(np.argmax(likelihoods))])


def resamples(images: int, seed: int = 0) -> torch.Tensor:
    """How often each of ``images`` is drawn in each bootstrap sample, as weights (RESAMPLES, images) that sum to 1."""
    counts = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=RESAMPLES)
    return torch.from_numpy(counts / images)


def interval(samples: torch.Tensor) -> tuple[float, float]:
    """The middle 95 % of bootstrap values."""
    low, high = torch.quantile(samples, torch.tensor([0.025, 0.975], dtype=samples.dtype)).tolist()
    return low, high


def explain_val(
    model: Model, method: str, val: ImageSet, *, workers: int = 1, report: Callable[[int], None] = lambda _: None
) -> torch.Tensor:
    """Maps (N, h, w) float64 of every image for its true class, in the set's order; ``report`` hears how many were done.

    TrainingError where the model does not see whole images pixel for pixel: the boxes would then lie elsewhere.
    """
    import vizlib

    found: dict[int, torch.Tensor] = {}

    def one_class(label: int) -> list[int]:
        rows = np.flatnonzero(val.labels == label).tolist()
        images = [val.images[row].transpose(1, 2, 0) for row in rows]
        for row, made in zip(rows, cast("list[Explanation]", vizlib.explain(model, images, method, target=label)), strict=True):
            if not (made.seen.all() and made.input_map.shape == made.image.shape[:2]):
                raise TrainingError(f"{model.card.name} resizes or crops these images, and boxes are compared pixel for pixel.")
            found[row] = torch.from_numpy(made.input_map)
        return rows

    with ThreadPoolExecutor(workers) as pool:
        for rows in pool.map(one_class, np.unique(val.labels).tolist()):
            report(len(rows))
    return torch.stack([found[row] for row in range(len(val))])


class Truth:
    """The boxes of a validation set, and what maps and references score on them: over all images and over those with a small box."""

    def __init__(self, val: ImageSet, sigma: float) -> None:
        size = (int(val.images.shape[2]), int(val.images.shape[3]))
        self.masks = box_masks(torch.from_numpy(val.boxes), size)
        self.areas = self.masks.double().mean((1, 2))
        self.subsets = {"all": torch.ones(len(val), dtype=torch.bool), "small": self.areas < SMALL}
        self._weights = {name: resamples(int(rows.sum())) for name, rows in self.subsets.items() if rows.any()}
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
        for name, one in scores.items():
            rows, weights = self.subsets[name], self._weights[name]
            over = {}
            for what, mine, theirs in (("mass", mass, self._reference[0]), ("pointing", hits, self._reference[1])):
                gain = (mine - theirs)[rows]
                over[what] = [float(gain.mean()), *interval(weights @ gain)]
            one["over_gaussian"] = over
            one["beats_gaussian"] = {what: low > 0 for what, (_, low, _) in over.items()}
        return scores | {"silent": int((maps.clamp_min(0).sum((1, 2)) == 0).sum())}

    def _scores(self, mass: torch.Tensor, hits: torch.Tensor) -> dict[str, Any]:
        from vizlib.train.score import wilson

        found = {}
        for name, weights in self._weights.items():
            rows = self.subsets[name]
            held, areas, hit = mass[rows], self.areas[rows], hits[rows]
            total = int(rows.sum())
            found[name] = {
                "images": total,
                "area": float(areas.mean()),
                "mass": [float(held.mean()), *interval(weights @ held)],
                "ratio": [float(held.mean() / areas.mean()), *interval((weights @ held) / (weights @ areas))],
                "pointing": [float(hit.mean()), *wilson(float(hit.sum()), total)],
            }
        return found
