"""From a model's answer to probabilities: softmax for one class of many, sigmoid for each class by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

ACTIVATIONS = ("softmax", "sigmoid", "identity")
"""``identity`` is for models that answer in probabilities already."""


def check_activation(activation: str | None) -> str | None:
    """The activation, or None; ModelError for one that there is not."""
    if activation is not None and (not isinstance(activation, str) or activation not in ACTIVATIONS):
        raise ModelError(f"There is no activation {str(activation)[:40]!r}; there are {', '.join(ACTIVATIONS)}.")
    return activation


def certain_activation(module: nn.Module) -> str | None:
    """What a module itself says of its answer, None where it says nothing.

    A chain that ends in a softmax or sigmoid gives probabilities, and transformers' classifiers name the problem that they solve.
    """
    from torch import nn

    last = module
    while isinstance(last, nn.Sequential) and len(last):
        last = last[-1]
    if last is not module and isinstance(last, nn.Sigmoid | nn.Softmax):
        return "identity"
    problem: Any = getattr(getattr(module, "config", None), "problem_type", None)
    return {"multi_label_classification": "sigmoid", "single_label_classification": "softmax"}.get(problem)


def probabilities(logits: torch.Tensor, activation: str) -> torch.Tensor:
    """The probability of each class, of logits (..., K), in at least float32."""
    import torch

    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if activation == "identity":
        return wide
    return wide.softmax(-1) if activation == "softmax" else wide.sigmoid()


def log_probabilities(logits: torch.Tensor, activation: str) -> torch.Tensor:
    """The logarithm of ``probabilities``, exact where they are small."""
    import torch
    import torch.nn.functional as F

    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if activation == "identity":
        return wide.log()
    return wide.log_softmax(-1) if activation == "softmax" else F.logsigmoid(wide)


def preference(logits: torch.Tensor, first: int, second: int, activation: str) -> torch.Tensor:
    """The probability of the first of two classes as if there were no others, of logits (N, K)."""
    if activation == "identity":
        pair = logits[:, [first, second]].double()
        return pair[:, 0] / pair.sum(1)
    return (logits[:, first] - logits[:, second]).sigmoid()


def divergence(before: torch.Tensor, after: torch.Tensor, activation: str) -> torch.Tensor:
    """KL(before || after) in nats of logits (..., K): of one distribution over the classes, or the sum over classes by themselves."""
    import torch

    if activation == "softmax":
        p, q = log_probabilities(before, activation), log_probabilities(after, activation)
        return (p.exp() * (p - q)).sum(-1).clamp_min(0)
    p, q = probabilities(before, activation), probabilities(after, activation)
    own = torch.xlogy(p, p) - torch.xlogy(p, q)
    others = torch.xlogy(1 - p, 1 - p) - torch.xlogy(1 - p, 1 - q)
    exclusive = activation == "identity" and bool(((p.sum(-1) - 1).abs() < 1e-3).all())
    return (own if exclusive else own + others).sum(-1).clamp_min(0)
