"""How a name becomes a module and its weights: one plan for each place that names come from."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import CheckpointError, ModelError, nearest
from vizlib.geometry import Transform
from vizlib.zoo import bundled_models
from vizlib.zoo.cards import ModelCard, all_cards
from vizlib.zoo.conversions.efficientnet_checkpoints import HEAD, from_efficientnet_pytorch, is_efficientnet_pytorch
from vizlib.zoo.conversions.jax_checkpoints import from_jax, is_jax, jax_classes
from vizlib.zoo.official_releases import ON_TIMM, RELEASES, Release
from vizlib.zoo.sources.places import HubFile, WebFile, first_that_works, packaged_places, release_places
from vizlib.zoo.sources.shipped_heads import shipped_head
from vizlib.zoo.training_checkpoints import describe, with_own_head
from vizlib.zoo.weights import SUFFIXES, match_state, read_checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from vizlib.zoo.sources.places import WeightsPlace

State = dict[str, torch.Tensor]
SALIENCY = "vit_small_saliency"
SALIENCY_TRANSFORM = Transform((224, 224), 1.0)
_HEAD_NAMES = ("head", "fc", "classifier", "classifier.fc", "head.fc")
_HEADS = tuple(f"{head}.{part}" for head in ("head", "head_dist", "fc", "classifier") for part in ("weight", "bias"))
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class LoadingPlan:
    """How a name becomes a module; one subclass for each place that names come from."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.card: ModelCard | None = all_cards().get(name)
        self.size: tuple[int, int] | None = None  # of the input that its files say it was built for
        self.weights_from = ""  # which of its places the weights were read from, once they were

    def read(self, checkpoint: str | os.PathLike[str] | None, progress: Callable[..., None] | None) -> State:
        """The weights of a file, or the model's own where there is no ``checkpoint``."""
        return self.arranged(read_checkpoint(self.fetch(progress) if checkpoint is None else checkpoint))

    def places(self) -> Sequence[WeightsPlace]:
        """Where the model's own weights can be had, in the order in which that is tried."""
        return self.card.places if self.card is not None else []

    def fetch(self, progress: Callable[..., None] | None) -> Path:
        """Where the model's own weights are on this machine, brought here first if need be."""
        places = self.places()
        if not places:
            raise ModelError(self.without_weights)
        place, path = first_that_works(places, progress)
        self.weights_from = place.title
        return path

    @property
    def without_weights(self) -> str:
        """The sentence for a model whose weights are nowhere."""
        return f"Nobody released weights of {self.name}; pass checkpoint= with a file of yours, or checkpoint='random'."

    def arranged(self, state: State) -> State:
        """The state under the names of this architecture's own layout, where it came in that of another library."""
        return state

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        """The module with weights yet to be filled, for so many classes and an input (h, w); the architecture's own where None."""
        raise NotImplementedError

    def classes_of(self, state: State) -> int:
        """How many classes the head in a state has; CheckpointError where there is no head that is known."""
        raise NotImplementedError

    def transform(self, module: nn.Module) -> Transform:
        """The evaluation transform of photographs for this module."""
        raise NotImplementedError

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        """The names of so many classes, None where they are not known; ``custom`` says that the weights are a file of the user."""
        raise NotImplementedError

    def converted(self, module: nn.Module, state: State) -> State:  # noqa: ARG002
        """The state in the module's own layout, where it came in another that belongs to the same architecture."""
        return state


class _Bundled(LoadingPlan):
    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        return bundled_models.build(self.name, 50 if classes is None else classes, size or self._own_size())

    def classes_of(self, state: State) -> int:
        return _head_width(state, ("head.weight", "fc.weight", "classifier.fc.weight"), self.name)

    def transform(self, module: nn.Module) -> Transform:  # noqa: ARG002
        return replace(bundled_models.TRANSFORM, size=self._own_size())

    def _own_size(self) -> tuple[int, int]:
        return self.card.input_size if self.card is not None else bundled_models.SIZE

    def converted(self, module: nn.Module, state: State) -> State:
        return _by_timm(module, state, self.name)

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        card_labels = self.card.labels if self.card and isinstance(self.card.labels, tuple) else None
        return card_labels if card_labels and len(card_labels) == classes and not custom else None


