"""What the page of comparisons asks for beside the page, and gives away as files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vizlib.engine.work_order import Lane
from vizlib.ui.core import computations
from vizlib.ui.core.pictures import imports_of, sample
from vizlib.ui.core.tables import to_csv
from vizlib.ui.core.user_model_card import UserModelCard
from vizlib.ui.pages.compare.comparison_work import compute_attributions, compute_comparison
from vizlib.ui.widgets.downloads import npz

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib import ModelCard
    from vizlib.compare.result import Comparison, Example
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.pages.compare.comparison_work import LogitAttributions
    from vizlib.ui.sections.picture_set import PictureSet


@dataclass(frozen=True)
class ComparisonRequest:
    """What is compared: models, over which pictures, fitted how."""

    models: tuple[ModelChoice, ...]
    pictures: PictureSet
    fit: str | None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from all others of the same models."""
        return (self.pictures.identity, self.fit)

    @property
    def cards(self) -> list[ModelCard]:
        """What is known of the models."""
        return [model.card for model in self.models if model.card is not None]


def comparison_or_status(request: ComparisonRequest) -> Comparison | None:
    """All models measured over all pictures, in one pass, once that is there; until then, drawn on the page, why not."""
    work = partial(compute_comparison, pictures=request.pictures.pictures, fit=request.fit)
    return computations.compute_or_status("compare.measures", ("comparison", *request.key), request.models, work, lane=Lane.HEAVY)


def attributions_or_status(request: ComparisonRequest, shown: Example, target: int, which: Sequence[bool]) -> LogitAttributions | None:
    """The attributions of log p(target) on one picture, of the models that ``which`` says, once they are there."""
    work = partial(compute_attributions, shown=shown, target=target, fit=request.fit, which=tuple(which))
    key = ("attributions", *request.key, shown.name, target, tuple(which))
    return computations.compute_or_status("compare.why", key, request.models, work, lane=Lane.HEAVY)


def explained(shown: Example, why: LogitAttributions) -> Example:
    """A picture with why the models answer as they do."""
    return replace(shown, target=why.target, label=why.label, attributions=why.attributions)


def two_of(comparison: Comparison, shown: Example, first: int, second: int) -> Comparison:
    """Two models of a comparison on one picture, without CKA, for what is drawn of the first two."""
    both = (first, second)
    picture = replace(
        shown,
        boxes=tuple(shown.boxes[model] for model in both),
        layers=tuple(shown.layers[model] for model in both),
        answers=tuple(shown.answers[model] for model in both),
        attributions=tuple(shown.attributions[model] for model in both),
    )
    return replace(comparison, models=tuple(comparison.models[model] for model in both), shown=(picture,), cka={})


def to_html(comparison: Comparison, shown: Example | None, why: LogitAttributions | None) -> bytes:
    """The report; the picture that is looked at comes first, and is the one that is explained."""
    from vizlib.compare.report_html import html_page

    if shown is None:
        return html_page(comparison).encode()
    first = shown if why is None else explained(shown, why)
    others = [example for example in comparison.shown if example.name != shown.name]
    return html_page(replace(comparison, shown=(first, *others[:2]))).encode()


def arrays_npz(comparison: Comparison) -> bytes:
    """Every array of the comparison."""
    from vizlib.compare.export import arrays

    return npz(**arrays(comparison))


def table_csv(comparison: Comparison, table: str) -> str:
    """One of the comparison's tables."""
    from vizlib.compare.export import tables

    columns = tables(comparison)[table]
    return to_csv(list(columns), zip(*columns.values(), strict=True))


def snippet(request: ComparisonRequest) -> str:
    """The Python behind the page's numbers."""
    loads = ", ".join(model.code if model.own else f'"{model.name}"' for model in request.models)
    if request.pictures.samples:
        rows = "".join(f'    "{sample(name).title}": {sample(name).code},\n' for name in request.pictures.samples)
        codes = [sample(name).code for name in request.pictures.samples]
        imports, images = f"{imports_of(*codes)}\n", f"{{\n{rows}}}"
    else:
        imports, images = "", '"photos"  # a folder, a list of files, or {name: image}'
    fit = "" if request.fit is None else f', fit="{request.fit}"'
    return f"""{imports}import vizlib
from vizlib.compare import compare, save_arrays, write_html
from vizlib.compare.findings import findings

images = {images}
comparison = compare([{loads}], images{fit})
for finding in findings(comparison):
    print(finding.text, finding.claim)  # what is claimed, what would be seen, what is measured, the verdict
print(comparison.between(0, 1).value)  # CKA: layers of the first model x layers of the second
print(comparison.aligned("depth"))
shown = comparison.shown[0]
if shown.attributions[1] is not None:
    print(shown.name, shown.label, shown.difference(0, 1).score)
write_html(comparison, "comparison.html")
save_arrays(comparison, "numbers")
"""


def command(request: ComparisonRequest) -> str:
    """The same on a command line; a visitor's own weights stand for a file there."""
    names = " ".join(f"{card.architecture}={card.source_name}" if isinstance(card, UserModelCard) else card.name for card in request.cards)
    fit = "" if request.fit is None else f" --fit {request.fit}"
    return f"vizlib compare {names} --images photos --out comparison.html --arrays numbers{fit}"
