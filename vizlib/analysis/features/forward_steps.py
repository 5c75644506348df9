"""One forward pass step by step: what each block's norms, attention and MLP make of every token, from the patches to the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vizlib.errors import MethodError
from vizlib.passes.forward import Pass, check_finite, recorded
from vizlib.passes.single_input import single_input
from vizlib.tracing.default_device import own_device
from vizlib.tracing.shared_copy import hooked_copy
from vizlib.zoo.model import checked_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.tracing.residuals import Residual
    from vizlib.tracing.shared_copy import Hook
    from vizlib.zoo.model import Model

_SAME = 1e-4  # of the largest number: what a norm is given is that state


@dataclass(frozen=True, eq=False)
class Vectors:
    """One vector for each of N tokens: its first ``numbers`` (N, c), and its ``lengths`` (N,) over all C, both float32 on the CPU."""

    numbers: torch.Tensor
    lengths: torch.Tensor


@dataclass(frozen=True, eq=False)
class BlockSteps:
    """A block, in the order of its work; all vectors are those of the tokens of its attention ``site``.

    ``arrives`` -> ``first_norm`` -> ``attention`` adds -> ``between`` -> ``second_norm`` -> ``mlp`` adds -> ``leaves``. So
    between = arrives + attention, and leaves = carried + mlp, where ``carried`` is ``between``, or its norm in a block that norms it on the
    way (Compact Transformers). A norm is None where the block has none there that keeps the width.
    """

    name: str
    width: int
    site: AttentionSite
    arrives: Vectors
    first_norm: Vectors | None
    attention: Vectors
    between: Vectors
    carried: Vectors
    second_norm: Vectors | None
    mlp: Vectors
    leaves: Vectors

    def sources(self, most: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
        """The keys that each token looks at most, mean over heads, in falling order: their indices and shares, both (N, most)."""
        most = min(most, self.site.k.shape[2])
        parts = [self.site.weights(rows).float().mean(0).topk(most) for rows in torch.arange(self.site.q.shape[2]).split(256)]
        return torch.cat([part.indices for part in parts]).cpu(), torch.cat([part.values for part in parts]).cpu()


@dataclass(frozen=True, eq=False)
class Answer:
    """How the logits (K,) come about: the C ``features`` that the last linear map reads, its ``weights`` (K, C) and ``bias`` (K,).

    ``weights`` @ ``features`` + ``bias`` are the logits. ``read`` (N,) is how much of each token of the last block the read-out takes.
    """

    logits: torch.Tensor
    read: torch.Tensor
    features: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    bias: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class ForwardSteps:
    """The ``blocks`` of one pass and its ``answer``; ``patches`` are the vectors of the h w patches before positions, where known."""

    patches: Vectors | None
    blocks: tuple[BlockSteps, ...]
    answer: Answer


@own_device()
def forward_steps(model: Model, image: Any, fit: str | None = None, *, numbers: int | None = None) -> ForwardSteps:
    """Every step of one image or prepared tensor (3, h, w), for any transformer whose residuals are known; logits as in a plain pass.

    ``numbers`` keeps that many of each vector's C numbers, all of them for None; lengths are always over all. MethodError, with the reason,
    where the blocks cannot be taken apart. Vaswani et al. 2017; Dosovitskiy et al. 2021, equations 1 to 4.
    """
    checked_model(model)
    x = single_input(model, image, fit)
    size = (int(x.shape[2]), int(x.shape[3]))
    taps = {tap.name: tap for tap in model.adapter.taps(size) if tap.grid is not None and tap.side == "output"}
    readers = [_BlockReader(fork, numbers) for fork in model.adapter.forks() if fork.name.rpartition(".")[0] in taps]
    module = model.resting()
    for reader in readers:
        reader.open(module.get_submodule(taps[reader.block].path), taps[reader.block].path)
    head = _HeadReader(module)
    patches: dict[str, torch.Tensor] = {}
    hooks: list[tuple[str, Hook]] = [hook for reader in readers for hook in reader.hooks]
    hooks += head.hooks
    if isinstance(getattr(module, "patch_embed", None), nn.Module):
        hooks.append(("patch_embed", lambda _, output: patches.update({"tokens": output[0] if isinstance(output, tuple) else output})))
    with torch.inference_mode(), hooked_copy(module, hooks) as copied:
        recording = recorded(model, x, lambda: model.run(copied, x))
        forward_pass = Pass(model, x, recording)
        check_finite(model, x, forward_pass.logits)
        lineage = forward_pass.lineage()
        sites = {site.name: site.image(0) for site in lineage.sites}
        blocks = tuple(reader.steps(sites[reader.name]) for reader in readers if reader.name in sites)
    if not blocks:
        raise MethodError(f"The blocks of {model.card.name} cannot be taken apart: no residual is known around any of its attentions.")
    embedded = patches.get("tokens")
    flat = embedded if embedded is not None and embedded.ndim == 3 and embedded.shape[1] == blocks[0].site.query_grid.cells else None
    return ForwardSteps(
        None if flat is None else _vectors(flat, numbers), blocks, head.answer(forward_pass.logits[0], lineage.readout[0].float().cpu())
    )


class _BlockReader:
    """Reads one block while it runs, and keeps of each vector what was asked for; no state outlives the block's own call."""

    def __init__(self, fork: Residual, numbers: int | None) -> None:
        self.name, self.fork, self.numbers = fork.name, fork, numbers
        self.block = fork.name.rpartition(".")[0]
        self.hooks: list[tuple[str, Hook]] = []
        self._now: dict[str, torch.Tensor] = {}
        self._kept: dict[str, Vectors] = {}
        self._width = 0

    def open(self, block: nn.Module, path: str) -> None:
        """Say what to call with the inputs and outputs of which part of the block."""
        names = ("pre_norm", "norm1") if hasattr(block, "pre_norm") else ("norm1", "norm2")
        self._norms_skip = hasattr(block, "pre_norm")
        for place, name in enumerate(names):
            if isinstance(getattr(block, name, None), nn.Module):
                self.hooks.append((f"{path}.{name}", self._keep_norm(f"norm {place + 1}")))
        ports = {"arrives": self.fork.skip, "branch": self.fork.branch}
        for role, port in ports.items():

            def read(inputs: tuple[Any, ...], output: Any, role: str = role, port: Any = port) -> None:
                self._now[role] = port.read(inputs, output)

            self.hooks.append((port.path, read))
        self.hooks.append((path, self._end))  # after its own input was read, where that is the skip

    def _keep_norm(self, name: str) -> Callable[[tuple[Any, ...], Any], None]:
        def keep(inputs: tuple[Any, ...], output: Any) -> None:
            self._now[f"{name} takes"], self._now[name] = inputs[0], output

        return keep

    def _end(self, _inputs: tuple[Any, ...], output: Any) -> None:
        now, self._now = self._now, {}
        leaves = output[0] if isinstance(output, tuple) else output
        arrives, branch = now["arrives"], now["branch"]
        if not arrives.shape == branch.shape == leaves.shape or arrives.ndim != 3:
            shapes = ", ".join(str(tuple(state.shape)) for state in (arrives, branch, leaves))
            raise MethodError(f"{self.block} cannot be taken apart: what arrives, what attention adds and what leaves are {shapes}.")
        attention = branch if self.fork.gain is None else self.fork.gain * branch
        between = arrives + attention
        second = _norm_of(now, "norm 2", between)
        carried = second if self._norms_skip and second is not None else between
        states = {
            "arrives": arrives,
            "first_norm": _norm_of(now, "norm 1", arrives),
            "attention": attention,
            "between": between,
            "carried": carried,
            "second_norm": second,
            "mlp": leaves - carried,
            "leaves": leaves,
        }
        self._width = arrives.shape[2]
        self._kept = {name: _vectors(state, self.numbers) for name, state in states.items() if state is not None}

    def steps(self, site: AttentionSite) -> BlockSteps:
        """The block as it was read."""
        kept = self._kept
        if "arrives" not in kept:
            raise MethodError(f"{self.block} did not run, so there is nothing to take apart.")
        return BlockSteps(
            self.block, self._width, site, kept["arrives"], kept.get("first_norm"), kept["attention"], kept["between"], kept["carried"],
            kept.get("second_norm"), kept["mlp"], kept["leaves"],
        )  # fmt: skip


