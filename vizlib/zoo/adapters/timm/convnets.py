"""Convolutional networks, timm's and torchvision's ResNets first: feature maps, and no attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from vizlib.catalog.families import FAMILIES
from vizlib.catalog.family import NO_ATTENTION, NO_RELU, ONE_HEAD_OF_CHANNELS
from vizlib.errors import MethodError
from vizlib.zoo.adapters.base import Adapter, Size, Tap
from vizlib.zoo.adapters.feature_map import declared_feature_map_lacks, input_size
from vizlib.zoo.adapters.place_reader import NONE_FOUND, NotRun, PlaceReader

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vizlib.tracing.place_graph.layer_states import LayerStates
    from vizlib.tracing.place_graph.lowering import Graph
    from vizlib.tracing.place_graph.lying import Lying
    from vizlib.tracing.products import WeightsRead
    from vizlib.tracing.recorder import Recording
    from vizlib.zoo.adapters.base import Lineage
    from vizlib.zoo.heads import OutputChoice

MIXED = "Heads are mixed after the softmax (talking heads), which leaves weights of any sign: a key's share is by its weight's magnitude."
_OTHERS = {
    "GELU",
    "SiLU",
    "ReLU6",
    "Hardswish",
    "Hardsigmoid",
    "Mish",
    "ELU",
    "SELU",
    "CELU",
    "LeakyReLU",
    "PReLU",
    "Softplus",
    "Tanh",
    "Sigmoid",
}


def rectified(module: nn.Module) -> dict[str, str]:
    """The refusal of methods that change what passes a ReLU, where the activations are others; functions are seen when they run."""
    from torch import nn

    if any(isinstance(part, nn.ReLU) for part in module.modules()):
        return {}
    return {"relu": NO_RELU} if any(_is_another_activation(type(part)) for part in module.modules()) else {}


def _is_another_activation(kind: type) -> bool:
    """Whether parts of this class are activations that call no ReLU: timm and transformers have modules of nothing but these."""
    if kind.__module__ == "transformers.activations":
        return "ReLU" not in kind.__name__  # the one that squares what passes a ReLU
    return kind.__name__ in _OTHERS or kind.__module__.startswith("timm.layers.activations")


class ResNetAdapter(Adapter):
    """A stem and four layers of residual blocks; the last layer's output is the feature map."""

    family = "resnet"
    reads_classes = False

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self.refusals |= rectified(module)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        from timm.models.resnet import ResNet
        from torchvision.models import ResNet as TorchvisionResNet

        return isinstance(module, ResNet | TorchvisionResNet)

    def taps(self, size: Size) -> list[Tap]:  # noqa: ARG002
        return [Tap(f"layer{index}", f"layer{index}") for index in range(1, 5)]

    def stride(self) -> Size | None:
        declared = super().stride()
        if declared is not None:
            return declared
        layers = [getattr(self.module, f"layer{index}") for index in range(1, 5)]
        step = 4 * math.prod(int(layer[0].stride) for layer in layers)  # the stem and its max-pool halve twice
        return step, step

    def feature_layer(self) -> str:
        return "layer4"


