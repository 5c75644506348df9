"""What every metric of one image and target is computed from, made once: answers, baselines, control maps, curves, subsets."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from vizlib.errors import MethodError
from vizlib.evaluation import protocol
from vizlib.evaluation.control_curves import ControlCurves
from vizlib.evaluation.control_maps import centred_gaussian_map, random_smooth
from vizlib.evaluation.deletion_insertion import pixel_ranks, removal_curves
from vizlib.evaluation.progress import Steps
from vizlib.evaluation.random_subsets import random_subsets, score_drops, subset_sums
from vizlib.explainers.parts.baselines import are_baselines, baseline
from vizlib.explainers.scorer import make_scorer
from vizlib.explainers.targets import resolve_targets

if TYPE_CHECKING:
    from typing import Any

    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

REMEMBERED = 64  # maps whose curves are remembered


class SharedMaterial:
    """One image ``x`` (1, 3, h, w) and ``target`` (a class or a pair of two) of one model, and what was measured of them so far.

    Each part is made when a metric first needs it, and kept; ``steps`` hears of every image that goes through the model. Not for several
    threads at once: FaithfulnessScorer lets them wait. MethodError where the target is no class, and for a picture without evidence.
    """

    def __init__(self, model: Model, x: torch.Tensor, target: Any = None) -> None:
        self.model, self.x, self.steps = model, x, Steps(0)
        self.scorer = make_scorer(model, x, lambda logits: resolve_targets(model, target, logits))
        index = self.scorer.targets[0].index
        if index is None:
            raise MethodError("The target is no class, so there is no probability to watch: measure a class or a difference of two.")
        self.target = index
        empty = [baseline(model, self.scorer.x, kind) for kind in protocol.BASELINES]
        self.empty = [each for each in empty if not bool(are_baselines(self.scorer.x, each))]  # else rounding would be measured
        if not self.empty:
            raise MethodError("The picture itself is one without evidence, so taking parts of it away changes nothing to be measured.")
        self.control_values: dict[str, torch.Tensor] = {}
        self._control_curves: dict[bool, ControlCurves] = {}
        self._curves: dict[bytes, dict[bool, torch.Tensor]] = {}
        self._drops: torch.Tensor | None = None

    def probability(self, images: torch.Tensor) -> torch.Tensor:
        """The probability (n,) float64 of the target for images (n, 3, h, w).

        For a difference of two classes it is that of the first, as if there were no others.
        """
        logits = self._logits(images).double()
        return self.scorer.model.target_probability(logits, self.target)

    def score(self, images: torch.Tensor) -> torch.Tensor:
        """The target's score (n,), a logit or a difference of two, at least float32, for images (n, 3, h, w)."""
        logits = self._logits(images)
        return self.scorer.targets[0].score(logits.to(torch.promote_types(logits.dtype, torch.float32)))

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        # Convolutions on a CPU are up to 1.5 times as fast with the channels last.
        logits = self.scorer.model.run(self.scorer.copied, images.contiguous(memory_format=torch.channels_last))
        self.steps.did(len(images))
        return logits

    def map_of(self, explanation: Explanation) -> torch.Tensor:
        """The input map of an explanation as maps (1, h, w), zero where it is NaN."""
        return torch.nan_to_num(torch.from_numpy(explanation.input_map), nan=0.0)[None].to(self.scorer.x.device)

    @cached_property
    def control_maps(self) -> torch.Tensor:
        """The maps that know nothing of the image, the Gaussian first: (1 + RANDOM_MAPS, h, w)."""
        size = (int(self.x.shape[2]), int(self.x.shape[3]))
        return torch.stack([centred_gaussian_map(size), *random_smooth(protocol.RANDOM_MAPS, size)]).to(self.scorer.x.device)

    @cached_property
    def _control_ranks(self) -> torch.Tensor:
        return pixel_ranks(self.control_maps).to(torch.int32)

    def removal_curves(self, maps: torch.Tensor, *, insert: bool) -> torch.Tensor:
        """The probability (baselines, M, PARTS + 1) as the highest pixels of maps (M, h, w) go, or come back, on the CPU.

        Those of the control maps are kept, and those of the last REMEMBERED others.
        """
        if maps is self.control_maps:
            return self.control_curves(insert=insert).completed()
        key = hashlib.sha256(maps.contiguous().cpu().numpy().tobytes()).digest()
        kept = self._curves.setdefault(key, {})
        if insert not in kept:
            x, batch = self.scorer.x, self.scorer.batch_size(gradients=False)
            by_baseline = [removal_curves(self.probability, x, empty, maps, protocol.PARTS, batch, insert=insert) for empty in self.empty]
            kept[insert] = torch.stack(by_baseline).cpu()
        while len(self._curves) > REMEMBERED:
            del self._curves[next(iter(self._curves))]
        return kept[insert]

    def control_curves(self, *, insert: bool) -> ControlCurves:
        """The curves of the control maps, as far as they are measured."""
        if insert not in self._control_curves:
            batch = self.scorer.batch_size(gradients=False)
            self._control_curves[insert] = ControlCurves(
                self.probability, self.scorer.x, self.empty, self._control_ranks, protocol.PARTS, batch, insert=insert
            )
        return self._control_curves[insert]

    def removal_cost(self, *, insert: bool) -> dict[str, float]:
        """The images that the curves of one more map take at most, and what is still missing of those of the control maps."""
        one = len(self.empty) * (protocol.PARTS + 1)
        controls = self._control_curves[insert].missing() if insert in self._control_curves else one * (1 + protocol.RANDOM_MAPS)
        return {f"curves, {insert=}": float(one + controls)}

    @cached_property
    def subsets(self) -> torch.Tensor:
        """The random subsets of cells, bool (S, CELLS, CELLS), those of one size together."""
        return random_subsets(protocol.SUBSET_SIZES, protocol.SUBSETS_PER_SIZE).to(self.scorer.x.device)

    def subset_sums(self, maps: torch.Tensor) -> torch.Tensor:
        """The sum (M, S) of maps (M, h, w) over each of the subsets."""
        return subset_sums(maps, self.subsets)

    def subset_drops(self) -> torch.Tensor:
        """How far the score falls without each of the subsets: (baselines, S)."""
        if self._drops is None:
            x, batch = self.scorer.x, self.scorer.batch_size(gradients=False)
            self._drops = torch.stack([score_drops(self.score, x, empty, self.subsets, batch) for empty in self.empty])
        return self._drops

    def subset_cost(self) -> dict[str, float]:
        """The images that the drops take, where they are still to be measured."""
        return {} if self._drops is not None else {"subsets": float(len(self.empty) * len(self.subsets))}
