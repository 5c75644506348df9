"""torchvision's Swin transformers, first and second version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.tracing.windowed_attention import Layout
from vizlib.zoo.adapters.class_paths import class_in
from vizlib.zoo.adapters.shifted_windows import ShiftedWindowsAdapter, WindowBlock, within_regions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vizlib.tracing.token_grid import Grid


class TorchvisionSwinAdapter(ShiftedWindowsAdapter):
    """Stages and merges in turn in one list; a grid is padded before it is rolled, and not shifted along a side that is one window."""

    fills_patches = False

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        return class_in(module, "torchvision", ("SwinTransformer",)) is not None

    def blocks(self) -> list[WindowBlock]:
        stages = [(number, part) for number, part in enumerate(self._parts) if number % 2]
        return [
            # The second version has its norm behind the attention.
            WindowBlock(
                stage, index, f"features.{number}.{index}", block, "attn", "norm1" if hasattr(block.attn, "logit_scale") else "attn"
            )
            for stage, (number, part) in enumerate(stages)
            for index, block in enumerate(part)
        ]

    def merges(self) -> list[str]:
        return [f"features.{number}" for number in range(2, len(self._parts), 2)]

    def projection(self) -> torch.nn.Conv2d:
        return self._parts[0][0]

    def layout(self, block: WindowBlock, grid: Grid) -> Layout:
        return Layout.shifted(grid, *_window(block, grid), pad_first=True)

    def allowed(self, block: WindowBlock, grid: Grid) -> torch.Tensor | None:
        return within_regions(grid, *_window(block, grid))

    @property
    def _parts(self) -> list[Any]:
        return list(self.module.features)  # type: ignore[arg-type]


def _window(block: WindowBlock, grid: Grid) -> tuple[tuple[int, int], tuple[int, int]]:
    height, width = block.part.attn.window_size
    down, across = block.part.attn.shift_size
    whole = [-(-side // step) * step for side, step in zip(grid.shape, (height, width), strict=True)]
    return (height, width), (0 if height >= whole[0] else down, 0 if width >= whole[1] else across)
