"""What a residual block adds against what it passes on, in transformers and in ResNets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.tracing.residuals import ResidualMeter, skip_share
from vizlib.zoo.adapters.part import PartAdapter
from vizlib.zoo.adapters.timm.convnets import ResNetAdapter

if TYPE_CHECKING:
    from torch import nn

    from vizlib.tracing.shared_copy import Hook
    from vizlib.zoo.model import Model


@dataclass
class ResidualRatios:
    """Measures |skip| / (|skip| + |branch|) at every residual while a module runs; 1/2 is a branch as long as what goes past it.

    In a transformer it is the residual around each attention, token by token; in a ResNet that of each block, place by place, before
    the last activation. He et al. 2016; the share is that of ``tracing.forks``.
    """

    hooks: list[tuple[str, Hook]]
    _meter: ResidualMeter | None = None
    _blocks: list[str] = field(default_factory=list)
    _norms: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Model) -> ResidualRatios:
        """The residuals of a model; MethodError, with the reason, where they are not known."""
        adapter = model.adapter
        if isinstance(adapter, PartAdapter) and isinstance(adapter.inner, ResNetAdapter):
            return cls._of_resnet(adapter.module, f"{adapter.path}.")
        if isinstance(adapter, ResNetAdapter):
            return cls._of_resnet(adapter.module)
        meter = ResidualMeter(adapter.forks())
        return cls(list(meter.hooks()), meter)

    @classmethod
    def _of_resnet(cls, module: nn.Module, prefix: str = "") -> ResidualRatios:
        ratios = cls([])
        for name, block in module.named_modules():
            last = next((part for part in ("bn3", "bn2") if hasattr(block, part)), None)
            if last is None or not hasattr(block, "downsample"):
                continue
            if getattr(block, "se", None) is not None or getattr(block, "drop_path", None) is not None:
                raise MethodError(f"{name} changes its branch after the last norm, so what it adds is not read.")
            ratios._blocks.append(name)
            skip = f"{name}.downsample" if block.downsample is not None else name
            ratios.hooks.append((prefix + skip, ratios._keeper(f"{name}/skip", whole=skip == name)))
            ratios.hooks.append((f"{prefix}{name}.{last}", ratios._keeper(f"{name}/branch", whole=False)))
        if not ratios._blocks:
            raise MethodError(f"The residual blocks of {type(module).__name__} are not known.")
        return ratios

    def _keeper(self, key: str, *, whole: bool) -> Hook:
        def keep(inputs: tuple[Any, ...], output: Any) -> None:
            tensor = (inputs[0] if whole else output).detach()
            precision = torch.promote_types(tensor.dtype, torch.float32)
            self._norms[key] = torch.linalg.vector_norm(tensor, dim=1, dtype=precision).flatten(1)

        return keep

    def shares(self) -> dict[str, torch.Tensor]:
        """The shares (B, places) float64 of the last pass, by residual."""
        if self._meter is not None:
            return self._meter.shares()
        return {name: skip_share(self._norms[f"{name}/skip"], self._norms[f"{name}/branch"]) for name in self._blocks}
