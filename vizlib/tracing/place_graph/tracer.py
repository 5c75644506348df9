"""A network run on place numbers: every function of it moves, gathers, adds or weighs places, or what it gives is lost with a reason."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from vizlib.tracing.multi_head import opened_multi_head
from vizlib.tracing.place_graph import functions
from vizlib.tracing.place_graph.calls import Call, tensors
from vizlib.tracing.place_graph.function_names import FRESH, SYNONYMS
from vizlib.tracing.place_graph.lying import Lying, lying
from vizlib.tracing.place_graph.marks import Lost, Mark, Places, mark_of, set_mark
from vizlib.tracing.place_graph.nodes import Pixels
from vizlib.tracing.place_graph.rows import IMAGES
from vizlib.tracing.products import is_product
from vizlib.tracing.shared_copy import shared_copy
from vizlib.tracing.token_grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn


_PRODUCTS = frozenset({"matmul", "bmm", "mm", "baddbmm", "einsum", "tensordot", "scaled_dot_product_attention"})


class Tracer(TorchFunctionMode):
    """Marks what every function gives, from the marks of what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.products = 0  # that have run so far
        self.compares = False  # whether a softmax ran, or a product of two tensors that the image is in: one of them all attention needs
        self.path: list[str] = [""]  # of the modules that run
        self.maps: dict[str, Lying] = {}  # what the parts gave that can be read as a map, in the order of execution
        self.first_of_several: dict[str, Lying] = {}  # the same of what came first in a tuple

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            with self:
                return opened_multi_head(*args, **kwargs)
        name = function_name(func)
        marks = [mark for value in tensors((args, kwargs)) if (mark := mark_of(value)) is not None]
        before = mark_of(args[0]) if args else None  # what an in-place function overwrites
        output = func(*args, **kwargs)
        number = self.products
        self.products += is_product(func)
        self.compares = self.compares or name == "softmax" or (len(marks) > 1 and name in _PRODUCTS)
        if not marks or name in FRESH:
            functions.learned(name, args, output)
            return output
        outputs = list(tensors(output))
        if name == "setitem":
            set_mark(args[0], functions.assigned(args[0], args[1], args[2], before))
            _forget_base(args[0], name)
            return output
        if not outputs:
            return output
        call = Call(name, func, args, kwargs, output, number, self.path[-1])
        followed = functions.follow(call, marks)
        marked = followed if isinstance(followed, list) else [followed] * len(outputs)
        for tensor, own in zip(outputs, marked, strict=True):
            fits = not isinstance(own, Places) or own.index.shape == tensor.shape
            set_mark(tensor, own if fits else Lost(f"its places cannot be followed through {call.where}"))
        if args and output is args[0] and not _same_places(before, mark_of(output)):
            _forget_base(output, name)
        return output


def _same_places(before: Mark | None, after: Mark | None) -> bool:
    """Whether an in-place function left what stands where it is."""
    if isinstance(before, Places) and isinstance(after, Places):
        return before.node is after.node and torch.equal(before.index, after.index)
    return before is None and after is None


def _forget_base(tensor: Any, name: str) -> None:
    """A tensor that is changed through one of its views is not what it was marked as."""
    base = tensor._base if isinstance(tensor, torch.Tensor) else None
    if base is not None:
        set_mark(base, Lost(f"a part of a tensor that is changed in place, by {name}, is used as a whole later, which is not followed"))


def function_name(func: Callable[..., Any]) -> str:
    """What a torch function is called, whether it is written as a function, a method, an operator or in place."""
    if func is F.unfold:
        return "unfold2d"  # a tensor's own method of this name is another thing
    name = getattr(func, "__name__", "")
    if name == "__get__":
        return getattr(getattr(func, "__self__", None), "__name__", name)
    name = name.strip("_")
    return SYNONYMS.get(name, name)


def trace(module: nn.Module, run: Callable[[nn.Module, torch.Tensor], Any], x: torch.Tensor) -> tuple[Mark | None, Tracer]:
    """What is known of the answer (B, K) of ``run(copy, x)`` for a batch x of IMAGES inputs, and the tracer, which has its parts' maps.

    The copy shares the module's weights and is in evaluation mode.
    """
    size = (int(x.shape[2]), int(x.shape[3]))
    copied = shared_copy(module).eval()
    with torch.inference_mode(mode=False), torch.no_grad():
        x = x.clone()
        numbers = torch.arange(IMAGES * size[0] * size[1], dtype=torch.float64, device=x.device).view(IMAGES, 1, *size)
        set_mark(x, Places(Pixels(Grid(*size)), numbers.expand(x.shape)))
        tracer = Tracer()
        with _paths(copied, tracer, size), tracer:
            output = run(copied, x)
    return mark_of(output), tracer


@contextmanager
def _paths(module: nn.Module, tracer: Tracer, size: tuple[int, int]) -> Iterator[None]:
    """Let the tracer know which part of the module is running, and how the places lie in what it gives."""

    def leave(part: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001  torch's signature
        path = tracer.path.pop()
        first = output[0] if isinstance(output, tuple) and output else output
        maps = tracer.maps if first is output else tracer.first_of_several
        maps.pop(path, None)
        found = lying(first, mark_of(first), size) if isinstance(first, torch.Tensor) and path else None
        if found is not None:
            maps[path] = found

    handles = []
    for path, part in module.named_modules():
        handles.append(part.register_forward_pre_hook(lambda part, inputs, path=path: tracer.path.append(path)))  # noqa: ARG005
        handles.append(part.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