class PlainAdapter(Adapter):
    """Any other classifier: runs and predicts; its last feature map is the one that it names, else found by running it."""

    family = "other"
    reads_classes = False
    # Of a network that names its last feature map, and no part that attends.
    without_tracing: ClassVar[dict[str, str]] = {"lineage": NO_ATTENTION, "layers": ONE_HEAD_OF_CHANNELS, "keys": NO_ATTENTION}

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self.refusals |= rectified(module)
        self.reader = PlaceReader(module)
        self.names_map = self._convolutional() and not declared_feature_map_lacks(
            module, self._stages()[-1], self._declared()[-1].get("num_chs")
        )
        if self.names_map:
            self.refusals |= self.without_tracing
        size = input_size(module)
        if size is not None:
            self.expect(size[1:])

    @classmethod
    def fits(cls, module: nn.Module) -> bool:  # noqa: ARG003  the last resort
        return True

    def expect(self, size: Size) -> None:
        declared = input_size(self.module)
        if self.names_map and declared is not None and declared[1:] != size:  # the map that it names was not looked at in this size
            maps = self.reader.maps(size)
            self.names_map = isinstance(self.reader.graph(size), NotRun) or getattr(maps.get(self._stages()[-1]), "form", "") == "first"
        if self.names_map:
            return
        self.refusals.pop("feature_map", None)
        graph = self.reader.graph(size)
        if not isinstance(graph, str):
            self.refusals |= FAMILIES["traced"].lacks
            self.refusals.pop("lineage", None)
            self._expect_keys(graph, size)
            self._expect_layers(size)
        elif not isinstance(graph, NotRun):
            if self.family == "other" and not self.reader.compares_places(size):
                graph = NONE_FOUND
            self.refusals |= {"lineage": graph, "layers": graph, "keys": graph} if graph == NONE_FOUND else {"lineage": graph}
        elif self.refusals.get("lineage") == FAMILIES["other"].lacks["lineage"]:  # which asks for the size that it was just given
            self.refusals |= dict.fromkeys(("lineage", "layers", "keys"), graph)
        if not isinstance(graph, NotRun) and not self.reader.last_maps(size):
            self.refusals["feature_map"] = f"no part of {type(self.module).__name__} gives a map whose cells lie on the image"

    def _expect_keys(self, graph: Graph, size: Size) -> None:
        """Whether tokens of inputs (h, w) can be hidden from every attention of a graph."""
        reason = graph.hides_no_token(size)
        self.refusals.pop("keys", None)
        if reason is not None:
            self.refusals["keys"] = reason

    def _expect_layers(self, size: Size) -> None:
        """Whether the head can read what every block gives of inputs (h, w)."""
        states = self.reader.layer_states(size)
        self.refusals.pop("layers", None)
        if isinstance(states, str):
            self.refusals["layers"] = states

    def choose(self, outputs: OutputChoice | None) -> None:
        super().choose(outputs)
        self.reader.choose(outputs)
        size = input_size(self.module)
        if size is not None:
            self.expect(size[1:])

    def taps(self, size: Size) -> list[Tap]:  # noqa: ARG002
        return [Tap(name, name) for name in self._stages()] if self._convolutional() else []

    def feature_layer(self) -> str | None:
        if "feature_map" in self.refusals:
            raise MethodError(self.refusals["feature_map"])
        return self._stages()[-1] if self.names_map else None

    def products(self, x: torch.Tensor) -> dict[int, WeightsRead] | None:
        return None if "lineage" in self.refusals else self.reader.products((int(x.shape[2]), int(x.shape[3])))

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        if "lineage" in self.refusals:
            raise MethodError(self.refusals["lineage"])
        return self.reader.lineage(recording, size, windows)

    def layer_states(self, size: Size) -> LayerStates | None:
        states = self.reader.layer_states(size)
        if isinstance(states, str):
            raise MethodError(states)
        return states

    def warnings(self, recording: Recording) -> tuple[str, ...]:
        size = None if recording.x is None else (int(recording.x.shape[-2]), int(recording.x.shape[-1]))
        return (MIXED,) if size is not None and any(read.mixed for read in self.reader.products(size).values()) else ()

    def last_maps(self, size: Size) -> dict[str, Lying]:
        return self.reader.last_maps(size)

    def _stages(self) -> list[str]:
        return [info["module"] for info in self._declared()]

    def _declared(self) -> list[dict[str, Any]]:
        info, parts = getattr(self.module, "feature_info", None), dict(self.module.named_modules())
        rows = info if isinstance(info, list | tuple) else []  # a method in some
        return [row for row in rows if isinstance(row, dict) and row.get("module") in parts]

    def _convolutional(self) -> bool:
        form = getattr(self.module, "output_fmt", "NCHW")
        return bool(self._stages()) and str(getattr(form, "value", form)).upper() == "NCHW"
