"""Channels that a whole set of images leaves dead or makes explode, from sums that stream."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vizlib.analysis.features.channels import verdicts


@dataclass
class ChannelSums:
    """Per channel (C,) float64 over all places of all images seen: count, sum, sum of squares around the first mean, largest magnitude."""

    count: int = 0
    origin: torch.Tensor | None = None
    total: torch.Tensor | None = None
    squares: torch.Tensor | None = None
    peak: torch.Tensor | None = None

    def add(self, states: torch.Tensor) -> None:
        """More states (B, N, C)."""
        wide = states.flatten(0, 1).to(torch.float64)
        peak = wide.abs().amax(0)
        if self.origin is None or self.total is None or self.squares is None or self.peak is None:
            self.origin = wide.mean(0)
            self.total, self.squares, self.peak = torch.zeros_like(peak), torch.zeros_like(peak), peak
        wide = wide - self.origin
        self.count += len(wide)
        self.total += wide.sum(0)
        self.squares += wide.square().sum(0)
        self.peak = torch.maximum(self.peak, peak)

    def deviation(self) -> torch.Tensor:
        """The standard deviation (C,) over all places and images."""
        assert self.total is not None and self.squares is not None  # noqa: S101, PT018  asked for before any state
        return (self.squares / self.count - (self.total / self.count).square()).clamp_min(0).sqrt()

    def verdicts(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Which channels (C,) are dead and which explode, by the rules of ``analysis.channels`` over the whole set."""
        assert self.peak is not None  # noqa: S101
        return verdicts(self.deviation(), self.peak)
