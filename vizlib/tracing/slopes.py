"""The gradient of a score, right also behind batch norms, whose own backward in torch is not."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Gradients = tuple[torch.Tensor | None, ...]


def slopes_at(score: torch.Tensor, places: Sequence[torch.Tensor], *, keep_graph: bool = False) -> tuple[torch.Tensor | None, ...]:
    """d score / d place for each, as ``torch.autograd.grad`` has it; None for a place that the score does not depend on.

    torch 2.15 mixes up the elements of a batch norm's gradient on the CPU, without a word, where x is one image and the gradient lies in
    memory otherwise than x: so in CvT, whose tokens are transposed maps, and in any instance norm, which torch computes as the batch norm
    of one. The graph tells of each that ran, also inside a traced or an exported module, and each is handed its gradient laid out as its x.
    """
    with _laid_out(score):
        return torch.autograd.grad(score, places, retain_graph=keep_graph, allow_unused=True)


def slope_at(score: torch.Tensor, place: torch.Tensor, *, keep_graph: bool = False) -> torch.Tensor:
    """d score / d place, of a score that depends on it."""
    with _laid_out(score):
        return torch.autograd.grad(score, place, retain_graph=keep_graph)[0]


@contextmanager
def _laid_out(score: torch.Tensor) -> Iterator[None]:
    with ExitStack() as hooks:
        for norm in _batch_norms(score):
            kept = norm._raw_saved_input.unpack_hook is None  # and not computed again, when it may be read only once
            hooks.callback(norm.register_prehook(_LaidOut(norm) if kept else _with_gaps).remove)
        yield


class _LaidOut:
    """Lays the gradient that reaches a batch norm out as the norm's x."""

    def __init__(self, norm: Any) -> None:
        self.norm = norm

    def __call__(self, gradients: Gradients) -> Gradients | None:
        gradient, *others = gradients
        x = self.norm._saved_input
        if gradient is None or gradient.stride() == x.stride():
            return None
        return torch.empty_like(x, dtype=gradient.dtype).copy_(gradient), *others


def _with_gaps(gradients: Gradients) -> Gradients | None:
    """Lays a gradient out as no x can be: torch then copies it to what it needs."""
    gradient, *others = gradients
    if gradient is None:
        return None
    return gradient.new_empty(*gradient.shape, 2)[..., 0].copy_(gradient), *others


def _batch_norms(score: torch.Tensor) -> list[Any]:
    """The nodes of batch norms in the graph of a tensor: torch has several kinds, each with the x that it keeps."""
    found, seen, waiting = [], set(), [score.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if "BatchNorm" in node.name() and hasattr(type(node), "_saved_input"):
            found.append(node)
        waiting += [before for before, _ in node.next_functions]
    return found
