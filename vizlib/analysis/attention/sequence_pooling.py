"""Sequence pooling taken apart: how much of each logit comes from each token, exactly.

Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", 2021, arXiv:2104.05704.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vizlib.errors import VizlibError


@dataclass(frozen=True, eq=False)
class PooledShares:
    """``weights`` (N,) of the tokens, which sum to 1, and ``parts`` (N, K): what each token adds to each logit beside ``bias`` (K,)."""

    weights: torch.Tensor
    parts: torch.Tensor
    bias: torch.Tensor

    @property
    def logits(self) -> torch.Tensor:
        """The logits (K,) that the parts and the bias sum to."""
        return self.parts.sum(0) + self.bias


def pooled_shares(
    tokens: torch.Tensor, score: torch.Tensor, score_bias: torch.Tensor | float, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> PooledShares:
    """Each token's exact share of each logit under sequence pooling, in float64.

    ``tokens`` (N, C) after the final norm; ``score`` (C,) and ``score_bias`` of the pooling layer; ``weight`` (K, C) and ``bias`` (K,) of
    the head. g = softmax(tokens score + score_bias), and logit_k = sum_t g_t (weight_k . token_t) + bias_k is linear in the tokens once g
    is known, so that the parts g_t (weight_k . token_t) leave nothing over. VizlibError for shapes that do not belong together.
    """
    count = tokens.shape[-1] if tokens.ndim == 2 else -1
    if score.shape != (count,) or weight.ndim != 2 or weight.shape[1] != count or (bias is not None and bias.shape != weight.shape[:1]):
        raise VizlibError(
            f"Tokens {tuple(tokens.shape)}, pooling scores {tuple(score.shape)} and a head {tuple(weight.shape)} do not belong together."
        )
    wide, weight = tokens.to(torch.float64), weight.to(torch.float64)
    weights = (wide @ score.to(torch.float64) + score_bias).softmax(0)
    bias = weight.new_zeros(len(weight)) if bias is None else bias.to(torch.float64)
    return PooledShares(weights, weights[:, None] * (wide @ weight.T), bias)
