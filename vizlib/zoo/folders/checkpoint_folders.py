"""Models as people share them: a folder, or a repository of the hub, with config.json and weights of transformers or timm.

No code that lies beside the weights is ever run: classes are the installed libraries' own, weights are read from safetensors alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import CheckpointError, DownloadError, ModelError
from vizlib.geometry import Transform
from vizlib.zoo.adapters import adapter_for
from vizlib.zoo.folders.picture_processors import PROCESSOR, processor_transform
from vizlib.zoo.hf_hub import hub_weights
from vizlib.zoo.loading_plans import LoadingPlan, State, plan_for
from vizlib.zoo.reading import declared_size
from vizlib.zoo.vision_language import takes_text
from vizlib.zoo.weights import read_checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from torch import nn

HUB = "hf:"
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"


def folder_plan(name: str, progress: Callable[..., None] | None) -> LoadingPlan | None:
    """The plan of a folder's path or of "hf:owner/name" (with @revision), None where the name is neither.

    ModelError for a model of code that the installed libraries do not have, DownloadError where the hub does not give it.
    """
    if name.startswith(HUB):
        repo, _, revision = name.removeprefix(HUB).partition("@")
        folder = _fetched(repo, revision or None, progress)
    elif not _is_folder(name):
        return None
    elif (Path(name) / CONFIG).is_file():
        folder = Path(name)
    else:
        raise ModelError(f"{name} is a folder without a {CONFIG}: give one that transformers or timm has saved, or a model's name.")
    config = _json(folder / CONFIG)
    if isinstance(config.get("architecture"), str):
        return TimmFolder(name, folder, config)
    return TransformersFolder(name, folder, config)


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except OSError:  # longer than a path may be
        return False


class FolderPlan(LoadingPlan):
    """The plan of a folder; ``home`` is the name that finds it from anywhere."""

    def __init__(self, name: str, folder: Path, config: dict[str, Any]) -> None:
        super().__init__(name)
        self.folder, self.facts = folder, config
        self.home = name if name.startswith(HUB) else str(folder.resolve())

    def weights_files(self) -> list[Path]:
        """Its weights, one file or the shards of it."""
        whole = self.folder / WEIGHTS
        return [whole] if whole.is_file() else [self.folder / shard for shard in sorted(_shards(self.folder))]


class TimmFolder(FolderPlan):
    """A model that timm has saved for the hub: the name of its architecture, and how pictures are prepared."""

    def __init__(self, name: str, folder: Path, config: dict[str, Any]) -> None:
        super().__init__(name, folder, config)
        self.prepared = config.get("pretrained_cfg") or {}
        self.inner = plan_for(config["architecture"])
        built = (config.get("model_args") or {}).get("img_size")
        sides: list[Any] = built if isinstance(built, list) else [built, built]
        if len(sides) == 2 and all(isinstance(side, int) for side in sides):
            self.size = (int(sides[0]), int(sides[1]))

    def fetch(self, progress: Callable[..., None] | None) -> Path:  # noqa: ARG002
        return self.folder / WEIGHTS

    def arranged(self, state: State) -> State:
        return self.inner.arranged(state)

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        return self.inner.build(self.facts.get("num_classes") if classes is None else classes, size)

    def classes_of(self, state: State) -> int:
        declared = self.facts.get("num_classes")
        return declared if isinstance(declared, int) else self.inner.classes_of(state)

    def transform(self, module: nn.Module) -> Transform:
        return Transform.from_timm(self.prepared) if "input_size" in self.prepared else self.inner.transform(module)

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        names = self.facts.get("label_names")
        return tuple(map(str, names)) if isinstance(names, list) and len(names) == classes and not custom else None

    def converted(self, module: nn.Module, state: State) -> State:
        return self.inner.converted(module, state)


class TransformersFolder(FolderPlan):
    """A model that transformers has saved; older names of its weights are brought up to date by transformers' own table."""

    def __init__(self, name: str, folder: Path, config: dict[str, Any]) -> None:
        super().__init__(name, folder, config)
        named = config.get("architectures") or [None]
        self.kind = _class_named(named[0], name)
        self.asked: tuple[int, int] | None = None  # for this input size

    def read(self, checkpoint: str | os.PathLike[str] | None, progress: Callable[..., None] | None) -> State:
        if checkpoint is not None:
            return super().read(checkpoint, progress)
        for file in self.weights_files():
            read_checkpoint(file)  # damaged and infinite weights are said in a sentence
        try:
            with torch.random.fork_rng(devices=[]):
                module, report = self.kind.from_pretrained(
                    self.folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True
                )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self.name} cannot be loaded as a {self.kind.__name__}: {str(error).splitlines()[0]}") from error
        wrong = [*report.get("missing_keys", ()), *(str(key) for key in report.get("mismatched_keys", ()))]
        if wrong:
            raise CheckpointError(
                f"The weights of {self.name} do not fit a {self.kind.__name__}: {len(wrong)} are missing or of another "
                f"shape, as {wrong[0]}."
            )
        state: State = dict(module.state_dict())
        return state

    def build(self, classes: int | None, size: tuple[int, int] | None) -> nn.Module:
        self.asked = size
        config = self.kind.config_class.from_dict(dict(self.facts))
        if classes and classes != config.num_labels:
            config.num_labels = classes
        module: nn.Module = self.kind._from_config(config)
        return module

    def classes_of(self, state: State) -> int:  # noqa: ARG002
        return int(self.kind.config_class.from_dict(dict(self.facts)).num_labels)

    def transform(self, module: nn.Module) -> Transform:
        size = self.asked or adapter_for(module).input_size() or declared_size(module)
        processor = self.folder / PROCESSOR
        if processor.is_file():
            return processor_transform(self.folder, _json(processor), size)
        if size is None:
            raise ModelError(f"{self.name} has no {PROCESSOR} and no image_size in its config: say the size of its input, image_size=.")
        return Transform(size=size)

    def labels(self, classes: int, *, custom: bool) -> tuple[str, ...] | None:
        names = self.facts.get("id2label")
        if custom or not isinstance(names, dict) or set(names) != {str(number) for number in range(classes)}:
            return None
        labels = tuple(str(names[str(number)]) for number in range(classes))
        return None if labels == tuple(f"LABEL_{number}" for number in range(classes)) else labels


