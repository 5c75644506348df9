"""Any plain vision transformer, read by a declaration of where its parts lie: transformers', torchvision's, and people's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError, ModelError
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.residuals import Port, Residual
from vizlib.tracing.token_flow import Attention, FromCells, Step, ToSink
from vizlib.tracing.token_grid import Grid
from vizlib.zoo.adapters.base import Adapter, Classifier, Lineage, Size, Tap, check_cut, counted, match_tokens
from vizlib.zoo.adapters.plain_vit_checks import misplaced, misread
from vizlib.zoo.adapters.windows import Window, spread
from vizlib.zoo.heads import last_width

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from vizlib.tracing.recorder import AttentionCall, Recording

READOUTS = ("token", "mean", "mean_of_all", "token_and_mean", "two_tokens", "pool", "pool_of_patches", "")


@dataclass(frozen=True)
class PlainViT:
    """Where the parts of a plain vision transformer lie in a module, by path; ``wrap(module, adapter=PlainViT(...))`` reads it by that.

    ``blocks`` is the list of its blocks and ``attention`` the attention inside each; ``patches`` the convolution that cuts the image, or
    any part that does, and then ``patch`` is the size (h, w) of a patch; ``prefix`` counts the learned tokens before the patches.
    ``readout`` says what the head reads: "token" (the first), "mean" (of the patches), "mean_of_all", "token_and_mean" (side by side),
    "two_tokens" (each by a head of its own), "pool" (an attention pool over all tokens), "pool_of_patches", or "" (no answer is known).
    ``norm`` is what comes between the last block and that, and ``head`` what comes after it, parts or matrices, each applied in turn;
    with both, LeGrad and what reads every block work too. ``added`` is the part of a block whose output meets the residual (the attention
    itself unless given) and ``gain`` the factor, an attribute of the block. ``batch_first=False`` is for blocks that take (tokens, images,
    channels), whose states are not read one by one.
    """

    blocks: str
    patches: str
    prefix: int = 1
    readout: str = "token"
    attention: str = "attn"
    patch: int | tuple[int, int] | None = None
    norm: str = ""
    head: tuple[str, ...] | None = None
    added: str = ""
    gain: str = ""
    image_size: Size | None = None
    batch_first: bool = True
    any_tokens: bool = True  # blocks take any number of tokens: no positions inside them
    classifier: str | None = None  # the path of the last layer of the head, "" for none
    classifiers: Mapping[str, Classifier] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.readout not in READOUTS:
            raise ModelError(f"A read-out is one of {', '.join(filter(None, READOUTS))}, or '' for none, not {self.readout!r}.")

    def read(self, module: nn.Module) -> PlainViTAdapter:
        """The adapter of a module of a person's own, which checks this declaration against what the module does."""
        return DeclaredViTAdapter(module, self)


