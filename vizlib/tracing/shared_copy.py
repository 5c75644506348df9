"""A second module over the same weights, to hook or switch without the first one noticing."""

from __future__ import annotations

import copy
import itertools
import types
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from vizlib.errors import ModelError
from vizlib.tracing.module_walk import parts_of, parts_that_hold, tensors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch
    from torch import nn

    Hook = Callable[[tuple[Any, ...], Any], None]

Copied = TypeVar("Copied")


def shared_copy(module: nn.Module) -> nn.Module:
    """A copy that shares every parameter and buffer with ``module`` but has its own hooks, mode and attributes.

    Weights made in inference mode are copied, since nothing can be differentiated through them. What cannot be copied, as activations that
    are kept or locks, stays shared too. Attention that transformers is set to run as flex_attention runs as torch's fused function in the
    copy: the same weights, in sight, and with a gradient on every device. ModelError when the module itself refuses to be copied.
    """
    return _in_sight(copied_with(module, module, {id(tensor): _for_autograd(tensor) for tensor in tensors_of(module)}), module)


def copy_along(module: nn.Module, paths: Sequence[str]) -> nn.Module:
    """A copy of the parts at these paths and of what holds them, wherever they lie, to hook them; all other parts are shared."""
    wanted = {id(module.get_submodule(path)) for path in paths}
    own = parts_that_hold(module, wanted)
    kept: dict[int, Any] = {id(tensor): tensor for tensor in tensors_of(module)}
    return copied_with(module, module, kept | {id(part): part for part in parts_of(module) if id(part) not in own})


def untrained_copy(module: nn.Module) -> nn.Module:
    """A shared copy whose parameters require no gradient, so that what does comes from the input; the module itself where none does."""
    if not any(tensor.requires_grad for tensor in tensors_of(module)):
        return module
    return _in_sight(copied_with(module, module, {id(tensor): _untrained(tensor) for tensor in tensors_of(module)}), module)


