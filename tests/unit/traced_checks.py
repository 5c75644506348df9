"""What checks of read networks share: weights that make attention depend on the image, and maps as one tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn

    import vizlib


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in float64 with weights that make its attention depend on the image."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim >= 2:
                parameter.copy_(noise / max(1, parameter[0].numel()) ** 0.5)
            else:
                parameter.copy_(1 + noise / 8 if name.endswith("weight") or "gamma" in name else noise / 10)
    return module.double().eval()


def maps_of(explanations: list[vizlib.Explanation]) -> torch.Tensor:
    """The input maps (B, h, w)."""
    return torch.stack([torch.as_tensor(explanation.input_map) for explanation in explanations])
