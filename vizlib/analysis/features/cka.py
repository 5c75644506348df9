"""How alike two layers arrange the same inputs: centred kernel alignment, unbiased, over minibatches.

Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019, arXiv:1905.00414. The estimator is that of Nguyen et
al., "Do Wide and Deep Networks Learn the Same Things?", ICLR 2021, arXiv:2010.15327, on the HSIC_1 of Song et al., JMLR 2012.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from vizlib.analysis.features.cka_matrix import Alignment
from vizlib.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Sequence

KERNELS = ("linear", "rbf")
LEAST = 4  # rows of a minibatch: HSIC_1 divides by n (n - 3)
RESAMPLES = 2000


def squared_distances(rows: torch.Tensor) -> torch.Tensor:
    """|x_i - x_j|^2 of rows (n, C): (n, n) float64, never negative, zero on the diagonal."""
    wide = _middle(rows)
    gram = wide @ wide.T
    size = gram.diagonal()
    return (size[:, None] + size[None] - 2 * gram).clamp_min_(0).fill_diagonal_(0)


def median_distance(rows: torch.Tensor) -> float:
    """The median Euclidean distance between different rows (n, C): the bandwidth by the median heuristic; 1 where all rows are alike."""
    upper = squared_distances(rows)[tuple(torch.triu_indices(len(rows), len(rows), 1))]
    median = float(upper.median().sqrt())
    return median if median > 0 else 1.0


def gram(rows: torch.Tensor, kernel: str, bandwidth: float | None = None) -> torch.Tensor:
    """The kernel matrix (n, n) float64 of rows (n, C).

    linear: x . y of the rows minus their mean, which HSIC does not see. rbf: exp(-|x - y|^2 / (2 s^2)), s the ``bandwidth``, the median
    distance of these rows unless given.
    """
    if kernel == "linear":
        wide = _middle(rows)
        return wide @ wide.T
    if kernel != "rbf":
        raise MethodError(f"The kernels are {', '.join(KERNELS)}; there is no {kernel!r}.")
    scale = median_distance(rows) if bandwidth is None else bandwidth
    return (squared_distances(rows) / (-2 * scale**2)).exp_()


def centred(kernel: torch.Tensor) -> torch.Tensor:
    """A kernel matrix (n, n) U-centred, so that HSIC_1(K, L) is <centred K, centred L> / (n (n - 3)); its diagonal is zero.

    Szekely and Rizzo, "Partial distance correlation with methods for dissimilarities", 2014. MethodError for fewer than 4 rows.
    """
    count = len(kernel)
    if count < LEAST:
        raise MethodError(f"Unbiased CKA needs minibatches of at least {LEAST} rows; this one has {count}.")
    hollow = kernel.to(torch.float64).clone().fill_diagonal_(0)
    sums = hollow.sum(1)
    share = sums / (count - 2)
    return (hollow - share[:, None] - share[None] + sums.sum() / ((count - 1) * (count - 2))).fill_diagonal_(0)


def hsic(first: torch.Tensor, second: torch.Tensor) -> float:
    """The unbiased HSIC_1 of two kernel matrices (n, n) over the same rows; it can be negative."""
    count = len(first)
    return float((centred(first) * centred(second)).sum() / (count * (count - 3)))


@dataclass
class StreamedCKA:
    """CKA of T layers over minibatches that are seen once: what is kept is (T, T) numbers for each, whatever their size.

    The bandwidths of the rbf kernel are the median distances in the first minibatch, and stay.
    """

    kernel: str
    bandwidths: list[float] | None = None
    products: list[np.ndarray] = field(default_factory=list)

    def add(self, layers: Sequence[torch.Tensor]) -> None:
        """One minibatch: the rows (n, C_t) of every layer, n the same for all and at least 4."""
        if self.kernel == "rbf" and self.bandwidths is None:
            self.bandwidths = [median_distance(rows) for rows in layers]
        scales: Sequence[float | None] = self.bandwidths or [None] * len(layers)
        flat = torch.stack([centred(gram(rows, self.kernel, scale)).flatten() for rows, scale in zip(layers, scales, strict=True)])
        count = len(layers[0])
        self.products.append((flat @ flat.T / (count * (count - 3))).cpu().numpy())

    def result(self, resamples: int = RESAMPLES, seed: int = 0) -> Alignment:
        """sum HSIC_1(K, L) / sqrt(sum HSIC_1(K, K) sum HSIC_1(L, L)), sums over minibatches; the interval by resampling minibatches.

        Its ends are moved away from the value by sqrt(n / (n - 1)), as in ``vizlib.stats``: a bootstrap of n is that much too narrow.
        MethodError when there was no minibatch.
        """
        if not self.products:
            raise MethodError(f"CKA needs at least {LEAST} images.")
        stack = np.stack(self.products)
        if len(stack) < 2:
            return Alignment(_ratio(stack[0]), None, None, 1)
        counts = np.random.default_rng(seed).multinomial(len(stack), np.full(len(stack), 1 / len(stack)), resamples).astype(np.float64)
        low, high = np.empty_like(stack[0]), np.empty_like(stack[0])
        diagonals = counts @ stack[:, np.arange(stack.shape[1]), np.arange(stack.shape[1])]
        # Row by row: all resamples of all pairs at once would be the largest array here.
        for row in range(stack.shape[1]):
            drawn = _over(counts @ stack[:, row], diagonals[:, row, None] * diagonals)
            low[row], high[row] = np.quantile(drawn, (0.025, 0.975), axis=0)
        value, wider = _ratio(stack.sum(0)), math.sqrt(len(stack) / (len(stack) - 1))
        low, high = (np.clip(value + (end - value) * wider, -1, 1) for end in (low, high))
        return Alignment(value, low, high, len(stack))


def _ratio(products: np.ndarray) -> np.ndarray:
    size = products.diagonal()
    return _over(products, size[:, None] * size[None])


def _over(above: np.ndarray, squared: np.ndarray) -> np.ndarray:
    return np.divide(above, np.sqrt(squared), out=np.full_like(above, np.nan), where=squared > 0)


def _middle(rows: torch.Tensor) -> torch.Tensor:
    wide = rows.to(torch.float64)
    return wide - wide.mean(0)
