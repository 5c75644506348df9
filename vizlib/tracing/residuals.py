"""Where a residual splits in two, and which share of a token goes past the branch, measured in the forward pass itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Port:
    """The first input or the output of the part at ``path``, from channel ``start`` on: (B, ..., C) of every token."""

    path: str
    side: Literal["input", "output"] = "output"
    start: int = 0

    def read(self, inputs: tuple[Any, ...], output: Any) -> torch.Tensor:
        """The tensor of one call of the part."""
        tensor: torch.Tensor = inputs[0] if self.side == "input" else output
        tensor = tensor[0] if isinstance(tensor, tuple) else tensor  # attention, then its weights
        return tensor[..., self.start :]


@dataclass(frozen=True)
class Residual:
    """The residual ``name`` (an attention site's name): ``skip`` + ``gain`` * ``branch``, the branch as it is just before that."""

    name: str
    skip: Port
    branch: Port
    gain: torch.Tensor | None = None


class ResidualMeter:
    """Measures forks while a module runs, two norms of each token and no state kept."""

    def __init__(self, forks: Sequence[Residual]) -> None:
        self._forks = forks
        self._skips: dict[str, torch.Tensor] = {}
        self._branches: dict[str, torch.Tensor] = {}

    def hooks(self) -> list[tuple[str, Callable[[tuple[Any, ...], Any], None]]]:
        """What to call with the inputs and the output of which part."""
        skips = [(fork.skip.path, _reader(self._skips, fork.name, fork.skip, None)) for fork in self._forks]
        return skips + [(fork.branch.path, _reader(self._branches, fork.name, fork.branch, fork.gain)) for fork in self._forks]

    def shares(self) -> dict[str, torch.Tensor]:
        """|skip| / (|skip| + |branch|) of each token by fork, (B, N) float64; 1 where both are zero.

        Near the mixing ratio of Kobayashi et al., "Incorporating Residual and Normalization Layers into Analysis of Masked Language
        Models" (2021): there a token's attention to itself counts as kept, here it is the diagonal of the attention's own step.
        """
        return {name: skip_share(skip, self._branches[name]) for name, skip in self._skips.items() if name in self._branches}


def skip_share(skip: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
    """The first of two norms over their sum, in float64; 1 where nothing comes from either."""
    kept, moved = skip.to(torch.float64), branch.to(torch.float64)
    return torch.where(kept + moved > 0, kept / (kept + moved).clamp_min(torch.finfo(torch.float64).tiny), 1.0)


def _reader(into: dict[str, torch.Tensor], name: str, port: Port, gain: torch.Tensor | None) -> Callable[[tuple[Any, ...], Any], None]:
    def read(inputs: tuple[Any, ...], output: Any) -> None:
        tensor = port.read(inputs, output)
        into[name] = _norms(tensor if gain is None else gain * tensor)

    return read


def _norms(x: torch.Tensor) -> torch.Tensor:
    precision = torch.promote_types(x.dtype, torch.float32)
    return torch.linalg.vector_norm(x.detach(), dim=-1, dtype=precision).flatten(1)
