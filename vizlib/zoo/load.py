"""From a name and a checkpoint to a model that is ready to be asked."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import CheckpointError, DeviceError, ModelError, nearest
from vizlib.geometry import Transform
from vizlib.zoo import bundled
from vizlib.zoo.adapters import Adapter, adapter_for
from vizlib.zoo.cards import ASSETS, ModelCard, all_cards
from vizlib.zoo.model import Model, check_labels
from vizlib.zoo.weights import fill_random, load_strict, match_state, read_checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from torch import nn

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
    progress: Callable[[int, int | None], None] | None = None,
) -> Model:
    """A model by the name of a card or any timm name, with its own weights, those of a file, or ``checkpoint="random"``.

    ``num_classes`` follows the checkpoint's head unless given; ``image_size`` is an int or (h, w); weights run in float32 unless
    ``dtype`` says otherwise; ``progress`` hears (bytes there, bytes in all) of a download. ModelError for an unknown name or size,
    CheckpointError for a file that does not fit, DownloadError for one that cannot be fetched, DeviceError for the device.
    """
    where = _device(device)
    size = _size(image_size)
    plan = _plan(name)
    state = None if checkpoint == "random" else plan.read(checkpoint, progress)
    classes = num_classes
    if classes is None and state is not None:
        classes = plan.classes_of(state)
    with _building, torch.random.fork_rng(devices=[]):
        module = plan.build(classes, size)
    module.eval().requires_grad_(requires_grad=False)
    if state is None:
        fill_random(module)
    else:
        _fit_state(module, state, name)
    adapter = adapter_for(module)
    transform = plan.transform(module)
    if size is not None:
        transform = replace(transform, size=size)
    names = check_labels(labels, adapter.classes, name) or plan.labels(adapter.classes, custom=checkpoint not in (None, "random"))
    model = Model(
        _place(module, where, _dtype(dtype), name),
        _card(plan, module, adapter, names, transform, random=checkpoint == "random", custom=checkpoint is not None),
        adapter,
        transform,
        names,
        _recipe(name, checkpoint, num_classes, size, labels, dtype),
    )
    adapter.check_size(transform.size)
    return model


def wrap(
    module: nn.Module,
    *,
    adapter: str | Adapter | None = None,
    transform: Transform | dict[str, Any] | None = None,
    labels: Sequence[str] | None = None,
    input_size: int | tuple[int, int] | None = None,
) -> Model:
    """A live module, read in place: its weights, hooks and mode stay as they are.

    ``transform`` is a Transform or timm's data configuration; without one it is the module's own where it says so, else ImageNet's
    mean and deviation at ``input_size``, else None, and then only prepared tensors work. ModelError for an adapter that does not fit.
    """
    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"vizlib.wrap takes a torch module, not a {type(module).__name__}; vizlib.load takes names.")
    reader = adapter_for(module, adapter)
    chosen = _live_transform(module, transform, _size(input_size))
    name = type(module).__name__
    names = check_labels(labels, reader.classes, name)
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
    return Model(module, card, reader, chosen, names)


class _Plan:
    """How a name becomes a module; one subclass for each place that names come from."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.card: ModelCard | None = all_cards().get(name)

    def read(self, checkpoint: str | os.PathLike[str] | None, progress: Callable[..., None] | None) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        raise NotImplementedError

    def classes_of(self, state: dict[str, torch.Tensor]) -> int:
        raise NotImplementedError

    def transform(self, module: nn.Module) -> Transform:
        raise NotImplementedError

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        raise NotImplementedError


