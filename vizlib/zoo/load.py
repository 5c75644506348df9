"""From a name and a checkpoint to a model that is ready to be asked."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parameter import is_lazy

from vizlib.catalog.family import NO_HEAD
from vizlib.errors import CheckpointError, DeviceError, ModelError
from vizlib.geometry import Transform
from vizlib.zoo.activation import certain_activation, check_activation
from vizlib.zoo.adapters import Adapter, PlainViT, adapter_for
from vizlib.zoo.adapters.part import PartAdapter, sees_the_input
from vizlib.zoo.cards import ModelCard
from vizlib.zoo.conversions.state_layouts import LAYOUTS, other_layout
from vizlib.zoo.conversions.trained_size import trained_size
from vizlib.zoo.folders.checkpoint_folders import FolderPlan, folder_plan
from vizlib.zoo.loading_plans import LoadingPlan, fit_state, others_that_fit, plan_for, rejoined
from vizlib.zoo.model import Model, check_labels
from vizlib.zoo.reading import declared_size, reader_of
from vizlib.zoo.unwrapping import uncompiled, unwrapped
from vizlib.zoo.vision_language import without_text
from vizlib.zoo.weights import fill_random, fingerprint, load_strict

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from vizlib.zoo.heads import OutputChoice

LARGEST = 65_536  # pixels of a side
MOST_CLASSES = 10_000_000  # a head of more fits into no memory
_building = threading.Lock()  # initialisation draws from the global generator, which is put back afterwards


def load(
    name: str,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str = "auto",
    dtype: torch.dtype | str | None = None,
    num_classes: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    labels: Sequence[str] | None = None,
    activation: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Model:
    """A model by the name of a card or any timm name, with its own weights, those of a file, or ``checkpoint="random"``.

    A folder with config.json and safetensors of transformers or timm is read too, and "hf:owner/name" on the hub; no code of theirs is run.
    ``num_classes`` follows the checkpoint's head unless given, ``image_size``, an int or (h, w), its tables of places; weights run in
    float32 unless ``dtype`` says otherwise; ``activation``, "softmax" or "sigmoid", makes probabilities of the logits; ``progress`` hears
    (bytes there, bytes in all) of a download. ModelError for an unknown name or size, CheckpointError for a file that does not fit,
    DownloadError for one that cannot be fetched, DeviceError for the device.
    """
    if not isinstance(name, str):
        raise ModelError(f"vizlib.load takes a model's name, not a {type(name).__name__}; vizlib.wrap takes modules.")
    if checkpoint is not None and not isinstance(checkpoint, str | os.PathLike):
        raise CheckpointError(f"A checkpoint is the path of a weights file, or 'random', not a {type(checkpoint).__name__}.")
    where, chosen_activation = pick_device(device), check_activation(activation)
    num_classes = None if num_classes is None else _class_count(num_classes)
    size = _size(image_size)
    plan = folder_plan(name, progress) or plan_for(name)
    state = None if checkpoint == "random" else plan.read(checkpoint, progress)
    module, size = _loaded(plan, state, checkpoint, num_classes, size or plan.size)
    adapter = adapter_for(module)
    transform = plan.transform(module)
    if size is not None:
        transform = replace(transform, size=size)
    adapter.expect(transform.size)
    given_names = check_labels(labels, adapter.classes, name)
    names = given_names or plan.labels(adapter.classes, custom=checkpoint not in (None, "random"))
    card = _card(plan, module, adapter, names, transform, random=checkpoint == "random", custom=checkpoint is not None)
    own_activation = card.activation if checkpoint in (None, "random") and adapter.classes > 1 else None
    model = Model(
        _place(module, where, precision(dtype), name),
        card,
        adapter,
        transform,
        names,
        _recipe(plan, checkpoint, num_classes, size, given_names, dtype, activation),
        known_activation=chosen_activation or own_activation,
    )
    model = replace(model, card=replace(card, activation=model.activation))
    adapter.check_size(transform.size)
    return model


def load_recipe(recipe: dict[str, Any]) -> Model:
    """The model that a ``Model.recipe`` is of; whether its weights changed since is not asked."""
    return load(
        recipe["name"],
        checkpoint=recipe["checkpoint"],
        num_classes=recipe["num_classes"],
        image_size=tuple(recipe["image_size"]) if recipe["image_size"] else None,
        labels=recipe["labels"],
        dtype=recipe["dtype"],
        activation=recipe.get("activation"),  # recipes of earlier versions have none
    )


def _loaded(
    plan: LoadingPlan,
    state: dict[str, torch.Tensor] | None,
    checkpoint: str | os.PathLike[str] | None,
    classes: int | None,
    size: tuple[int, int] | None,
) -> tuple[nn.Module, tuple[int, int] | None]:
    """The module with its weights, and the input size that it was built for where that is not the architecture's own.

    CheckpointError, with the name of the model they are of, where the weights are another's.
    """
    try:
        return _filled(plan, state, classes, size), size
    except CheckpointError as error:
        if state is None:
            raise
        if size is None:
            with _building, torch.random.fork_rng(devices=[]):
                trained = trained_size(plan, state, classes)
            if trained is not None:
                return _filled(plan, state, classes, trained), trained
        if checkpoint is None:
            raise
        with _building, torch.random.fork_rng(devices=[]):
            joined = rejoined(plan, state)
        if joined is not None:
            return _filled(plan, joined, classes, size), size
        with _building, torch.random.fork_rng(devices=[]):
            others = others_that_fit(plan, checkpoint)
        library = other_layout(state)
        if library is not None and not others:
            raise CheckpointError(
                f"The weights are laid out as {library} names them, which {plan.name} does not: {LAYOUTS[library]}."
            ) from error
        if not others:
            raise
        # The same file under another name is the likeliest mistake.
        raise CheckpointError(
            f"The weights do not fit {plan.name}; they are those of {' or '.join(others)}: load them by that name."
        ) from error


def _filled(plan: LoadingPlan, state: dict[str, torch.Tensor] | None, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
    if classes is None and state is not None:
        classes = plan.classes_of(state)
    with _building, torch.random.fork_rng(devices=[]):
        module = plan.build(classes, size)
    module.eval().requires_grad_(requires_grad=False)
    if state is None:
        fill_random(module)
    else:
        load_strict(module, fit_state(plan, module, state), plan.name)
    return module


def wrap(
    module: nn.Module,
    *,
    adapter: str | Adapter | PlainViT | None = None,
    part: str | None = None,
    transform: Transform | dict[str, Any] | None = None,
    labels: Sequence[str] | None = None,
    input_size: int | tuple[int, int] | None = None,
    num_classes: int | None = None,
    outputs: OutputChoice | None = None,
    activation: str | None = None,
) -> Model:
    """A live module, read in place: its weights, hooks and mode stay as they are. Wrappers that only pass inputs on are looked through.

    ``part`` names the module inside that is read where it is not certain, as "backbone"; the whole module still runs and answers, but
    of one that takes text the part alone, as "vision_model".
    ``adapter`` is a family's name, a PlainViT that says where the parts of your own lie, or an Adapter of your own. ``transform`` is a
    Transform or timm's data configuration; without one it is the module's own where it says so, else ImageNet's mean and deviation at
    ``input_size`` or the size that it was built for, else None, and then only prepared tensors work; colours from 0 to 1 where the
    module prepares them itself for its part. ``outputs`` says which of several outputs are the logits: a key, an index, an attribute's
    name, or a function of the output that gives (B, K); ``.logits`` unless given. ``num_classes`` is the width of the head's last layer
    unless given; ``activation`` makes probabilities of the logits: "softmax", "sigmoid", or "identity" where they are some already.
    ModelError for an adapter that does not fit.
    """
    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"vizlib.wrap takes a torch module, not a {type(module).__name__}; vizlib.load takes names.")
    module, part = without_text(uncompiled(unwrapped(module)), part)
    if any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        raise ModelError(f"{type(module).__name__} has lazy layers without weights yet: run it once on an input, and wrap it then.")
    reader = reader_of(module, adapter, part, _size(input_size), outputs)
    if num_classes is not None:
        reader.told_classes = _class_count(num_classes)
        if num_classes:
            reader.refusals.pop("head", None)
        else:
            reader.refusals["head"] = NO_HEAD
    chosen = _live_transform(module, reader, transform, _size(input_size))
    chosen_activation = check_activation(activation) or certain_activation(module)
    name = type(module).__name__
    names = check_labels(reader.labels() if labels is None else labels, reader.classes, name)
    card = ModelCard(
        name=name,
        family=reader.family,
        source="live",
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        input_size=chosen.size if chosen else (0, 0),
        labels=names,
        accuracy=None,
        licence="your own",
        paper="",
        title=name,
        refusals=dict(reader.refusals),
    )
    model = Model(module, card, reader, chosen, names, outputs=outputs, known_activation=chosen_activation)
    return replace(model, card=replace(card, activation=model.activation))


def _class_count(classes: int) -> int:
    if isinstance(classes, bool) or not isinstance(classes, int) or not 0 <= classes <= MOST_CLASSES:
        raise ModelError(f"num_classes is a whole number from 0 to {MOST_CLASSES:,}, not {str(classes)[:40]!r}.")
    return classes


def _live_transform(
    module: nn.Module, reader: Adapter, transform: Transform | dict[str, Any] | None, size: tuple[int, int] | None
) -> Transform | None:
    if isinstance(transform, dict):
        transform = Transform.from_timm(transform)
    if transform is not None and not isinstance(transform, Transform):
        raise ModelError(f"transform is a vizlib.Transform or timm's data configuration, not a {type(transform).__name__}.")
    inside = reader if isinstance(reader, PartAdapter) else getattr(reader, "in_place_of", None)
    if transform is None and inside is not None:
        return _transform_of_part(inside, size)
    if transform is None and _declares_its_data(module):
        transform = _declared_transform(module)
        size = size or declared_size(module)  # what it was built for, where that is not what its weights were trained at
    if transform is None:
        size = size or declared_size(module) or reader.input_size()
        return None if size is None else Transform(size=size)
    return transform if size is None else replace(transform, size=size)


def _declares_its_data(module: nn.Module) -> bool:
    declared = getattr(module, "pretrained_cfg", None)
    return isinstance(declared, dict) and bool(declared)


def _declared_transform(module: nn.Module) -> Transform:
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(module)
    if config["input_size"][0] != 3:  # pictures are prepared in colour, and then brought to the channels
        same = {key: (sum(config[key]) / len(config[key]),) * 3 for key in ("mean", "std")}
        config = config | same | {"input_size": (3, *config["input_size"][1:])}
    return Transform.from_timm(config)


def _transform_of_part(reader: PartAdapter, size: tuple[int, int] | None) -> Transform | None:
    """That of the part where it is given the input as it is; else the outer module prepares colours itself, and takes 0 to 1."""
    size = size or declared_size(reader.module) or reader.inner.input_size()
    if size is None:
        return None
    if sees_the_input(reader.outer, reader.path, size):
        own = _declared_transform(reader.module) if _declares_its_data(reader.module) else Transform(size=size)
        return replace(own, size=size)
    return Transform(size=size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def _card(
    plan: LoadingPlan,
    module: nn.Module,
    adapter: Adapter,
    labels: tuple[str, ...] | None,
    transform: Transform,
    *,
    random: bool,
    custom: bool,
) -> ModelCard:
    parameters = sum(parameter.numel() for parameter in module.parameters())
    card = plan.card
    facts: dict[str, Any] = {
        "family": adapter.family,
        "parameters": parameters,
        "input_size": transform.size,
        "labels": labels,
        "refusals": dict(adapter.refusals),
        "weights_from": plan.weights_from,
    }
    if random:
        facts["title"] = f"{card.title if card else plan.name} (random weights)"
    if card is None:
        licence = str(getattr(getattr(plan, "config", None), "license", None) or "see the weights' own page")
        source = "folder" if isinstance(plan, FolderPlan) else "timm"
        base = ModelCard(plan.name, adapter.family, source, parameters, transform.size, labels, None, licence, "", plan.name)
    else:
        base = card if not custom else replace(card, accuracy=None, training=None)
    return replace(base, **facts)


def _recipe(
    plan: LoadingPlan,
    checkpoint: str | os.PathLike[str] | None,
    num_classes: int | None,
    size: tuple[int, int] | None,
    labels: Sequence[str] | None,
    dtype: torch.dtype | str | None,
    activation: str | None,
) -> dict[str, Any]:
    if checkpoint is None:
        path, files = None, plan.weights_files() if isinstance(plan, FolderPlan) else []
    elif checkpoint == "random":
        path, files = "random", []
    else:
        path = str(Path(checkpoint).resolve())
        files = [Path(path)]
    return {
        "name": plan.home if isinstance(plan, FolderPlan) else plan.name,
        "checkpoint": path,
        "sha256": fingerprint(*files) if files else None,
        "num_classes": num_classes,
        "image_size": list(size) if size else None,
        "labels": None if labels is None else list(labels),
        "dtype": None if dtype is None else str(dtype).removeprefix("torch."),
        "activation": activation,
    }


def _size(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    size = size.tolist() if hasattr(size, "tolist") else size
    sides = list(size) if isinstance(size, Sequence) and not isinstance(size, str) else [size, size]
    if len(sides) != 2 or not all(hasattr(side, "__index__") and not isinstance(side, bool) and 1 <= side <= LARGEST for side in sides):
        raise ModelError(f"An image size is a positive number of pixels up to {LARGEST:,} or (height, width), not {str(size)[:40]!r}.")
    return int(sides[0]), int(sides[1])


def precision(dtype: torch.dtype | str | None) -> torch.dtype:
    """The precision that a name means, float32 for None; ModelError for one that no model runs in."""
    named = dtype if isinstance(dtype, str) else "float32" if dtype is None else ""
    torch_dtype = dtype if isinstance(dtype, torch.dtype) else getattr(torch, named, None)
    if not isinstance(torch_dtype, torch.dtype) or not torch_dtype.is_floating_point:
        raise ModelError(f"{dtype!r} is not a precision that a model runs in; take float32, bfloat16, float16 or float64.")
    return torch_dtype


def pick_device(device: str) -> torch.device:
    """The device that a name means: "auto" is CUDA where there is one, else the CPU. DeviceError for one that is not there."""
    if not isinstance(device, str | torch.device):
        raise DeviceError(f"A device is a name such as auto, cpu or cuda, not a {type(device).__name__}.")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f"{device!r} is not a device; take auto, cpu or cuda.") from error
    if where.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError("This machine has no CUDA device that torch can use; load with device='cpu'.")
    if where.type == "cuda" and where.index is not None and where.index >= torch.cuda.device_count():
        raise DeviceError(f"This machine has {torch.cuda.device_count()} CUDA devices, counted from cuda:0, so there is no {where}.")
    return where


def _place(module: nn.Module, device: torch.device, dtype: torch.dtype, name: str) -> nn.Module:
    try:
        return module.to(device=device, dtype=dtype)
    except torch.OutOfMemoryError as error:
        module.to("cpu")
        torch.cuda.empty_cache()
        raise DeviceError(f"{name} does not fit into the memory of {device}; load it with device='cpu'.") from error
