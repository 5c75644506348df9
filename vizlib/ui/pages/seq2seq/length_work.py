"""Accuracy by length and gradient by distance of some translators, counted beside the page while it shows what is there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from vizlib.ui.pages.seq2seq.translation_work import translator

if TYPE_CHECKING:
    from vizlib.engine.jobs import Progress

    ByLength = dict[tuple[str, int], tuple[int, int]]
    ByDistance = dict[str, list[tuple[float, float, float, float]]]


@dataclass(frozen=True)
class Counts:
    """What was counted: right answers of so many texts by model and length, and (distance, mean, low, high) of gradients by model.

    ``placed`` is, by model and length, the sum over texts of the share of characters that stand in their place.
    """

    right: ByLength = field(default_factory=dict)
    gradients: ByDistance = field(default_factory=dict)
    placed: dict[tuple[str, int], float] = field(default_factory=dict)

    def add(self, name: str, length: int, right: int, samples: int, placed: float) -> Counts:
        """These counts with so many right answers, and shares of characters, of so many texts more."""
        key = (name, length)
        before = self.right.get(key, (0, 0))
        total = self.placed.get(key, 0.0) + placed
        return replace(self, right=self.right | {key: (before[0] + right, before[1] + samples)}, placed=self.placed | {key: total})

    def plus(self, later: Counts) -> Counts:
        """These counts and later ones: answers add up, and the later gradients of a model stand for the earlier ones."""
        counts = replace(self, gradients=self.gradients | later.gradients)
        for (name, length), (right, samples) in later.right.items():
            counts = counts.add(name, length, right, samples, later.placed.get((name, length), 0.0))
        return counts


def compute_counts(
    names: tuple[str, ...], lengths: tuple[int, ...], seed: int, *, rounds: int, texts: int, gradients: int, progress: Progress
) -> Counts:
    """One measurement, shared as it grows: rounds over all models and lengths, so that every interval shrinks at once; then the gradients.

    A round adds ``texts`` texts of every length for every model; ``gradients`` is the number of texts for the gradients of one.
    """
    from vizlib.seq2seq.length_study import accuracy_by_length, gradient_by_distance

    counts = Counts()
    weight = 1
    steps, counted = (rounds + 1) * len(names) * len(lengths), 0

    def report(part: float, whole: float, what: str) -> None:  # noqa: ARG001  the words of the whole say enough
        progress(counted + weight * part / whole, steps)

    models = {name: translator(name) for name in names}
    for step in range(rounds):
        for name, model in models.items():
            progress(counted, steps, "Counting right answers")
            for length in lengths:  # one at a time, for each is drawn as soon as it is there
                (row,) = accuracy_by_length(model, (length,), texts, seed + step, report)
                counts = counts.add(name, row.length, row.right, row.samples, row.placed)
                progress.share(counts)
                counted += 1
    for name, model in models.items():
        weight = len(lengths)
        progress(counted, steps, "Following gradients back")
        rows = zip(*gradient_by_distance(model, gradients, seed, progress=report), strict=True)
        curve = [(float(distance), float(mean), float(low), float(high)) for distance, mean, low, high in rows]
        counts = replace(counts, gradients=counts.gradients | {name: curve})
        progress.share(counts)
        counted += weight
    return counts
