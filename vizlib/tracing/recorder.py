"""What one forward pass computed, seen without touching the module: attention calls with their arguments, and notes.

A ``TorchFunctionMode`` belongs to the thread that entered it, so any number of threads can record one shared module.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from vizlib.tracing.multi_head import head_count, opened_multi_head
from vizlib.tracing.outputs import listening
from vizlib.tracing.products import MATMUL as _MATMUL
from vizlib.tracing.products import einsum_product

if TYPE_CHECKING:
    from collections.abc import Callable

_SOFTMAX = frozenset({torch.softmax, torch.Tensor.softmax, F.softmax})
_ADD = frozenset({torch.add, torch.Tensor.add, torch.Tensor.add_})
_MULTIPLY = frozenset({torch.mul, torch.Tensor.mul, torch.Tensor.mul_})
_DIVIDE = frozenset({torch.div, torch.Tensor.div, torch.Tensor.div_})
_RESHAPE = frozenset({torch.Tensor.view, torch.Tensor.reshape, torch.reshape})
_KEEP = frozenset({torch.Tensor.to, torch.Tensor.float, torch.Tensor.contiguous, F.dropout})


@dataclass(frozen=True)
class AttentionCall:
    """One softmax attention: q (B, h, N, d), k (B, h, M, d), scale, bias broadcastable to (B, h, N, M) or None.

    ``v`` and ``output`` (B, h, N, d) are there only where the recorder was asked to keep them, ``gradient``, that of a score with respect
    to the output, only after a pass with gradients. ``applied`` says that these very weights, and not others made from them, met the
    values; of attention that is written out this is seen where the softmax's result goes into a product. ``factor`` (B, h, N, M) makes
    the weights of the softmax's shares where they are none.
    """

    q: torch.Tensor
    k: torch.Tensor
    scale: float
    bias: torch.Tensor | None
    v: torch.Tensor | None = None
    output: torch.Tensor | None = None
    gradient: torch.Tensor | None = None
    applied: bool = True
    factor: torch.Tensor | None = None

    def detached(self) -> AttentionCall:
        """The same call without its graph."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        graphs: dict[str, Any] = {name: value.detach() for name, value in values.items() if isinstance(value, torch.Tensor)}
        return replace(self, **graphs)


@dataclass
class Recording:
    """The attention calls in the order of execution, the notes by name in the order they came, the input and the output.

    ``residual_shares`` holds the share (B, N) of each token that went past a residual's branch, by the name of the fork,
    where that was measured.
    """

    calls: list[AttentionCall] = field(default_factory=list)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    output: torch.Tensor | None = None
    x: torch.Tensor | None = None
    residual_shares: dict[str, torch.Tensor] = field(default_factory=dict)

    def note(self, name: str, values: dict[str, Any]) -> None:
        """Keep ``values`` of the part called ``name``; what it noted before stays."""
        self.notes.setdefault(name, {}).update(values)

    def of_kind(self, kind: str) -> dict[str, dict[str, Any]]:
        """The notes of one kind, by name, in the order they came."""
        return {name: values for name, values in self.notes.items() if values.get("kind") == kind}


