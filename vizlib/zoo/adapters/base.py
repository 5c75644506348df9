"""How one family of models is read: the contract that every adapter keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from vizlib.catalog.families import FAMILIES
from vizlib.catalog.family import NO_HEAD, UNKNOWN_HEAD
from vizlib.errors import MethodError, ModelError
from vizlib.zoo.adapters.foreign import foreign_method
from vizlib.zoo.heads import head_classes, last_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.tracing.place_graph.layer_states import LayerStates
    from vizlib.tracing.place_graph.lying import Lying
    from vizlib.tracing.products import WeightsRead
    from vizlib.tracing.recorder import AttentionCall, Recording
    from vizlib.tracing.residuals import Residual
    from vizlib.tracing.token_flow import Step
    from vizlib.tracing.token_grid import Grid
    from vizlib.zoo.heads import OutputChoice

Size = tuple[int, int]


@dataclass(frozen=True)
class Lineage:
    """The read-out's rows (B, tokens) on the topmost grid, and the steps from there down to the pixels."""

    readout: torch.Tensor
    steps: list[Step]

    def read_by(self, classifier: Classifier | None) -> Lineage:
        """The same steps, read out where one of several classifiers looks; None is the model's own read-out."""
        if classifier is None:
            return self
        row = torch.zeros_like(self.readout)
        row[:, classifier.token] = 1
        return Lineage(row, self.steps)

    @property
    def sites(self) -> list[AttentionSite]:
        """The attention sites in the order of execution, a read-out's own last."""
        from vizlib.tracing.branched_flow import Branched
        from vizlib.tracing.token_flow import Attention

        sites: list[AttentionSite] = []
        for step in reversed(self.steps):
            if isinstance(step, Attention):
                sites.append(step.site)
            elif isinstance(step, Branched):
                sites += [attention.site for attention in step.attentions]
        return sites


@dataclass(frozen=True)
class Tap:
    """A part of the module whose output the trace keeps: tokens (B, prefix + h w, C) or (B, h, w, C), or a feature map (B, C, h, w)."""

    name: str
    path: str
    grid: Grid | None = None  # None: the output is a feature map
    side: Literal["output", "input"] = "output"  # which tensor of the part it is


@dataclass(frozen=True)
class Classifier:
    """One of several classifiers of a model: the part at ``path`` gives its logits (B, K) from the last state of ``token``."""

    path: str
    token: int


def check_patches(embed: Any, size: Size) -> None:
    """ModelError, naming sizes that work, when one of timm's patch embeddings cannot take an input (h, w)."""
    if getattr(embed, "strict_img_size", False) and tuple(embed.img_size) != size:
        height, width = embed.img_size
        raise ModelError(
            f"The model was built for {height} x {width} inputs and got {size[0]} x {size[1]}; load it with image_size={size} for these."
        )
    patch = tuple(getattr(embed, "patch_size", (1, 1)))
    if not getattr(embed, "dynamic_img_pad", False) and any(side % step for side, step in zip(size, patch, strict=True)):
        near = " x ".join(str(max(step, round(side / step) * step)) for side, step in zip(size, patch, strict=True))
        raise ModelError(
            f"An input of {size[0]} x {size[1]} does not divide into patches of {patch[0]} x {patch[1]}; the nearest is {near}."
        )


