"""T2T-ViT: soft splits with a token transformer between each two, then plain blocks read out by a class token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import percent
from vizlib.tracing.attention_site import AttentionSite, PerformerSite
from vizlib.tracing.residuals import Port, Residual
from vizlib.tracing.token_flow import Attention, Step, ToSink
from vizlib.tracing.token_grid import Grid
from vizlib.zoo.adapters.base import Adapter, Lineage, Size, Tap, counted, first_token
from vizlib.zoo.adapters.windows import Window, spread

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vizlib.tracing.recorder import Recording


class T2TAdapter(Adapter):
    """The walk goes class token, blocks, then in turn an unfold and a token transformer, down to the pixels.

    A token transformer's residual carries v, which is made from the same token, so its step is that of any attention.
    """

    family = "t2t"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        from vizlib.zoo.networks.t2t import T2TViT

        return isinstance(module, T2TViT)

    def check_size(self, size: Size) -> None:
        self._grids(size)

    def taps(self, size: Size) -> list[Tap]:
        *token_grids, last = self._grids(size)
        split: Any = self.module.tokens_to_token
        taps = [
            Tap(f"tokens_to_token.{name}", f"tokens_to_token.{name}", Grid(*grid))
            for name, grid in zip(split.attention_names, token_grids, strict=True)
        ]
        return taps + [Tap(f"blocks.{index}", f"blocks.{index}", Grid(*last, 1)) for index in range(self._depth)]

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        grids = [Grid(*size), *(Grid(*grid) for grid in self._grids(size))]
        split: Any = self.module.tokens_to_token
        rounds = len(split.attention_names)
        performers = recording.of_kind("performer")
        early = 0 if performers else rounds
        calls = counted(recording, early + self._depth)
        top = Grid(*grids[-1].shape, 1)
        steps: list[Step] = [
            Attention(AttentionSite.of(calls[early + index], f"blocks.{index}.attn", rounds, index, top, top))
            for index in reversed(range(self._depth))
        ]
        steps.append(ToSink(top))
        for turn in reversed(range(rounds + 1)):
            x = recording.notes[split.split_sites[turn]]["x"]
            weight = self._unfolded(turn, x.shape[1])
            steps.append(spread(windows, grids[turn], grids[turn + 1], Window.square(*split.splits[turn]), weight, x))
            if turn:
                name = f"tokens_to_token.{split.attention_names[turn - 1]}.attn"
                if performers:
                    site: AttentionSite = _performer(performers[name], name, turn - 1, grids[turn])
                else:
                    site = AttentionSite.of(calls[turn - 1], name, turn - 1, 0, grids[turn], grids[turn])
                steps.append(Attention(site))
        return Lineage(first_token(calls[-1], top), steps)

    def first_block(self) -> str:
        return "blocks.0"

    def forks(self) -> list[Residual]:
        split: Any = self.module.tokens_to_token
        early = [_token_fork(f"tokens_to_token.{name}", split.get_submodule(name)) for name in split.attention_names]
        blocks = (f"blocks.{index}" for index in range(self._depth))
        return early + [Residual(f"{block}.attn", Port(block, "input"), Port(f"{block}.attn")) for block in blocks]

    def warnings(self, recording: Recording) -> tuple[str, ...]:
        lost = {name: float(note["lost"].max()) for name, note in recording.of_kind("performer").items()}
        return tuple(
            f"In {layer_title(name)} a row lost up to {percent(share)} to the performer's epsilon in the forward pass; "
            "the map follows the rows without it."
            for name, share in lost.items()
            if share > 0.01
        )

    def _unfolded(self, turn: int, channels: int) -> torch.Tensor:
        """What carries an unfolded window on, (out, channels, cells): the final projection, or the value rows behind the norm's gain.

        The norm's deviation scales a whole row and cancels; its mean is left out.
        """
        split: Any = self.module.tokens_to_token
        if turn == len(split.attention_names):
            return split.project.weight.unflatten(1, (channels, -1))
        block = split.get_submodule(split.attention_names[turn])
        joint = block.kqv if hasattr(block, "kqv") else block.attn.qkv
        values = joint.weight[2 * joint.out_features // 3 :]
        return (values * block.norm1.weight).unflatten(1, (channels, -1))

    def _grids(self, size: Size) -> list[tuple[int, int]]:
        module: Any = self.module
        return module.grids(size)

    @property
    def _depth(self) -> int:
        blocks: Any = self.module.blocks
        return len(blocks)


def _token_fork(path: str, block: Any) -> Residual:
    """A token transformer's skip carries v, the last third of what its joint projection gives."""
    if hasattr(block, "kqv"):
        joint, skip, branch = block.kqv, f"{path}.kqv", f"{path}.drop"
    else:
        joint, skip, branch = block.attn.qkv, f"{path}.attn.qkv", f"{path}.attn.proj_drop"
    return Residual(f"{path}.attn", Port(skip, start=2 * joint.out_features // 3), Port(branch))


def _performer(note: dict[str, Any], name: str, stage: int, grid: Grid) -> PerformerSite:
    features_q, features_k = note["phi_q"][:, None], note["phi_k"][:, None]
    values = (note.get(key) for key in ("v", "y", "gradient"))
    v, y, gradient = (None if value is None else value[:, None].to(features_q.dtype) for value in values)
    return PerformerSite(name, stage, 0, grid, grid, features_q, features_k, 1.0, None, v, y, gradient, lost=note["lost"])
