"""Changes to the attentions of a forward pass, for the calling context only: no other thread or visitor ever sees them.

A ContextVar says what is to be changed, and a ``TorchFunctionMode`` around the one forward pass changes it. The module stays as it is.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from vizlib.errors import MethodError
from vizlib.tracing.multi_head import opened_multi_head
from vizlib.tracing.products import is_product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

WAYS = ("zero", "mean", "uniform")


@dataclass(frozen=True)
class AttentionOverride:
    """What changes at one attention.

    ``heads`` maps a head to "zero" (its output is zero), "mean" (every query gets the mean of its outputs) or "uniform" (every key gets
    the same weight), of ``total`` heads; ``cut`` are keys that no query may look at.
    """

    heads: Mapping[int, str] = field(default_factory=dict)
    cut: tuple[int, ...] = ()
    total: int = 0

    def which(self, *ways: str) -> list[int]:
        """The heads that are changed in one of these ways."""
        return [head for head, way in self.heads.items() if way in ways]


@dataclass(frozen=True)
class OverridePlan:
    """Edits by the number of a fused attention call and by the name of one that reports itself; how many fused calls a pass must make.

    ``products`` has edits by the number of a product instead, with whether values stand left in it, and nothing else counts.
    """

    calls: Mapping[int, AttentionOverride]
    named: Mapping[str, AttentionOverride]
    expected: int
    products: Mapping[int, tuple[AttentionOverride, bool]] | None = None


_plan: ContextVar[OverridePlan | None] = ContextVar("vizlib_plan", default=None)


@contextmanager
def overriding(plan: OverridePlan) -> Iterator[None]:
    """Change the attentions of every forward pass that a ``Model`` makes in this context, for the length of the block."""
    token = _plan.set(plan)
    try:
        yield
    finally:
        _plan.reset(token)


@contextmanager
def applying_overrides() -> Iterator[None]:
    """To be put around one forward pass: carries out the plan of this context; without one it does nothing at all.

    MethodError when the pass made other attention calls than the plan was made for.
    """
    plan = _plan.get()
    if plan is None:
        yield
        return
    with _Overrider(plan) as surgeon:
        yield
    if plan.products is not None and not surgeon.edited >= set(plan.products):
        raise MethodError(
            "The model multiplied other tensors than those that were planned for, so its attention cannot be changed for certain."
        )
    if plan.products is None and surgeon.calls != plan.expected:
        raise MethodError(
            f"The model made {surgeon.calls} fused attention calls where {plan.expected} were planned for, so its heads cannot be changed "
            "for certain; a module that writes its attention out must use torch's scaled_dot_product_attention."
        )


class _Overrider(TorchFunctionMode):
    """Changes the arguments and outputs of this thread's fused attention calls, counted from 0."""

    def __init__(self, plan: OverridePlan) -> None:
        super().__init__()
        self.plan, self.calls, self.products = plan, 0, 0
        self.edited: set[int] = set()  # products that were changed

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            with self:
                return opened_multi_head(*args, **kwargs)
        if self.plan.products is not None:
            return self._product(self.plan.products, func, args, kwargs)
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        edit = self.plan.calls.get(self.calls)
        self.calls += 1
        return func(*args, **kwargs) if edit is None else _edited(edit, *args, **kwargs)

    def _product(
        self, planned: Mapping[int, tuple[AttentionOverride, bool]], func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        number = self.products
        self.products += is_product(func)
        if not is_product(func) or number not in planned:
            return func(*args, **kwargs)
        self.edited.add(number)
        edit, turned = planned[number]
        if func is F.scaled_dot_product_attention:
            return _edited(edit, *args, **kwargs)
        first = int(func is torch.einsum)
        operands = list(args)
        at = first + int(turned)
        operands[at] = _without_keys(operands[at], edit.cut, -2 if turned else -1)
        return func(*operands, **kwargs)


def _without_keys(weights: torch.Tensor, cut: tuple[int, ...], axis: int) -> torch.Tensor:
    """Attention weights as a softmax over the other keys, those along ``axis``, makes them."""
    kept = weights.index_fill(axis, torch.tensor(cut, device=weights.device), 0)
    return kept / kept.sum(axis, keepdim=True).clamp_min(torch.finfo(kept.dtype).tiny)


def _edited(
    edit: AttentionOverride,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> torch.Tensor:
    if edit.heads and (query.ndim != 4 or query.shape[1] != edit.total):
        raise MethodError(
            f"The heads of an attention over tensors {tuple(query.shape)} do not lie on the second of four axes, so they cannot be "
            "switched off for certain."
        )
    uniform = edit.which("uniform")
    if edit.cut or (uniform and (attn_mask is not None or is_causal)):
        attn_mask, is_causal = _mask(edit, query, key, attn_mask, is_causal=is_causal), False
    if uniform:
        keep = torch.ones(query.shape[1], dtype=query.dtype, device=query.device)
        keep[uniform] = 0
        query = query * keep[:, None, None]
    y = F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, **options)
    return _outputs(edit, y)


def _mask(edit: AttentionOverride, query: torch.Tensor, key: torch.Tensor, given: torch.Tensor | None, *, is_causal: bool) -> torch.Tensor:
    """The given mask as numbers to add, even for uniform heads, minus infinity at keys that are cut."""
    queries, keys = query.shape[-2], key.shape[-2]
    mask = query.new_zeros(*(1,) * (query.ndim - 1), keys)
    if is_causal:
        given = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril()
    if given is not None and given.dtype == torch.bool:
        mask = query.new_zeros(given.shape).masked_fill(~given, float("-inf"))
    elif given is not None:
        mask = given.clone()
    uniform = edit.which("uniform")
    if uniform and given is not None:
        mask = mask.expand(*mask.shape[:-3], query.shape[1], *mask.shape[-2:]).clone()
        mask[..., uniform, :, :] = mask[..., uniform, :, :].masked_fill(torch.isfinite(mask[..., uniform, :, :]), 0)
    if edit.cut:
        mask = mask.index_fill(-1, torch.tensor(edit.cut, device=mask.device), float("-inf"))
    return mask


def _outputs(edit: AttentionOverride, y: torch.Tensor) -> torch.Tensor:
    """The outputs (B, h, N, d) with those of changed heads replaced."""
    zero, mean = edit.which("zero"), edit.which("mean")
    if not zero and not mean:
        return y
    y = y.clone()
    y[:, zero] = 0
    if mean:
        y[:, mean] = y[:, mean].mean(2, keepdim=True)
    return y


def edited_features(site: str, log_q: torch.Tensor, log_k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A performer's exponents (B, N, m) of its features as the plan of this context wants them, the same objects where it wants nothing."""
    edit = _named_override(site)
    if edit is None:
        return log_q, log_k
    if edit.which("uniform"):
        log_q, log_k = torch.zeros_like(log_q), torch.zeros_like(log_k)
    if edit.cut:
        log_k = log_k.index_fill(1, torch.tensor(edit.cut, device=log_k.device), float("-inf"))
    return log_q, log_k


def edited_output(site: str, y: torch.Tensor) -> torch.Tensor:
    """A performer's output (B, N, d) as the plan of this context wants it, the same object where it wants nothing."""
    edit = _named_override(site)
    return y if edit is None else _outputs(edit, y[:, None])[:, 0]


def _named_override(site: str) -> AttentionOverride | None:
    # Overrides are put around the module itself, never around its compiled form, and torch 2.11 cannot compile a ContextVar.
    plan = None if torch.compiler.is_compiling() else _plan.get()
    return None if plan is None else plan.named.get(site)
