"""How many directions a layer uses, from moments that are summed while images stream by."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class Moments:
    """Sums over rows (n, C), float64: how many, their sum (C,) and their products (C, C), taken around the first rows' mean."""

    rows: int = 0
    origin: torch.Tensor | None = None
    total: torch.Tensor | None = None
    products: torch.Tensor | None = None

    def add(self, rows: torch.Tensor) -> None:
        """More rows (n, C)."""
        wide = rows.to(torch.float64)
        if self.origin is None or self.total is None or self.products is None:
            # Rows far from zero would lose their spread in the difference of large sums.
            self.origin = wide.mean(0)
            self.total, self.products = torch.zeros_like(self.origin), wide.new_zeros(wide.shape[1], wide.shape[1])
        wide = wide - self.origin
        self.rows += len(wide)
        self.total += wide.sum(0)
        self.products.addmm_(wide.T, wide)

    @property
    def mean(self) -> torch.Tensor:
        """The mean row (C,)."""
        assert self.origin is not None and self.total is not None  # noqa: S101, PT018  asked for before any row
        return self.origin + self.total / self.rows

    def spectrum(self) -> torch.Tensor:
        """The singular values (C,) of the rows minus their mean, over the root of their number, falling."""
        assert self.total is not None and self.products is not None  # noqa: S101, PT018
        mean = self.total / self.rows
        return torch.linalg.eigvalsh(self.products / self.rows - mean[:, None] * mean[None]).flip(0).clamp_min(0).sqrt()


def effective_rank(values: torch.Tensor) -> float:
    """exp of the entropy of singular values (C,) scaled to sum to 1: from 1 to C, 0 where all are zero.

    Roy and Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007.
    """
    total = values.sum()
    if not total > 0:
        return 0.0
    share = values[values > 0] / total
    return float((-(share * share.log()).sum()).exp())


def stable_rank(values: torch.Tensor) -> float:
    """sum s^2 / max s^2 of singular values (C,): from 1 to C, 0 where all are zero. Rudelson and Vershynin, JACM 2007."""
    largest = values.max()
    return float((values / largest).square().sum()) if largest > 0 else 0.0
