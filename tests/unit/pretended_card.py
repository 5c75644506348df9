"""A second device of this machine's own: its tensors hold real numbers, and one of the CPU among them is an error, as on a card.

A tensor on it wraps one of the CPU and says that it lies on "lazy:0": a device that every build of torch has a name for and none a kernel,
and whose backward passes run in the caller's thread.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

CARD = torch.device("lazy:0")
aten = torch.ops.aten


class OnCard(torch.Tensor):
    """A tensor that says it is on the card."""

    held: torch.Tensor
    largest: float = float("inf")
    __torch_function__ = torch._C._disabled_torch_function_impl  # what comes out of an operation is wrapped by ``_run`` alone

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Self:
        made: Self = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=CARD
        )
        made.held = held
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnCard({self.held})"

    def tolist(self) -> list[Any]:
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class CardMode(TorchDispatchMode):
    """What is made on the card, or goes to it, is wrapped."""

    def __enter__(self) -> Any:
        self.before = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)  # noqa: FBT003  so that torch.tensor(..., device=card) takes its step to the card in sight of this
        return super().__enter__()

    def __exit__(self, *failure: object) -> None:
        torch._C._set_only_lift_cpu_tensors(self.before)
        super().__exit__(*failure)

    def __torch_dispatch__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


@contextlib.contextmanager
def pretended_card(monkeypatch: pytest.MonkeyPatch, largest: float = float("inf")) -> Iterator[None]:
    """Have the card for a while; it has no room for a tensor of more than ``largest`` numbers."""
    real = torch.autocast

    def autocast(kind: str, *args: Any, **kwargs: Any) -> Any:
        return contextlib.nullcontext() if kind == CARD.type else real(kind, *args, **kwargs)

    with monkeypatch.context() as patch, CardMode():
        patch.setattr(torch, "autocast", autocast)  # torch knows no autocast of this device
        patch.setattr(OnCard, "largest", largest)
        yield


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    if has(func.name(), "CompositeImplicitAutograd") and not has(func.name(), "CPU"):
        with CardMode():
            return func.decompose(*args, **kwargs)
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    cards = [tensor for tensor in tensors if isinstance(tensor, OnCard)]
    device = kwargs.get("device")
    if func is aten._to_copy.default:
        copied = func(_held(args[0]), **{name: value for name, value in kwargs.items() if name != "device"})
        return OnCard(copied) if (args[0].device if device is None else device).type == CARD.type else copied
    if func is aten.copy_.default:
        _held(args[0]).copy_(_held(args[1]), *args[2:])
        return args[0]
    if cards and any(tensor.dim() for tensor in tensors if not isinstance(tensor, OnCard)):
        raise RuntimeError(f"Expected all tensors to be on the same device, but {func} was given some on the CPU and some on the card.")
    if func is aten.native_batch_norm_backward.default and not args[7]:
        return _frozen_norm_backward(*args)
    if device is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    out = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    if not cards and (device is None or device.type != CARD.type):
        return out
    if not getattr(func, "is_view", False) and any(
        tensor.numel() > OnCard.largest for tensor in tree_leaves(out) if isinstance(tensor, torch.Tensor)
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate some. GPU 0 has less.")
    changed = {id(card.held): card for card in cards}  # in place: the same tensor comes back
    # A view of a tensor from outside of inference mode is none of it either.
    with torch.inference_mode(torch.is_inference_mode_enabled() and all(card.is_inference() for card in cards)):
        return tree_map(lambda leaf: _wrapped(leaf, changed), out)


def _wrapped(leaf: Any, changed: dict[int, OnCard]) -> Any:
    if not isinstance(leaf, torch.Tensor):
        return leaf
    same = changed.get(id(leaf))
    return OnCard(leaf) if same is None else same


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, OnCard) else leaf


def _frozen_norm_backward(
    grad: Any, x: Any, weight: Any, mean: Any, variance: Any, _a: Any, _b: Any, _train: bool, eps: float, wanted: list[bool]
) -> tuple[Any, ...]:
    # The CPU's own kernel mixes up elements where memory layouts differ (see vizlib.tracing.slopes); a card's does not.
    grad, x, mean, root = grad.held, x.held, mean.held, (variance.held + eps).rsqrt()
    others = [axis for axis in range(x.dim()) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(x.dim())]
    normed = (x - mean.view(shape)) * root.view(shape)
    scale = root if weight is None else root * weight.held
    found = grad * scale.view(shape), (grad * normed).sum(others), grad.sum(others)
    return tuple(OnCard(value) if want else None for value, want in zip(found, wanted, strict=True))