class _Timm(LoadingPlan):
    def __init__(self, name: str, timm_name: str | None = None) -> None:
        super().__init__(name)
        import timm

        self.timm_name = timm_name or name
        self.config = timm.get_pretrained_cfg(self.timm_name, allow_unregistered=False)

    def places(self) -> Sequence[WeightsPlace]:
        before, after = packaged_places(self.name)
        config = self.config
        published: list[WeightsPlace] = []
        if config is not None and config.hf_hub_id:
            repository, _, revision = config.hf_hub_id.partition("@")
            published.append(HubFile(repository, config.hf_hub_filename or "model.safetensors", revision or None))
        if config is not None and isinstance(config.url, str) and config.url:
            published.append(WebFile(config.url))
        return [*before, *published, *after]

    @property
    def without_weights(self) -> str:
        return f"{self.name} has no published weights; pass checkpoint= with a file of yours, or checkpoint='random'."

    def arranged(self, state: State) -> State:
        return _from_timms_relatives(state)

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        import timm

        options: dict[str, Any] = {} if classes is None else {"num_classes": classes}
        if size is not None and self._sized():
            options["img_size"] = size
        try:
            return timm.create_model(self.timm_name, pretrained=False, **options)
        except (AssertionError, ValueError) as error:
            raise ModelError(f"{self.name} cannot be built{f' for {size[0]} x {size[1]} inputs' if size else ''}: {error}") from error

    def _sized(self) -> bool:
        import inspect

        import timm

        # Convolutional networks take any size and no img_size; timm says which is which only by the constructor's signature.
        with torch.device("meta"):
            kinds = type(timm.create_model(self.timm_name, pretrained=False)).__mro__
        for kind in kinds:
            taken = inspect.signature(kind).parameters
            if "img_size" in taken:
                return True
            if not any(argument.kind is inspect.Parameter.VAR_KEYWORD for argument in taken.values()):
                return False  # what its own parents take does not reach them
        return False

    def classes_of(self, state: State) -> int:
        if is_jax(state):
            return jax_classes(state)
        head = self.config.classifier if self.config is not None else None
        heads = (head,) if isinstance(head, str) else tuple(head or ())
        weight_name = next((f"{prefix}.weight" for prefix in heads if f"{prefix}.weight" in state), None)
        if weight_name is not None:
            return int(state[weight_name].shape[0])
        return _head_width(state, ("head.weight", "fc.weight", "classifier.weight", HEAD), self.name, absent=0)

    def transform(self, module: nn.Module) -> Transform:
        from timm.data import resolve_model_data_config

        return Transform.from_timm(resolve_model_data_config(module))

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        return None if custom else imagenet_labels(self.config, classes)

    def converted(self, module: nn.Module, state: State) -> State:
        if is_jax(state):
            return from_jax(module, state, self.name)
        if is_efficientnet_pytorch(state):
            return from_efficientnet_pytorch(module, state)
        return _by_timm(module, state, self.name)


class _OnTimm(_Timm):
    """An official file of a network that timm builds."""

    def __init__(self, name: str, release: Release) -> None:
        super().__init__(name, release.architecture)
        self.release = release

    def places(self) -> Sequence[WeightsPlace]:
        return release_places(self.release)

    def transform(self, module: nn.Module) -> Transform:  # noqa: ARG002
        return self.release.transform


class _Saliency(_Timm):
    """The DINOv2 ViT-S/14 that was tuned to find what stands out: its backbone at 224 px, and the shipped head where there is one."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "vit_small_patch14_dinov2")
        self.head = shipped_head(name)

    def read(self, checkpoint: str | os.PathLike[str] | None, progress: Callable[..., None] | None) -> State:
        state = super().read(checkpoint, progress)
        if self.head is None or checkpoint is not None:
            return state
        self.weights_from += f"; its head {self.head.file.title}"
        return state | read_checkpoint(self.head.file.fetch())

    def converted(self, module: nn.Module, state: State) -> State:
        headless = not any(name.startswith("head.") for name in module.state_dict())
        kept = {name: value for name, value in state.items() if not (headless and name.startswith("head."))}
        return super().converted(module, kept)

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        labels = self.head.labels if self.head is not None and not custom else ()
        return labels if labels and len(labels) == classes else None

    def places(self) -> Sequence[WeightsPlace]:
        return LoadingPlan.places(self)

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        return super().build(classes, size or SALIENCY_TRANSFORM.size)

    def transform(self, module: nn.Module) -> Transform:  # noqa: ARG002
        return SALIENCY_TRANSFORM


class _Official(LoadingPlan):
    def __init__(self, name: str, release: Release) -> None:
        super().__init__(name)
        self.release = release

    def places(self) -> Sequence[WeightsPlace]:
        return release_places(self.release)

    def arranged(self, state: State) -> State:
        return self._network().to_official(state) if self.release.family in ("pvt", "cvt") else state

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

    def converted(self, module: nn.Module, state: State) -> State:
        """With the sinusoid that a "sine" variant is built with, where the file leaves it out; a table of the file's own stays."""
        table, expected = "classifier.positional_emb", module.state_dict()
        if table in state or table not in expected or self._network().VARIANTS[self.release.architecture].positions != "sine":
            return state
        return state | {table: expected[table]}

    def _network(self) -> Any:
        import importlib

        return importlib.import_module(f"vizlib.zoo.networks.{self.release.family}")