def _class_named(kind: Any, name: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ModelError(f"{name} is a model of transformers, which is not installed: pip install transformers.") from error
    found = getattr(transformers, kind, None) if isinstance(kind, str) else None
    if found is None or not hasattr(found, "from_pretrained"):
        raise ModelError(
            f"{name} is a {kind}, which transformers {transformers.__version__} does not have; code that lies beside the weights "
            "is never run."
        )
    if takes_text(found) or found.main_input_name not in ("pixel_values", "inputs"):
        raise ModelError(f"{name} is a {kind}, which takes more than a picture; load it with transformers and wrap its vision tower.")
    return found


def _fetched(repo: str, revision: str | None, progress: Callable[..., None] | None) -> Path:
    """The folder of the hub's cache with the config, the weights and, where there is one, the preprocessor's config."""
    folder = hub_weights(repo, CONFIG, revision).parent
    try:
        hub_weights(repo, WEIGHTS, revision, progress=progress)
    except DownloadError:
        hub_weights(repo, INDEX, revision)
        for shard in sorted(_shards(folder)):
            hub_weights(repo, shard, revision, progress=progress)
    try:
        hub_weights(repo, PROCESSOR, revision)
    except DownloadError:
        return folder  # timm's repositories have none
    return folder


def _shards(folder: Path) -> set[str]:
    index = folder / INDEX
    if not index.is_file():
        raise CheckpointError(f"{folder} has neither {WEIGHTS} nor {INDEX}: only safetensors are read, since other files may hold code.")
    files = {str(file) for file in _json(index).get("weight_map", {}).values()}
    if any(Path(file).name != file for file in files):
        raise CheckpointError(f"{index} names weights outside of its folder.")
    return files


def _json(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(facts, dict):
        raise ModelError(f"{path} holds no settings by name.")
    return facts