class PlainViTAdapter(Adapter):
    """One grid of patches, one attention over all tokens in each block; every path comes from a declaration."""

    family = "vit"

    def __init__(self, module: nn.Module, parts: PlainViT) -> None:
        self.parts = parts
        paths = dict(module.named_modules(remove_duplicate=False))
        listed = paths.get(parts.blocks)
        missing = next((path for path in (parts.blocks, parts.patches, parts.norm) if path and path not in paths), None)
        if missing is not None or listed is None or not list(listed.children()):
            raise ModelError(f"{type(module).__name__} has no part {missing or parts.blocks!r} that could be read as declared.")
        self.blocks = [f"{parts.blocks}.{name}" for name, _ in listed.named_children()]
        strange = next((path for path in self.blocks if parts.attention and f"{path}.{parts.attention}" not in paths), None)
        if strange:
            raise ModelError(f"{strange} of {type(module).__name__} has no part {parts.attention!r}.")
        self.cut = paths[parts.patches]
        self.outside = type(paths[self.blocks[0]]).forward is torch.nn.Module.forward  # residuals lie outside of what a block holds
        super().__init__(module)
        if parts.classifiers:
            self.refusals.pop("two_classifiers", None)
        if not parts.readout:
            self.refusals.setdefault("lineage", "it has no read-out, so there is no row to start the rollout from")
        if not parts.batch_first:
            reason = "its blocks take tokens before images, so what they give is not read one by one"
            self.refusals |= {"layers": reason, "feature_map": reason}
        if parts.head is None:
            self.refusals.setdefault("layers", "which parts of it make the answer of its last tokens was not declared")

    @classmethod
    def fits(cls, module: nn.Module) -> bool:  # noqa: ARG003  it needs a declaration
        return False

    @property
    def classes(self) -> int:
        if self.told_classes is not None or self.parts.classifier is None:
            return super().classes
        return (last_width(self.module.get_submodule(self.parts.classifier)) or 0) if self.parts.classifier else 0

    def for_copy(self, module: nn.Module) -> PlainViTAdapter:
        return type(self)(module, self.parts)

    def window(self) -> Window:
        """Kernel, stride and padding of what cuts the patches."""
        if isinstance(self.cut, torch.nn.Conv2d) and self.parts.patch is None:
            padding: Any = self.cut.padding
            return Window(tuple(self.cut.kernel_size), tuple(self.cut.stride), padding if isinstance(padding, tuple) else (0, 0))  # type: ignore[arg-type]
        patch = self.parts.patch
        if patch is None:
            raise ModelError(f"{self.parts.patches} is a {type(self.cut).__name__}, so patch= has to say how large a patch is.")
        sides = (patch, patch) if isinstance(patch, int) else patch
        return Window(sides, sides)

    def grid(self, size: Size) -> Grid:
        """The tokens of an input (h, w)."""
        height, width = self.window().count(Grid(*size))
        return Grid(height, width, self.parts.prefix)

    def check_size(self, size: Size) -> None:
        built = self.parts.image_size
        if built is not None and size != built:
            raise ModelError(
                f"The model was built for {built[0]} x {built[1]} inputs and got {size[0]} x {size[1]}; give it inputs of that size."
            )

    def input_size(self) -> Size | None:
        return self.parts.image_size

    def stride(self) -> Size | None:
        return self.window().stride

    def taps(self, size: Size) -> list[Tap]:
        grid = self.grid(size)
        if not self.parts.batch_first:
            return []
        if not self.outside:
            return [Tap(path, path, grid) for path in self.blocks]
        after = [f"{path}.{self.parts.attention}" for path in self.blocks[1:]]
        if self.parts.norm:
            after.append(self.parts.norm)
        return [Tap(path, following, grid, "input") for path, following in zip(self.blocks, after, strict=False)]

    def first_block(self) -> str | None:
        return self.blocks[0] if self.parts.any_tokens and self.parts.batch_first and not self.outside else None

    def classifier(self, name: str) -> Classifier | None:
        return self.parts.classifiers[name] if name in self.parts.classifiers else super().classifier(name)

    def forks(self) -> list[Residual]:
        if not self.parts.batch_first:
            raise MethodError("Its blocks take tokens before images, so residuals are not measured; give residual_weight as a number.")
        residuals = []
        for path in self.blocks:
            attention = f"{path}.{self.parts.attention}"
            skip = attention if self.outside else path
            gain = getattr(self.module.get_submodule(path), self.parts.gain) if self.parts.gain else None
            branch = f"{path}.{self.parts.added}" if self.parts.added else attention
            residuals.append(Residual(attention, Port(skip, "input"), Port(branch), gain if isinstance(gain, torch.Tensor) else None))
        return residuals

    def lineage(self, recording: Recording, size: Size, windows: str = "uniform") -> Lineage:
        if "lineage" in self.refusals:
            raise MethodError(self.refusals["lineage"])
        self.check_placement(size)
        grid, depth, pooled = self.grid(size), len(self.blocks), self.parts.readout.startswith("pool")
        calls = counted(recording, depth + pooled)
        images, device = calls[0].q.shape[0], calls[0].q.device
        steps: list[Step] = self._pool(calls[-1], grid) if pooled else []
        readout = even_row(images, calls[-1].q.shape[2], device) if pooled else self._readout(grid, images, device)
        for index in range(depth - 1, -1, -1):
            match_tokens(calls[index], grid, self.blocks[index])
            name = f"{self.blocks[index]}.{self.parts.attention}"
            steps.append(Attention(AttentionSite.of(calls[index], name, 0, index, grid, grid)))
        return Lineage(readout, [*steps, *([ToSink(grid)] if grid.prefix else []), self._pixels(recording, grid, size, windows)])

    def layer_logits(self, module: nn.Module, tokens: torch.Tensor, pooling: str, classifier: Classifier | None = None) -> torch.Tensor:
        if self.parts.head is None:
            raise MethodError(self.refusals["layers"])
        if pooling == "mean" and not self.parts.readout.startswith("pool"):
            # Every token that the head may look at is the mean.
            tokens = tokens.mean(1, keepdim=True).expand(-1, self.parts.prefix + 1, -1)
        if self.parts.norm:
            tokens = module.get_submodule(self.parts.norm)(tokens)
        if classifier is not None:
            return module.get_submodule(classifier.path)(tokens[:, classifier.token])
        if self.parts.readout == "two_tokens":
            heads = self.parts.classifiers.values()
            return torch.stack([module.get_submodule(head.path)(tokens[:, head.token]) for head in heads]).mean(0)
        read = self._read(tokens)
        for path in self.parts.head:
            part = _named(module, path)
            read = read @ part if isinstance(part, torch.Tensor) else part(read)
        return read

    def warnings(self, recording: Recording) -> tuple[str, ...]:  # noqa: ARG002
        if self.parts.readout != "token_and_mean":
            return ()
        return ("The head reads the first token and the mean of the patches side by side; the map starts half from each.",)

    def _read(self, tokens: torch.Tensor) -> torch.Tensor:
        """What the head takes of the tokens (B, N, C): (B, C), twice as many channels side by side, or all tokens for a pool."""
        cells = tokens[:, self.parts.prefix :]
        match self.parts.readout:
            case "token":
                return tokens[:, 0]
            case "mean":
                return cells.mean(1)
            case "mean_of_all":
                return tokens.mean(1)
            case "token_and_mean":
                return torch.cat([tokens[:, 0], cells.mean(1)], 1)
            case "pool_of_patches":
                return cells
        return tokens

    def _readout(self, grid: Grid, images: int, device: torch.device) -> torch.Tensor:
        row = torch.zeros(images, grid.tokens, dtype=torch.float64, device=device)
        match self.parts.readout:
            case "token":
                row[:, 0] = 1
            case "two_tokens":
                row[:, :2] = 0.5
            case "mean":
                row[:, grid.prefix :] = 1 / grid.cells
            case "mean_of_all":
                row[:] = 1 / grid.tokens
            case "token_and_mean":
                row[:, 0] = 0.5
                row[:, grid.prefix :] += 0.5 / grid.cells
        return row

    def _pool(self, call: AttentionCall, grid: Grid) -> list[Step]:
        whole = self.parts.readout == "pool" or not grid.prefix
        keys = grid if whole else grid.without_prefix()
        match_tokens(call, keys, "The read-out's pool", keys_only=True)
        site = AttentionSite.of(call, "pool", 0, len(self.blocks), Grid(0, 0, call.q.shape[2]), keys)
        return [Attention(site, skip=False), *([] if whole else [FromCells(grid)])]

    def _pixels(self, recording: Recording, grid: Grid, size: Size, windows: str) -> Step:
        window, weight = self.window(), None
        if isinstance(self.cut, torch.nn.Conv2d):
            weight = self.cut.weight.flatten(2)
            check_cut(self.cut, size, grid, padded=False)
        return spread(windows, Grid(*size), grid.without_prefix(), window, weight, recording.x)