def plan_for(name: str) -> LoadingPlan:
    """The plan of a name; ModelError with the nearest names for one that nobody knows."""
    if name in bundled_models.NAMES:
        return _Bundled(name)
    if name in RELEASES:
        return _Official(name, RELEASES[name])
    if name in ON_TIMM:
        return _OnTimm(name, ON_TIMM[name])
    if name == SALIENCY:
        return _Saliency(name)
    import timm

    if not timm.is_model(name):
        if name.lower().endswith(SUFFIXES):
            raise ModelError(
                f"{name!r} is a file of weights: name the model that they are for and give the file as its checkpoint, "
                f"which where several models are asked is NAME={name}."
            )
        if "/" in name or "\\" in name:
            raise ModelError(f"There is no model {name!r}, and no such folder here; what lies on the hub is named hf:owner/name.")
        names = [*all_cards(), *timm.list_models()]
        raise ModelError(
            f"There is no model {name!r}; `vizlib models` lists the known ones, and any timm name works, "
            f"or a folder that transformers or timm has saved.{nearest(name, names)}"
        )
    return _Timm(name)


def others_that_fit(plan: LoadingPlan, checkpoint: str | os.PathLike[str], most: int = 3) -> list[str]:
    """The cards whose weights have the names and shapes of those in a file, ``most`` of them; none where ``plan`` fits itself.

    The number of classes is left open, and cards of one architecture count once.
    """
    state = read_checkpoint(checkpoint)
    if _fits(plan, state):
        return []
    fitting: dict[str, str] = {}
    for card in all_cards().values():
        # Counting leaves one or two cards to build and compare; building all of them would take a minute.
        if len(fitting) == most or card.parameters != _parameters_with(_classes(card), state):
            continue
        other = plan_for(card.name)
        if _architecture(other) not in fitting and _fits(other, state):
            fitting[_architecture(other)] = card.name
    return list(fitting.values())


def rejoined(plan: LoadingPlan, state: State) -> State | None:
    """The weights of a backbone and a linear layer that lie apart, where together they are exactly those of ``plan``; else None."""
    candidates = (with_own_head(state, head) for head in _HEAD_NAMES)
    return next((joined for joined in candidates if joined is not None and _fits(plan, joined)), None)


def _parameters_with(classes: int, state: State) -> int:
    """How many parameters the network of these weights has with another number of classes."""
    count = 0
    for key, value in state.items():
        if key.endswith(_HEADS):
            count += classes * (value.numel() // value.shape[0])
        elif not key.endswith(_BUFFERS):
            count += value.numel()
    return count


def _classes(card: ModelCard) -> int:
    release = (RELEASES | ON_TIMM).get(card.name)
    if release is not None:
        return release.classes
    return len(card.labels) if isinstance(card.labels, tuple) else 1000 if card.labels == "imagenet-1k" else 0


def _architecture(plan: LoadingPlan) -> str:
    release = getattr(plan, "release", None)
    return release.architecture if release else plan.name.split(".")[0]


def _fits(plan: LoadingPlan, state: State) -> bool:
    state = plan.arranged(state)
    try:
        classes = plan.classes_of(state)
        with torch.device("meta"):
            module = plan.build(classes, None)
        return _shapes(module.state_dict()) == _shapes(fit_state(plan, module, state))
    except ModelError:
        return False


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


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
        converted = conversion(dict(state), module)
    except (KeyError, RuntimeError, IndexError, AttributeError, ValueError, AssertionError, TypeError):
        # The conversion expects a relative of this architecture: the comparison says what is wrong better than its traceback.
        match_state(module.state_dict(), state, name)
        raise
    return converted if isinstance(converted, dict) else state


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


def fit_state(plan: LoadingPlan, module: nn.Module, state: State) -> State:
    """The state in the layout of ``module``: as it is where names and shapes agree, else converted if the plan knows how."""
    return state if _shapes(module.state_dict()) == _shapes(state) else plan.converted(module, state)


def _head_width(state: dict[str, torch.Tensor], names: tuple[str, ...], model: str, absent: int | None = None) -> int:
    for name in names:
        if name in state:
            return int(state[name].shape[0])
    if absent is not None:
        return absent
    raise CheckpointError(
        f"The checkpoint has no head ({', '.join(names)}), so it is not one of {model}; name the model it was trained as: "
        f"it holds {describe(state)}."
    )
