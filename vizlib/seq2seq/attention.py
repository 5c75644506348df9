"""The four score functions of attention and the weighted sum, as pure functions of tensors.

A query is a state of the decoder, the keys are the states of the encoder, and in these models the values are the keys.
Queries are (B, ..., d): one a sentence, or one for each of its steps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def score_dot(query: Tensor, keys: Tensor) -> Tensor:
    """q . k for query (B, ..., d) and keys (B, n, d): scores (B, ..., n). Luong et al. (2015), https://arxiv.org/abs/1508.04025."""
    return torch.einsum("b...d,bnd->b...n", query, keys)


def score_scaled_dot(query: Tensor, keys: Tensor) -> Tensor:
    """q . k / sqrt(d) for query (B, ..., d) and keys (B, n, d): (B, ..., n). Vaswani et al. (2017), https://arxiv.org/abs/1706.03762."""
    return score_dot(query, keys) / math.sqrt(keys.shape[-1])


def score_general(query: Tensor, keys: Tensor, weight: Tensor) -> Tensor:
    """q W k for query (B, ..., d), keys (B, n, e) and weight (d, e): (B, ..., n). Luong et al. (2015), https://arxiv.org/abs/1508.04025."""
    return score_dot(query @ weight, keys)


def score_concat(query: Tensor, keys: Tensor, query_weight: Tensor, key_weight: Tensor, vector: Tensor) -> Tensor:
    """v . tanh(W q + U k), also called additive, for query (B, ..., d) and keys (B, n, e): scores (B, ..., n).

    query_weight W is (a, d), key_weight U (a, e), vector v (a,). Bahdanau et al. (2015), https://arxiv.org/abs/1409.0473; Luong's
    concat score v . tanh(M [q; k]) is the same with M = [W, U].
    """
    projected_query, projected_keys = query @ query_weight.T, keys @ key_weight.T
    extra = (1,) * (query.ndim - 2)
    projected_keys = projected_keys.reshape(len(projected_keys), *extra, *projected_keys.shape[1:])
    return torch.tanh(projected_query.unsqueeze(-2) + projected_keys) @ vector


def attend(scores: Tensor, values: Tensor, mask: Tensor | None = None, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """softmax(scores / temperature) over the keys that may be read, and the values' mean under it.

    scores (B, ..., n), values (B, n, dv), mask (B, n) or (n,), True where a key may be read: weights (B, ..., n), context (B, ..., dv).
    """
    if mask is not None:
        mask = mask.reshape(*mask.shape[:-1], *(1,) * (scores.ndim - mask.ndim), mask.shape[-1])
        scores = scores.masked_fill(~mask, -math.inf)
    weights = torch.softmax(scores / temperature, dim=-1)
    return weights, weigh(weights, values)


def weigh(weights: Tensor, values: Tensor) -> Tensor:
    """The values (B, n, dv) summed under weights (B, ..., n): (B, ..., dv)."""
    return torch.einsum("b...n,bnd->b...d", weights, values)
