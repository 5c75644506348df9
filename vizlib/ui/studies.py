"""What a page wants to know of one model and one picture: worked out beside the page, kept by what was asked, and waited for."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import streamlit as st

import vizlib
from vizlib.engine.cache import BoundedCache
from vizlib.engine.jobs import JobState
from vizlib.ui import own_form, words
from vizlib.ui.address import one_of
from vizlib.ui.own_card import OwnCard, identity_of
from vizlib.ui.work import engine, visitor
from vizlib.zoo import bundled
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib import Model, ModelCard
    from vizlib.engine.jobs import Job, Progress
    from vizlib.ui.address import Address
    from vizlib.ui.pictures import Picture

PATIENCE = 0.4  # seconds a run waits for what it asked before it shows progress: most of it is there by then, and nothing flickers
KEPT_BYTES = 256 << 20
_log = logging.getLogger(__name__)


class Sized(Protocol):
    """What a study gives back: something that knows how many bytes it takes."""

    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=Sized)


@dataclass(frozen=True)
class Subject:
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
        facts = self.name if self.card is None else words.facts(self.card)
        return f"{facts} · **untrained: random weights**" if self.random else facts

    @property
    def code(self) -> str:
        """The Python that loads it."""
        if isinstance(self.card, OwnCard):
            return f"vizlib.load({self.card.architecture!r}, checkpoint={self.card.source_name!r})".replace("'", '"')
        return f'vizlib.load("{self.name}"' + (', checkpoint="random")' if self.random else ")")


def names_of(families: Sequence[str], own: Sequence[str]) -> list[str]:
    """The architectures of a page: the bundled ones called ``own``, trained or not, then the published ones of the families."""
    return [*own, *(name for name, card in all_cards().items() if card.family in families and card.source == "official")]


def subject(name: str, *, random: bool = False) -> Subject:
    """The model of a name; a bundled architecture whose training is not shipped has random weights."""
    card = all_cards().get(name) or own_form.opened().get(name)
    found = Subject(name, random or (card is None and name in bundled.NAMES), card)
    if found.random and not engine().ready(found.identity):
        engine().open(found.identity, lambda progress: _random(name, progress))
    return found


def pick_subject(address: Address, families: Sequence[str], own: Sequence[str], label: str = "Model") -> Subject:
    """Let the visitor choose one model of the families: bundled, published, or opened from a file on Explore; and its weights."""
    mine = {name: card for name, card in own_form.opened().items() if card.family in families}
    names = [*names_of(families, own), *mine]
    model_key = address.part("model", names[0], one_of(names))
    weights_key = address.part("weights", "trained", one_of(("trained", "random")))
    if st.session_state[model_key] not in names:
        st.session_state[model_key] = names[0]

    def word(name: str) -> str:
        if name in mine:
            return f"{mine[name].title} · yours"
        return name if name in own else f"{name} · {words.megabytes(all_cards()[name])}"

    left, right = st.columns([3, 2], gap="medium", vertical_alignment="bottom")
    name = left.selectbox(
        label, names, key=model_key, format_func=word,
        help="The first ones are built in and work offline. A checkpoint of your own, opened on Explore, is offered here too.",
    )  # fmt: skip
    chosen = subject(name, random=st.session_state[weights_key] == "random")
    untrained = chosen.card is None
    with right:
        st.segmented_control(
            "Weights", ["trained", "random"], key=f"{weights_key}.none" if untrained else weights_key, required=True,
            default="random" if untrained else None, disabled=untrained,
            help="Random weights show what the architecture alone does, without a download.",
        )  # fmt: skip
    st.caption(chosen.words)
    return chosen


def study(
    slot: str, one: Subject, picture: Picture, fit: str | None, make: Callable[[Model, Progress], T], about: str = ""
) -> Job[T] | None:
    """The job of ``make`` with the subject's model, or None where weights would have to be fetched first.

    What it gives is kept by subject, picture, fit, slot and ``about``, for all visitors. A job for the same goes on; one for another
    request in the same ``slot`` is replaced.
    """
    asked: dict[str, tuple[Any, Job[T]]] = st.session_state.setdefault("studies.asked", {})
    key = (slot, one.identity, picture.identity, fit, about)
    known = asked.get(slot)
    if known is not None and known[0] == key:
        return known[1]
    if not (engine().ready(one.identity) or one.name in st.session_state.setdefault("studies.allowed", set())):
        if known is not None:
            asked.pop(slot)[1].cancel()
        return None
    kept = _kept()

    def work(model: Model, progress: Progress) -> T:
        return cast("T", kept.get(key, lambda: make(model, progress)))

    asked[slot] = (key, engine().run(visitor(), one.identity, slot, work))
    return asked[slot][1]


def wait_for(jobs: Sequence[Job[Any] | None], patience: float | None = None) -> None:
    """Give the jobs a moment to end."""
    until = time.monotonic() + (PATIENCE if patience is None else patience)
    for job in jobs:
        if job is not None:
            job.wait(max(0.0, until - time.monotonic()))


def settled(slot: str, one: Subject, job: Job[T] | None) -> T | None:
    """What the job gave; where there is nothing yet, draw why: not fetched, under way, stopped or failed."""
    if job is not None and job.state is JobState.DONE:
        return job.result()
    if job is None:
        _offer(one)
    elif not job.done:
        _follow(job, slot)
    else:
        _draw_end(job, slot)
    return None


@st.fragment(run_every=0.3)
def _follow(job: Job[Any], slot: str) -> None:
    if job.done:
        st.rerun()
    message = f"{job.progress.message or ('Waiting for other visitors' if engine().awake else 'Waking up')} …"
    with st.container(horizontal=True, vertical_alignment="center"):
        if job.progress.fraction is None:
            st.markdown(f":material/hourglass_top: {message}")
        else:
            st.progress(job.progress.fraction, text=message)
        if st.button("Stop", key=f"stop.{slot}", icon=":material/stop_circle:", type="tertiary"):
            job.cancel()
            st.rerun()


def _draw_end(job: Job[Any], slot: str) -> None:
    error = job.exception()
    if error is None:
        st.info("Stopped.", icon=":material/stop_circle:")
    elif isinstance(error, vizlib.VizlibError):
        st.error(str(error), icon=":material/error:")
    else:
        _log.error("%s failed", slot, exc_info=error)
        st.error("Something went wrong inside vizlib; the server's log says what.", icon=":material/error:")
    st.button(
        "Try again", key=f"again.{slot}", icon=":material/refresh:", on_click=lambda: st.session_state["studies.asked"].pop(slot, None)
    )


def _offer(one: Subject) -> None:
    card = one.card
    if card is None:
        return
    if not card.url:
        st.info(f"{card.note} Choose random weights above to see its architecture at work.", icon=":material/block:")
        return
    source = urlsplit(card.url).hostname or "the Hugging Face hub"
    st.markdown(
        f"The weights of **{card.title}** are not here yet: **{words.megabytes(card)}**, fetched once from {source}; their licence is "
        f"**{card.licence}**. Random weights show the same architecture at once."
    )
    allow = st.session_state["studies.allowed"].add
    st.button(f"Fetch {words.megabytes(card)}", key=f"fetch.{one.name}", icon=":material/download:", on_click=allow, args=(one.name,))


@st.cache_resource(show_spinner=False)
def _kept() -> BoundedCache[Any, Any]:
    return BoundedCache(max_bytes=KEPT_BYTES, size=lambda made: made.nbytes, max_count=256)


def _random(name: str, progress: Progress) -> Model:
    progress(0, None, f"Building {name} with random weights")
    return vizlib.load(name, checkpoint="random")
