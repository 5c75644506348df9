"""How a name becomes a module and its weights: one plan for each place that names come from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import CheckpointError, ModelError, nearest
from vizlib.geometry import Transform
from vizlib.zoo import bundled
from vizlib.zoo.cards import ASSETS, ModelCard, all_cards
from vizlib.zoo.official import PVT_V2, RELEASES, Release
from vizlib.zoo.weights import match_state, read_checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from torch import nn

State = dict[str, torch.Tensor]


class Plan:
    """How a name becomes a module; one subclass for each place that names come from."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.card: ModelCard | None = all_cards().get(name)

    def read(self, checkpoint: str | os.PathLike[str] | None, progress: Callable[..., None] | None) -> State:
        raise NotImplementedError

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        raise NotImplementedError

    def classes_of(self, state: State) -> int:
        raise NotImplementedError

    def transform(self, module: nn.Module) -> Transform:
        raise NotImplementedError

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        raise NotImplementedError

    def converted(self, module: nn.Module, state: State) -> State:  # noqa: ARG002
        """The state in the module's own layout, where it came in another that belongs to the same architecture."""
        return state


class _Bundled(Plan):
    def read(self, checkpoint: str | os.PathLike[str] | None, progress: Callable[..., None] | None) -> State:  # noqa: ARG002
        path = ASSETS / "weights" / f"{self.name}.safetensors" if checkpoint is None else Path(checkpoint)
        return read_checkpoint(path)

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        return bundled.build(self.name, 50 if classes is None else classes, size or bundled.SIZE)

    def classes_of(self, state: State) -> int:
        return _head_width(state, ("head.weight", "fc.weight", "classifier.fc.weight"), self.name)

    def transform(self, module: nn.Module) -> Transform:  # noqa: ARG002
        return bundled.TRANSFORM

    def converted(self, module: nn.Module, state: State) -> State:
        return _by_timm(module, state, self.name)

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        known = self.card.labels if self.card and isinstance(self.card.labels, tuple) else None
        return known if known and len(known) == classes and not custom else None


class _Timm(Plan):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        import timm

        self.config = timm.get_pretrained_cfg(name, allow_unregistered=False)

    def read(self, checkpoint: str | os.PathLike[str] | None, progress: Callable[..., None] | None) -> State:
        if checkpoint is not None:
            return _from_timms_relatives(read_checkpoint(checkpoint))
        from vizlib.zoo.download import download, hub_weights

        config = self.config
        if config is not None and config.hf_hub_id:
            repo, _, revision = config.hf_hub_id.partition("@")
            return read_checkpoint(hub_weights(repo, config.hf_hub_filename or "model.safetensors", revision or None, progress=progress))
        if config is not None and isinstance(config.url, str) and config.url:
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

    def classes_of(self, state: State) -> int:
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

    def converted(self, module: nn.Module, state: State) -> State:
        if self.name in PVT_V2:
            from vizlib.zoo.networks.pvt_v2 import from_official

            return from_official(state)
        return _by_timm(module, state, self.name)


