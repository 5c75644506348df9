"""Attention and windows of a module found by running its own code on place numbers, once for each input size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import torch

from vizlib.errors import MethodError, VizlibError
from vizlib.tracing.module_walk import unwatched
from vizlib.tracing.place_graph.attention import LINEAR
from vizlib.tracing.place_graph.layer_states import LayerStates, layer_states
from vizlib.tracing.place_graph.lowering import Graph
from vizlib.tracing.place_graph.marks import Gate, Lost, Places, Scores
from vizlib.tracing.place_graph.rows import IMAGES
from vizlib.tracing.place_graph.tracer import trace
from vizlib.tracing.products import WeightsRead
from vizlib.zoo.adapters.base import Lineage, Size, counted
from vizlib.zoo.adapters.feature_map import input_size
from vizlib.zoo.heads import chosen_output, input_channels

if TYPE_CHECKING:
    from torch import nn

    from vizlib.tracing.place_graph.lying import Lying
    from vizlib.tracing.recorder import Recording
    from vizlib.zoo.heads import OutputChoice

NONE_FOUND = "the model has no attention that its answer is read through, so there are no attention rows to follow"

COMPILED = "how its tokens lie is not known: a part of it runs compiled, as torch's flex_attention does, and what it does cannot be seen"

SIZES = 4  # that are kept of one module, a few megabytes each


class NotRun(str):
    """Why a module could not be run on inputs of one size; those of others may do."""

    __slots__ = ()


class PlaceReader:
    """Reads a whole module; what it finds holds for every input of one size."""

    def __init__(self, module: nn.Module) -> None:
        self._weakly = ref(module)
        self._outputs: OutputChoice | None = None
        self._graphs: dict[Size, Graph | str] = {}
        self._maps: dict[Size, dict[str, Lying]] = {}
        self._states: dict[Size, LayerStates | str] = {}
        self._uncompared: set[Size] = set()

    def choose(self, outputs: OutputChoice | None) -> None:
        """Read what this one of the module's outputs is made of."""
        self._outputs = outputs
        self._graphs.clear()
        self._maps.clear()
        self._states.clear()
        self._uncompared.clear()

    @property
    def _module(self) -> nn.Module:
        module = self._weakly()
        if module is None:
            raise MethodError("The model is gone that was to be read.")
        return module

    def graph(self, size: Size) -> Graph | str:
        """The graph of inputs (h, w), or why there is none."""
        graph = self._graphs.get(size)
        if graph is None:
            for oldest in list(self._graphs)[: 1 - SIZES]:
                self._maps.pop(oldest, None)
                self._states.pop(oldest, None)
                self._graphs.pop(oldest, None)
            graph = self._graphs[size] = self._traced(size)
        return graph

    def maps(self, size: Size) -> dict[str, Lying]:
        """The parts that give a map of inputs (h, w), by path in the order of execution, with how its places lie."""
        self.graph(size)
        return self._maps.get(size, {})

    def compares_places(self, size: Size) -> bool:
        """Whether places of inputs (h, w) that were lost may have met attention: a softmax, or a product with the image on both sides."""
        self.graph(size)
        return size not in self._uncompared

    def last_maps(self, size: Size) -> dict[str, Lying]:
        """Those that stand for all parts whose places are the same, pools left out, the last one first."""
        parts = dict(self._module.named_modules())
        by_group: dict[Any, list[str]] = {}
        for path, found in self.maps(size).items():
            if "Pool" not in type(parts[path]).__name__:
                by_group.setdefault(found.group, []).append(path)
        shown = [min(reversed(paths), key=lambda path: path.count(".")) for paths in by_group.values()]
        return {path: self.maps(size)[path] for path in reversed(shown)}

    def layer_states(self, size: Size) -> LayerStates | str:
        """What each block gives of inputs (h, w) for the head to read, or why it cannot read that of every block."""
        graph = self.graph(size)
        return graph if isinstance(graph, str) else self._states[size]

    def products(self, size: Size) -> dict[int, WeightsRead]:
        """The numbers of the products that apply attention to inputs (h, w), with how they hold their weights."""
        graph = self.graph(size)
        return (
            {} if isinstance(graph, str) else {node.call.number: WeightsRead(node.call.turned, node.call.mixed) for node in graph.attended}
        )

    def lineage(self, recording: Recording, size: Size, windows: str) -> Lineage:
        """The read-out and the steps of a recorded pass; MethodError where there is no graph or the pass ran otherwise."""
        graph = self.graph(size)
        if isinstance(graph, str):
            raise MethodError(graph)
        if windows != "uniform":
            raise MethodError(f"windows={windows!r} needs to know what each window carries, which is not read of this model; take uniform.")
        return Lineage(*graph.lowered(counted(recording, len(graph.attended))))

    def _traced(self, size: Size) -> Graph | str:
        module = self._module
        if reason := unwatched(module):
            return NotRun(f"how its tokens lie is not known{reason}")
        weight = next((tensor for tensor in (*module.parameters(), *module.buffers()) if tensor.is_floating_point()), torch.zeros(()))
        declared = input_size(module)
        channels = input_channels(module) if declared is None else declared[0]
        x = torch.rand(IMAGES, channels, *size, generator=torch.Generator().manual_seed(0)).to(weight.device, weight.dtype)
        try:
            mark, tracer = trace(module, self._answer, x)
        except VizlibError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  any code may run here
            if type(error).__module__.startswith("torch._dynamo"):
                return NotRun(COMPILED)
            first = str(error).strip().splitlines()[:1]
            return NotRun(f"how its tokens lie is not known: it did not run on two inputs of {size[0]} x {size[1]} ({' '.join(first)})")
        self._maps[size] = tracer.maps
        if isinstance(mark, Lost) and not tracer.compares:
            self._uncompared.add(size)
        if isinstance(mark, Scores):
            return LINEAR.format(path=mark.path or "the network")
        if isinstance(mark, Lost):
            return mark.reason
        if not isinstance(mark, Places):
            return (
                "its answer depends on the image only by what scales it" if isinstance(mark, Gate) else "its answer is not read from places"
            )
        graph = Graph.of(mark)
        if isinstance(graph, str) or not graph.attended:
            return graph if isinstance(graph, str) else NONE_FOUND
        self._states[size] = layer_states(graph, tracer.maps, tracer.first_of_several)
        return graph

    def _answer(self, module: nn.Module, x: torch.Tensor) -> Any:
        return chosen_output(module(x), self._outputs, type(module).__name__)


_readers: WeakKeyDictionary[nn.Module, PlaceReader] = WeakKeyDictionary()


def maps_in(module: nn.Module, size: Size) -> dict[str, Lying]:
    """Every part of any module that gives a map of inputs (h, w), by path in the order of execution, with how its places lie."""
    if module not in _readers:
        _readers[module] = PlaceReader(module)
    return _readers[module].maps(size)
