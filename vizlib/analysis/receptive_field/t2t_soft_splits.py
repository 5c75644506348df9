"""How T2T-ViT turns pixels into tokens, round by round: the tokens, their windows, and where each one's lineage leads.

Yuan et al., "Tokens-to-Token ViT", ICCV 2021, arXiv:2101.11986.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vizlib.analysis.receptive_field.theoretical_receptive_field import Reach, parents
from vizlib.errors import MethodError
from vizlib.explainers.methods.attention.rollout import RolloutRule
from vizlib.passes.forward import run
from vizlib.tracing.token_flow import Attention, ToSink, walk

if TYPE_CHECKING:
    from vizlib.passes.forward import Pass
    from vizlib.tracing.attention_site import AttentionSite
    from vizlib.zoo.model import Model


@dataclass(frozen=True, eq=False)
class Round:
    """One soft split: its ``window`` (kernel, stride, padding), and ``tokens`` (h w, C) on ``grid`` (h, w) as the round leaves them.

    ``step`` counts the cells of the round before, ``reach`` the pixels, that each token takes in. ``site`` is the token transformer's
    attention, None where there is none.
    """

    window: tuple[int, int, int]
    grid: tuple[int, int]
    tokens: torch.Tensor
    step: Reach
    reach: Reach
    site: AttentionSite | None


@dataclass(frozen=True, eq=False)
class TokenRounds:
    """The rounds of one image's pass, lowest first."""

    rounds: list[Round]
    forward_pass: Pass

    def lineages(self, turn: int, residual_weight: float = 0.5) -> torch.Tensor:
        """Where each token of round ``turn`` comes from: rows (h w, windows of the first split) float64 that each sum to 1.

        The rollout of that token through token transformers and windows: w I + (1 - w) A at an attention, the performer's included, and
        even shares inside a window. w = 1 follows the windows alone.
        """
        steps = self.forward_pass.lineage().steps
        below = steps[next(index for index, step in enumerate(steps) if isinstance(step, ToSink)) + 1 :]
        # From the top: the last split, then for each round below its attention and its split. The first split, to the pixels, stays out.
        start = max(0, 2 * (len(self.rounds) - 1 - turn) - 1)
        rows = torch.eye(len(self.rounds[turn].tokens), dtype=torch.float64, device=self.rounds[turn].tokens.device)
        return walk(rows[None], below[start:-1], RolloutRule(residual_weight, None))[-1].rows[0]


def token_rounds(model: Model, image: Any, fit: str | None = None) -> TokenRounds:
    """The rounds of a T2T-ViT for one image, or one prepared input (1, 3, h, w); MethodError for any other model."""
    split: Any = getattr(model.adapter.module, "tokens_to_token", None)
    if split is None:
        raise MethodError(f"{model.card.name} does not make its tokens by soft splits: load a T2T-ViT.")
    prepared = isinstance(image, torch.Tensor) and image.ndim == 4
    forward_pass = run(model, image if prepared else model.prepare(image, fit))
    sites = {step.site.name: step.site for step in forward_pass.lineage().steps if isinstance(step, Attention)}
    rounds: list[Round] = []
    size = forward_pass.size
    for turn, window in enumerate(split.splits):
        last = turn == len(split.splits) - 1
        name = "tokens_to_token.project" if last else f"tokens_to_token.{split.attention_names[turn]}"
        step = parents(size, window)
        reach = step if not rounds else step.below(rounds[-1].reach)
        site = None if last else sites[f"{name}.attn"].image(0)
        rounds.append(Round(tuple(window), step.grid, forward_pass.recording.notes[name]["tokens"][0], step, reach, site))
        size = step.grid
    return TokenRounds(rounds, forward_pass)
