"""What the perturbation methods of captum share: one image at a time, batches that fit, pieces of the picture and what replaces them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.parts.baselines import baseline
from vizlib.explainers.parts.sampling import seeded
from vizlib.explainers.parts.superpixels import count_note, superpixels
from vizlib.explainers.scorer import TargetScorer, checked_maps, make_scorer

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.explainers.targets import Target, TargetResolver
    from vizlib.zoo.model import Model

STILL = "Nothing that was hidden changed this target: the map is zero."


@dataclass(frozen=True, eq=False)
class PerturbedImage:
    """The scorer of one image (1, 3, h, w), what stands for a hidden pixel, and the pieces (h, w), None where there are none."""

    scorer: TargetScorer
    empty: torch.Tensor
    pieces: torch.Tensor | None

    @property
    def piece_count(self) -> int:
        """The number of pieces."""
        return 0 if self.pieces is None else int(self.pieces.max()) + 1

    @property
    def mask(self) -> torch.Tensor:
        """The pieces as captum wants them, (1, 1, h, w): one piece in all colours."""
        assert self.pieces is not None  # noqa: S101  only methods over pieces ask
        return self.pieces[None, None]

    @property
    def batch_size(self) -> int:
        """How many variants go through the model at once."""
        return self.scorer.batch_size(gradients=False)


def explain_by_perturbation(
    model: Model,
    x: torch.Tensor,
    resolve: TargetResolver,
    options: dict[str, Any],
    attribute: Callable[[PerturbedImage], torch.Tensor],
    *,
    adds_up: bool = False,
) -> tuple[list[Target], list[MethodOutput]]:
    """An output for each image from ``attribute``, which gives captum's attributions (1, 3, h, w), the same in every colour.

    Where the picture is in pieces, each pixel carries the value of its piece. Where these should add up, ``facts`` compare their sum with
    how far the score falls when all are hidden.
    """
    with torch.inference_mode(mode=False), torch.no_grad():
        batch_scorer = make_scorer(model, x, resolve)
        outputs = []
        for index in range(len(x)):
            scorer = batch_scorer.for_image(index)
            pieces = superpixels(model, scorer.x, options["pieces"]) if "pieces" in options else None
            perturbed = PerturbedImage(scorer, baseline(model, scorer.x, options["baseline"]), pieces)
            with seeded(options.get("seed", 0)):
                values = checked_maps(scorer, attribute(perturbed))[0, 0]
            still = () if bool(values.any()) else (STILL,)
            notes = still if pieces is None else still + count_note(perturbed.piece_count, options["pieces"])
            outputs.append(MethodOutput(values, None, notes, facts=_facts(perturbed, values) if adds_up else {}))
    return batch_scorer.targets, outputs


def _facts(perturbed: PerturbedImage, values: torch.Tensor) -> dict[str, float]:
    assert perturbed.pieces is not None  # noqa: S101  only values of pieces add up
    sums = torch.zeros(perturbed.piece_count, dtype=torch.float64, device=values.device)
    sums[perturbed.pieces.flatten()] = values.flatten()  # every pixel of a piece has its value
    scorer = perturbed.scorer
    change = float((scorer.scores(scorer.x) - scorer.scores(perturbed.empty)).double())
    total = float(sums.sum())
    return {"change": change, "sum": total, "gap": abs(total - change) / max(abs(change), 1e-12), "pieces": float(perturbed.piece_count)}
