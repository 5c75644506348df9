"""What each block would answer, over the whole set, read part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vizlib.stats import Estimate, mean_interval, wilson

if TYPE_CHECKING:
    from vizlib.auditing.result import Audit


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
    labels, sums, names = _labels(audit, model), None, list[str]()
    for first, arrays in audit.lens_parts(model):
        names = list(arrays)
        values = np.stack(list(arrays.values()), 1).astype(np.float64)  # (pictures, blocks, 4)
        read = ~np.isnan(values[:, 0, 0])
        own = np.array([labels.get(first + place, -1) for place in np.flatnonzero(read).tolist()])
        part = _sums(values[read], own)
        sums = part if sums is None else sums + part
    if sums is None or not sums[0, 0]:
        return LensMeans(model, missing="No picture could be read.")
    blocks = tuple(
        BlockAnswers(
            name, int(count), (final / count, *wilson(final, int(count))),
            (total / count, *mean_interval(total, squares, int(count), within=(0.0, 1.0))),
            (right / labelled, *wilson(right, int(labelled))) if labelled else None,
        )
        for name, (count, final, total, squares, labelled, right, _) in zip(names, sums.T.tolist(), strict=True)
    )  # fmt: skip
    return LensMeans(model, blocks, tuple(map(int, sums[-1])))


def _sums(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """By block, of values (pictures, blocks, 4) and the pictures' labels (-1 for none): pictures, final answers, the sum and the sum of
    squares of their probability, pictures with a label, right ones, and pictures that settle there: (7, blocks)."""
    answers, probability = values[:, :, 0], values[:, :, 2]
    final, known = answers == answers[:, -1:], labels >= 0
    stays = np.logical_and.accumulate(final[:, ::-1], 1)[:, ::-1]
    blocks = values.shape[1]
    settled = np.bincount(stays.argmax(1), minlength=blocks)
    right = (answers == labels[:, None])[known].sum(0)
    every, labelled = np.full(blocks, len(values)), np.full(blocks, known.sum())
    return np.stack([every, final.sum(0), probability.sum(0), (probability**2).sum(0), labelled, right, settled]).astype(np.float64)


def _labels(audit: Audit, model: str) -> dict[int, int]:
    """The model's class of each picture that has one."""
    found: dict[int, int] = {}
    for table in audit.model_tables(model, ["picture", "label"]):
        rows = table.to_pydict()
        found |= {picture: label for picture, label in zip(rows["picture"], rows["label"], strict=True) if label is not None}
    return found
