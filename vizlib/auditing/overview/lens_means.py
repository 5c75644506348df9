"""What each block would answer, over the whole set, read part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vizlib.stats import mean_interval, wilson

if TYPE_CHECKING:
    from vizlib.auditing.result import Audit

Estimate = tuple[float, float, float]  # a value and its 95 % interval


@dataclass(frozen=True)
class BlockAnswers:
    """After ``block``: the share of ``pictures`` whose answer is the ``final`` one there already, the mean ``probability`` of that one,
    and the share that is ``right`` of those with a label, None where none has one."""

    block: str
    pictures: int
    final: Estimate
    probability: Estimate
    right: Estimate | None


@dataclass(frozen=True)
class LensMeans:
    """The answers of a ``model`` after each of its ``blocks``; ``settled`` is how many pictures have their final answer from each block on
    and not from the one before. ``missing`` says why there is none."""

    model: str
    blocks: tuple[BlockAnswers, ...] = ()
    settled: tuple[int, ...] = ()
    missing: str = ""

    @property
    def half(self) -> str:
        """The first block from which on the final answer stays in at least half of the pictures."""
        reached = np.cumsum(self.settled)
        return self.blocks[int(np.argmax(2 * reached >= reached[-1]))].block


def lens_means(audit: Audit) -> list[LensMeans]:
    """One for each model, in the order of the audit; nothing where the audit was made without ``lens``."""
    if not audit.facts["lens"]:
        return []
    return [
        LensMeans(facts["name"], missing=facts["no_lens"]) if facts["no_lens"] else _of_model(audit, facts["name"])
        for facts in audit.facts["models"]
    ]


def _of_model(audit: Audit, model: str) -> LensMeans:
    labels = _labels(audit, model)
    names: list[str] = []
    final, right, labelled, settled, sums, squares = (np.zeros(0) for _ in range(6))
    count = 0
    for first, arrays in audit.lens_parts(model):
        values = np.stack(list(arrays.values()), 1).astype(np.float64)  # (pictures, blocks, 4)
        if not names:
            names = list(arrays)
            final, right, labelled, settled, sums, squares = (np.zeros(len(names)) for _ in range(6))
        read = ~np.isnan(values[:, 0, 0])
        answers, probability = values[read, :, 0], values[read, :, 2]
        same = answers == answers[:, -1:]
        stays = np.logical_and.accumulate(same[:, ::-1], 1)[:, ::-1]
        settled += np.bincount(stays.argmax(1), minlength=len(names))
        own = np.array([labels.get(first + place, -1) for place in np.flatnonzero(read).tolist()])
        final += same.sum(0)
        right += (answers == own[:, None])[own >= 0].sum(0)
        labelled += (own >= 0).sum()
        sums += probability.sum(0)
        squares += (probability**2).sum(0)
        count += len(answers)
    if not count:
        return LensMeans(model, missing="No picture could be read.")
    blocks = tuple(
        BlockAnswers(
            name, count, (float(final[place] / count), *wilson(float(final[place]), count)),
            (float(sums[place] / count), *mean_interval(float(sums[place]), float(squares[place]), count)),
            (float(right[place] / labelled[place]), *wilson(float(right[place]), int(labelled[place]))) if labelled[place] else None,
        )
        for place, name in enumerate(names)
    )  # fmt: skip
    return LensMeans(model, blocks, tuple(map(int, settled)))


def _labels(audit: Audit, model: str) -> dict[int, int]:
    """The model's class of each picture that has one."""
    found: dict[int, int] = {}
    for table in audit.model_tables(model, ["picture", "label"]):
        rows = table.to_pydict()
        found |= {picture: label for picture, label in zip(rows["picture"], rows["label"], strict=True) if label is not None}
    return found
