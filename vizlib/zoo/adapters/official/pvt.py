"""Pyramid vision transformers: PVT (our own module) and PVT v2 (timm's)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.residuals import Port, Residual
from vizlib.tracing.token_flow import Attention, Step, ToSink
from vizlib.tracing.token_grid import Grid
from vizlib.zoo.adapters.base import Adapter, Lineage, Size, Tap, counted, first_token
from vizlib.zoo.adapters.pyramid import PyramidAdapter, PyramidBlock, PyramidStage
from vizlib.zoo.adapters.windows import Window, spread

if TYPE_CHECKING:
    from torch import nn

    from vizlib.tracing.recorder import Recording


class PVTAdapter(Adapter):
    """Four grids; keys are gathered from R x R blocks; a class token joins in the last stage."""

    family = "pvt"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        from vizlib.zoo.networks.pvt import PyramidVisionTransformer

        return isinstance(module, PyramidVisionTransformer)

    def check_size(self, size: Size) -> None:
        module: Any = self.module
        module.grids(size)

    def taps(self, size: Size) -> list[Tap]:
        return [
            Tap(f"block{stage + 1}.{index}", f"block{stage + 1}.{index}", grid)
            for stage, grid in enumerate(self._grids(size))
            for index in range(self._depths[stage])
        ]

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        module: Any = self.module
        depths, grids = self._depths, self._grids(size)
        calls = counted(recording, sum(depths))
        steps: list[Step] = []
        for stage in reversed(range(len(grids))):
            grid, ratio = grids[stage], module.reductions[stage]
            keys = Grid(grid.height // ratio, grid.width // ratio, grid.prefix)
            embed, blocks, _ = module.stage(stage)
            for index in reversed(range(depths[stage])):
                attention = blocks[index].attn
                gather = None
                if ratio > 1:
                    x = recording.notes[attention.site]["x"]
                    gather = spread(windows, grid, keys, Window.square(ratio, ratio), attention.sr.weight.flatten(2), x)
                call = calls[sum(depths[:stage]) + index]
                steps.append(Attention(AttentionSite.of(call, f"block{stage + 1}.{index}.attn", stage, index, grid, keys), gather))
            if grid.prefix:
                steps.append(ToSink(grid))
            below = Grid(*size) if stage == 0 else grids[stage - 1]
            patch = Window.square(module.patches[stage], module.patches[stage])
            x = recording.notes[embed.window_site]["x"]
            steps.append(spread(windows, below, grid.without_prefix(), patch, embed.proj.weight.flatten(2), x))
        return Lineage(first_token(calls[-1], grids[-1]), steps)

    def forks(self) -> list[Residual]:
        blocks = (f"block{stage + 1}.{index}" for stage, depth in enumerate(self._depths) for index in range(depth))
        return [Residual(f"{block}.attn", Port(block, "input"), Port(f"{block}.attn")) for block in blocks]

    @property
    def _depths(self) -> list[int]:
        module: Any = self.module
        return [len(module.stage(stage)[1]) for stage in range(module.stages)]

    def _grids(self, size: Size) -> list[Grid]:
        module: Any = self.module
        shapes = module.grids(size)
        return [Grid(height, width, int(stage == len(shapes) - 1)) for stage, (height, width) in enumerate(shapes)]


class PVTv2Adapter(PyramidAdapter):
    """timm's PVT v2: overlapping patches, a mean read-out, and an MLP whose 3 x 3 depth-wise convolution mixes places as well.

    Linear attention gathers by adaptive average pooling, the other kind from R x R blocks.
    """

    family = "pvt_v2"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        from timm.models.pvt_v2 import PyramidVisionTransformerV2

        return isinstance(module, PyramidVisionTransformerV2)

    def taps(self, size: Size) -> list[Tap]:  # noqa: ARG002
        # timm's blocks give (B, N, C) inside a stage; a stage itself gives (B, C, h, w).
        return [Tap(f"stages.{stage}", f"stages.{stage}") for stage in range(len(self._stages))]

    def feature_layer(self) -> str:
        return f"stages.{len(self._stages) - 1}"

    def stages(self) -> list[PyramidStage]:
        return [
            PyramidStage(
                f"stages.{number}.downsample.proj" if number else "patch_embed.proj",
                [_v2_block(f"stages.{number}.blocks.{index}", block.attn) for index, block in enumerate(stage.blocks)],
            )
            for number, stage in enumerate(self._stages)
        ]

    @property
    def _stages(self) -> list[Any]:
        return list(self.module.stages)  # type: ignore[arg-type]


def _v2_block(path: str, attention: Any) -> PyramidBlock:
    return PyramidBlock(
        path,
        f"{path}.attn",
        f"{path}.drop_path1",
        reduction=None if attention.sr is None else f"{path}.attn.sr",
        pool=None if attention.pool is None else f"{path}.attn.pool",
        mixing=f"{path}.mlp.dwconv",
        mlp=f"{path}.mlp",
        mlp_input=f"{path}.norm2",
        mlp_added=f"{path}.drop_path2",
    )
