"""CvT: convolutional embeddings and projections, keys on a strided grid, a class token in the last stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.residuals import Port, Residual
from vizlib.tracing.token_flow import Attention, Step, ToSink
from vizlib.tracing.token_grid import Grid
from vizlib.zoo.adapters.base import Adapter, Lineage, Size, Tap, counted, first_token
from vizlib.zoo.adapters.windows import Window, spread

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vizlib.tracing.recorder import Recording


class CvTAdapter(Adapter):
    """Keys gather the window of the value's convolution; those of q and k only shape the attention; the class token is its own key."""

    family = "cvt"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        from vizlib.zoo.networks.cvt import ConvVisionTransformer

        return isinstance(module, ConvVisionTransformer)

    def check_size(self, size: Size) -> None:
        module: Any = self.module
        module.grids(size)

    def taps(self, size: Size) -> list[Tap]:
        return [
            Tap(f"stage{stage}.blocks.{index}", f"stage{stage}.blocks.{index}", grid)
            for stage, grid in enumerate(self._grids(size))
            for index in range(self._depths[stage])
        ]

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        module: Any = self.module
        grids, depths, key_shapes = self._grids(size), self._depths, module.key_grids(size)
        calls = counted(recording, sum(depths))
        steps: list[Step] = []
        for stage in reversed(range(len(grids))):
            grid, keys = grids[stage], Grid(key_shapes[stage][0], key_shapes[stage][1], grids[stage].prefix)
            for index in reversed(range(depths[stage])):
                attention = module.stage(stage).blocks[index].attn
                value = Window.square(attention.kernel, module.kv_stride, attention.kernel // 2)
                gather = spread(windows, grid, keys, value, _values(attention), recording.notes[attention.value_site]["x"])
                call = calls[sum(depths[:stage]) + index]
                steps.append(Attention(AttentionSite.of(call, f"stage{stage}.blocks.{index}.attn", stage, index, grid, keys), gather))
            if grid.prefix:
                steps.append(ToSink(grid))
            below = Grid(*size) if stage == 0 else grids[stage - 1]
            embed = module.stage(stage).patch_embed
            weight, x = embed.proj.weight.flatten(2), recording.notes[embed.window_site]["x"]
            steps.append(spread(windows, below, grid.without_prefix(), Window.square(*module.windows[stage]), weight, x))
        return Lineage(first_token(calls[-1], grids[-1]), steps)

    def forks(self) -> list[Residual]:
        blocks = (f"stage{stage}.blocks.{index}" for stage, depth in enumerate(self._depths) for index in range(depth))
        return [Residual(f"{block}.attn", Port(block, "input"), Port(f"{block}.attn")) for block in blocks]

    @property
    def _depths(self) -> list[int]:
        module: Any = self.module
        return [len(module.stage(stage).blocks) for stage in range(module.num_stages)]

    def _grids(self, size: Size) -> list[Grid]:
        module: Any = self.module
        shapes = module.grids(size)
        return [Grid(height, width, module.stage(stage).num_prefix_tokens) for stage, (height, width) in enumerate(shapes)]


def _values(attention: Any) -> torch.Tensor:
    """What carries a window of the map to the values, (out, channels, cells): W_v behind the norm's gain behind the kernel."""
    norm, kernel = attention.conv_proj_v.bn, attention.conv_proj_v.conv.weight.flatten(1)
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return attention.proj_v.weight[:, :, None] * (gain[:, None] * kernel)[None]