def _untrained(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers in the same memory, as a constant."""
    import torch

    tensor = _for_autograd(tensor)
    if not tensor.requires_grad:
        return tensor
    return torch.nn.Parameter(tensor.detach(), requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else tensor.detach()


def _in_sight(copied: nn.Module, module: nn.Module) -> nn.Module:
    """The copy of a module, its flex_attention as torch's fused function; ModelError where that would change the module's own config."""
    for part in _in_flex(copied):
        if part.config is getattr(module, "config", None):
            raise ModelError(f"The config of {type(module).__name__} cannot be copied; call set_attn_implementation('sdpa').")
        part.set_attn_implementation("sdpa")
    return copied


def _in_flex(module: nn.Module) -> list[Any]:
    """The parts of transformers whose attention is set to run as flex_attention, those inside another one left out."""
    if not any(_flex(part) for part in parts_of(module)):
        return []
    parts: list[Any] = []
    for path, part in module.named_modules():
        if (
            _flex(part)
            and hasattr(part, "set_attn_implementation")
            and not any(path.startswith(f"{above}.") or not above for above, _ in parts)
        ):
            parts.append((path, part))
    return [part for _, part in parts]


def _flex(part: nn.Module) -> bool:
    return getattr(vars(part).get("config"), "_attn_implementation", None) == "flex_attention"


def converted_copy(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy whose floating-point weights are new ones of another precision."""
    return copied_with(module, module, _other_weights(module, lambda tensor: {"dtype": dtype} if tensor.is_floating_point() else {}))


def copy_on_cpu(thing: Copied, module: nn.Module) -> Copied:
    """A copy of ``thing``, which holds ``module``, whose weights are new ones on the CPU; the module stays where it is."""
    return copied_with(thing, module, _other_weights(module, lambda _: {"device": "cpu"}))


def _other_weights(module: nn.Module, kind: Callable[[torch.Tensor], dict[str, Any]]) -> dict[int, Any]:
    import torch

    def converted(tensor: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(mode=False), torch.no_grad():
            new = tensor.detach().to(**kind(tensor), copy=True)
        return torch.nn.Parameter(new, requires_grad=tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else new

    return {id(tensor): converted(tensor) for tensor in tensors_of(module)}


def meta_copy(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode without weights and hooks, on the meta device: it gives shapes and autograd's graph, no numbers."""
    import torch

    copied = _in_sight(copied_with(module, module, {id(tensor): _without_weights(tensor) for tensor in tensors_of(module)}), module).eval()
    for part in copied.modules():
        for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks):
            hooks.clear()
    return copied.to(dtype=torch.float32)


def copied_with(thing: Copied, module: nn.Module, memo: dict[int, Any]) -> Copied:
    """A deep copy of ``thing``, which holds ``module``, with what ``memo`` says in place of some of its parts; ModelError if it refuses."""
    refusals = (TypeError, RuntimeError, AttributeError, NotImplementedError)
    try:
        return copy.deepcopy(thing, dict(memo))
    except refusals:
        shared = dict(memo)
        for part in module.modules():
            for name, value in vars(part).items():
                if name not in ("_parameters", "_buffers", "_modules"):
                    _share_what_refuses(value, shared, refusals)
    try:
        return copy.deepcopy(thing, shared)
    except refusals as error:
        raise ModelError(
            f"{type(module).__name__} cannot be copied for reading ({error}); let its class be copied by copy.deepcopy."
        ) from error


def _share_what_refuses(value: Any, memo: dict[int, Any], refusals: tuple[type[Exception], ...]) -> None:
    """Let ``memo`` keep what cannot be copied of a value as it is, the containers around it apart."""
    try:
        copy.deepcopy(value, dict(memo))
    except refusals:
        if isinstance(value, dict | list | tuple):
            for inner in value.values() if isinstance(value, dict) else value:
                _share_what_refuses(inner, memo, refusals)
        else:
            memo[id(value)] = value


def _for_autograd(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself, or a copy of one that was made in inference mode."""
    import torch

    if not tensor.is_inference():
        return tensor
    with torch.inference_mode(mode=False):
        copied = tensor.clone()
        return torch.nn.Parameter(copied, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else copied


def _without_weights(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    empty = torch.empty_like(tensor, device="meta")
    return torch.nn.Parameter(empty, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else empty


def check_forward_follows(module: nn.Module) -> None:
    """ModelError where a copy in evaluation mode would run the training module itself, by a function that was set on it."""
    for name, part in module.named_modules():
        replaces = isinstance(vars(part).get("forward"), types.FunctionType) and not type(part).__module__.startswith(
            ("torch.export", "torch.fx")
        )
        if _training(part) and replaces:
            where = name or type(module).__name__
            raise ModelError(f"The forward of {where} was set on the instance and would run it as in training; call eval() first.")


def in_evaluation_mode(module: nn.Module) -> nn.Module:
    """The module itself when all of it is in evaluation mode, else a shared copy that is: the module's own mode stays.

    A copy too where weights were made in inference mode or attention runs as flex_attention. ModelError where a copy would run the
    training module itself, by a function that was set on it.
    """
    training = any(_training(part) for part in parts_of(module))
    if training:
        check_forward_follows(module)
    if training or any(tensor.is_inference() for tensor in tensors_of(module)) or _in_flex(module):
        return shared_copy(module).eval()
    return module


@contextmanager
def capture_outputs(module: nn.Module, names: list[str], keep: Callable[[str, Any], None]) -> Iterator[nn.Module]:
    """A shared copy of ``module`` whose named parts hand each output to ``keep(name, output)``."""

    def hand_on(name: str) -> Hook:
        return lambda inputs, output: keep(name, output)  # noqa: ARG005  one signature for all hooks

    with hooked_copy(module, [(name, hand_on(name)) for name in names]) as copied:
        yield copied


@contextmanager
def hooked_copy(module: nn.Module, hooks: Sequence[tuple[str, Hook]]) -> Iterator[nn.Module]:
    """A shared copy of ``module`` that calls each hook with the inputs and the output of the part it is named for.

    A part that lies at several paths runs once for each of them in turn, and each call has the hooks of its own path. Hooks have the
    tensors themselves; the part and what follows it go on with copies, since either may work in place.
    """
    copied = shared_copy(module)
    add_hooks(copied, hooks)
    yield copied


def add_hooks(copied: nn.Module, hooks: Sequence[tuple[str, Hook]]) -> None:
    """Set hooks on the named parts of a copy, as ``hooked_copy`` has them."""
    by_part: dict[nn.Module, dict[str, list[Hook]]] = {}
    for name, hook in hooks:
        by_part.setdefault(copied.get_submodule(name), {}).setdefault(name, []).append(hook)
    for part, by_name in by_part.items():
        watch = _Watch(list(by_name.values()))
        part.register_forward_pre_hook(watch.before, with_kwargs=True)
        part.register_forward_hook(watch.after)


class _Watch:
    """The hooks of one part, of which each call runs the next group."""

    def __init__(self, groups: list[list[Hook]]) -> None:
        self._groups = itertools.cycle(groups)
        self._inputs: list[tuple[Any, ...]] = []  # of the calls under way: a part may run inside itself

    def before(self, _part: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Keep the inputs, and a copy apart: the part or whoever calls it may go on to change them."""
        import torch

        copies: dict[int, torch.Tensor] = {}  # one for each tensor, since attention asks whether queries and keys are the same
        copied = _copied(inputs, copies)
        if not torch.is_grad_enabled():
            self._inputs.append(copied)
            return inputs, named
        self._inputs.append(inputs)  # a gradient needs the tensors that were handed over
        return copied, {name: _copied(value, copies) for name, value in named.items()}

    def after(self, _part: nn.Module, _inputs: tuple[Any, ...], output: Any) -> Any:
        """Run the hooks and hand on a copy of the output."""
        inputs = self._inputs.pop()
        for hook in next(self._groups):
            hook(inputs, output)
        return _copied(output, {})


def _copied(value: Any, copies: dict[int, torch.Tensor]) -> Any:
    """The value with a copy of every tensor, also inside plain tuples and lists; ``copies`` by the tensors' identity."""
    import torch

    if isinstance(value, torch.Tensor):
        if id(value) not in copies:
            copies[id(value)] = value.clone()
        return copies[id(value)]
    return type(value)(_copied(item, copies) for item in value) if type(value) in (tuple, list) else value


def _training(part: nn.Module) -> bool:
    """Whether a part is in training mode; a frozen TorchScript module has no modes."""
    return bool(getattr(part, "training", False))
