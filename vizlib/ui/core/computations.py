"""What a page wants to know of one model and one picture: worked out beside the page, kept by what was asked, and waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import streamlit as st

import vizlib
from vizlib.engine.cache import BoundedCache
from vizlib.ui.core import formatting, job_slots
from vizlib.ui.core.model_service import service, visitor
from vizlib.ui.core.url_state import one_of
from vizlib.ui.core.user_model_card import UserModelCard, identity_of
from vizlib.ui.widgets import user_model_form
from vizlib.zoo import bundled_models
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib import Model, ModelCard
    from vizlib.engine.jobs import Job, Progress
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState

KEPT_BYTES = 256 << 20


class Sized(Protocol):
    """What a study gives back: something that knows how many bytes it takes."""

    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=Sized)


@dataclass(frozen=True)
class ModelChoice:
    """A model that is looked at: an architecture by its name, with trained or ``random`` weights, or a visitor's own (``card``)."""

    name: str
    random: bool = False
    card: ModelCard | None = None

    @property
    def identity(self) -> str:
        """What the engine knows it by."""
        if self.random:
            return f"random:{self.name}"
        return self.name if self.card is None else identity_of(self.card)

    @property
    def words(self) -> str:
        """One short line for the page, plain about weights that nobody trained."""
        facts = self.name if self.card is None else formatting.facts(self.card)
        return f"{facts} · **untrained: random weights**" if self.random else facts

    @property
    def code(self) -> str:
        """The Python that loads it."""
        if isinstance(self.card, UserModelCard):
            return f"vizlib.load({self.card.architecture!r}, checkpoint={self.card.source_name!r})".replace("'", '"')
        return f'vizlib.load("{self.name}"' + (', checkpoint="random")' if self.random else ")")


def names_of(families: Sequence[str], own: Sequence[str]) -> list[str]:
    """The architectures of a page: the bundled ones called ``own``, trained or not, then the published ones of the families."""
    return [*own, *(name for name, card in all_cards().items() if card.family in families and card.source == "official")]


def model_choice(name: str, *, random: bool = False) -> ModelChoice:
    """The model of a name; a bundled architecture whose training is not shipped has random weights."""
    card = all_cards().get(name) or user_model_form.opened_models().get(name)
    found = ModelChoice(name, random or (card is None and name in bundled_models.NAMES), card)
    if found.random and not service().ready(found.identity):
        service().open(found.identity, lambda progress: _random(name, progress))
    return found


def pick_model(url_state: UrlState, families: Sequence[str], own: Sequence[str], label: str = "Model") -> ModelChoice:
    """Let the visitor choose one model of the families: bundled, published, or opened from a file on Explore; and its weights."""
    mine = {name: card for name, card in user_model_form.opened_models().items() if card.family in families}
    names = [*names_of(families, own), *mine]
    model_key = url_state.declare("model", names[0], one_of(names))
    weights_key = url_state.declare("weights", "trained", one_of(("trained", "random")))
    if st.session_state[model_key] not in names:
        st.session_state[model_key] = names[0]

    def word(name: str) -> str:
        if name in mine:
            return f"{mine[name].title} · yours"
        return name if name in own else f"{name} · {formatting.megabytes(all_cards()[name])}"

    left, right = st.columns([3, 2], gap="medium", vertical_alignment="bottom")
    name = left.selectbox(
        label, names, key=model_key, format_func=word,
        help="The first ones are built in and work offline. A checkpoint of your own, opened on Explore, is offered here too.",
    )  # fmt: skip
    chosen = model_choice(name, random=st.session_state[weights_key] == "random")
    untrained = chosen.card is None
    with right:
        st.segmented_control(
            "Weights", ["trained", "random"], key=f"{weights_key}.none" if untrained else weights_key, required=True,
            default="random" if untrained else None, disabled=untrained,
            help="Random weights show what the architecture alone does, without a download.",
        )  # fmt: skip
    st.caption(chosen.words)
    return chosen


def compute(
    slot: str, one: ModelChoice, picture: Picture, fit: str | None, make: Callable[[Model, Progress], T], about: str = ""
) -> Job[T] | None:
    """The job of ``make`` with the subject's model, or None where weights would have to be fetched first.

    What it gives is kept by subject, picture, fit, slot and ``about``, for all visitors. A job for the same goes on; one for another
    request in the same ``slot`` is replaced.
    """
    key = (slot, one.identity, picture.identity, fit, about)
    known = job_slots.slots().get(slot)
    if (known is None or known[0] != key) and not job_slots.may_load(one.identity):
        job_slots.drop(slot)
        return None
    kept = _kept()

    def work(model: Model, progress: Progress) -> T:
        return cast("T", kept.get(key, lambda: make(model, progress)))

    return job_slots.submit(slot, key, lambda: service().run(visitor(), one.identity, slot, work))


def result_or_status(
    slot: str, one: ModelChoice, job: Job[T] | None, otherwise: str = "Choose random weights above to see its architecture at work."
) -> T | None:
    """What the job gave; where there is nothing yet, draw why: not fetched (and what to do ``otherwise``), under way, stopped, failed."""
    if job is not None:
        return job_slots.result_or_status(slot, job)
    if one.card is not None:
        job_slots.offer_download(one.card, otherwise)
    return None


@st.cache_resource(show_spinner=False)
def _kept() -> BoundedCache[Any, Any]:
    return BoundedCache(max_bytes=KEPT_BYTES, size=lambda made: made.nbytes, max_count=256)


def _random(name: str, progress: Progress) -> Model:
    progress(0, None, f"Building {name} with random weights")
    return vizlib.load(name, checkpoint="random")
