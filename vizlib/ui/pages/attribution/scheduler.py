"""What the page of attributions asks for beside the page: maps first, the quick ones before the heavy, then the proof under each."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.engine.jobs import JobState
from vizlib.engine.work_order import Lane
from vizlib.ui.core import computations, job_slots
from vizlib.ui.pages.attribution.map_work import compute_map, compute_model_answer
from vizlib.ui.sections.proof import compute_shared_proof

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from vizlib import Explanation
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.pages.attribution.map_work import Goal, Mapped, ModelAnswer
    from vizlib.ui.sections.proof import Proof

SLOT = "attribution."
AT_ONCE = 2  # maps or proofs under way for one visitor: the next begins without a pause, and other visitors come between
GLANCE = 0.02  # seconds a job that is in the cache needs
BROKEN = "Something went wrong inside vizlib; the server's log says what."
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExplainRequest:
    """One question: a model, a picture and its fit, the class or pair that is explained, and the options of every method."""

    model: ModelChoice
    picture: Picture
    fit: str | None
    goal: Goal
    options: dict[str, dict[str, Any]]

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others, the methods left aside."""
        return (self.model.identity, self.picture.identity, self.fit, self.goal)

    def about(self, name: str, *, coarse: bool = False) -> str:
        """What a map of this question is kept by."""
        return f"{self.goal}/{name}/{sorted(self.given(name, coarse=coarse).items())}"

    def given(self, name: str, *, coarse: bool) -> dict[str, Any]:
        """The options of a method, or of its first look; options that already cost less than that stay."""
        chosen = self.options.get(name, {})
        if not coarse:
            return chosen
        card, cheaper = METHODS[name], {}
        usual = card.resolve({})
        for option, value in card.coarse.items():
            own = chosen.get(option, value)
            cheaper[option] = max(own, value) if value > usual[option] else min(own, value)  # longer steps, a wider gap, or fewer samples
        return chosen | cheaper


@dataclass
class MethodState:
    """Where one method stands: its map, ``coarse`` while a finer one is under way, and the proof under it, or why there is none."""

    name: str
    explanation: Explanation | None = None
    coarse: bool = False
    refusal: str = ""
    proof: Proof | None = None
    proof_refusal: str = ""

    @property
    def settled(self) -> bool:
        """Whether the last word on the map is said."""
        return bool(self.refusal) or (self.explanation is not None and not self.coarse)

    @property
    def proven(self) -> bool:
        """Whether the last word on the proof is said."""
        return bool(self.refusal or self.proof_refusal) or self.proof is not None


def submit_answer(model: ModelChoice, picture: Picture, fit: str | None) -> Job[ModelAnswer] | None:
    """The job that asks the model what it sees; None where its weights would have to be fetched first."""
    work = partial(compute_model_answer, picture=picture, fit=fit)
    return computations.compute(f"{SLOT}answer", ("answer", picture.identity, fit), [model], work)


