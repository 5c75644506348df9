"""What a visitor asked for beside the page: waited for, followed, stopped, tried again, and the reason drawn where there is nothing."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

import vizlib
from vizlib.engine.jobs import JobState
from vizlib.figures.numbers import counted
from vizlib.ui.core import formatting
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.looks import drawn_every
from vizlib.ui.core.model_service import service

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from vizlib import ModelCard
    from vizlib.engine.jobs import Job

PATIENCE = 0.4  # seconds a run waits for what it asked before it shows progress: most of it is there by then, and nothing flickers
BEATS = ((8, 0.3), (24, 1.0), (80, 2.5), (math.inf, 5.0))  # jobs that are waited for on this server: seconds between two looks at one
YOUNG = 3.0  # seconds that a job is looked at often
_log = logging.getLogger(__name__)
T = TypeVar("T")


def slots() -> dict[str, tuple[Hashable, Job[Any]]]:
    """What this visitor's pages asked for, by slot: for what, and the job."""
    return st.session_state.setdefault("job_slots.slots", {})


def submit(slot: str, key: Hashable, start: Callable[[], Job[T]]) -> Job[T]:
    """The job in a slot: the one that is there where it was asked for the same ``key``, else a new one from ``start()``."""
    if not holds(slot, key):
        slots()[slot] = (key, start())
    return slots()[slot][1]


def holds(slot: str, key: Hashable) -> bool:
    """Whether a slot holds a job that was asked for this ``key``, and that still goes on or has ended for its own reasons."""
    return slot in slots() and slots()[slot][0] == key and not slots()[slot][1].abandoned


def leave_page() -> None:
    """Stop what the page before was still waiting for; what the next one asks for again goes on."""
    for _, job in slots().values():
        if not job.done:
            job.abandon()


def job_in(slot: str) -> Job[Any] | None:
    """The job that a slot holds, whatever it was asked for."""
    return slots().get(slot, (None, None))[1]


def drop(slot: str, *, cancel: bool = True) -> None:
    """Forget what a slot asked for, and stop it."""
    _, job = slots().pop(slot, (None, None))
    if job is not None and cancel:
        job.cancel()


def wait_for(jobs: Sequence[Job[Any] | None], patience: float | None = None) -> None:
    """Give the jobs a moment to end."""
    until = time.monotonic() + (PATIENCE if patience is None else patience)
    for job in jobs:
        if job is not None:
            job.wait(max(0.0, until - time.monotonic()))


def result_or_status(slot: str, job: Job[T]) -> T | None:
    """What the job gave; where there is nothing yet, or nothing at all, draw why: under way, stopped, refused or failed."""
    state = job.state  # read once: the job goes on meanwhile
    if state is JobState.DONE:
        return job.result()
    if state in (JobState.WAITING, JobState.RUNNING):
        follow(slot, job)
        return None
    error = job.exception()
    if isinstance(error, vizlib.MethodError):
        st.info(formatting.plain(str(error)), icon=":material/block:")
        return None
    if error is None:
        st.info("Stopped.", icon=":material/stop_circle:")
    elif isinstance(error, vizlib.VizlibError):
        st.error(formatting.plain(str(error)), icon=":material/error:")
    else:
        _log.error("%s failed", slot, exc_info=error)
        st.error("Something went wrong inside vizlib; the server's log says what.", icon=":material/error:")
    st.button("Try again", key=f"again.{slot}", icon=":material/refresh:", on_click=here(drop), args=(slot,))
    return None


def follow(slot: str, job: Job[Any]) -> None:
    """Show how far a job is until it ends; a page that is drawn again without it stops this.

    Stop is the page's and not the look's: Streamlit drops a click in a fragment that a whole run has replaced meanwhile.
    """
    beat = beat_of(job)
    with st.container(horizontal=True, vertical_alignment="center"):
        drawn_every(_follow, beat)(job, beat)
        st.button("Stop", key=f"stop.{slot}", icon=":material/stop_circle:", type="tertiary", on_click=here(job.cancel))


def run_again_after(jobs: Sequence[Job[Any]]) -> None:
    """Draw the page again as soon as one of these jobs has ended, without a word meanwhile."""
    beat = max(map(beat_of, jobs))
    drawn_every(_run_again_after, beat)(jobs, beat)


def beat_of(job: Job[Any]) -> float:
    """Seconds between two looks at a job: short while it is young and few are waited for, since every look is a run of the script."""
    return in_a_crowd(0.3 if job.age < YOUNG else 2.0 if job.state is JobState.WAITING else 1.0)


def in_a_crowd(beat: float) -> float:
    """Seconds between two looks, more than ``beat`` where many jobs are waited for on this server."""
    waited_for = service().dispatcher.waited_for
    return max(beat, next(seconds for most, seconds in BEATS if waited_for < most))


def _run_again_after(jobs: Sequence[Job[Any]], beat: float) -> None:
    if any(job.done for job in jobs) or max(map(beat_of, jobs)) >= 2 * beat:
        st.rerun()


def words_of(job: Job[Any]) -> str:
    """What a job is at, or what it waits for."""
    if job.progress.message:
        return job.progress.message
    if not service().awake:
        return service().failure or "Waking up"
    if job.state is JobState.WAITING and job.jobs_before:
        return f"{counted(job.jobs_before, 'job')} before yours"
    return "Yours is next" if job.state is JobState.WAITING else "Beginning"


def _follow(job: Job[Any], beat: float) -> None:
    # A whole run only where it is worth one: to see the result, or to look much less often.
    if job.done or beat_of(job) >= 2 * beat:
        st.rerun()
    message = f"{formatting.plain(words_of(job))} …"
    if job.progress.fraction is None:
        st.markdown(f":material/hourglass_top: {message}")
    else:
        st.progress(job.progress.fraction, text=message)


def may_load(identity: str) -> bool:
    """Whether a model is here, or this visitor wants it fetched."""
    return service().ready(identity) or identity in _allowed()


def offer_download(card: ModelCard, otherwise: str) -> None:
    """Offer to fetch a model's weights, or say why that cannot be; ``otherwise`` is what to do then."""
    if card.source == "official" and not card.url:
        st.info(f"{card.note} {otherwise}", icon=":material/block:")
        return
    source = next((place.host for place in card.places if place.remote), "nowhere")
    st.markdown(
        f"This model is not here yet. Its weights are **{formatting.megabytes(card)}**, fetched once from {source}; "
        f"their licence is **{card.licence}**. {formatting.linked(card.paper)}. {card.note}"
    )
    st.button(
        f"Fetch {formatting.megabytes(card)}",
        key=f"fetch.{card.name}",
        icon=":material/download:",
        on_click=here(_allowed().add),
        args=(card.name,),
    )


def _allowed() -> set[str]:
    return st.session_state.setdefault("job_slots.allowed", set())