@dataclass
class _Scores:
    """A product q k^T on its way to a softmax: the tensor that it is now, q with every factor since, and what was added."""

    now: torch.Tensor
    q: torch.Tensor
    k: torch.Tensor
    bias: torch.Tensor | None = None

    def after(self, func: Callable[..., Any], output: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Scores | None:
        """The scores after a function of them, None where that is not followed: what cannot be told is not recorded."""
        first = args[0] is self.now
        other = args[1] if first and len(args) > 1 else args[0]
        if func in _KEEP:
            return _Scores(output, self.q, self.k, self.bias) if first and output.shape == self.now.shape else None
        if func in _RESHAPE and first:
            return _Scores(output, self.q, self.k, _reshaped(self.bias, self.now.shape, output.shape))
        if kwargs or other is self.now or not isinstance(output, torch.Tensor) or output.shape != self.now.shape:
            return None
        if func in _ADD and isinstance(other, torch.Tensor):
            return _Scores(output, self.q, self.k, other if self.bias is None else self.bias + other)
        if self.now.ndim != self.q.ndim or (isinstance(other, torch.Tensor) and other.ndim and other.shape[-1] != 1):
            return None
        if func in _MULTIPLY:
            return _Scores(output, self.q * other, self.k, None if self.bias is None else self.bias * other)
        if func in _DIVIDE and first:
            return _Scores(output, self.q / other, self.k, None if self.bias is None else self.bias / other)
        return None


def _reshaped(bias: torch.Tensor | None, before: torch.Size, after: torch.Size) -> torch.Tensor | None:
    """A bias of scores of one shape for the same scores in another, broadcast axes left at length 1."""
    if bias is None:
        return None
    whole = bias.expand(before).reshape(after)
    return whole[tuple(slice(0, 1) if not stride else slice(None) for stride in whole.stride())]


class Watcher(TorchFunctionMode):
    """Sees every torch function of this thread; remembers the arguments of attention, fused or written out."""

    def __init__(self, recording: Recording, *, keep_values: bool) -> None:
        super().__init__()
        self.recording, self.keep_values = recording, keep_values
        self.scores: _Scores | None = None
        self.weights: tuple[torch.Tensor, int] | None = None
        self.heads = 0  # inside torch's multi-head attention, where images and heads share one axis

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.multi_head_attention_forward:
            return self._multi_head(*args, **(kwargs or {}))
        output = func(*args, **(kwargs or {}))
        if func is F.scaled_dot_product_attention:
            self._fused(output, *args, **(kwargs or {}))
        elif func in _MATMUL:
            return self._matmul(output, *args, **(kwargs or {}))
        elif func is torch.baddbmm and self.heads:
            self.scores = _Scores(output, self._by_head(args[1]), self._by_head(args[2]).transpose(-2, -1), self._by_head(args[0]))
        elif func is torch.einsum:
            return self._einsum(output, *args)
        elif func in _SOFTMAX:
            self._softmax(output, *args, **(kwargs or {}))
        elif func in _KEEP and self.weights is not None and args and args[0] is self.weights[0] and output.shape == args[0].shape:
            self.weights = (output, self.weights[1])
        elif self.scores is not None and any(arg is self.scores.now for arg in args[:2]):
            self._follow(func, output, args, kwargs or {})
        return output

    def followed(self, weights: torch.Tensor) -> int | None:
        """The number of the call whose weights a tensor is, None where it is not known to be any."""
        return self.weights[1] if self.weights is not None and self.weights[0] is weights else None

    def _follow(self, func: Callable[..., Any], output: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        assert self.scores is not None  # noqa: S101  the caller looked
        following = self.scores.after(func, output, args, kwargs)
        # Scores that are only looked at stay what they are; written over in a way that is not followed, they are no longer known.
        if following is not None or output is None or output is self.scores.now:
            self.scores = following

    def _fused(
        self,
        output: torch.Tensor,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,  # noqa: ARG002  the signature of the function that is watched
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> None:
        if enable_gqa and key.shape[-3] != query.shape[-3]:
            key, value = (tensor.repeat_interleave(query.shape[-3] // tensor.shape[-3], -3) for tensor in (key, value))
        bias = attn_mask
        if is_causal:
            bias = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
        if bias is not None and bias.dtype == torch.bool:
            bias = torch.zeros(bias.shape, dtype=torch.float32, device=bias.device).masked_fill(~bias, float("-inf"))
        factor = query.shape[-1] ** -0.5 if scale is None else float(scale)
        self._add(query, key, factor, bias, value, output)

    def _multi_head(self, *args: Any, **kwargs: Any) -> Any:
        outer, self.heads = self.heads, head_count(args, kwargs)
        try:
            with self:
                return opened_multi_head(*args, **kwargs)
        finally:
            self.heads = outer

    def _by_head(self, tensor: torch.Tensor) -> torch.Tensor:
        """(B h, n, m) as (B, h, n, m), or what is the same for all of them as (1, 1, n, m)."""
        return tensor[None] if len(tensor) == 1 else tensor.unflatten(0, (-1, self.heads))

    def _matmul(self, output: torch.Tensor, left: torch.Tensor, right: torch.Tensor, **_: Any) -> torch.Tensor:
        """Notes a product; what comes back is its output, by way of the view that a call keeps, so that gradients pass there."""
        if self.weights is not None and left is self.weights[0]:
            if self.heads and left.ndim == 3:
                kept = output.unflatten(0, (-1, self.heads))
                self._apply(v=self._by_head(right), output=kept)
                return kept.flatten(0, 1)
            self._apply(v=right, output=output)
        elif left.ndim == 4 and right.ndim == 4:
            self.scores = _Scores(output, left, right.transpose(-2, -1))
        elif self.heads and left.ndim == 3:
            self.scores = _Scores(output, self._by_head(left), self._by_head(right).transpose(-2, -1))
        return output

    def _einsum(self, output: torch.Tensor, equation: object, *operands: Any) -> torch.Tensor:
        """Notes a product by name, with what comes back as in ``_matmul``; axes before the last three count as images."""
        product = einsum_product(equation, operands)
        if product is not None and product[1].ndim > 3:  # of one head without an axis, q and k are not kept
            kind, left, right = product
            folded = left.ndim == 5
            if kind == "scores":
                self.scores = _Scores(output, *(tensor.flatten(0, 1) if folded else tensor for tensor in (left, right)))
            elif self.weights is not None and left is self.weights[0]:
                kept = output.flatten(0, 1) if folded else output
                self._apply(v=right.flatten(0, 1) if folded else right, output=kept)
                return kept.unflatten(0, output.shape[:2]) if folded else output
            return output
        # Any other product by name: the weights' last axis, the keys, must be what is summed over.
        if self.weights is None or len(operands) != 2 or operands[0] is not self.weights[0] or not isinstance(equation, str):
            return output
        sources, _, result = equation.replace(" ", "").partition("->")
        weights, _, values = sources.partition(",")
        if result and weights and weights[-1] in values and weights[-1] not in result and weights[-2:-1] in result:
            self._apply()
        return output

    def _apply(self, v: torch.Tensor | None = None, output: torch.Tensor | None = None) -> None:
        """The weights of the last softmax met values; ``v`` and ``output`` where they lie as a call has them."""
        assert self.weights is not None  # noqa: S101  the caller looked
        _, number = self.weights
        call = replace(self.recording.calls[number], applied=True)
        self.recording.calls[number] = replace(call, v=v, output=output) if self.keep_values else call
        self.weights = None

    def _softmax(self, output: torch.Tensor, scores: torch.Tensor, dim: int | None = None, *_: Any, **__: Any) -> None:
        # Only a product that goes into a softmax over its keys is attention; whatever happened to it in between that is not followed hides
        # it, and the count of sites then tells.
        if self.scores is not None and self.scores.now is scores and dim in (-1, scores.ndim - 1):
            self._add(self.scores.q, self.scores.k, 1.0, self.scores.bias, None, None, applied=False)
            self.weights = (output, len(self.recording.calls) - 1)
        self.scores = None

    def _add(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        scale: float,
        bias: torch.Tensor | None,
        v: torch.Tensor | None,
        output: torch.Tensor | None,
        *,
        applied: bool = True,
    ) -> None:
        bias = bias if bias is None else bias.detach()  # one that a module has kept from an earlier pass may hold its graph
        if self.keep_values:
            self.recording.calls.append(AttentionCall(q, k, scale, bias, v, output, applied=applied))
        else:
            self.recording.calls.append(AttentionCall(_alone(q), _alone(k), scale, bias, applied=applied))


def _alone(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that holds no other in memory: q is often a view of what holds k and v too, and would keep v for nothing."""
    shared = tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size()
    return tensor.clone() if shared and not tensor.requires_grad else tensor


def record(run: Callable[[], torch.Tensor], *, keep_values: bool = False) -> Recording:
    """Run a forward pass and keep what it did: q and k of every attention, the notes, the output.

    ``keep_values`` keeps v and the attention's output as well. Neither the module nor the result changes by a bit.
    """
    recording = Recording()
    with listening(recording), Watcher(recording, keep_values=keep_values):
        recording.output = run()
    return recording
