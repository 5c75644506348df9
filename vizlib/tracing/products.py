"""The functions by which attention weights may meet values; a pass counts them, so that one can be found again in another pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

MATMUL = frozenset({torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.bmm, torch.Tensor.bmm})


def is_product(func: Callable[..., Any]) -> bool:
    """Whether a torch function is one of them."""
    return func in MATMUL or func is F.scaled_dot_product_attention or func is torch.einsum
