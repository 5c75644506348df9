"""RISE (Petsiuk et al. 2018): what the score is on average where a pixel is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.parts.baselines import baseline
from vizlib.explainers.scorer import TargetScorer, checked_maps, make_scorer

if TYPE_CHECKING:
    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """sum_i s_i m_i / sum_i m_i - mean_i s_i at each pixel: how far the score rises when it is shown, for each input (B, 3, h, w).

    The masks m_i are ``cells`` x ``cells`` random 0s and 1s made smooth and shifted at random; the score s_i is that of
    m_i x + (1 - m_i) b, b the baseline. The paper's sum, divided by the masks that showed the pixel and without its constant.
    """
    with torch.inference_mode(mode=False), torch.no_grad():
        batch_scorer = make_scorer(model, x, resolve)
        scorers = [batch_scorer.for_image(index) for index in range(len(x))]
        maps = [_map(scorer, baseline(model, scorer.x, options["baseline"]), options) for scorer in scorers]
    return batch_scorer.targets, [MethodOutput(pixel_map, None) for pixel_map in maps]


def _map(scorer: TargetScorer, empty: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(options["seed"])
    size, samples = (int(scorer.x.shape[2]), int(scorer.x.shape[3])), options["samples"]
    weighted = torch.zeros(size, dtype=torch.float64, device=scorer.x.device)
    shown, total = torch.zeros_like(weighted), 0.0
    scorer.expect(samples)
    # Masks are drawn one by one: how many go through together changes none of them.
    for first in range(0, samples, scorer.batch_size(gradients=False)):
        count = min(scorer.batch_size(gradients=False), samples - first)
        masks = torch.cat([random_mask(size, options["cells"], options["shown"], generator) for _ in range(count)]).to(scorer.x)
        scores = scorer.scores(masks * scorer.x + (1 - masks) * empty).double()
        weights = masks[:, 0].double()
        weighted += torch.einsum("n,nhw->hw", scores, weights)
        shown += weights.sum(0)
        total += float(scores.sum())
    return checked_maps(scorer, weighted / shown.clamp_min(1e-12) - total / samples)


def random_mask(size: tuple[int, int], cells: int, shown: float, generator: torch.Generator) -> torch.Tensor:
    """A smooth mask (1, 1, h, w) in [0, 1]: cells of 0 and, with probability ``shown``, 1, enlarged bilinearly, shifted within a cell."""
    steps = [-(-side // cells) for side in size]
    coarse = (torch.rand(1, 1, cells, cells, generator=generator) < shown).float()
    large = [step * (cells + 1) for step in steps]
    smooth = F.interpolate(coarse, size=large, mode="bilinear", align_corners=False)
    top, left = (int(torch.randint(step, (), generator=generator)) for step in steps)
    return smooth[:, :, top : top + size[0], left : left + size[1]]
