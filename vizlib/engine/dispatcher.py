"""Who comes when: orders of many visitors, done in turn by the processes of a backend, shared where they ask for the same."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from vizlib.engine.cache import BoundedCache
from vizlib.engine.jobs import Job, JobState
from vizlib.engine.limits import Limits
from vizlib.engine.memory import give_back
from vizlib.engine.work_order import Lane, at_once
from vizlib.errors import CancelledError, VizlibError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator

    from vizlib.engine.work_order import Outcome, Report, WorkOrder

T = TypeVar("T")
_log = logging.getLogger(__name__)
TIDY_EVERY: Final = 30.0  # seconds between two looks for what nobody asks for any more
ATTEMPTS: Final = 2  # one, and once more after the process that did it has died
LINGER: Final = 3.0  # seconds that running work goes on after everybody who waited left: a page that is loaded again takes it up
UNHEARD: Final = 5.0  # seconds after which nobody waits any more for work that was told to stop and has no step to do so at
STUCK: Final = 30.0  # seconds after which the process of work that still goes on is ended
BEAT: Final = 1.0  # seconds between two looks at what runs
DIED: Final = "The process that worked on this ended twice, perhaps for want of memory: try a smaller picture or model."


class WorkerDiedError(VizlibError):
    """The process that did some work ended in the middle of it, twice."""


class LimitError(VizlibError):
    """A visitor asks for more than the server's operator lets one have."""


class Backend(Protocol):
    """Where orders are done: ``places``, each a process with threads for each lane, as many as ``at_once`` says."""

    def places(self) -> list[str]:
        """The processes that take orders now."""

    def start(
        self, place: str, number: str, order: WorkOrder, lane: Lane, report: Callable[[Report], None], end: Callable[[Outcome | None], None]
    ) -> None:
        """Begin an order; ``report`` is told how far it is, and ``end`` its outcome, None when its process died. In any thread."""

    def stop(self, place: str, number: str) -> None:
        """Stop an order at its next step."""

    def restart(self, place: str) -> None:
        """End a process whose work does not stop, and start another; what else it did ends with None."""

    def forget(self, identity: str) -> None:
        """Free what every place holds of a model."""

    def expire(self, seconds: float) -> None:
        """Let go of what nobody asked for in the last ``seconds``, the models left aside."""

    def renew(self, places: Collection[str], needed: Callable[[], bool]) -> None:
        """Start these processes again, one after another and until they are ``needed``: what they have taken goes back to the system."""

    def close(self) -> None:
        """End every process."""


@dataclass(eq=False)
class _Order:
    """Work that one or several jobs wait for."""

    number: str
    visitor: str
    order: WorkOrder
    lane: Lane
    key: Hashable
    jobs: list[QueuedJob[Any]] = field(default_factory=list)
    place: str = ""
    began: float = 0.0
    attempts: int = 0
    left: float = 0.0  # when the last job that waited for it was cancelled
    stopped: str = ""  # why it was told to stop
    stopped_at: float = 0.0

    @property
    def running(self) -> bool:
        return bool(self.place)


class QueuedJob(Job[T]):
    """A job of a ``Dispatcher``; several may wait for the same work, and its work stops when the last of them is cancelled."""

    def __init__(self, key: Hashable, visitor: str, on_cancel: Callable[[], object]) -> None:
        super().__init__(key)
        self.visitor = visitor
        self._on_cancel = on_cancel

    def cancel(self) -> None:
        """Wait no more for the work."""
        if not self.done:
            self.progress._cancel.set()
            self._settle(JobState.CANCELLED)
            self._on_cancel()