def check_cut(projection: Any, size: Size, grid: Grid, *, padded: bool) -> None:
    """MethodError when a convolution does not cut an input (h, w) into this grid: it then stands on something else than the pixels.

    ``padded`` allows a border that is filled up to whole patches.
    """
    paddings = (0, 0) if projection.padding == "valid" else projection.padding
    for side, kernel, stride, padding, cells in zip(size, projection.kernel_size, projection.stride, paddings, grid.shape, strict=True):
        fits = (side + 2 * padding - kernel) // stride + 1
        if cells != fits and not (padded and cells == -(-side // stride)):
            raise MethodError(
                f"The convolution that makes the tokens would cut {size[0]} x {size[1]} pixels into {fits} cells a side where there are "
                f"{cells}: it stands on something else than the pixels, so the map would not be certain."
            )


def counted(recording: Recording, expected: int) -> list[AttentionCall]:
    """The recorded attention calls; MethodError when there are not as many as the architecture has, or what they gave was not used."""
    if len(recording.calls) != expected:
        advice = "; attention that is written as F.scaled_dot_product_attention, or as (q @ k^T).softmax(-1) @ v, can be read"
        raise MethodError(
            f"The forward pass ran {len(recording.calls)} attentions that can be read and the architecture has {expected}, "
            f"so the map would not be certain{advice if len(recording.calls) < expected else ''}."
        )
    check_applied(recording.calls)
    return recording.calls


def check_applied(calls: Sequence[AttentionCall]) -> None:
    """MethodError when what an attention gave is not its weights times its values."""
    changed = [number for number, call in enumerate(calls) if not call.applied]
    if changed:
        raise MethodError(
            f"The weights of attention {changed[0]} are not what its values are weighed by: something changes them after the softmax "
            "(or they never meet the values), so a map of them would show another attention than the one that ran."
        )


def match_tokens(call: AttentionCall, grid: Grid, name: str, *, keys_only: bool = False) -> None:
    """MethodError when an attention did not run over the tokens of the grid."""
    queries, keys = (call.q.shape[-2], call.k.shape[-2]) if call.q.ndim == 4 else (0, 0)
    if keys != grid.tokens or not (keys_only or queries == grid.tokens):
        raise MethodError(
            f"{name} ran over {queries} queries and {keys} keys where the architecture has {grid.tokens} tokens ({grid}), so the map would "
            "not be certain."
        )


def first_token(call: AttentionCall, grid: Grid) -> torch.Tensor:
    """The read-out of a class token: rows (B, tokens) with all of the mass on the first token, where ``call`` ran."""
    rows = call.q.new_zeros(call.q.shape[0], grid.tokens, dtype=torch.float64)
    rows[:, 0] = 1
    return rows


def mean_of_cells(call: AttentionCall, grid: Grid) -> torch.Tensor:
    """The read-out of a mean over the cells of a grid, where ``call`` ran."""
    return call.q.new_full((call.q.shape[0], grid.tokens), 1 / grid.tokens, dtype=torch.float64)


class Adapter(ABC):
    """One family, read from one module. Subclasses say what they find; they change nothing.

    ``refusals`` maps what a method may need (``vizlib.catalog.family.NEEDS``) to the reason why this module does not have it; it starts
    from what the whole family lacks.
    """

    family: ClassVar[str]
    reads_classes: ClassVar[bool] = True  # whether it relies on what the methods of known classes do

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.told_classes: int | None = None  # by the user, or by the first answer
        self.outputs: OutputChoice | None = None  # which of several outputs is the answer
        family = FAMILIES.get(self.family)  # an adapter of the user's own has a family of its own
        self.refusals: dict[str, str] = {} if family is None else dict(family.lacks)
        ours = type(self).__module__.startswith("vizlib.")  # who brings an adapter answers for what it reads
        method = foreign_method(module) if self.reads_classes and ours else None
        if method is not None:
            reason = f"{method} runs in place of what vizlib knows of this family, so how its tokens reach the answer is not certain"
            # What the head reads says nothing of where tokens lie; all else may move them.
            lost = ("lineage", "layers", "keys") if method.endswith(".forward_head") else ("lineage", "layers", "keys", "feature_map")
            self.refusals |= dict.fromkeys(lost, reason)
        if self.classes == 0:
            self.refusals["head"] = NO_HEAD if last_width(self.module) else UNKNOWN_HEAD

    @classmethod
    @abstractmethod
    def fits(cls, module: nn.Module) -> bool:
        """Whether this adapter reads modules of this type."""

    @property
    def classes(self) -> int:
        """The number of classes of the answer, 0 where there is no head: what was told, else the width of the head's last layer."""
        if self.told_classes is not None:
            return self.told_classes
        width = head_classes(self.module)
        return self._guessed_classes() if width is None else width

    def _guessed_classes(self) -> int:
        """What to take where no head is known: what the module declares, else the width of its last layer."""
        declared = getattr(self.module, "num_classes", None)
        return int(declared) if isinstance(declared, int) else last_width(self.module) or 0

    def choose(self, outputs: OutputChoice | None) -> None:
        """Take this one of the module's outputs for its answer."""
        self.outputs = outputs

    def expect(self, size: Size) -> None:  # noqa: B027  most know all from the module
        """Find out what cannot be read of inputs (h, w), where that takes a run."""

    def check_size(self, size: Size) -> None:  # noqa: B027  most modules take any size
        """ModelError, naming sizes that work, when the module cannot take an input (h, w)."""

    def call(self, module: nn.Module, x: torch.Tensor) -> Any:
        """What ``module``, this one or a shared copy of it, answers for inputs x (B, C, h, w)."""
        return module(x)

    def answering(self, calls: list[AttentionCall]) -> list[AttentionCall]:
        """Those of the attentions of a pass that the answer comes from; a module may run others for outputs that are not read."""
        return calls

    def input_size(self) -> Size | None:
        """The input (h, w) that the module says it was built for, None where it says nothing."""
        return None

    def labels(self) -> Sequence[str] | None:
        """The names of its classes, None where the module has none."""
        return None

    def for_copy(self, module: nn.Module) -> Adapter:
        """The same reading of a copy of its module."""
        return type(self)(module)

    def check_placement(self, size: Size) -> None:  # noqa: B027  what is read of itself lies where it is
        """MethodError when the cells that are read of an input (h, w) do not lie on its pixels."""

    def taps(self, size: Size) -> list[Tap]:  # noqa: ARG002
        """What a trace keeps besides attention, for an input (h, w)."""
        return []

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:  # noqa: ARG002
        """The read-out and the steps of a recorded pass over inputs (h, w); MethodError where they cannot be told for certain.

        ``windows`` says how the cells of a window share: "uniform", "weight" or "contribution".
        """
        raise MethodError(self.refusals["lineage"])

    def products(self, x: torch.Tensor) -> dict[int, WeightsRead] | None:  # noqa: ARG002
        """The numbers of the products in a pass over inputs x (B, C, h, w) that apply attention, with how they hold their weights.

        None where attention is known by what it looks like.
        """
        return None

    def classifier(self, name: str) -> Classifier | None:
        """The classifier of this name, None for the model's own answer ("model"); MethodError where the model has no such one."""
        if name == "model":
            return None
        raise MethodError(f"{type(self.module).__name__} has one classifier, so classifier={name!r} names nothing; take 'model'.")

    def forks(self) -> list[Residual]:
        """The residual around each attention, named as its site, and around all else that mixes tokens; MethodError where not known."""
        raise MethodError(f"How the residuals of {type(self.module).__name__} add up is not known; give residual_weight as a number.")

    def window_inputs(self, windows: str) -> list[str]:  # noqa: ARG002
        """The paths of parts whose input ``lineage`` wants to read, as the note of that name, to weigh windows in this way."""
        return []

    def layer_logits(
        self,
        module: nn.Module,  # noqa: ARG002
        tokens: torch.Tensor,  # noqa: ARG002
        pooling: str,  # noqa: ARG002
        classifier: Classifier | None = None,  # noqa: ARG002
    ) -> torch.Tensor:
        """What the head answers (B, K) when it reads the tokens (B, N, C) of any block; ``module`` is this one or a shared copy of it.

        ``pooling`` "mean" gives it the mean of all tokens, "readout" what it always reads; an attention pool always pools. ``classifier``
        asks one of several.
        """
        raise MethodError(self.refusals["layers"])

    def layer_states(self, size: Size) -> LayerStates | None:  # noqa: ARG002
        """What the blocks give of inputs (h, w), where the head is run on it as it stands; None where ``layer_logits`` runs the head."""
        return None

    def warnings(self, recording: Recording) -> tuple[str, ...]:  # noqa: ARG002
        """What a reader of a map made from this pass has to know."""
        return ()

    def first_block(self) -> str | None:
        """The path of the first block that takes any number of tokens and reads them where they stand, None where none does."""
        return None

    def stride(self) -> Size | None:
        """The pixels from one cell of the last grid or feature map to the next, (vertical, horizontal), None where not known."""
        info = getattr(self.module, "feature_info", None)
        last = info[-1] if isinstance(info, list) and info else {}
        reduction = last.get("reduction") if isinstance(last, dict) else None
        return (reduction, reduction) if isinstance(reduction, int) else None

    def last_maps(self, size: Size) -> dict[str, Lying]:  # noqa: ARG002
        """The maps of inputs (h, w) that the answer may be read from, the last first; none where ``feature_layer`` or ``taps`` tell."""
        return {}

    def feature_layer(self) -> str | None:
        """The path of the part whose output is the last feature map (B, C, h, w), None where ``last_maps`` are to be looked at."""
        raise MethodError(self.refusals["feature_map"])
