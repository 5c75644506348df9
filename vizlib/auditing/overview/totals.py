"""What has to be known before the maps are walked over: how many rows there are, of which classes, and what is taken for what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizlib.auditing.result import Audit

NAMED = 200  # failures that are named


@dataclass
class Totals:
    """``rows`` with a map, the first ``failures`` (path, model, method, reason) of ``failed`` rows, and by model: pictures by
    class, by (label, answer).

    ``labelled`` says whether any picture has a label; classes are labels then, else answers. ``names`` are theirs by (model, index).
    """

    rows: int = 0
    failed: int = 0
    labelled: bool = False
    failures: list[tuple[str, str, str | None, str]] = field(default_factory=list)
    labels: dict[str, Counter[int]] = field(default_factory=dict)
    answers: dict[str, Counter[int]] = field(default_factory=dict)
    confused: dict[str, Counter[tuple[int, int]]] = field(default_factory=dict)
    names: dict[tuple[str, int], str] = field(default_factory=dict)


def totals(audit: Audit) -> Totals:
    """Read part by part. A picture counts once for each model, whatever the methods."""
    result = Totals()
    for model in audit.models:
        result.labels[model], result.answers[model], result.confused[model] = Counter(), Counter(), Counter()
    seen: set[tuple[str, int]] = set()
    columns = ("picture", "path", "model", "method", "error", "map", "label", "label_name", "prediction", "predicted")
    for part in audit.parts_rows(columns):
        seen.clear()  # a picture's rows lie in one part
        for row in zip(*(part[column] for column in columns), strict=True):
            picture, path, model, method, error, grid_map, label, label_name, answer, answer_name = row
            if error is not None:
                result.failed += 1
                if len(result.failures) < NAMED:
                    result.failures.append((path, model, method, error))
                continue
            result.rows += grid_map is not None
            if (model, picture) in seen or answer is None:
                continue
            seen.add((model, picture))
            result.names[model, answer] = answer_name
            result.answers[model][answer] += 1
            if label is not None:
                result.labelled = True
                result.names[model, label] = label_name
                result.labels[model][label] += 1
                if label != answer:
                    result.confused[model][label, answer] += 1
    return result
