"""The network's weights inside what training scripts save: under which key they lie, and which prefix their names carry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import torch

from vizlib.errors import CheckpointError
from vizlib.zoo.inert_objects import check_name, pickled_module

if TYPE_CHECKING:
    from torch import Tensor

# Averaged weights come first, as they are the ones that were evaluated; a self-distilled teacher is an average too.
WRAPPERS: Final = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "teacher",
    "student",
    "module",
    "weights",
)
# Of wrapping modules: DataParallel, compile, Lightning modules, transformers' TimmWrapper, self-distillation.
PREFIXES: Final = (
    "module.",
    "_orig_mod.",
    "ema_model.",
    "model_ema.",
    "ema.",
    "teacher.",
    "model.",
    "net.",
    "network.",
    "timm_model.",
    "student.",
    "backbone.",
    "encoder.",
)
_DEEPEST: Final = 4
_MOST_PREFIXES: Final = 8  # before one name
_ANY_PREFIXES: Final = re.compile(f"(?:{'|'.join(map(re.escape, PREFIXES))})++")
_COUNTERS: Final = ("n_averaged", "num_updates")  # beside the averaged weights
# What a training module holds beside its network: losses and measures.
_SPARE: Final = ("criterion", "loss", "metric", "train_", "val_", "valid_", "test_", "accuracy", "acc.", "mixup", "augment")
_PROJECTION: Final = ("head.mlp.", "head.last_layer.")  # of DINO and iBOT: what the teacher and student compare, not a classifier
_LORA: Final = (".lora_A.", ".lora_B.")


def network_state(loaded: object, name: str) -> dict[str, Tensor]:
    """The tensors of the network by name, of anything that a weights file holds; CheckpointError with what is in there instead."""
    tensors = _unwrapped(loaded, _DEEPEST, name, set())
    if tensors is None:
        raise CheckpointError(f"{name} holds no tensors by name{_contents(loaded)}: save the model's state_dict() and give that file.")
    wrapped = tensors is not loaded
    state: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if isinstance(value, torch.Tensor) and isinstance(key, str):
            check_name(key, name)
            state[key] = value.detach()
        elif not wrapped:
            shown = repr(key if isinstance(key, str | int) else type(key))[:80]
            raise CheckpointError(f"{name} holds {type(value).__name__} under {shown} among its weights: save a plain state_dict().")
    if any(part in key for key in state for part in _LORA):
        raise CheckpointError(
            f"{name} holds LoRA adapters beside or without the weights they change: merge_and_unload() them and save that."
        )
    return _without_prefix(state)


def with_own_head(state: Mapping[str, Tensor], head: str) -> dict[str, Tensor] | None:
    """A backbone under one name and a linear layer under another as one network, whose layer is called ``head``; None for all else."""
    kept = {key: value for key, value in state.items() if not key.startswith(_SPARE)}
    names = {key.partition(".")[0] for key in kept}
    if len(names) != 2:
        return None
    linear = [name for name in names if _is_linear({key: value for key, value in kept.items() if key.split(".")[0] == name})]
    if len(linear) != 1:
        return None
    own = {f"{head}.{key.rpartition('.')[2]}": value for key, value in kept.items() if key.split(".")[0] == linear[0]}
    (outer,) = names - set(linear)
    backbone = {key.removeprefix(f"{outer}."): value for key, value in kept.items() if key.split(".")[0] == outer}
    backbone = _without_prefix(backbone)
    return None if any(key.startswith(f"{head}.") for key in backbone) else backbone | own


def _is_linear(state: Mapping[str, Tensor]) -> bool:
    """One matrix, and no more than its offsets beside it."""
    kinds = sorted((key.rpartition(".")[0], key.rpartition(".")[2], value.ndim) for key, value in state.items())
    return [kind[1:] for kind in kinds] in ([("bias", 1), ("weight", 2)], [("weight", 2)]) and len({kind[0] for kind in kinds}) == 1


def describe(state: Mapping[str, Tensor], most: int = 4) -> str:
    """How many tensors a state holds, and under which first names most of them lie."""
    groups: dict[str, int] = {}
    for key in state:
        group = key.partition(".")[0].partition("/")[0][:40]
        groups[group] = groups.get(group, 0) + 1
    largest = sorted(groups, key=lambda group: -groups[group])
    listed = ", ".join(f"{groups[group]} in {group}" for group in largest[:most]) + (", ..." if len(largest) > most else "")
    return f"{len(state)} tensors ({listed})" if state else "no tensors"


def _unwrapped(loaded: object, depth: int, name: str, seen: set[tuple[int, int]]) -> Mapping[Any, Any] | None:
    """The innermost mapping that holds tensors by name; a pickle may hold a dictionary that contains itself, in any number of ways."""
    if (id(loaded), depth) in seen:
        return None
    seen.add((id(loaded), depth))
    module = pickled_module(loaded, name)
    if module is not None:
        return module
    if not isinstance(loaded, Mapping) or depth == 0:
        return None
    for key in WRAPPERS:
        inner = _unwrapped(loaded.get(key), depth - 1, name, seen)
        if inner is not None:
            return inner
    return loaded if any(isinstance(value, torch.Tensor) for value in loaded.values()) else None


def _contents(loaded: object) -> str:
    if not isinstance(loaded, Mapping):
        return f", but a {type(loaded).__name__}"
    keys = [str(key)[:40] for key in loaded]
    return f", but {', '.join(keys[:6])}{', ...' if len(keys) > 6 else ''}" if keys else ", and nothing else either"


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state without the names of the modules around the network, as long as nothing else of a network is left beside it."""
    bare = {key: _bare(key) for key in state}
    for _ in range(_MOST_PREFIXES):
        present = {key[: key.find(".") + 1] for key in state}
        prefix = next((prefix for prefix in PREFIXES if prefix in present and _strips(state, bare, prefix)), None)
        if prefix is None:
            break
        bare = {key.removeprefix(prefix): rest for key, rest in bare.items() if key.startswith(prefix)}
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return state


def _strips(state: dict[str, Tensor], bare: dict[str, str], prefix: str) -> bool:
    """Whether a prefix is that of the whole network: all else is a copy of it, a counter, a loss or a measure."""
    if prefix in state:
        return False
    inside = {bare[key] for key in state if key.startswith(prefix)}
    for key in state:
        if key in _COUNTERS or key.startswith((prefix, *_SPARE)):
            continue
        if prefix == "backbone." and key.startswith(_PROJECTION):
            continue
        if bare[key] == key or bare[key] not in inside:
            return False
    return True


def _bare(key: str) -> str:
    prefixes = _ANY_PREFIXES.match(key)
    return key[prefixes.end() :] if prefixes else key
