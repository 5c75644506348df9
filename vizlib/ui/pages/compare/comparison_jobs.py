"""What the page of comparisons asks for beside the page, and gives away as files."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import streamlit as st

from vizlib.engine.cache import BoundedCache
from vizlib.ui.core import job_slots
from vizlib.ui.core.model_service import service, visitor
from vizlib.ui.core.pictures import sample
from vizlib.ui.core.user_model_card import UserModelCard, identity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib import Model, ModelCard
    from vizlib.analysis.logit_difference import Attribution
    from vizlib.compare.result import Comparison, Example
    from vizlib.engine.jobs import Job, Progress
    from vizlib.ui.pages.compare.picture_set import PictureSet

MOST_SHOWN = 8  # pictures of a set whose layers can be looked at
KEPT_BYTES = 384 << 20
T = TypeVar("T")


@dataclass(frozen=True)
class ComparisonRequest:
    """What is compared: models, over which pictures, fitted how."""

    cards: tuple[ModelCard, ...]
    pictures: PictureSet
    fit: str | None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from all others."""
        return (tuple(identity_of(card) for card in self.cards), self.pictures.identity, self.fit)


@dataclass(frozen=True, eq=False)
class LogitAttributions:
    """The attributions of log p(class) by model, None for one of other classes."""

    target: int
    label: str
    attributions: tuple[Attribution | None, ...]

    @property
    def nbytes(self) -> int:
        """What keeping it takes."""
        return sum(one.map.nbytes for one in self.attributions if one is not None)


def to_fetch(wish: ComparisonRequest) -> list[ModelCard]:
    """The models whose weights are not here, and that this visitor has not asked for."""
    return [card for card in wish.cards if not job_slots.may_load(identity_of(card))]


def submit_comparison(wish: ComparisonRequest) -> Job[Comparison]:
    """The job that measures all models over all pictures, in one pass."""

    def make(models: list[Model], progress: Progress) -> Comparison:
        from vizlib.compare.api import compare

        return compare(models, wish.pictures.pictures, shown=MOST_SHOWN, fit=wish.fit, explain=False, progress=progress)

    return _submit("compare.measures", ("measures", *wish.key), wish, make)


def submit_attributions(wish: ComparisonRequest, shown: Example, target: int, which: Sequence[bool]) -> Job[LogitAttributions]:
    """The job that attributes log p(target) on one picture, of the models that ``which`` says."""

    def make(models: list[Model], progress: Progress) -> LogitAttributions:
        return attributed(models, shown, target, wish.fit, which, progress)

    return _submit("compare.why", ("why", *wish.key, shown.name, target, tuple(which)), wish, make)


def attributed(
    models: Sequence[Model], shown: Example, target: int, fit: str | None, which: Sequence[bool], progress: Callable[..., None]
) -> LogitAttributions:
    """What each pixel adds to log p(target), of the models that ``which`` says."""
    from vizlib.analysis.logit_difference import integrated

    found: list[Attribution | None] = []
    for number, (model, wanted) in enumerate(zip(models, which, strict=True)):
        progress(number, len(models), f"Explaining {model.card.name}")
        found.append(integrated(model, shown.picture, target, fit=fit) if wanted else None)
    return LogitAttributions(target, models[list(which).index(True)].label(target), tuple(found))


def explained(shown: Example, why: LogitAttributions) -> Example:
    """A picture with why the models answer as they do."""
    return replace(shown, target=why.target, label=why.label, attributions=why.attributions)


def two_of(found: Comparison, shown: Example, first: int, second: int) -> Comparison:
    """Two models of a comparison on one picture, without CKA, for what is drawn of the first two."""
    both = (first, second)
    one = replace(
        shown,
        boxes=tuple(shown.boxes[model] for model in both),
        layers=tuple(shown.layers[model] for model in both),
        answers=tuple(shown.answers[model] for model in both),
        attributions=tuple(shown.attributions[model] for model in both),
    )
    return replace(found, models=tuple(found.models[model] for model in both), shown=(one,), cka={})


def to_html(found: Comparison, shown: Example | None, why: LogitAttributions | None) -> bytes:
    """The report; the picture that is looked at comes first, and is the one that is explained."""
    from vizlib.compare.report_html import html_page

    if shown is None:
        return html_page(found).encode()
    first = shown if why is None else explained(shown, why)
    others = [one for one in found.shown if one.name != shown.name]
    return html_page(replace(found, shown=(first, *others[:2]))).encode()


def to_npz(found: Comparison) -> bytes:
    """Every array of the comparison."""
    import numpy as np

    from vizlib.compare.export import arrays

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **cast("dict[str, Any]", arrays(found)))
    return buffer.getvalue()


def to_csv(found: Comparison, table: str) -> str:
    """One of the comparison's tables."""
    from vizlib.compare.export import tables

    columns = tables(found)[table]
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    write(columns)
    for row in zip(*columns.values(), strict=True):
        write(["" if value is None else value for value in row])
    return text.getvalue()


def snippet(wish: ComparisonRequest) -> str:
    """The Python behind the page's numbers."""
    loads = ", ".join(
        f'vizlib.load("{card.architecture}", checkpoint="{card.source_name}")' if isinstance(card, UserModelCard) else f'"{card.name}"'
        for card in wish.cards
    )
    if wish.pictures.samples:
        rows = "".join(f'    "{sample(name).title}": {sample(name).code},\n' for name in wish.pictures.samples)
        imports, images = "import skimage\n\n", f"{{\n{rows}}}"
    else:
        imports, images = "", '"photos"  # a folder, a list of files, or {name: image}'
    fit = "" if wish.fit is None else f', fit="{wish.fit}"'
    return f"""{imports}import vizlib
from vizlib.compare import compare, save_arrays, write_html
from vizlib.compare.findings import findings

images = {images}
found = compare([{loads}], images{fit})
for one in findings(found):
    print(one.text, one.claim, one.agrees)
print(found.between(0, 1).value)  # CKA: layers of the first model x layers of the second
print(found.aligned("depth"))
shown = found.shown[0]
if shown.attributions[1] is not None:
    print(shown.name, shown.label, shown.difference(0, 1).score)
write_html(found, "comparison.html")
save_arrays(found, "numbers")
"""


def command(wish: ComparisonRequest) -> str:
    """The same on a command line; a visitor's own weights stand for a file there."""
    names = " ".join(f"{card.architecture}={card.source_name}" if isinstance(card, UserModelCard) else card.name for card in wish.cards)
    fit = "" if wish.fit is None else f" --fit {wish.fit}"
    return f"vizlib compare {names} --images photos --out comparison.html --arrays numbers{fit}"


def _submit(slot: str, key: tuple[Any, ...], wish: ComparisonRequest, make: Callable[[list[Model], Progress], T]) -> Job[T]:
    """A job with all models of a wish; what it gives is kept for all visitors who ask the same."""
    home, kept = service(), _kept()
    identities = [identity_of(card) for card in wish.cards]
    # Where one has to be fetched, all are run beside the bundled models' own thread.
    host = next((one for one, card in zip(identities, wish.cards, strict=True) if card.source != "bundled"), identities[0])

    def work(model: Model, progress: Progress) -> T:
        def fresh() -> T:
            return make([model if one == host else home.model(one, progress) for one in identities], progress)

        return cast("T", kept.get(key, fresh))

    return job_slots.submit(slot, key, lambda: home.run(visitor(), host, slot, work))


@st.cache_resource(show_spinner=False)
def _kept() -> BoundedCache[Any, Any]:
    return BoundedCache(max_bytes=KEPT_BYTES, size=lambda made: made.nbytes, max_count=64)
