"""Max-sensitivity: the most that a map changes under a change of the input that no eye sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.catalog.methods import METHODS
from vizlib.evaluation.metrics.metric import ExplanationMetric

if TYPE_CHECKING:
    from vizlib.evaluation.shared_material import SharedMaterial
    from vizlib.explainers.explanation import Explanation

JITTERS, RADIUS = 6, 0.02  # random changes of the input, and their size as a share of its range


def compute(material: SharedMaterial, explanation: Explanation) -> float:
    """max over e of |map(x + e) - map(x)| / |map(x)|, e uniform up to RADIUS of the input's range, with the same target and options.

    Yeh et al., On the (In)fidelity and Sensitivity of Explanations (2019), https://arxiv.org/abs/1901.09392, relative to the map. NaN
    for a map of zeros.
    """
    import numpy as np
    import torch

    from vizlib.evaluation.reexplain import reexplain

    generator, x = torch.Generator().manual_seed(0), material.x.float().cpu()
    reach = RADIUS * float(x.amax() - x.amin())
    jittered = [x + reach * (2 * torch.rand(x.shape, generator=generator) - 1) for _ in range(JITTERS)]
    before, *after = reexplain(material.model, torch.cat([x, *jittered]), explanation, material.steps)
    length = float(np.linalg.norm(before))
    return max(float(np.linalg.norm(values - before)) / length for values in after) if length > 0 else float("nan")


METRIC = ExplanationMetric(
    "max_sensitivity",
    "Max-sensitivity",
    f"The most that the map changes, as a share of its norm, when the input changes by at most {RADIUS:g} of its range, "
    f"over {JITTERS} random changes. Lower is better.",
    higher_is_better=False,
    compute=compute,
    cost=lambda material, explanation: {"maps of jittered inputs": (1 + JITTERS) * METHODS[explanation.method].passes},  # noqa: ARG005
)
