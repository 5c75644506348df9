"""Whether a module runs what its library's class runs: a subclass, or a method set on the instance, may say otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_READ = ("timm.", "transformers.", "torchvision.", "vizlib.")  # whose networks the adapters were checked against
_KNOWN = (*_READ, "torch.")
_WHOLE = ("forward", "forward_features", "forward_head", "_pos_embed", "pool")


def foreign_method(module: nn.Module) -> str | None:
    """The first method on the way from pixels to logits that is not the library's own, by name; None where there is none.

    Of the whole network every step counts, of its parts ``forward``. Attention is left out: what it runs is read while it runs.
    """
    for method in _WHOLE:
        owner = _owner(module, method)
        if owner is not None:
            return owner
    for path, part in module.named_modules():
        kinds = type(part).__mro__
        if not path or not any(kind.__module__.startswith(_READ) for kind in kinds) or any("Attention" in kind.__name__ for kind in kinds):
            continue
        owner = _owner(part, "forward")
        if owner is not None:
            return f"{owner} of {path}"
    return None


def _owner(module: nn.Module, method: str) -> str | None:
    if method in vars(module):
        return f"{type(module).__name__}.{method}, set on the instance,"
    owner = next((kind for kind in type(module).__mro__ if method in vars(kind)), None)
    return None if owner is None or owner.__module__.startswith(_KNOWN) else f"{owner.__name__}.{method}"
