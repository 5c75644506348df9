"""The scores of any number of maps of one image and target, and the curves behind deletion and insertion."""

from __future__ import annotations

import threading
from collections import ChainMap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.errors import MethodError
from vizlib.evaluation import protocol
from vizlib.evaluation.measured import Curves
from vizlib.evaluation.metrics import map_metrics_named, metrics_named
from vizlib.evaluation.progress import Steps
from vizlib.evaluation.reexplain import check_single, input_of
from vizlib.evaluation.shared_material import SharedMaterial
from vizlib.zoo.model import checked_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vizlib.evaluation.metrics.metric import Metric
    from vizlib.evaluation.score import Score
    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

ROUNDING = 0.03  # of the range of the logits, which half precision may cost


class FaithfulnessScorer:
    """The scores of any number of maps of one image and target by one model.

    The maps that know nothing, a Gaussian and random smooth ones, go through the model when a metric first needs them, and once; so do the
    random subsets. One may be shared by threads: they measure one after another. MethodError where the target is no class.
    """

    def __init__(self, model: Model, image: Any, target: Any = None, fit: str | None = None) -> None:
        self.material = SharedMaterial(checked_model(model), input_of(model, image, fit), target)
        self.target = self.material.target
        self._lock = threading.RLock()

    @property
    def nbytes(self) -> int:
        """About what it takes once everything is made: its pictures and the control maps."""
        height, width = self.material.x.shape[2:]
        pictures = (1 + len(self.material.empty)) * self.material.x.nbytes
        return int(pictures + (8 + 4) * (1 + protocol.RANDOM_MAPS) * height * width)  # the maps, and the order of their pixels

    def score(self, explanation: Explanation, metrics: Sequence[str] | None = None) -> dict[str, Score]:
        """A Score for each of ``metrics`` (None: those of a badge) of an explanation of this image and target by this model.

        MethodError for an unknown metric, and for an explanation of something else.
        """
        chosen = metrics_named(metrics)
        self._check(explanation)
        with self._measuring(explanation, chosen):
            return {metric.name: metric.score(self.material, explanation) for metric in chosen}

    def values(self, explanation: Explanation, metrics: Sequence[str]) -> dict[str, tuple[float, float]]:
        """(the map's value, that of a Gaussian around the middle) by metric, without the random maps of ``score``: means over baselines.

        MethodError for a metric that no map alone has, and for an explanation of something else.
        """
        chosen = map_metrics_named(metrics)
        self._check(explanation)
        with self._measuring(explanation, chosen):
            maps = self.material.map_of(explanation), self.material.control_maps[:1]
            both = {metric.name: [metric.compute(self.material, each) for each in maps] for metric in chosen}
            return {name: (float(own.mean(0)[0]), float(gaussian.mean(0)[0])) for name, (own, gaussian) in both.items()}

    def curves(self, explanation: Explanation) -> Curves:
        """The class probability, 0 to 1, as the pixels go, or come back, in the map's order, beside that of the control maps.

        MethodError for an explanation of another model, class, picture or size.
        """
        self._check(explanation)
        arrays: dict[str, np.ndarray] = {}
        with self._measuring(explanation, metrics_named(["deletion", "insertion"])):
            for name, insert in (("deletion", False), ("insertion", True)):
                controls = self.material.removal_curves(self.material.control_maps, insert=insert).mean(0)
                of_map = self.material.removal_curves(self.material.map_of(explanation), insert=insert)[:, 0]
                low, high = torch.quantile(controls[1:], torch.tensor([0.05, 0.95], dtype=controls.dtype), dim=0)
                arrays |= {
                    name: of_map.mean(0).numpy(), f"{name}_low": of_map.amin(0).numpy(), f"{name}_high": of_map.amax(0).numpy(),
                    f"{name}_gaussian": controls[0].numpy(), f"{name}_random_low": low.numpy(), f"{name}_random_high": high.numpy(),
                }  # fmt: skip
        return Curves(np.linspace(0, 1, protocol.PARTS + 1), **arrays)

    @contextmanager
    def _measuring(self, explanation: Explanation, metrics: Sequence[Metric]) -> Iterator[None]:
        """One thread at a time, without gradients, with a progress that knows about how many images will go through the model."""
        with self._lock, torch.inference_mode(mode=False), torch.no_grad():
            costs = ChainMap(*(dict(metric.cost(self.material, explanation)) for metric in metrics))
            self.material.steps = Steps(sum(costs.values()))
            yield

    def _check(self, explanation: Explanation) -> None:
        check_single(explanation)
        name, size = self.material.model.card.name, tuple(self.material.x.shape[2:])
        if explanation.model != name:
            raise MethodError(f"The explanation is of {explanation.model}, not of {name}.")
        if explanation.target is None:
            raise MethodError("The explanation's target is no class, so there is no probability to watch: explain a class.")
        if explanation.target != self.target:
            raise MethodError(f"The explanation is of class {explanation.target}, and what is measured here is class {self.target}.")
        if explanation.input_map.shape != size:
            raise MethodError(f"The explanation lies on an input of {explanation.input_map.shape}, and this image gives {size}.")
        if explanation.options.get("classifier", "model") == "model" and not self._same_answer(explanation.logits):
            raise MethodError(f"The explanation is of another picture, or of {name} with other weights: it was of another answer.")

    def _same_answer(self, logits: np.ndarray) -> bool:
        """Whether logits (K,) are those of this image, up to what another batch or precision rounds."""
        own = self.material.scorer.logits[0].float().cpu().numpy()
        return own.shape == logits.shape and float(np.abs(own - logits).max()) <= ROUNDING * max(float(np.ptp(own)), 1.0)
