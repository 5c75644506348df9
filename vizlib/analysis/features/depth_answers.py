"""The logit lens: what a model would answer if its head read each block's tokens, those of the whole picture or of one patch alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError, TargetError
from vizlib.explainers.parts.layer_answers import answer_to
from vizlib.explainers.targets import class_index
from vizlib.passes.forward import capture_taps, run
from vizlib.passes.single_input import single_input
from vizlib.tracing.default_device import own_device
from vizlib.tracing.token_flow import Attention
from vizlib.zoo.adapters.base import Tap
from vizlib.zoo.model import checked_model

if TYPE_CHECKING:
    from vizlib.passes.forward import Pass
    from vizlib.tracing.place_graph.layer_states import LayerStates
    from vizlib.tracing.token_grid import Grid
    from vizlib.zoo.model import Model

_AT_ONCE = 512  # patches that the head reads in one call


@dataclass(frozen=True, eq=False)
class PatchAnswers:
    """What the head says of each patch alone, after each of L blocks: the logit and the probability of one class, and the first answer.

    All (L, h, w); ``logits`` and ``probabilities`` float32, ``answers`` int64.
    """

    logits: torch.Tensor
    probabilities: torch.Tensor
    answers: torch.Tensor


@dataclass(frozen=True, eq=False)
class LogitLens:
    """The answer after each of L ``blocks``: ``logits`` and ``probabilities`` (L, K), on the CPU in float32 or better.

    ``target`` is the class that ``patches`` is about, ``label`` its name. ``patches`` is None where they were not asked for or cannot be
    read, and ``no_patches`` then says why.
    """

    blocks: tuple[str, ...]
    logits: torch.Tensor
    probabilities: torch.Tensor
    target: int
    label: str
    patches: PatchAnswers | None
    no_patches: str = ""

    @property
    def answers(self) -> torch.Tensor:
        """The class that leads after each block: (L,) int64."""
        return self.logits.argmax(1)

    @property
    def settled(self) -> int:
        """The block, counted from 0, from which on the model's answer leads after every block."""
        other = (self.answers != self.answers[-1]).nonzero()
        return int(other[-1]) + 1 if len(other) else 0


@own_device()
def logit_lens(model: Model, image: Any, target: Any = None, fit: str | None = None, *, patches: bool = True) -> LogitLens:
    """The logits after every block, through the model's own norm and head, for one image or prepared tensor (3, h, w).

    The head reads a block's tokens as it reads the last block's: class token, mean or pool. For a patch alone, every token that it looks
    at is that patch's. ``target``, a number or a label, is the class of the patch maps; None is the model's answer. MethodError where the
    head cannot read every block, TargetError without classes. nostalgebraist, "interpreting GPT: the logit lens" (2020); for patches
    Vilas et al., "Analyzing Vision Transformers for Image Classification in Class Embedding Space" (2023), arXiv:2310.18969.
    """
    refusals = checked_model(model).adapter.refusals
    if "head" in refusals:
        raise TargetError(f"{model.card.name} answers in no classes, so there are no logits to read: {refusals['head']}.")
    for need in ("layers", "lineage"):
        if need in refusals:
            raise MethodError(f"The logit lens does not fit {model.card.name}: {refusals[need]}.")
    x = single_input(model, image, fit)
    states = model.adapter.layer_states((int(x.shape[2]), int(x.shape[3])))
    with torch.inference_mode(mode=False), torch.no_grad():  # where a network's own code runs again, it may want to keep a graph
        if states is not None:
            return _of_traced(model, x, states, target)
        return _of_declared(model, run(model, x, keep_states=True), target, patches=patches)


def _of_declared(model: Model, forward_pass: Pass, target: Any, *, patches: bool) -> LogitLens:
    """Where the adapter runs the head on the tokens of any block."""
    lineage, module = forward_pass.lineage(), model.resting()
    pooled = any(isinstance(step, Attention) and not step.skip for step in lineage.steps)
    sites = lineage.sites[: len(lineage.sites) - pooled]
    names = tuple(site.name.rpartition(".")[0] for site in sites)
    tokens = [forward_pass.states[name] for name in names]
    logits = torch.cat([model.adapter.layer_logits(module, state, "readout") for state in tokens])
    asked = int(logits[-1].argmax()) if target is None else class_index(model, target)
    of_patches = None
    if patches:
        grid = sites[-1].query_grid
        rows = [_of_patches(model, state[0], grid, asked) for state in tokens]
        of_patches = PatchAnswers(*(torch.stack(parts).unflatten(1, grid.shape) for parts in zip(*rows, strict=True)))
    return _lens(model, names, logits, asked, of_patches)


def _of_patches(model: Model, tokens: torch.Tensor, grid: Grid, target: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The target's logits and probabilities and the first answers (h w,) of tokens (prefix + h w, C), each patch read alone."""
    rows: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    module = model.resting()
    for part in tokens[grid.prefix :].split(_AT_ONCE):
        alike = part[:, None].expand(-1, grid.prefix + 1, -1)
        logits = model.adapter.layer_logits(module, alike, "readout").float().cpu()
        rows.append((logits[:, target], model.probabilities(logits)[:, target].float(), logits.argmax(1)))
    logits, probabilities, answers = (torch.cat(parts) for parts in zip(*rows, strict=True))
    return logits, probabilities, answers


def _of_traced(model: Model, x: torch.Tensor, states: LayerStates, target: Any) -> LogitLens:
    """Where the network's own code runs again from its last block on, with the tokens of another in place."""
    outputs: dict[str, torch.Tensor] = {}
    with capture_taps(model.resting(), [Tap(path, path) for path in states.paths], outputs) as copied:
        model.run(copied, x)
    rows = [answer_to(model, x, outputs[path], states, outputs).detach() for path in states.paths]
    logits = torch.cat(rows)
    asked = int(logits[-1].argmax()) if target is None else class_index(model, target)
    reason = "its head is run by the network's own code, once for each block; once for each patch would take as many passes"
    return _lens(model, states.paths, logits, asked, None, reason)


def _lens(
    model: Model, names: tuple[str, ...], logits: torch.Tensor, target: int, patches: PatchAnswers | None, reason: str = ""
) -> LogitLens:
    logits = logits.float().cpu()
    return LogitLens(names, logits, model.probabilities(logits), target, model.label(target), patches, reason)