class _HeadReader:
    """Finds the linear map whose output are the logits, and keeps what it read."""

    def __init__(self, module: nn.Module) -> None:
        self._linear: nn.Linear | None = None
        self._call: tuple[torch.Tensor, torch.Tensor] | None = None
        linears = [(name, part) for name, part in module.named_modules() if isinstance(part, nn.Linear)]
        self.hooks: list[tuple[str, Hook]] = []
        if linears:
            name, self._linear = linears[-1]
            self.hooks.append((name, self._keep))

    def _keep(self, inputs: tuple[Any, ...], output: Any) -> None:
        self._call = (inputs[0].detach(), output.detach())

    def answer(self, logits: torch.Tensor, read: torch.Tensor) -> Answer:
        """The logits, with the map's parts where its output are they."""
        plain = logits.float().cpu()
        if self._call is None or self._linear is None or not torch.equal(self._call[1].flatten(), logits):
            return Answer(plain, read)
        weights = self._linear.weight.detach().float().cpu()
        bias = torch.zeros(len(weights)) if self._linear.bias is None else self._linear.bias.detach().float().cpu()
        return Answer(plain, read, self._call[0].flatten().float().cpu(), weights, bias)


def _norm_of(now: dict[str, torch.Tensor], name: str, state: torch.Tensor) -> torch.Tensor | None:
    """What the norm gave, where it was given this state and kept its shape."""
    taken = now.get(f"{name} takes")
    if taken is None or taken.shape != state.shape or now[name].shape != state.shape:
        return None
    return now[name] if bool((taken - state).abs().max() <= _SAME * state.abs().max()) else None


def _vectors(state: torch.Tensor, numbers: int | None) -> Vectors:
    rows = state[0].float()
    return Vectors(rows[:, :numbers].cpu().clone(), torch.linalg.vector_norm(rows, dim=1).cpu())
