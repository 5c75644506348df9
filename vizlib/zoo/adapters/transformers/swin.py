"""transformers' Swin transformers, first and second version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.tracing.windowed_attention import Layout
from vizlib.zoo.adapters.class_paths import class_in
from vizlib.zoo.adapters.shifted_windows import ShiftedWindowsAdapter, WindowBlock, within_regions
from vizlib.zoo.adapters.transformers.config import FromConfig

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vizlib.tracing.token_grid import Grid

# Where the tower of each class lies, and the part of a block whose output meets the residual.
_CLASSES = {
    "SwinModel": ("", "drop_path"),
    "SwinForImageClassification": ("swin", "drop_path"),
    "Swinv2Model": ("", "layernorm_before"),
    "Swinv2ForImageClassification": ("swinv2", "layernorm_before"),
}


class TransformersSwinAdapter(FromConfig, ShiftedWindowsAdapter):
    """A grid is padded before it is rolled; where a window is as large as the grid, the first version shrinks it and does not shift."""

    def __init__(self, module: nn.Module) -> None:
        self.name = class_in(module, "transformers", _CLASSES) or ""
        self.inside, self.added = _CLASSES[self.name]
        self.tower: Any = module.get_submodule(self.inside) if self.inside else module
        super().__init__(module)
        if self.tower.pooler is None:
            self.refusals.setdefault("lineage", "it has no read-out, so there is no row to start the rollout from")

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        return class_in(module, "transformers", _CLASSES) is not None

    def blocks(self) -> list[WindowBlock]:
        below = f"{self.inside}.encoder.layers" if self.inside else "encoder.layers"
        return [
            WindowBlock(stage, index, f"{below}.{stage}.blocks.{index}", block, "attention", self.added)
            for stage, part in enumerate(self.tower.encoder.layers)
            for index, block in enumerate(part.blocks)
        ]

    def merges(self) -> list[str]:
        below = f"{self.inside}.encoder.layers" if self.inside else "encoder.layers"
        return [f"{below}.{stage}.downsample" for stage in range(len(self.tower.encoder.layers) - 1)]

    def projection(self) -> torch.nn.Conv2d:
        return self.tower.embeddings.patch_embeddings.projection

    def layout(self, block: WindowBlock, grid: Grid) -> Layout:
        return Layout.shifted(grid, *self._window(block, grid), pad_first=True)

    def allowed(self, block: WindowBlock, grid: Grid) -> torch.Tensor | None:
        return within_regions(grid, *self._window(block, grid))

    def _window(self, block: WindowBlock, grid: Grid) -> tuple[tuple[int, int], tuple[int, int]]:
        window, shift = int(block.part.window_size), int(block.part.shift_size)
        if hasattr(block.part, "set_shift_and_window_size") and min(grid.shape) <= window:
            window, shift = min(grid.shape), 0
        return (window, window), (shift, shift)