class _Bundled(_Plan):
    def read(self, checkpoint: str | os.PathLike[str] | None, progress: Callable[..., None] | None) -> dict[str, torch.Tensor]:  # noqa: ARG002
        path = ASSETS / "weights" / f"{self.name}.safetensors" if checkpoint is None else Path(checkpoint)
        return read_checkpoint(path)

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        return bundled.build(self.name, 50 if classes is None else classes, size or bundled.SIZE)

    def classes_of(self, state: dict[str, torch.Tensor]) -> int:
        return _head_width(state, ("head.weight", "fc.weight", "classifier.fc.weight"), self.name)

    def transform(self, module: nn.Module) -> Transform:  # noqa: ARG002
        return bundled.TRANSFORM

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        known = self.card.labels if self.card and isinstance(self.card.labels, tuple) else None
        return known if known and len(known) == classes and not custom else None


class _Timm(_Plan):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        import timm

        self.config = timm.get_pretrained_cfg(name, allow_unregistered=False)

    def read(self, checkpoint: str | os.PathLike[str] | None, progress: Callable[..., None] | None) -> dict[str, torch.Tensor]:
        if checkpoint is not None:
            return read_checkpoint(checkpoint)
        from vizlib.zoo.download import download, hub_weights

        config = self.config
        if config is not None and config.hf_hub_id:
            repo, _, revision = config.hf_hub_id.partition("@")
            return read_checkpoint(hub_weights(repo, config.hf_hub_filename or "model.safetensors", revision or None, progress=progress))
        if config is not None and config.url:
            return read_checkpoint(download(config.url, progress=progress))
        raise ModelError(f"{self.name} has no published weights; pass checkpoint= with a file of yours, or checkpoint='random'.")

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        import timm

        options: dict[str, Any] = {} if classes is None else {"num_classes": classes}
        if size is not None and self._sized():
            options["img_size"] = size
        try:
            return timm.create_model(self.name, pretrained=False, **options)
        except (AssertionError, ValueError) as error:
            raise ModelError(f"{self.name} cannot be built{f' for {size[0]} x {size[1]} inputs' if size else ''}: {error}") from error

    def _sized(self) -> bool:
        import inspect

        import timm

        # Convolutional networks take any size and no img_size; timm says which is which only by the constructor's signature.
        with torch.device("meta"):
            kind = type(timm.create_model(self.name, pretrained=False))
        return "img_size" in inspect.signature(kind.__init__).parameters

    def classes_of(self, state: dict[str, torch.Tensor]) -> int:
        head = self.config.classifier if self.config is not None else None
        heads = (head,) if isinstance(head, str) else tuple(head or ())
        found = next((f"{prefix}.weight" for prefix in heads if f"{prefix}.weight" in state), None)
        if found is not None:
            return int(state[found].shape[0])
        return _head_width(state, ("head.weight", "fc.weight", "classifier.weight"), self.name, absent=0)

    def transform(self, module: nn.Module) -> Transform:
        from timm.data import resolve_model_data_config

        return Transform.from_timm(resolve_model_data_config(module))

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        return None if custom else imagenet_labels(self.config, classes)


def _plan(name: str) -> _Plan:
    if name in bundled.NAMES:
        return _Bundled(name)
    import timm

    if not timm.is_model(name):
        known = [*all_cards(), *timm.list_models()]
        raise ModelError(f"There is no model {name!r}; `vizlib models` lists the known ones and any timm name works.{nearest(name, known)}")
    return _Timm(name)


