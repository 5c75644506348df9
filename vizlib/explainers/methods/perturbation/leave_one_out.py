"""What the answer loses without a token: exact, one token at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.parts.cells_on_pixels import on_pixels
from vizlib.explainers.scorer import TargetScorer, checked_maps, make_scorer
from vizlib.passes.forward import run
from vizlib.passes.head_ablation import without_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.tracing.token_grid import Grid
    from vizlib.zoo.model import Model

COUNTED = "Tokens were hidden as keys of every attention; the read-out, which is no class token, still counts what they hold."


def explain(model: Model, x: torch.Tensor, resolve: TargetResolver, options: dict[str, Any]) -> tuple[list[Target], list[MethodOutput]]:
    """score(x) - score(x without token t) for each cell t of the last grid, its value on all its pixels, for each input (B, 3, h, w).

    "drop" takes the token out after the position embedding, "mask" hides it as a key of every attention; "best" drops where the
    architecture allows it. MethodError where tokens cannot be dropped and that was asked for.
    """
    block = None if options["way"] == "mask" else model.adapter.first_block()
    if options["way"] == "drop" and block is None:
        raise MethodError(f"{model.card.name} needs all cells of its grids, so a token can only be hidden: take way='mask'.")
    with torch.inference_mode(mode=False), torch.no_grad():
        batch_scorer = make_scorer(model, x, resolve)
        outputs = []
        for index in range(len(x)):
            scorer = batch_scorer.for_image(index)
            lineage = run(model, scorer.x).lineage()
            sites, counts = lineage.sites, bool(lineage.readout[:, lineage.sites[-1].query_grid.prefix :].any())
            grid = next(site.query_grid for site in reversed(sites) if site.query_grid.cells)
            scorer.expect(grid.cells + 1)
            without_cell = _hidden(scorer, sites, grid) if block is None else _dropped(scorer, block, grid)
            cells = checked_maps(scorer, scorer.scores(scorer.x).double() - without_cell).reshape(1, *grid.shape)
            # Nearest: every pixel carries the value of its own cell.
            pixels = on_pixels(cells, (int(x.shape[2]), int(x.shape[3])), model.adapter.stride(), "nearest-exact")[0]
            outputs.append(MethodOutput(pixels, None, (COUNTED,) if block is None and counts else ()))
    return batch_scorer.targets, outputs


def _dropped(scorer: TargetScorer, block: str, grid: Grid) -> torch.Tensor:
    """The score (cells,) float64 without each cell, whose token never enters ``block``."""
    scores = []
    all_tokens = torch.arange(grid.tokens, device=scorer.x.device)
    for cells in torch.arange(grid.cells, device=scorer.x.device).split(scorer.batch_size(gradients=False)):
        entered = [False]
        remaining = torch.stack([all_tokens[all_tokens != grid.prefix + cell] for cell in cells])

        def leave_out(
            _part: Any, inputs: tuple[torch.Tensor, ...], remaining: torch.Tensor = remaining, entered: list[bool] = entered
        ) -> tuple[torch.Tensor, ...]:
            if entered[0]:  # the same block stands at several places, and the tokens are gone since the first
                return inputs
            entered[0] = True
            tokens, *others = inputs
            if tokens.shape[1] != grid.tokens:
                raise MethodError(f"{scorer.model.card.name} has {tokens.shape[1]} tokens where its grid has {grid.tokens} ({grid}).")
            return (tokens.gather(1, remaining[:, :, None].expand(-1, -1, tokens.shape[2])), *others)

        handle = scorer.copied.get_submodule(block).register_forward_pre_hook(leave_out)
        try:
            scores.append(scorer.scores(scorer.x.expand(len(cells), -1, -1, -1)))
        finally:
            handle.remove()
    return torch.cat(scores).double()


def _hidden(scorer: TargetScorer, sites: Sequence[AttentionSite], grid: Grid) -> torch.Tensor:
    """The score (cells,) float64 with each cell hidden as a key of every attention."""
    scores = []
    products = scorer.model.adapter.products(scorer.x)
    for cell in range(grid.cells):
        with without_keys(sites, (grid.prefix + cell,), products):
            scores.append(scorer.scores(scorer.x))
    return torch.cat(scores).double()
