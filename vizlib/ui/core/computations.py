"""What a page wants to know: computed beside the page with one model, several or none, kept by what was asked, and waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from vizlib.catalog.methods import METHODS
from vizlib.engine.work_order import Lane
from vizlib.ui.core import job_slots
from vizlib.ui.core.model_service import service, visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice

HEAVY_PASSES = 30  # images through the model for one map, from which on it waits for light requests
OTHERWISE = "Choose another model."
T = TypeVar("T")


def compute(
    slot: str, key: Hashable, models: Sequence[ModelChoice], work: Callable[..., T], *, keep: bool = True, lane: Lane | None = None
) -> Job[T] | None:
    """The job of ``work(*models, progress=...)``, or None where weights would have to be fetched first.

    ``key`` says what is computed and of what, beside the models: a job of the same key goes on, one of another key in the ``slot`` is
    replaced. What it gives is kept for all pages and visitors by models and key, unless ``keep`` is False. ``lane`` is
    HEAVY for what takes more than a moment: everybody's light requests go before it.
    """
    if not job_slots.holds(slot, slot_key(key, models)) and any(not job_slots.may_load(model.identity) for model in models):
        job_slots.drop(slot)
        return None
    identities = [model.identity for model in models]
    return job_slots.submit(
        slot,
        slot_key(key, models),
        lambda: service().run(visitor(), slot, identities, work, key=key if keep else None, lane=lane),
    )


def begun(slot: str, key: Hashable, models: Sequence[ModelChoice]) -> bool:
    """Whether the slot holds what ``compute`` would give, or what somebody asked for before has given it: it then costs nothing more."""
    kept = (tuple(model.identity for model in models), key)
    return job_slots.holds(slot, slot_key(key, models)) or service().dispatcher.results.peek(kept) is not None


def lane_of(method: str, options: Mapping[str, Any]) -> Lane:
    """The lane of one map: heavy for a method that sends many images through the model, by itself or with these options."""
    asked = [value for name in ("samples", "steps") if isinstance(value := options.get(name), int)]
    return Lane.HEAVY if max([METHODS[method].passes, *asked]) >= HEAVY_PASSES else Lane.LIGHT


def slot_key(key: Hashable, models: Sequence[ModelChoice]) -> Hashable:
    """What a slot holds for ``key`` and ``models``."""
    return (tuple(model.identity for model in models), key)


def result_or_status(slot: str, job: Job[T] | None, models: Sequence[ModelChoice] = (), otherwise: str = OTHERWISE) -> T | None:
    """What the job gave; where there is nothing yet, draw why: not fetched (and what to do ``otherwise``), under way, stopped, failed."""
    if job is not None:
        return job_slots.result_or_status(slot, job)
    for model in models:
        if model.card is not None and not job_slots.may_load(model.identity):
            job_slots.offer_download(model.card, otherwise)
    return None


def compute_or_status(
    slot: str,
    key: Hashable,
    models: Sequence[ModelChoice],
    work: Callable[..., T],
    *,
    keep: bool = True,
    lane: Lane | None = None,
    patience: float | None = None,
    otherwise: str = OTHERWISE,
) -> T | None:
    """``compute``, a moment's wait, and ``result_or_status``: for work that nothing else on the page goes beside."""
    job = compute(slot, key, models, work, keep=keep, lane=lane)
    job_slots.wait_for([job], patience)
    return result_or_status(slot, job, models, otherwise)