def imagenet_labels(config: Any, classes: int) -> tuple[str, ...] | None:
    """The class names that go with a timm configuration, where timm has them for that many classes."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset(config) if config is not None else None
    if subset is None:
        return None
    info = ImageNetInfo(subset)
    return tuple(info.index_to_description(index) for index in range(classes)) if info.num_classes() == classes else None


def _fit_state(module: nn.Module, state: dict[str, torch.Tensor], name: str) -> None:
    """Load strictly; a layout of other keys first goes through the conversion that timm keeps for this architecture."""
    expected: dict[str, Any] = module.state_dict()
    if {key: value.shape for key, value in expected.items()} != {key: value.shape for key, value in state.items()}:
        state = _converted(module, state)
    load_strict(module, state, name)


def _converted(module: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    import sys

    conversion = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    if conversion is None:
        return state
    try:
        converted = conversion(dict(state), module)
    except (KeyError, RuntimeError, IndexError, AttributeError, ValueError, AssertionError, TypeError):
        # The conversion expects a relative of this architecture: the strict comparison says what is wrong better than its traceback.
        match_state(module.state_dict(), state, type(module).__name__)
        raise
    return converted if isinstance(converted, dict) else state


def _head_width(state: dict[str, torch.Tensor], names: tuple[str, ...], model: str, absent: int | None = None) -> int:
    for name in names:
        if name in state:
            return int(state[name].shape[0])
    if absent is not None:
        return absent
    raise CheckpointError(
        f"The checkpoint has no head ({', '.join(names)}), so it is not one of {model}; name the model it was trained as."
    )


def _live_transform(module: nn.Module, transform: Transform | dict[str, Any] | None, size: tuple[int, int] | None) -> Transform | None:
    if isinstance(transform, dict):
        transform = Transform.from_timm(transform)
    elif transform is None and getattr(module, "pretrained_cfg", None):
        from timm.data import resolve_model_data_config

        transform = Transform.from_timm(resolve_model_data_config(module))
    if transform is None:
        size = size or _declared_size(module)
        return None if size is None else Transform(size=size)
    return transform if size is None else replace(transform, size=size)


def _declared_size(module: nn.Module) -> tuple[int, int] | None:
    declared = getattr(getattr(module, "patch_embed", None), "img_size", None)
    return _size(declared) if declared is not None else None


def _card(
    plan: _Plan,
    module: nn.Module,
    adapter: Adapter,
    labels: tuple[str, ...] | None,
    transform: Transform,
    *,
    random: bool,
    custom: bool,
) -> ModelCard:
    parameters = sum(parameter.numel() for parameter in module.parameters())
    known = plan.card
    facts: dict[str, Any] = {
        "family": adapter.family,
        "parameters": parameters,
        "input_size": transform.size,
        "labels": labels,
        "refusals": dict(adapter.refusals),
    }
    if random:
        facts["title"] = f"{known.title if known else plan.name} (random weights)"
    if known is None:
        licence = str(getattr(getattr(plan, "config", None), "license", None) or "see the weights' own page")
        base = ModelCard(plan.name, adapter.family, "timm", parameters, transform.size, labels, None, licence, "", plan.name)
    else:
        base = known if not custom else replace(known, accuracy=None, training=None)
    return replace(base, **facts)


def _recipe(
    name: str,
    checkpoint: str | os.PathLike[str] | None,
    num_classes: int | None,
    size: tuple[int, int] | None,
    labels: Sequence[str] | None,
    dtype: torch.dtype | str | None,
) -> dict[str, Any]:
    path = checkpoint if checkpoint in (None, "random") else str(Path(checkpoint).resolve())  # type: ignore[arg-type]
    return {
        "name": name,
        "checkpoint": path,
        "num_classes": num_classes,
        "image_size": list(size) if size else None,
        "labels": list(labels) if labels else None,
        "dtype": None if dtype is None else str(dtype).removeprefix("torch."),
    }


def _size(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(int(side) for side in size)
    if len(pair) != 2 or min(pair) < 1:
        raise ModelError(f"An image size is a positive number or (height, width), not {size!r}.")
    return pair  # type: ignore[return-value]


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype:
    found = dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype or "float32", None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"{dtype!r} is not a precision that a model runs in; take float32, bfloat16, float16 or float64.")
    return found


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f"{device!r} is not a device; take auto, cpu or cuda.") from error
    if where.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError("This machine has no CUDA device that torch can use; load with device='cpu'.")
    return where


def _place(module: nn.Module, device: torch.device, dtype: torch.dtype, name: str) -> nn.Module:
    try:
        return module.to(device=device, dtype=dtype)
    except torch.OutOfMemoryError as error:
        module.to("cpu")
        torch.cuda.empty_cache()
        raise DeviceError(f"{name} does not fit into the memory of {device}; load it with device='cpu'.") from error
