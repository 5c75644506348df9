"""Muon over stacks: every matrix of one shape is made orthogonal in one batched product, which spares a GPU hundreds of small launches."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch

from vizlib.train.bf16_kernels import has_bfloat16

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrices: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly, of a stack (n, r, c), by five Newton-Schulz steps, in bfloat16 where that pays.

    X <- a X + (b X X^T + c (X X^T)^2) X from X / |X|; Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x.bfloat16() if has_bfloat16(x.device) else x.float()
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class StackedMuon(torch.optim.Optimizer):
    """``torch.optim.Muon`` with momentum 0.95, Nesterov and AdamW's size of updates, over matrices and kernels (out, in, h, w)."""

    def __init__(self, parameters: list[nn.Parameter], rate: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": rate, "weight_decay": weight_decay, "momentum": 0.95})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient; a closure is not taken."""
        if closure is not None:
            raise TypeError("StackedMuon takes no closure.")
        for group in self.param_groups:
            stacks: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    stacks[(len(parameter), parameter[0].numel())].append(parameter)
            for (rows, columns), parameters in stacks.items():
                momenta = [self._momentum(parameter) for parameter in parameters]
                gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                nesterov = torch._foreach_lerp(gradients, momenta, group["momentum"])
                updates = orthogonalised(torch.stack([update.reshape(rows, columns) for update in nesterov]))
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                rate = 0.2 * max(rows, columns) ** 0.5 * group["lr"]
                shaped = [update.view_as(parameter) for update, parameter in zip(updates, parameters, strict=True)]
                torch._foreach_add_(parameters, shaped, alpha=-rate)

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]
