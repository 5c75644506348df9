"""What a metric of faithfulness is: a record that evaluate, the badge, the command line and the page read, and one function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vizlib.evaluation.protocol import SURE
from vizlib.evaluation.score import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from vizlib.evaluation.shared_material import SharedMaterial
    from vizlib.explainers.explanation import Explanation

    Cost = Callable[[SharedMaterial, Explanation], Mapping[str, float]]


def _no_cost(material: SharedMaterial, explanation: Explanation) -> dict[str, float]:  # noqa: ARG001  a Cost
    return {}


@dataclass(frozen=True)
class Metric:
    """A measure of one map: ``name`` in code, ``title`` on pages, ``definition`` the exact rule in a sentence.

    ``badge`` is its part in the verdict: "decisive" (a map none of whose decisive scores is good has failed), "required" (a map passes
    only where it is good), "listed" (it counts as a line and no more) or "apart" (measured only where it is named). A decisive one is
    required too.
    ``cost`` gives the images that go through the model, by what they are for: what two metrics share is counted once.
    """

    name: str
    title: str
    definition: str
    higher_is_better: bool
    badge: Literal["decisive", "required", "listed", "apart"] = field(default="listed", kw_only=True)
    cost: Cost = field(default=_no_cost, kw_only=True)

    def score(self, material: SharedMaterial, explanation: Explanation) -> Score:
        """The score of an explanation of the material's image, target and model."""
        raise NotImplementedError


@dataclass(frozen=True)
class MapMetric(Metric):
    """A metric of any map (h, w), so that the control maps have a value too, and the score a percentile and a verdict.

    ``compute`` takes the material and maps (M, h, w) and gives the values (baselines, M).
    """

    compute: Callable[[SharedMaterial, torch.Tensor], torch.Tensor]

    def score(self, material: SharedMaterial, explanation: Explanation) -> Score:
        """The mean over the baselines, beside the control maps, which are measured once for each material."""
        map_alone = material.map_of(explanation)
        values = self.compute(material, map_alone).cpu()
        mean = values.mean(0)[0]
        gaussian, worse = self.beside_controls(material, mean)
        percentile = 100 * float(worse.double().mean())
        ahead = bool(mean > gaussian) if self.higher_is_better else bool(mean < gaussian)
        ordered = bool(map_alone.max() > map_alone.min())  # else its pixels went in a random order, and that is what was measured
        return Score(
            float(mean), float(values.min()), float(values.max()), percentile, float(gaussian),
            good=percentile >= SURE and ahead and ordered, higher=self.higher_is_better, definition=self.definition,
        )  # fmt: skip

    def beside_controls(self, material: SharedMaterial, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The Gaussian's value, and which of the random maps, bool (n,), are worse than ``mean``."""
        controls = self.of_controls(material).mean(0)
        return controls[0], controls[1:] < mean if self.higher_is_better else controls[1:] > mean

    def of_controls(self, material: SharedMaterial) -> torch.Tensor:
        """The values (baselines, 1 + RANDOM_MAPS) of the maps that know nothing of the image, the Gaussian's first."""
        if self.name not in material.control_values:
            material.control_values[self.name] = self.compute(material, material.control_maps).cpu()
        return material.control_values[self.name]


@dataclass(frozen=True)
class RemovalMetric(MapMetric):
    """The area under a removal curve; with ``insert``, under that of the pixels given back.

    The curves of the random maps are measured only until it is certain which of them are worse.
    """

    insert: bool

    def beside_controls(self, material: SharedMaterial, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The Gaussian's value, and which of the random maps, bool (n,), are worse than ``mean``."""
        from vizlib.evaluation.deletion_insertion import area

        curves = material.control_curves(insert=self.insert)
        gaussian = area(curves.completed([0])).mean(0)[0]
        worse = curves.worse_than(float(mean), range(1, len(material.control_maps)))
        material.steps.did(curves.missing())  # counted in the cost, and not needed
        return gaussian, worse


@dataclass(frozen=True)
class ExplanationMetric(Metric):
    """A metric that makes the explanation again, so that no control map has a value: without a percentile and a verdict.

    ``compute`` takes the material and the explanation and gives one number.
    """

    compute: Callable[[SharedMaterial, Explanation], float]

    def score(self, material: SharedMaterial, explanation: Explanation) -> Score:
        """The value alone."""
        value = self.compute(material, explanation)
        return Score(value, value, value, None, None, None, higher=self.higher_is_better, definition=self.definition)
