"""Whether a model is right as often as it says it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """For each bin of confidence: images, their mean confidence and share right (None in an empty bin); and the calibration error."""

    counts: list[int]
    confidence: list[float | None]
    right: list[float | None]
    error: float
    mean_confidence: float


def reliability(confidence: torch.Tensor, right: torch.Tensor, bins: int = BINS) -> Reliability:
    """The reliability diagram of confidences (N,) in 0 to 1 and whether each answer was right (N,), in bins of equal width (k, k + 1]/bins.

    error = sum_b n_b / N |right_b - confidence_b|, the expected calibration error: Guo et al., On Calibration of Modern Neural Networks
    (2017), https://arxiv.org/abs/1706.04599.
    """
    confidence, right = confidence.double(), right.double()
    index = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    counts = torch.bincount(index, minlength=bins)
    stated = torch.bincount(index, confidence, minlength=bins)
    correct = torch.bincount(index, right, minlength=bins)

    def means(sums: torch.Tensor) -> list[float | None]:
        return [float(total / count) if count else None for total, count in zip(sums, counts, strict=True)]

    error = float((stated - correct).abs().sum() / len(confidence))
    return Reliability(counts.tolist(), means(stated), means(correct), error, float(confidence.mean()))
