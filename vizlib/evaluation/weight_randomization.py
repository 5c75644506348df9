"""The same architecture with some of its weights drawn anew, the model itself untouched."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from vizlib.tracing.shared_copy import copied_with, hooked_copy
from vizlib.zoo.weights import random_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vizlib.zoo.model import Model

SEED = 1  # not that of models loaded with random weights, which would get their own weights again
_BLOCK = re.compile(r"(.*?\d+(?:\.(?:blocks\.|layers\.)?\d+)?)(?:\.|$)")


def randomized(model: Model, owners: Iterable[str], seed: int = SEED) -> Model:
    """A model whose modules of these paths have new weights, each from its name and ``seed``; all others share the model's own.

    What a norm measured in training is drawn with its weights: as in a new network it is near mean 0 and variance 1, since statistics
    of weights that are gone would blow up or silence what passes. Weights that several modules share stay shared. ModelError when the
    module cannot be copied.
    """
    tensors = [*model.module.parameters(), *model.module.buffers()]
    module, adapter = copied_with((model.module, model.adapter), model.module, {id(tensor): tensor for tensor in tensors})
    parts, saved, new = dict(module.named_modules()), set(module.state_dict()), {}
    for path in owners:
        part = parts[path]
        for kind in (part._parameters, part._buffers):  # the copy's own tables: the shared tensors stay
            for name, tensor in kind.items():
                full = f"{path}.{name}" if path else name
                if tensor is None or full not in saved or not tensor.is_floating_point():
                    continue
                if id(tensor) not in new:
                    new[id(tensor)] = _random_tensor(full, tensor, seed)
                kind[name] = new[id(tensor)]
    return replace(model, module=module.eval(), adapter=adapter, recipe=None)


def weighted_modules_top_down(model: Model, x: torch.Tensor) -> list[str]:
    """The paths of all modules that hold weights of their own, in the falling order in which a pass over x (1, 3, h, w) meets them.

    One that the pass does not call, since its parent reads its weights, stands with the nearest parent that it does call; what the whole
    model owns, such as position embeddings, comes last.
    """
    holders = [path for path, part in model.module.named_modules() if any(True for _ in part.parameters(recurse=False))]
    order: dict[str, int] = {}

    def met(path: str) -> None:
        order.setdefault(path, len(order))

    with hooked_copy(model.module, []) as copied, torch.no_grad():
        for path, part in copied.named_modules():
            part.register_forward_pre_hook(lambda part, inputs, path=path: met(path))  # noqa: ARG005  torch's signature
        model.run(copied.eval(), x)
    return sorted(holders, key=lambda path: _order_met(path, order), reverse=True)


def head_of(model: Model, falling: list[str]) -> list[str]:
    """The last module with weights, and those right before it that answer in classes too, as the second head of a distilled DeiT does."""
    parts, classes = dict(model.module.named_modules()), model.adapter.classes

    def answers(path: str) -> bool:
        return any(weight.ndim > 1 and weight.shape[0] == classes for weight in parts[path].parameters(recurse=False))

    count = 1
    while answers(falling[0]) and count < len(falling) and answers(falling[count]):
        count += 1
    return falling[:count]


def blocks(falling: list[str]) -> list[tuple[str, list[str]]]:
    """Modules that stand together, by the name of their block, in the same order.

    Where a part has layers of its own beside them ("classifier" of a CCT, "stage2" of a CvT) they have the name of the lowest of them, and
    what such a part itself owns is an "embedding".
    """
    groups: list[tuple[str, list[str]]] = []
    for path in falling:
        match = _BLOCK.match(path)
        name = match[1] if match else path.split(".")[0] or "embedding"
        if groups and groups[-1][0] == name:
            groups[-1][1].append(path)
        else:
            groups.append((name, [path]))
    return [(_lowest_of(name, paths, falling), paths) for name, paths in groups]


def blocks_below(falling: list[str], head: list[str]) -> list[tuple[str, list[str]]]:
    """The blocks below the head, none of them called "head": what else such a part has goes by its lowest module's own name."""
    return [(paths[-1] if name == "head" else name, paths) for name, paths in blocks(falling[len(head) :])]


def _lowest_of(name: str, paths: list[str], falling: list[str]) -> str:
    """The name of a group, or where others lie in the part of that name too, which it would be taken for, its lowest module's own."""
    if not any(path.startswith(f"{name}.") for path in falling if path not in paths):
        return name
    return next((path for path in reversed(paths) if not any(other.startswith(f"{path}.") for other in falling)), "embedding")


def _order_met(path: str, order: dict[str, int]) -> int:
    while path not in order:
        path = path.rpartition(".")[0]
    return order[path]


def _random_tensor(name: str, tensor: torch.Tensor, seed: int) -> torch.Tensor:
    values = torch.from_numpy(random_values(name, tuple(tensor.shape), seed)).to(tensor.device, tensor.dtype)
    return nn.Parameter(values, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else values