class DeclaredViTAdapter(PlainViTAdapter):
    """A declaration of a person's own, held against what the module does: where pixels go and which tokens the answer reads."""

    reads_classes = False

    def __init__(self, module: nn.Module, parts: PlainViT) -> None:
        super().__init__(module, parts)
        self._found: dict[Size, str | None] = {}

    def check_placement(self, size: Size) -> None:
        """MethodError when a pixel does not change the token of its own patch alone, or the answer reads other tokens than declared."""
        if size not in self._found:
            first = f"{self.blocks[0]}.{self.parts.attention}" if self.outside else self.blocks[0]
            grid, batch_first = self.grid(size), self.parts.batch_first
            self._found[size] = misplaced(self.module, first, size, grid, self.window(), batch_first=batch_first)
            last = self.parts.norm or None if self.outside else self.blocks[-1]
            if self._found[size] is None and last is not None:
                tap = Tap(last, last, grid, "input" if self.outside else "output")
                self._found[size] = misread(self.module, tap, size, self._reads(size), batch_first=batch_first)
        reason = self._found[size]
        if reason is not None:
            raise MethodError(reason)

    def _reads(self, size: Size) -> torch.Tensor:
        """Which tokens of the last block the answer reads, by the declaration: (tokens,) bool."""
        grid = self.grid(size)
        if self.parts.readout.startswith("pool"):
            reads = torch.ones(grid.tokens, dtype=torch.bool)
            if self.parts.readout == "pool_of_patches":
                reads[: grid.prefix] = False
            return reads
        return self._readout(grid, 1, torch.device("cpu"))[0] > 0


def even_row(images: int, queries: int, device: torch.device) -> torch.Tensor:
    """A read-out that weighs the queries of a pool alike: (B, queries) float64."""
    return torch.full((images, queries), 1 / queries, dtype=torch.float64, device=device)


def _named(module: nn.Module, path: str) -> Any:
    owner, _, leaf = path.rpartition(".")
    return getattr(module.get_submodule(owner), leaf)
