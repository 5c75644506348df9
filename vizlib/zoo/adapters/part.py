"""A module that is read inside another one: the outer module runs and answers, the part says where its tokens lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from vizlib.catalog.family import NO_HEAD
from vizlib.errors import MethodError
from vizlib.tracing.autograd_graph import depends_on
from vizlib.tracing.forward_errors import forward_errors
from vizlib.tracing.shared_copy import meta_copy, shared_copy
from vizlib.zoo.adapters.base import Adapter, Classifier, Lineage, Size, Tap
from vizlib.zoo.heads import ANSWERS, chosen_output, head_classes, input_channels, last_width

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from vizlib.tracing.place_graph.layer_states import LayerStates
    from vizlib.tracing.place_graph.lying import Lying
    from vizlib.tracing.products import WeightsRead
    from vizlib.tracing.recorder import AttentionCall, Recording
    from vizlib.tracing.residuals import Port, Residual
    from vizlib.zoo.heads import OutputChoice

PROBES = 8  # pixels whose change is followed to the part
AS_A_WHOLE = "wrap(..., adapter='traced') reads the whole network instead, where it can be followed"
READ = ("lineage", "layers", "keys", "feature_map")  # what is read from the part


@dataclass(frozen=True)
class Passage:
    """How a part stands in an outer module: the reason why it cannot be read, and whether the outer module answers what the part gives."""

    reason: str | None = None
    hands_on: bool | None = None


class _ReachedError(BaseException):  # no error: a module that catches all of those must not catch it
    """The forward pass has come to the part; the rest of it is not needed."""


class PartAdapter(Adapter):
    """``inner``, the adapter of the part at ``path``, for the whole ``outer`` module: every path leads through the outer one.

    ``module`` is the part. What the outer module does to the image before the part must leave every pixel where it is; this is measured
    on first use, and methods that read the part are refused where it does not hold.
    """

    def __init__(self, outer: nn.Module, path: str, inner: Adapter, size: Size | None, outputs: OutputChoice | None = None) -> None:
        self.outer, self.path, self.inner, self.outputs = outer, path, inner, outputs
        self.module = inner.module
        self.family = inner.family  # type: ignore[misc]
        self.told_classes = None
        self.refusals = dict(inner.refusals)
        self._placed: dict[Size, str | None] = {}
        passage = passage_of(outer, path, size, outputs)
        if passage.reason is not None:
            self.refusals |= dict.fromkeys(READ, passage.reason)
        self.lacks = passage.reason  # why the part is not all of it
        if not passage.hands_on:
            self.refusals.setdefault(
                "layers", f"what {path} gives is read by more of the model, which does not fit the tokens of its blocks"
            )
            self.refusals.setdefault("two_classifiers", f"what {path} gives is read by more of the model")
        self.refusals.pop("head", None)
        if self.classes == 0:
            self.refusals["head"] = NO_HEAD

    @classmethod
    def fits(cls, module: nn.Module) -> bool:  # noqa: ARG003  it is made for a part that is named or certain
        return False

    @property
    def classes(self) -> int:
        if self.told_classes is not None:
            return self.told_classes
        own = head_classes(self.outer)
        if own is not None:
            return own
        return self.inner.classes or last_width(self.outer, outside=self.module) or 0

    def check_size(self, size: Size) -> None:
        self.inner.check_size(size)

    def taps(self, size: Size) -> list[Tap]:
        return [replace(tap, path=self._outer(tap.path)) for tap in self.inner.taps(size)]

    def answering(self, calls: list[AttentionCall]) -> list[AttentionCall]:
        return self.inner.answering(calls)

    def for_copy(self, module: nn.Module) -> PartAdapter:
        return PartAdapter(module, self.path, self.inner.for_copy(module.get_submodule(self.path)), None)

    def stride(self) -> Size | None:
        return self.inner.stride()

    def feature_layer(self) -> str | None:
        if "feature_map" in self.refusals:
            raise MethodError(self.refusals["feature_map"])
        path = self.inner.feature_layer()
        return None if path is None else self._outer(path)

    def last_maps(self, size: Size) -> dict[str, Lying]:
        return {self._outer(path): found for path, found in self.inner.last_maps(size).items()}

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        if "lineage" in self.refusals:
            raise MethodError(self.refusals["lineage"])
        self.check_placement(size)
        return self.inner.lineage(self._as_recorded(recording), size, windows)

    def check_placement(self, size: Size) -> None:
        """MethodError when the part does not see an input (h, w) pixel by pixel where it is."""
        if size not in self._placed:
            self._placed[size] = _displacement(self.outer, self.path, size)
        reason = self._placed[size]
        if reason is not None:
            raise MethodError(reason)

    def products(self, x: torch.Tensor) -> dict[int, WeightsRead] | None:
        return self.inner.products(x)

    def classifier(self, name: str) -> Classifier | None:
        inner = self.inner.classifier(name)
        return None if inner is None else replace(inner, path=self._outer(inner.path))

    def forks(self) -> list[Residual]:
        return [replace(fork, skip=self._port(fork.skip), branch=self._port(fork.branch)) for fork in self.inner.forks()]

    def window_inputs(self, windows: str) -> list[str]:
        # The windows of the part lie on what it is given, not on what the outer module is given.
        own = [self.path] if windows == "contribution" else []
        return own + [self._outer(path) for path in self.inner.window_inputs(windows)]

    def layer_logits(self, module: nn.Module, tokens: torch.Tensor, pooling: str, classifier: Classifier | None = None) -> torch.Tensor:
        if classifier is not None:
            classifier = replace(classifier, path=self._inner(classifier.path))
        return self.inner.layer_logits(module.get_submodule(self.path), tokens, pooling, classifier)

    def layer_states(self, size: Size) -> LayerStates | None:
        states = self.inner.layer_states(size)
        return None if states is None else replace(states, paths=tuple(self._outer(path) for path in states.paths))

    def warnings(self, recording: Recording) -> tuple[str, ...]:
        return self.inner.warnings(self._as_recorded(recording))

    def first_block(self) -> str | None:
        path = self.inner.first_block()
        return None if path is None else self._outer(path)

    def _as_recorded(self, recording: Recording) -> Recording:
        """The recording as if the part had run by itself."""
        notes = {self._inner(name): values for name, values in recording.notes.items()}
        seen = recording.notes.get(self.path, {}).get("x", recording.x)
        return replace(recording, notes=notes, x=seen)

    def _outer(self, path: str) -> str:
        return f"{self.path}.{path}" if path else self.path

    def _inner(self, path: str) -> str:
        return path.removeprefix(f"{self.path}.")

    def _port(self, port: Port) -> Port:
        return replace(port, path=self._outer(port.path))


def passage_of(
    outer: nn.Module, path: str, size: Size | None, outputs: OutputChoice | None = None, run: Callable[..., Any] | None = None
) -> Passage:
    """How the part at ``path`` stands in ``outer``, from one pass without weights over an input (h, w), where that is possible.

    ``outputs`` is what the answer is taken from, ``run`` runs a copy of the outer module on its input. The path "" is the whole.
    """
    if size is None:
        return Passage()
    calls: list[torch.Tensor] = []
    others: dict[str, torch.Tensor] = {}  # what a part gives beside its answer, by name

    def keep(part: nn.Module, inputs: Any, output: Any) -> Any:  # noqa: ARG001  torch's signature
        if isinstance(output, Mapping):
            leaves = {key: value.detach().requires_grad_() for key, value in output.items() if isinstance(value, torch.Tensor)}
            answer = next((key for key in ANSWERS if key in leaves), None)
            if answer is not None:
                calls.append(leaves[answer])
                others.update({key: value for key, value in leaves.items() if key != answer})
            return type(output)(**{**output, **leaves})
        if not isinstance(output, torch.Tensor):
            return output
        calls.append(output.detach().requires_grad_())
        return calls[-1]

    channels = input_channels(outer)
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            copied = meta_copy(outer)
            copied.get_submodule(path).register_forward_hook(keep)
            x = torch.zeros(1, channels, *size, device="meta", requires_grad=True)
            answer = chosen_output(copied(x) if run is None else run(copied, x), outputs, type(outer).__name__)
    except Exception:  # noqa: BLE001  any code may run here; what it cannot do without weights, a run with an image tells
        return Passage()
    if not path and not calls:
        return Passage(f"outputs= takes something else of {type(outer).__name__} than its own answer")
    if len(calls) != 1:
        return Passage(f"{path} runs {len(calls)} times as a whole in a forward pass of {type(outer).__name__}, not once")
    if not isinstance(answer, torch.Tensor):
        return Passage()
    beside = next((name for name, value in others.items() if depends_on(answer, value)), None)
    if beside is not None:
        return Passage(f"{type(outer).__name__} reads {beside} of {path or 'what it gives'}, not what its own read-out gives")
    if depends_on(answer, x):
        return Passage(
            f"the answer of {type(outer).__name__} also depends on the image past {path}, so a map of {path} would not be all of it"
        )
    if answer is not calls[0] and not depends_on(answer, calls[0]):
        return Passage(f"the answer of {type(outer).__name__} does not depend on what {path} gives")
    return Passage(hands_on=answer is calls[0])


def seen_by_part(outer: nn.Module, path: str, x: torch.Tensor, *, pieces: bool = False) -> torch.Tensor | None:
    """What the part at ``path`` is given for inputs x (B, C, h, w), None where it does not run.

    ``pieces`` takes what any part inside is given where one runs before the whole.
    """
    copied = shared_copy(outer).eval()
    seen: list[Any] = []

    def stop(part: nn.Module, inputs: tuple[Any, ...]) -> None:  # noqa: ARG001  torch's signature
        seen.append(inputs[0] if inputs else None)
        raise _ReachedError

    part = copied.get_submodule(path)
    for inside in part.modules() if pieces else (part,):
        inside.register_forward_pre_hook(stop)
    try:
        with torch.no_grad(), forward_errors(type(outer).__name__, outer, x):
            copied(x)
    except _ReachedError:
        return seen[0] if isinstance(seen[0], torch.Tensor) else None
    return None


def sees_the_input(outer: nn.Module, path: str, size: Size) -> bool:
    """Whether the part, or what of it runs first, is given the input as it is; False too where an input (h, w) does not run."""
    try:
        x = noise(outer, size)
        seen = seen_by_part(outer, path, x, pieces=True)
    except Exception:  # noqa: BLE001  any code may run here
        return False
    return seen is not None and torch.equal(seen, x)


def _displacement(outer: nn.Module, path: str, size: Size) -> str | None:
    """Why the part does not see the pixels of an input (h, w) where they are: a few are changed one by one, and followed."""
    x = noise(outer, size).expand(PROBES + 1, -1, -1, -1).clone()
    places = torch.randint(size[0] * size[1], (PROBES,), generator=torch.Generator().manual_seed(1))
    for number, place in enumerate(places.tolist(), start=1):
        x[number, :, place // size[1], place % size[1]] += 3
    each = [seen_by_part(outer, path, image[None]) for image in x]
    name = type(outer).__name__
    seen = None if any(image is None for image in each) else torch.cat([image for image in each if image is not None])
    if seen is None:
        return f"{path} does not run as a whole on an image in a forward pass of {name}; {AS_A_WHOLE}"
    if seen.ndim != 4 or tuple(seen.shape[2:]) != size:
        return f"{name} gives {path} {tuple(seen.shape[2:])} where its own input is {size}, so where the pixels lie is not certain"
    change = (seen[1:].double() - seen[:1].double()).abs().sum(1).flatten(1)
    if not torch.equal(change.argmax(1).cpu(), places):
        return f"what {name} does before {path} moves the pixels, so where they lie is not certain"
    return None


def noise(outer: nn.Module, size: Size) -> torch.Tensor:
    """A random input (1, C, h, w) for a module, the same each time."""
    weight = next((tensor for tensor in (*outer.parameters(), *outer.buffers()) if tensor.is_floating_point()), torch.zeros(()))
    x = torch.rand(1, input_channels(outer), *size, generator=torch.Generator().manual_seed(0))
    return x.to(weight.device, weight.dtype)
