"""Records chosen products of a pass as attention calls, whatever the module did on the way to the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from vizlib.tracing.multi_head import opened_multi_head
from vizlib.tracing.outputs import listening
from vizlib.tracing.products import MATMUL, WeightsRead, einsum_product, is_product
from vizlib.tracing.recorder import AttentionCall, Recording, Watcher, record

if TYPE_CHECKING:
    from collections.abc import Callable


class ChosenCalls(TorchFunctionMode):
    """Keeps the products with the given numbers, in a pass that a recorder inside of this one watches too.

    Where the recorder could follow how weights were made, the call has q and k. Else it has the weights themselves, as the logarithms
    that a softmax makes them of, if they are shares: not negative, their sum 1. Heads that were mixed after their softmax (talking heads)
    hold weights of any sign and sum: their shares are by magnitude, and ``factor``, kept with values, makes the weights again.
    """

    def __init__(
        self, recording: Recording, chosen: dict[int, WeightsRead], followed: Callable[[torch.Tensor], int | None], *, keep_values: bool
    ) -> None:
        super().__init__()
        self.recording, self.chosen, self.followed, self.keep_values = recording, chosen, followed, keep_values
        self.calls: dict[int, AttentionCall] = {}
        self.products = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            with self:
                return opened_multi_head(*args, **kwargs)
        if not is_product(func):
            return func(*args, **kwargs)
        number, self.products = self.products, self.products + 1
        if number not in self.chosen:
            return func(*args, **kwargs)
        named = einsum_product(args[0], args[1:]) if func is torch.einsum else None
        operands = named[1:] if named is not None else args[:2]
        before = self.followed(operands[0]) if func in MATMUL or named is not None else None
        count = len(self.recording.calls)
        output = func(*args, **kwargs)
        if func is F.scaled_dot_product_attention and len(self.recording.calls) == count + 1:
            self.calls[number] = self.recording.calls[count]
        elif func in MATMUL:
            self._matmul(number, before, output, *args, **kwargs)
        elif named is not None:
            self._matmul(number, before, output, *operands)
        return output

    def _matmul(self, number: int, followed: int | None, output: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
        turned, mixed = self.chosen[number]
        if followed is not None and not turned:
            call = self.recording.calls[followed]
            if call.q.shape[:-2] == left.shape[:-2]:
                self.calls[number] = call
                return
        weights, values = (right.transpose(-2, -1), left) if turned else (left, right)
        exact = weights.detach()
        wide = exact.to(torch.promote_types(exact.dtype, torch.float32))
        magnitude = wide.abs() if mixed else wide
        factor = wide.sign() * magnitude.sum(-1, keepdim=True) if mixed and self.keep_values else None
        shares = mixed or _sum_to_one(exact)
        # A weight that has run down to zero is the least that there is: no exponent of minus infinity, which reads as a mask.
        bias = magnitude.clamp_min(torch.finfo(wide.dtype).tiny).log() if shares else torch.zeros_like(wide)
        lead, queries, keys = exact.shape[:-2], exact.shape[-2], exact.shape[-1]
        q, k = exact.new_zeros(*lead, queries, 1), exact.new_zeros(*lead, keys, 1)
        v, given = (values, output) if self.keep_values else (None, None)
        self.calls[number] = AttentionCall(q, k, 1.0, bias, v, given, applied=shares, factor=factor)


def _sum_to_one(weights: torch.Tensor) -> bool:
    """Whether weights are shares, as closely as their precision has it."""
    total = weights.sum(-1, dtype=torch.promote_types(weights.dtype, torch.float32))
    return bool((weights >= 0).all()) and bool(((total - 1).abs() < (1e-2 if weights.dtype.itemsize < 4 else 1e-4)).all())


def record_pass(run: Callable[[], torch.Tensor], *, keep_values: bool = False, chosen: dict[int, WeightsRead] | None = None) -> Recording:
    """``record`` a pass; where the numbers of the products that apply attention are given, its calls are those and no others.

    ``chosen`` says for each number how that product holds its weights.
    """
    if chosen is None:
        return record(run, keep_values=keep_values)
    recording = Recording()
    watcher = Watcher(recording, keep_values=keep_values)
    choice = ChosenCalls(recording, chosen, watcher.followed, keep_values=keep_values)
    with listening(recording), watcher, choice:
        recording.output = run()
    recording.calls = [choice.calls[number] for number in sorted(choice.calls)]
    return recording
