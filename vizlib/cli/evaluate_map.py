"""What ``vizlib explain --evaluate`` says of a map: scores, checks and the verdict over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table

from vizlib.cli.errors_and_output import stdout_console
from vizlib.errors import MethodError

if TYPE_CHECKING:
    from vizlib.explainers.explanation import Explanation
    from vizlib.zoo.model import Model


def check_has_classes(model: Model) -> None:
    """Nothing for a model with classes; MethodError for one without, since there is no probability to watch."""
    if not model.adapter.classes:
        raise MethodError(f"{model.card.name} has no classes, so there is no probability to watch: leave --evaluate out.")


def measure_map(model: Model, explanation: Explanation) -> dict[str, Any]:
    """The badge, the scores and the checks of an explanation of a picture, as they go into JSON."""
    import vizlib
    from vizlib.evaluation.badge import badge
    from vizlib.evaluation.sanity_checks import sanity_checks

    scores, checks = vizlib.evaluate(model, explanation.image, explanation), sanity_checks(model, explanation.image, explanation)
    verdict = badge(scores, checks)
    fields = ("value", "low", "high", "percentile", "gaussian", "good")
    return {
        "badge": {name: getattr(verdict, name) for name in ("verdict", "words", "passed", "tests")},
        "scores": {name: {key: getattr(score, key) for key in fields} for name, score in scores.items()},
        "checks": {
            name: {"similarity": check.similarity, "passed": check.passed, "reason": check.reason} for name, check in checks.items()
        },
        "lines": [{"title": title, "passed": passed, "words": words} for title, passed, words in verdict.lines],
    }  # fmt: skip


def print_measures(photo: str, measures: dict[str, Any]) -> None:
    """A table of the measures under the verdict."""
    verdict = measures["badge"]
    title = f"{photo}: {verdict['verdict']} {verdict['passed']}/{verdict['tests']}. {verdict['words']}"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=escape(title), title_justify="left")
    for heading in ("", "measure", "beside it"):
        table.add_column(heading, overflow="fold")
    for line in measures["lines"]:
        table.add_row("yes" if line["passed"] else "no", escape(line["title"]), escape(line["words"]))
    stdout_console().print(table)