class Dispatcher:
    """Gives orders to the places of a backend.

    A place has as many orders of each lane as ``at_once`` says. Within a lane visitors come in turn, each with their oldest order, and
    none has more under way than there are places, so that whoever comes finds room. Orders of the same key are done once, and what
    they gave is kept, bounded in bytes. An order whose process died is done once more.
    """

    def __init__(self, backend: Backend, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.results: BoundedCache[Hashable, Any] = BoundedCache(
            max_bytes=self.limits.results_mb << 20, size=lambda result: int(result.nbytes), max_count=2048
        )
        self.on_tidy: Callable[[], object] = lambda: None  # what else has to let go of what nobody asks for any more, every half minute
        self._backend = backend
        self._at_once = at_once(self.limits)
        self._change = threading.Condition(threading.RLock())
        self._queues: dict[Lane, OrderedDict[str, deque[_Order]]] = {lane: OrderedDict() for lane in Lane}
        self._running: dict[str, _Order] = {}
        self._by_key: dict[Hashable, _Order] = {}
        self._slots: dict[tuple[str, Hashable], QueuedJob[Any]] = {}
        self._known: dict[str, set[str]] = {}  # by place, the models that it has loaded
        self._present: set[str] = set()
        self._worked: set[str] = set()  # places that began orders since the last visitor was gone
        self._empty_since = time.monotonic()
        self._numbers, self._closed = count(1), False
        self._tidied = time.monotonic()
        self._thread: threading.Thread | None = None

    def submit(self, visitor: str, slot: Hashable, order: WorkOrder, *, lane: Lane = Lane.LIGHT, key: Hashable = None) -> QueuedJob[Any]:
        """The job of an order; it replaces what the same visitor last asked for in ``slot``.

        With a ``key`` the result is kept for everybody and must know its ``nbytes``; an order of the same key that is under way is shared.
        """
        job: QueuedJob[Any] = QueuedJob(slot, visitor, lambda: self._left(job))
        with self._change:
            if self._closed:
                raise RuntimeError("The dispatcher is closed: nothing can be submitted any more.")
            stale = self._slots.get((visitor, slot))
            kept = None if key is None else self.results.peek(key)
            if kept is not None:
                job._begin()
                job._finish(kept)
            elif self._count_of(visitor, stale) >= self.limits.jobs:
                words = f"{self.limits.jobs} jobs of yours are under way, the most that this server lets one visitor have"
                job._fail(LimitError(f"{words}: wait for some of them, or stop them."))
            else:
                self._slots[visitor, slot] = job
                self._join(job, order, lane, key)
        if stale is not None:  # after the new one: what both ask for goes on
            stale.cancel()
        return job

    def arrive(self, visitor: str) -> None:
        """A visitor is there, until they ``leave``."""
        with self._change:
            self._present.add(visitor)

    def leave(self, visitor: str) -> None:
        """Stop everything that a visitor waits for, who is gone; the same asked for again within ``LINGER`` seconds goes on."""
        with self._change:
            self._present.discard(visitor)
            self._empty_since = time.monotonic()
            jobs = [job for (owner, _), job in self._slots.items() if owner == visitor]
        for job in jobs:
            job.abandon()

    def forget(self, identity: str) -> None:
        """Free the memory of a model, everywhere, and of every result that it had a part in."""
        with self._change:
            for known in self._known.values():
                known.discard(identity)
        self._backend.forget(identity)

    def close(self) -> None:
        """Cancel everything and end the backend."""
        with self._change:
            self._closed = True
            jobs = list(self._slots.values())
            self._change.notify_all()
        for job in jobs:
            job.cancel()
        self._backend.close()

    def counts(self) -> dict[str, int]:
        """How many orders wait and run, and how many places there are."""
        with self._change:
            waiting = sum(len(orders) for queue in self._queues.values() for orders in queue.values())
            return {"waiting": waiting, "running": len(self._running), "places": len(self._backend.places())}

    @property
    def visitors(self) -> int:
        """How many visitors are there."""
        return len(self._present)

    @property
    def waited_for(self) -> int:
        """How many jobs somebody waits for."""
        return len(self._slots)

    def _count_of(self, visitor: str, without: QueuedJob[Any] | None) -> int:
        return sum(owner == visitor and job is not without for (owner, _), job in self._slots.items())

    def _join(self, job: QueuedJob[Any], order: WorkOrder, lane: Lane, key: Hashable) -> None:
        found = None if key is None else self._by_key.get(key)
        if found is not None and not found.stopped:
            found.jobs.append(job)
            found.left = 0.0
            if found.running:
                job._begin()
            else:
                self._tell_places(found.lane)
            return
        entry = _Order(str(next(self._numbers)), job.visitor, order, lane, key, [job])
        if key is not None:
            self._by_key[key] = entry
        self._queues[lane].setdefault(job.visitor, deque()).append(entry)
        self._tell_places(lane)
        self.wake()

    def wake(self) -> None:
        """Look again for what can begin: a backend calls it when its places change."""
        with self._change:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._serve, name="vizlib-dispatcher", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def _left(self, job: QueuedJob[Any]) -> None:
        with self._change:
            self._free_slot(job)
            entry = next((each for each in self._entries() if job in each.jobs), None)
            if entry is None:
                return
            entry.jobs.remove(job)
            if entry.jobs:
                return
            if entry.running:
                entry.left = time.monotonic()
                self._change.notify_all()
                return
            self._take_out(entry)
            self._tell_places(entry.lane)

    def _entries(self) -> Iterator[_Order]:
        yield from self._running.values()
        for queue in self._queues.values():
            for orders in queue.values():
                yield from orders

    def _free_slot(self, job: QueuedJob[Any]) -> None:
        if self._slots.get((job.visitor, job.key)) is job:
            del self._slots[job.visitor, job.key]

    def _take_out(self, entry: _Order) -> None:
        queue = self._queues[entry.lane]
        orders = queue[entry.visitor]
        orders.remove(entry)
        if not orders:
            del queue[entry.visitor]
        if self._by_key.get(entry.key) is entry:
            del self._by_key[entry.key]

    def _tell_places(self, lane: Lane) -> None:
        """Every waiting job's place in the queue: the visitors come in rounds, each with one order a round."""
        queue, before = self._queues[lane], 0
        for turn in range(max(map(len, queue.values()), default=0)):
            for orders in queue.values():
                if turn < len(orders):
                    for job in orders[turn].jobs:
                        job.jobs_before = before
                    before += 1

    def _serve(self) -> None:
        while True:
            with self._change:
                begun = self._next()
                while begun is None:
                    if self._closed:
                        return
                    self._change.wait(BEAT)
                    self._watch()
                    begun = self._next()
                entry, place = begun
            self._start(entry, place)

    def _next(self) -> tuple[_Order, str] | None:
        """The order that begins now, and where; it counts as running from here on."""
        places = self._backend.places()
        busy = Counter((entry.place, entry.lane) for entry in self._running.values())
        for lane in Lane:
            queue = self._queues[lane]
            free = [place for place in places if busy[place, lane] < self._at_once[lane]]
            visitor = self._first_in_turn(queue, lane, len(places)) if free else None
            if visitor is None:
                continue
            orders = queue[visitor]
            entry = orders.popleft()
            queue.move_to_end(visitor)
            if not orders:
                del queue[visitor]
            entry.place = self._best_of(free, entry, busy)
            entry.began, entry.attempts = time.monotonic(), entry.attempts + 1
            self._running[entry.number] = entry
            self._worked.add(entry.place)
            for job in entry.jobs:
                job._begin()
            self._tell_places(lane)
            return entry, entry.place
        return None

    def _first_in_turn(self, queue: Collection[str], lane: Lane, most: int) -> str | None:
        """The first visitor of a queue who has fewer than ``most`` orders of its lane under way."""
        running = Counter(entry.visitor for entry in self._running.values() if entry.lane is lane)
        return next((visitor for visitor in queue if running[visitor] < most), None)

    def _best_of(self, free: list[str], entry: _Order, busy: Counter[tuple[str, Lane]]) -> str:
        """Of the places with the fewest orders of this lane one that has the models, and of these one with the least other work."""
        wanted = {identity for identity, _ in entry.order.models}

        def cost(place: str) -> tuple[int, int, int]:
            missing = len(wanted - self._known.get(place, set()))
            return busy[place, entry.lane], missing, sum(count for (at, _), count in busy.items() if at == place)

        return min(free, key=cost)

    def _start(self, entry: _Order, place: str) -> None:
        attempt = entry.attempts

        def report(state: Report) -> None:
            for job in list(entry.jobs):
                progress = job.progress
                progress.completed, progress.total, progress.message = state.completed, state.total, state.message
                progress.shared = state.shared

        def end(outcome: Outcome | None) -> None:
            self._ended(entry, attempt, outcome)

        self._backend.start(place, entry.number, entry.order, entry.lane, report, end)

    def _ended(self, entry: _Order, attempt: int, outcome: Outcome | None) -> None:
        with self._change:
            if entry.attempts != attempt or self._running.pop(entry.number, None) is None:
                return
            place, entry.place = entry.place, ""
            if outcome is None and entry.attempts < ATTEMPTS and entry.jobs and not entry.stopped:
                self._known.pop(place, None)
                orders = self._queues[entry.lane].setdefault(entry.visitor, deque())
                orders.appendleft(entry)
                for job in entry.jobs:
                    job.progress.message = "Begun again, for the process that did it ended"
                self._change.notify_all()
                return
            if outcome is not None and outcome.error is None and not outcome.stopped:
                self._known.setdefault(place, set()).update(identity for identity, _ in entry.order.models)
            if self._by_key.get(entry.key) is entry:
                del self._by_key[entry.key]
            jobs, entry.jobs = entry.jobs, []
            for job in jobs:
                self._free_slot(job)
            self._change.notify_all()
        self._settle(entry, jobs, outcome)

    def _settle(self, entry: _Order, jobs: list[QueuedJob[Any]], outcome: Outcome | None) -> None:
        error: BaseException | None = None
        if outcome is None:
            error = LimitError(entry.stopped) if entry.stopped else WorkerDiedError(DIED)
        elif outcome.stopped:
            error = LimitError(entry.stopped) if entry.stopped else CancelledError("The work was stopped.")
        elif outcome.error is not None:
            error = outcome.error
        if error is None and outcome is not None:
            if entry.key is not None:
                value = outcome.value
                self.results.get(entry.key, lambda: value)
            for job in jobs:
                job._finish(outcome.value)
        elif error is not None:
            for job in jobs:
                if isinstance(error, CancelledError):
                    job._settle(JobState.CANCELLED)
                else:
                    job._fail(error)

    def _watch(self) -> None:
        """Let go of what nobody asks for any more, and stop what nobody waits for or takes longer than the operator allows."""
        now = time.monotonic()
        if now - self._tidied > TIDY_EVERY:
            self._tidied = now
            self.results.expire(self.limits.idle_seconds)
            self._backend.expire(self.limits.idle_seconds)
            try:
                self.on_tidy()
            except Exception:  # noqa: BLE001  whatever it is, the queues go on: this thread is the only one that serves them
                _log.exception("what lies outside the engine could not be tidied up")
        if self._worked and not self._needed() and now - self._empty_since > self.limits.empty_seconds:
            self._rest()
        for entry in list(self._running.values()):
            most = self._most_seconds(entry)
            if entry.stopped:
                self._give_up(entry, now)
                continue
            if not entry.jobs and now - entry.left >= LINGER:
                entry.stopped = "Nobody waits for it."
            elif most is not None and now - entry.began > most:
                entry.stopped = (
                    f"This took longer than the {most} seconds that this server gives one job: ask for less, or use the library."
                )
            if entry.stopped:
                entry.stopped_at = now
                self._backend.stop(entry.place, entry.number)

    def _needed(self) -> bool:
        """Whether anybody is there, or waits for something."""
        return bool(self._present or self._running or self._slots)

    def _rest(self) -> None:
        """Nobody has been there for a while: be again as at the start, for memory that was freed in pieces is not given back otherwise."""
        worked, self._worked = self._worked, set()
        for place in worked:
            self._known.pop(place, None)
        self.results.expire(0)
        give_back()
        self._backend.renew(worked & set(self._backend.places()), self._needed)

    def _most_seconds(self, entry: _Order) -> int | None:
        """How long an order may take; what fetches weights may take as long as the network does."""
        if entry.order.seconds is not None or entry.lane is Lane.FETCH:
            return entry.order.seconds
        return self.limits.light_seconds if entry.lane is Lane.LIGHT else self.limits.heavy_seconds

    def _give_up(self, entry: _Order, now: float) -> None:
        if entry.jobs and now - entry.stopped_at > UNHEARD:
            jobs, entry.jobs = entry.jobs, []
            for job in jobs:
                self._free_slot(job)
                job._fail(LimitError(entry.stopped))
        if now - entry.stopped_at > STUCK:
            entry.stopped_at = now
            self._backend.restart(entry.place)
