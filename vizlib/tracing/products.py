"""The functions by which attention weights may meet values; a pass counts them, so that one can be found again in another pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

MATMUL = frozenset({torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.bmm, torch.Tensor.bmm})


class WeightsRead(NamedTuple):
    """How a product holds its weights: right of the values and turned, or left; ``mixed`` where heads were mixed after their softmax."""

    turned: bool
    mixed: bool = False


def is_product(func: Callable[..., Any]) -> bool:
    """Whether a torch function is one of them."""
    return func in MATMUL or func is F.scaled_dot_product_attention or func is torch.einsum


def einsum_product(equation: object, operands: tuple[Any, ...]) -> tuple[Literal["scores", "applied"], torch.Tensor, torch.Tensor] | None:
    """What an einsum does where it is attention's: scores (..., i, d), (..., j, d) -> (..., i, j), or weights applied to values.

    None for any other; the two tensors are the operands, three to five axes of which all but the last two are alike.
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    if len(operands) != 2 or not isinstance(equation, str):
        return None
    sources, _, result = equation.replace(" ", "").partition("->")
    left, _, right = sources.partition(",")
    lead = left[:-2]
    if len(left) not in (3, 4, 5) or "." in sources or right[:-2] != lead or result[:-2] != lead:
        return None
    if right[-1] == left[-1] and result[-2:] == left[-2] + right[-2]:
        return "scores", operands[0], operands[1]
    if right[-2] == left[-1] and result[-2:] == left[-2] + right[-1]:
        return "applied", operands[0], operands[1]
    return None
