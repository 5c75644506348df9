"""What is read from a source and handed to the decoder, what can be changed there, and what one step of it shows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Memory:
    """The encoder's states (B, n, d), which of them may be read (B, n), and the decoder's first state: tensors (B, ...).

    ``weights`` are the encoder's own attention by layer, (B, heads, n, n), of the Transformer only.
    """

    states: Tensor
    mask: Tensor
    first: tuple[Tensor, ...]
    weights: tuple[Tensor, ...] = ()

    def masked(self, readable: Tensor) -> Memory:
        """The same with fewer keys that may be read, (n,) or (B, n)."""
        return replace(self, mask=self.mask & readable)

    def ordered(self, order: torch.Tensor) -> Memory:
        """Keys, values and mask in another order, (n,), the same for all."""
        return replace(self, states=self.states[:, order], mask=self.mask[:, order])

    def repeated(self, count: int) -> Memory:
        """A batch of one sentence as ``count`` equal ones, states (count, n, d), without copying."""
        first = tuple(state.expand(count, *state.shape[1:]) for state in self.first)
        return replace(self, states=self.states.expand(count, -1, -1), mask=self.mask.expand(count, -1), first=first)


@dataclass(frozen=True)
class Steering:
    """What is changed in attention: every score is divided by ``temperature``, and by sqrt(d) or not as ``scale`` says (None: as trained).

    ``scores`` (n,) or ``weights`` (n,) stand in for those of one step, in every head of the last layer.
    """

    temperature: float = 1.0
    scale: bool | None = None
    scores: Tensor | None = None
    weights: Tensor | None = None


AS_TRAINED: Final = Steering()


@dataclass(frozen=True)
class Reading:
    """Every quantity of one step as tensors (B, ...); those of attention are None without it.

    ``per_head`` holds those of each head of the last layer, ``heads`` the weights (B, layers, heads, n), ``self_weights`` those over the
    characters written so far (B, layers, heads, t), of the Transformer only.
    """

    output: Tensor
    logits: Tensor
    combined: Tensor
    query: Tensor | None = None
    keys: Tensor | None = None
    values: Tensor | None = None
    scores: Tensor | None = None
    weights: Tensor | None = None
    context: Tensor | None = None
    heads: Tensor | None = None
    self_weights: Tensor | None = None
    per_head: dict[str, Tensor] = field(default_factory=dict)
