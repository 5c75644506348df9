"""Autograd's graph of a value, walked without computing a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def graph_nodes(value: torch.Tensor) -> set[Any]:
    """The operations that a gradient of ``value`` passes through; what has no derivative passes nothing on."""
    visited: set[Any] = set()
    waiting: list[Any] = [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in visited or "NotImplemented" in node.name():
            continue
        visited.add(node)
        waiting += [following for following, _ in node.next_functions]
    return visited


def depends_on(value: torch.Tensor, source: torch.Tensor) -> bool:
    """Whether a gradient of ``value`` reaches ``source``, a leaf that requires one or the output of an operation."""
    nodes = graph_nodes(value)
    if source.grad_fn is not None:
        return source.grad_fn in nodes
    return any(getattr(node, "variable", None) is source for node in nodes)