class MethodScheduler:
    """The work for one question: what was asked for, what came of it, and what comes next.

    It lives in the visitor's session, and moves only when that visitor's page asks: a page that is closed leaves no queue behind.
    """

    def __init__(self, request: ExplainRequest, names: list[str], first: str, *, prove: bool) -> None:
        self.request, self.names, self.prove, self.first = request, names, prove, first
        self.stopped = False
        self.began = time.monotonic()
        self.maps_after = self.proofs_after = 0.0
        self._slots = job_slots.slots()  # where files are made there is no run, and so no session to find them in

    def take(self, request: ExplainRequest, names: list[str], first: str, *, prove: bool) -> None:
        """The same question with other methods or options: what is done stays, what nobody asks for any more is stopped."""
        if (names, request.options, prove) != (self.names, self.request.options, self.prove):
            self.stopped, self.began, self.maps_after, self.proofs_after = False, time.monotonic(), 0.0, 0.0
        self.request, self.names, self.first, self.prove = request, names, first, prove
        self._slots = job_slots.slots()
        wanted = {self._key(kind, name) for name in names for kind in ("first", "map", "proof")}
        for slot, (key, _) in list(job_slots.slots().items()):
            if slot.startswith(tuple(f"{SLOT}{kind}." for kind in ("first", "map", "proof"))) and key not in wanted:
                job_slots.drop(slot)

    def advance(self) -> None:
        """Ask for what comes next, as far as there is room for it."""
        if self.stopped:
            return
        under_way = 0
        for stage, name, kind in self._tasks():
            if under_way and stage > 0 and under_way >= AT_ONCE:
                break
            job = self._start(kind, name)
            if job is None:
                continue
            if not job.done:
                job.wait(GLANCE)
            under_way += not job.done
        states = self.states()
        if not self.maps_after and all(state.settled for state in states):
            self.maps_after = time.monotonic() - self.began
        if not self.proofs_after and self.prove and all(state.proven for state in states):
            self.proofs_after = time.monotonic() - self.began

    def stop(self) -> None:
        """Ask for nothing more, and stop what is under way."""
        self.stopped = True
        for name in self.names:
            for kind in ("first", "map", "proof"):
                self._put_back(kind, name)

    def go_on(self) -> None:
        """Take the work up again."""
        self.stopped = False

    def make_way(self) -> None:
        """Put proofs that are under way back in the queue, for something that a hand is waiting for."""
        for name in self.names:
            self._put_back("proof", name)

    def _put_back(self, kind: str, name: str) -> None:
        job = job_slots.job_in(f"{SLOT}{kind}.{name}")
        if job is not None and not job.done:
            job_slots.drop(f"{SLOT}{kind}.{name}")

    def states(self) -> list[MethodState]:
        """Where every method stands."""
        return [self.state_of(name) for name in self.names]

    def state_of(self, name: str) -> MethodState:
        """Where one method stands."""
        state = MethodState(name)
        mapped, state.refusal = self._outcome("map", name)
        if mapped is None and not state.refusal:
            mapped, _ = self._outcome("first", name)
            state.coarse = mapped is not None
        state.explanation = mapped.explanation if mapped is not None else None
        if state.settled and state.explanation is not None:
            state.proof, state.proof_refusal = self._outcome("proof", name)
        return state

    @property
    def busy(self) -> bool:
        """Whether more is to come."""
        return not self.stopped and any(not state.settled or (self.prove and not state.proven) for state in self.states())

    def _tasks(self) -> Iterator[tuple[int, str, str]]:
        """(stage, method, kind) in their order; a stage that has not ended holds the next one back."""
        heavy = [name for name in self.names if METHODS[name].passes >= computations.HEAVY_PASSES]
        quick = [name for name in self.names if name not in heavy]
        yield from ((0, name, "map") for name in quick)
        yield from ((0, name, "first") for name in heavy if METHODS[name].coarse)
        if not all(self._ended("map", name) for name in quick):
            return
        yield from ((1, name, "map") for name in heavy)
        if not self.prove or not all(self._ended("map", name) for name in heavy):
            return
        order = sorted(self.names, key=lambda name: name != self.first)
        yield from ((2, name, "proof") for name in order)

    def _key(self, kind: str, name: str) -> Hashable:
        """What the slot of a method's first look, map or proof holds while it is for this question."""
        return computations.slot_key(self._result_key(kind, name), [self.request.model])

    def _result_key(self, kind: str, name: str) -> tuple[Any, ...]:
        request = self.request
        shown = "proof" if kind == "proof" else "map"
        return (shown, request.picture.identity, request.fit, request.about(name, coarse=kind == "first"))

    def _ended(self, kind: str, name: str) -> bool:
        return self._ended_job(kind, name) is not None

    def _ended_job(self, kind: str, name: str) -> Job[Any] | None:
        key, job = self._slots.get(f"{SLOT}{kind}.{name}", (None, None))
        return job if job is not None and job.done and not job.abandoned and key == self._key(kind, name) else None

    def _outcome(self, kind: str, name: str) -> tuple[Any, str]:
        """What a job gave, or why it gave nothing."""
        job = self._ended_job(kind, name)
        if job is None:
            return None, ""
        if job.state is JobState.DONE:
            return job.result(), ""
        error = job.exception()
        if error is None:
            return None, "Stopped."
        if isinstance(error, vizlib.VizlibError):
            return None, str(error)
        if getattr(error, "__notes__", None) is None:
            error.add_note("logged")
            _log.error("%s of %s failed", kind, name, exc_info=error)
        return None, BROKEN

    def _start(self, kind: str, name: str) -> Job[Any] | None:
        if kind == "proof":
            state = self.state_of(name)
            return None if state.explanation is None or state.coarse else self._prove(state.explanation)
        return self._map(name, coarse=kind == "first")

    def _map(self, name: str, *, coarse: bool) -> Job[Mapped] | None:
        request, options = self.request, self.request.given(name, coarse=coarse)
        work = partial(compute_map, name, picture=request.picture, fit=request.fit, goal=request.goal, options=options, coarse=coarse)
        lane = computations.lane_of(name, options)
        kind = "first" if coarse else "map"
        return computations.compute(f"{SLOT}{kind}.{name}", self._result_key(kind, name), [request.model], work, lane=lane)

    def _prove(self, explanation: Explanation) -> Job[Proof] | None:
        request = self.request
        work = partial(
            compute_shared_proof, explanation, identity=request.model.identity, picture=request.picture, fit=request.fit,
            goal=request.goal,
        )  # fmt: skip
        key = self._result_key("proof", explanation.method)
        return computations.compute(f"{SLOT}proof.{explanation.method}", key, [request.model], work, lane=Lane.HEAVY)