class _Official(Plan):
    def __init__(self, name: str, release: Release) -> None:
        super().__init__(name)
        self.release = release

    def read(self, checkpoint: str | os.PathLike[str] | None, progress: Callable[..., None] | None) -> State:
        from vizlib.zoo.download import download, hub_weights

        release = self.release
        if checkpoint is not None:
            state = read_checkpoint(checkpoint)
        elif release.hub:
            state = read_checkpoint(hub_weights(release.url, "pytorch_model.bin", progress=progress))
        elif release.url:
            state = read_checkpoint(download(release.url, progress=progress))
        else:
            raise ModelError(f"Nobody released weights of {self.name}; pass checkpoint= with a file of yours, or checkpoint='random'.")
        return self._network().to_official(state) if release.family in ("pvt", "cvt") else state

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        classes = self.release.classes if classes is None else classes
        return self._network().build(self.release.architecture, num_classes=classes, image_size=size)

    def classes_of(self, state: State) -> int:
        return _head_width(state, ("head.weight", "classifier.fc.weight"), self.name)

    def transform(self, module: nn.Module) -> Transform:  # noqa: ARG002
        return self.release.transform

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        if custom or classes != self.release.classes:
            return None
        labels = self.release.labels
        return labels if isinstance(labels, tuple) else named_labels(labels, classes)

    def converted(self, module: nn.Module, state: State) -> State:  # noqa: ARG002
        """The same checkpoint under the variant that it does fit is the likeliest mistake: the error names it."""
        shapes = {key: tuple(value.shape) for key, value in state.items() if not key.startswith(("head.", "classifier.fc."))}
        fitting = [name for name in self._network().VARIANTS if name != self.release.architecture and self._fits(name, shapes)]
        if fitting:
            raise CheckpointError(f"The weights do not fit {self.name}; they are those of {' or '.join(fitting)}.")
        return state

    def _fits(self, variant: str, shapes: dict[str, tuple[int, ...]]) -> bool:
        with torch.device("meta"):
            expected = self._network().build(variant).state_dict()
        own = {key: tuple(value.shape) for key, value in expected.items() if not key.startswith(("head.", "classifier.fc."))}
        return own == shapes

    def _network(self) -> Any:
        import importlib

        return importlib.import_module(f"vizlib.zoo.networks.{self.release.family}")


def plan_for(name: str) -> Plan:
    """The plan of a name; ModelError with the nearest names for one that nobody knows."""
    if name in bundled.NAMES:
        return _Bundled(name)
    if name in RELEASES:
        return _Official(name, RELEASES[name])
    import timm

    if not timm.is_model(name):
        known = [*all_cards(), *timm.list_models()]
        raise ModelError(f"There is no model {name!r}; `vizlib models` lists the known ones and any timm name works.{nearest(name, known)}")
    return _Timm(name)


def imagenet_labels(config: Any, classes: int) -> tuple[str, ...] | None:
    """The class names that go with a timm configuration, where timm has them for that many classes."""
    from timm.data import infer_imagenet_subset

    return named_labels(infer_imagenet_subset(config) if config is not None else None, classes)


def _by_timm(module: nn.Module, state: State, name: str) -> State:
    """The state as timm's own conversion for this architecture gives it; it also resizes position tables to another input."""
    conversion = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    if conversion is None:
        return state
    try:
        done = conversion(dict(state), module)
    except (KeyError, RuntimeError, IndexError, AttributeError, ValueError, AssertionError, TypeError):
        # The conversion expects a relative of this architecture: the comparison says what is wrong better than its traceback.
        match_state(module.state_dict(), state, name)
        raise
    return done if isinstance(done, dict) else state


def _from_timms_relatives(state: State) -> State:
    from vizlib.zoo.networks.vit import from_transformers, is_transformers

    return from_transformers(state) if is_transformers(state) else state


def named_labels(subset: str | None, classes: int) -> tuple[str, ...] | None:
    """The class names of one of ImageNet's subsets, where it has that many classes."""
    from timm.data import ImageNetInfo

    if subset is None:
        return None
    info = ImageNetInfo(subset)
    return tuple(info.index_to_description(index) for index in range(classes)) if info.num_classes() == classes else None


def fit_state(plan: Plan, module: nn.Module, state: State) -> State:
    """The state in the layout of ``module``: as it is where names and shapes agree, else converted if the plan knows how."""
    expected: dict[str, Any] = module.state_dict()
    if {key: value.shape for key, value in expected.items()} == {key: value.shape for key, value in state.items()}:
        return state
    return plan.converted(module, state)


def _head_width(state: dict[str, torch.Tensor], names: tuple[str, ...], model: str, absent: int | None = None) -> int:
    for name in names:
        if name in state:
            return int(state[name].shape[0])
    if absent is not None:
        return absent
    raise CheckpointError(
        f"The checkpoint has no head ({', '.join(names)}), so it is not one of {model}; name the model it was trained as."
    )
