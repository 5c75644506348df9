"""What every map of one image and target is measured against, made once."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.catalog.methods import METHODS
from vizlib.errors import MethodError, nearest
from vizlib.evaluation.control_maps import centred_gaussian_map, random_smooth
from vizlib.evaluation.deletion_insertion import area, curves
from vizlib.evaluation.progress import Steps
from vizlib.evaluation.reexplain import input_of, reexplain
from vizlib.evaluation.score import BASELINES, DEFINITIONS, EACH, HIGHER, JITTERS, PARTS, RADIUS, RANDOM, SIZES, Score
from vizlib.evaluation.sensitivity_n import falls, infidelity, random_subsets, sensitivity, sums
from vizlib.explainers.parts.baselines import baseline
from vizlib.explainers.scorer import make_scorer
from vizlib.explainers.targets import resolve_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model

REMOVAL = ("deletion", "insertion")
PREDICTING = ("sensitivity_n", "infidelity")
KEPT = 64  # maps whose curves are remembered
ROUNDING = 0.03  # of the range of the logits, which half precision may cost
SURE = 95  # per cent of the random maps that a good one beats


@dataclass(frozen=True, eq=False)
class Curves:
    """The class probability over the ``share`` (33,) of pixels taken away (deletion) or given back (insertion), each (33,).

    The mean over the baselines, their least and most; the Gaussian's; and the 5 and 95 % quantiles of the random smooth maps.
    """

    share: np.ndarray
    deletion: np.ndarray
    deletion_low: np.ndarray
    deletion_high: np.ndarray
    deletion_gaussian: np.ndarray
    deletion_random_low: np.ndarray
    deletion_random_high: np.ndarray
    insertion: np.ndarray
    insertion_low: np.ndarray
    insertion_high: np.ndarray
    insertion_gaussian: np.ndarray
    insertion_random_low: np.ndarray
    insertion_random_high: np.ndarray


class FaithfulnessScorer:
    """The scores of any number of maps of one image and target by one model.

    The maps that know nothing, a Gaussian and random smooth ones, go through the model when a metric first needs them, and once; so do the
    random subsets. One may be shared by threads: they measure one after another. MethodError where the target is no class.
    """

    def __init__(self, model: Model, image: Any, target: Any = None, fit: str | None = None) -> None:
        self._model, self._x = model, input_of(model, image, fit)
        self._asked = make_scorer(model, self._x, lambda logits: resolve_targets(model, target, logits))
        self.target = self._asked.targets[0].index
        if self.target is None:
            raise MethodError("The target is no class, so there is no probability to watch: measure a class or a difference of two.")
        self._lock = threading.RLock()
        self._empty = [baseline(model, self._asked.x, kind) for kind in BASELINES]
        self._blind: torch.Tensor | None = None
        self._references: dict[str, torch.Tensor] = {}
        self._falls: torch.Tensor | None = None
        self._curves: dict[bytes, dict[str, torch.Tensor]] = {}

    def score(self, explanation: Explanation, metrics: Sequence[str] | None = None) -> dict[str, Score]:
        """A Score for each of ``metrics`` (None: all of DEFINITIONS) of an explanation of this image and target by this model.

        MethodError for an unknown metric, and for an explanation of something else.
        """
        names = _known(metrics)
        self._check(explanation)
        with self._lock, torch.inference_mode(mode=False), torch.no_grad():
            steps = Steps(self._cost(explanation, names))
            found = {}
            for name in names:
                if name == "max_sensitivity":
                    value = self._max_sensitivity(explanation, steps)
                    found[name] = Score(value, value, value, None, None, None, higher=False, definition=DEFINITIONS[name])
                else:
                    values = torch.cat([self._values(name, explanation, steps), self._of_references(name, steps)], 1)
                    found[name] = _score(name, values)
        return found

    def curves(self, explanation: Explanation) -> Curves:
        """What the model answers as the pixels go, or come back, in the map's order."""
        self._check(explanation)
        with self._lock, torch.inference_mode(mode=False), torch.no_grad():
            steps = Steps(self._cost(explanation, REMOVAL))
            found: dict[str, np.ndarray] = {}
            for name in REMOVAL:
                self._of_references(name, steps)
                mine = self._mine(explanation, name, steps)[:, 0]
                blind = self._references[f"{name} curves"].mean(0)
                low, high = torch.quantile(blind[1:], torch.tensor([0.05, 0.95], dtype=blind.dtype), dim=0)
                found |= {
                    name: mine.mean(0).numpy(), f"{name}_low": mine.amin(0).numpy(), f"{name}_high": mine.amax(0).numpy(),
                    f"{name}_gaussian": blind[0].numpy(), f"{name}_random_low": low.numpy(), f"{name}_random_high": high.numpy(),
                }  # fmt: skip
        return Curves(np.linspace(0, 1, PARTS + 1), **found)

    def _check(self, explanation: Explanation) -> None:
        name, size = self._model.card.name, tuple(self._x.shape[2:])
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
        mine = self._asked.logits[0].float().cpu().numpy()
        return mine.shape == logits.shape and float(np.abs(mine - logits).max()) <= ROUNDING * max(float(np.ptp(mine)), 1.0)

    def _cost(self, explanation: Explanation, names: Sequence[str]) -> float:
        """About how many images will go through the model."""
        once = len(BASELINES) * (PARTS + 1)
        cost = 0.0
        for name in names:
            if name in REMOVAL:
                cost += once * (1 + (0 if name in self._references else 1 + RANDOM))
        if self._falls is None and set(PREDICTING) & set(names):
            cost += len(BASELINES) * len(SIZES) * EACH
        return cost + ((1 + JITTERS) * METHODS[explanation.method].passes if "max_sensitivity" in names else 0)

    def _answer(self, steps: Steps) -> Callable[[torch.Tensor], torch.Tensor]:
        """The probability of the class (n,); of the first of two when their difference is the target, as if there were no others."""

        def answer(images: torch.Tensor) -> torch.Tensor:
            logits = self._asked.model.run(self._asked.copied, images).double()
            steps.did(len(images))
            if isinstance(self.target, tuple):
                return (logits[:, self.target[0]] - logits[:, self.target[1]]).sigmoid()
            return logits.softmax(1)[:, self.target]

        return answer

    def _blind_maps(self) -> torch.Tensor:
        """The maps that know nothing of the image, the Gaussian first: (1 + RANDOM, h, w)."""
        if self._blind is None:
            size = (int(self._x.shape[2]), int(self._x.shape[3]))
            self._blind = torch.stack([centred_gaussian_map(size), *random_smooth(RANDOM, size)]).to(self._asked.x.device)
        return self._blind

    def _removed(self, name: str, maps: torch.Tensor, steps: Steps) -> torch.Tensor:
        """The curves (baselines, M, PARTS + 1) of maps (M, h, w), on the CPU."""
        batch, insert = self._asked.at_once(gradients=False), name == "insertion"
        answer = self._answer(steps)
        return torch.stack([curves(answer, self._asked.x, one, maps, PARTS, batch, insert=insert) for one in self._empty]).cpu()

    def _mine(self, explanation: Explanation, name: str, steps: Steps) -> torch.Tensor:
        """The curves (baselines, 1, PARTS + 1) of one map, remembered for the next question about it."""
        key = hashlib.sha256(np.ascontiguousarray(explanation.input_map).tobytes()).digest()
        known = self._curves.setdefault(key, {})
        if name not in known:
            known[name] = self._removed(name, self._map(explanation), steps)
        while len(self._curves) > KEPT:
            del self._curves[next(iter(self._curves))]
        return known[name]

    def _map(self, explanation: Explanation) -> torch.Tensor:
        return torch.nan_to_num(torch.from_numpy(explanation.input_map), nan=0.0)[None].to(self._asked.x.device)

    def _values(self, name: str, explanation: Explanation, steps: Steps) -> torch.Tensor:
        """The metric (baselines, 1) of one map."""
        if name in REMOVAL:
            return area(self._mine(explanation, name, steps))
        return self._foretold(name, self._map(explanation), steps)

    def _of_references(self, name: str, steps: Steps) -> torch.Tensor:
        """The metric (baselines, 1 + RANDOM) of the maps that know nothing."""
        if name not in self._references:
            if name in REMOVAL:
                found = self._removed(name, self._blind_maps(), steps)
                self._references[f"{name} curves"] = found
                self._references[name] = area(found)
            else:
                self._references[name] = self._foretold(name, self._blind_maps(), steps)
        return self._references[name]

    def _foretold(self, name: str, maps: torch.Tensor, steps: Steps) -> torch.Tensor:
        """Sensitivity-n or infidelity (baselines, M) of maps (M, h, w)."""
        subsets = random_subsets(SIZES, EACH).to(self._asked.x.device)
        told = sums(maps, subsets)
        by_baseline = [
            sensitivity(told, fall, EACH) if name == "sensitivity_n" else infidelity(told, fall) for fall in self._fallen(subsets, steps)
        ]
        return torch.stack(by_baseline).cpu()

    def _fallen(self, subsets: torch.Tensor, steps: Steps) -> torch.Tensor:
        """How far the score falls without each subset: (baselines, S)."""
        if self._falls is None:
            batch = self._asked.at_once(gradients=False)

            def answer(images: torch.Tensor) -> torch.Tensor:
                logits = self._asked.model.run(self._asked.copied, images)
                steps.did(len(images))
                return self._asked.targets[0].score(logits.to(torch.promote_types(logits.dtype, torch.float32)))

            self._falls = torch.stack([falls(answer, self._asked.x, empty, subsets, batch) for empty in self._empty])
        return self._falls

    def _max_sensitivity(self, explanation: Explanation, steps: Steps) -> float:
        generator, x = torch.Generator().manual_seed(0), self._x.float().cpu()
        reach = RADIUS * float(x.amax() - x.amin())
        moved = [x + reach * (2 * torch.rand(x.shape, generator=generator) - 1) for _ in range(JITTERS)]
        before, *after = reexplain(self._model, torch.cat([x, *moved]), explanation, steps)
        length = max(float(np.linalg.norm(before)), 1e-300)
        return max(float(np.linalg.norm(one - before)) / length for one in after)


def _known(metrics: Sequence[str] | None) -> list[str]:
    names = list(DEFINITIONS) if metrics is None else list(metrics)
    for name in names:
        if name not in DEFINITIONS:
            raise MethodError(f"There is no metric {name!r}; there are {', '.join(DEFINITIONS)}.{nearest(name, list(DEFINITIONS))}")
    return names


def _score(name: str, values: torch.Tensor) -> Score:
    """From values (baselines, maps): the explanation's, the Gaussian's, and those of the random maps."""
    mean = values.mean(0)
    worse = mean[2:] < mean[0] if name in HIGHER else mean[2:] > mean[0]
    percentile = 100 * float(worse.double().mean())
    ahead = bool(mean[0] > mean[1]) if name in HIGHER else bool(mean[0] < mean[1])
    return Score(
        float(mean[0]), float(values[:, 0].min()), float(values[:, 0].max()), percentile, float(mean[1]),
        good=percentile >= SURE and ahead, higher=name in HIGHER, definition=DEFINITIONS[name],
    )  # fmt: skip
