"""What does the work in a process: the models that it holds, one thread a lane, and heavy work that stands aside for light requests."""

from __future__ import annotations

import gc
import os
import pickle
import sys
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from vizlib.engine import worker_memory
from vizlib.engine.cache import BoundedCache
from vizlib.engine.handover import Shared, pack, unpack
from vizlib.engine.jobs import Job, JobState, Progress, Worker
from vizlib.engine.limits import limits
from vizlib.engine.memory import available_memory, give_back, model_bytes
from vizlib.engine.turns import Turns
from vizlib.engine.work_order import Lane, Outcome, Report, WorkOrder, at_once
from vizlib.errors import CardFullError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPORT_EVERY = 0.2  # seconds between two reports of one order
ASIDE = 1.0  # seconds that heavy work waits for one light request: it may be waiting for what this very work is making
CALM = 0.2  # seconds without a light request until heavy work goes on: in a crowd the next one is on its way
ASIDE_AT_MOST = 10.0  # seconds that one step waits in all, so that everything goes on in the end
SLICE = 4.0  # seconds that heavy work goes on while other heavy work of its process waits: most of it ends within one
GOES_BEFORE = {Lane.HEAVY: (Lane.LIGHT,), Lane.UNASKED: (Lane.LIGHT, Lane.HEAVY)}
BLOB_BYTES = 512 << 20
NICE = 10  # of a thread that does heavy work, where each thread has its own: a light request elsewhere on the machine goes first


class WorkerHost:
    """Runs orders in this process: heavy ones in turns and while no light one runs, unasked ones while neither does."""

    def __init__(self, model_bytes_at_most: int | None = None, *, lower_priority: bool = False) -> None:
        most = available_memory() // 2 if model_bytes_at_most is None else model_bytes_at_most
        self.models: BoundedCache[str, Any] = BoundedCache(max_bytes=most, size=lambda model: model_bytes(model.module), on_evict=_collect)
        self._blobs: BoundedCache[str, Shared] = BoundedCache(max_bytes=BLOB_BYTES, size=lambda blob: int(blob.pixels.nbytes))
        threads = at_once(limits()) | {Lane.FETCH: 2}
        self._lanes = {lane: Worker(count, f"vizlib-{lane}") for lane, count in threads.items()}
        self._turns = {Lane.HEAVY: Turns(SLICE)}
        self._lower_priority = lower_priority
        self._running: dict[str, Job[Any]] = {}
        self._lock = threading.Lock()
        self._at_work = dict.fromkeys(Lane, 0)
        self._changed = dict.fromkeys(Lane, -CALM)  # when an order of the lane last began or ended

    def start(self, number: str, order: WorkOrder, lane: Lane, report: Callable[[Report], object] | None = None) -> Job[Any]:
        """The job of an order, which ``report`` hears of now and then."""

        def work(progress: Progress) -> Any:
            before = GOES_BEFORE.get(lane, ())
            if before and self._lower_priority:
                _lower_priority()
            turns = self._turns.get(lane)
            told = _Steps(progress, report, partial(self._stand_aside, number, before, turns) if before else None)
            with self._working(lane), turns.among(number) if turns else nullcontext():
                told.check()
                # Not while a model is made: a light request may be waiting for that very model.
                making = _Steps(progress, report, None)
                models = [self._model(identity, make, making) for identity, make in order.models]
                return self._worked(order, models, told)

        job: Job[Any] = self._lanes[lane].submit(number, _without_keyword, work)
        self._running[number] = job
        job.when_done(lambda: self._running.pop(number, None))
        return job

    def run_packed(self, number: str, data: bytes, lane: str, report: Callable[[bytes], object]) -> bytes:
        """An order in bytes, done before this returns; its ``Outcome`` in bytes. MissingBlobError where a picture has to come first."""
        blobs = _Held(self._blobs)
        order: WorkOrder = unpack(data, blobs)
        job = self.start(number, order, Lane(lane), lambda state: report(pack(state, blobs.used.values())[0]))
        job.wait()
        return _packed_outcome(job, blobs)

    def hold(self, key: str, data: bytes) -> None:
        """Take in a picture that orders name."""
        blob: Shared = pickle.loads(data)  # noqa: S301  of the process that sends the orders
        self._blobs.get(key, lambda: blob)

    def stop(self, number: str) -> None:
        """Stop an order at its next step."""
        job = self._running.get(number)
        if job is not None:
            job.cancel()

    def forget(self, identity: str) -> None:
        """Free the memory of a model, and of what was remembered of it."""
        self.models.drop(lambda model: model in (identity, _on_cpu(identity)))
        worker_memory.forget(identity)

    def expire(self, seconds: float) -> None:
        """Let go of pictures, and of what work remembered, that nobody asked for in the last ``seconds``; models stay."""
        self._blobs.expire(seconds)
        worker_memory.expire(seconds)
        give_back()

    def close(self) -> None:
        """Stop everything."""
        for worker in self._lanes.values():
            worker.close()

    def _worked(self, order: WorkOrder, models: list[Any], told: Progress) -> Any:
        """What the order's work gives: where a card is full, once more without the models of others on it, and then on the CPU."""
        with suppress(CardFullError):
            return order.work(*models, progress=told)
        identities = [identity for identity, _ in order.models]
        own = {*identities, *map(_on_cpu, identities)}
        self.models.drop(lambda model: model not in own)
        with suppress(CardFullError):
            return order.work(*models, progress=told)
        told(0, None, "The card's memory is full: computed on the processor, which takes longer")
        copies = [self.models.get(_on_cpu(identity), model.on_cpu) for identity, model in zip(identities, models, strict=True)]
        return order.work(*copies, progress=told)

    def _model(self, identity: str, make: Callable[[Progress], Any], progress: Progress) -> Any:
        return self.models.get(identity, lambda: make(progress))

    @contextmanager
    def _working(self, lane: Lane) -> Iterator[None]:
        self._count(lane, 1)
        try:
            yield
        finally:
            self._count(lane, -1)

    def _count(self, lane: Lane, change: int) -> None:
        with self._lock:
            self._at_work[lane] += change
            self._changed[lane] = time.monotonic()

    def _stand_aside(self, number: str, before: tuple[Lane, ...], turns: Turns | None, progress: Progress) -> None:
        while not progress.cancelled():
            left = turns.left(number) if turns else 0.0
            if left <= 0:
                break
            time.sleep(min(left, 0.05))
        until = time.monotonic() + ASIDE_AT_MOST
        while not progress.cancelled():
            left = max(self._ends(lane, until) for lane in before) - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.05))

    def _ends(self, lane: Lane, until: float) -> float:
        """When work that waits for a lane goes on, if nothing changes."""
        with self._lock:
            at_work, changed = self._at_work[lane], self._changed[lane]
        if lane is Lane.HEAVY:
            return until if at_work else changed
        return min(changed + (ASIDE if at_work else CALM), until)


class _Steps(Progress):
    """The progress of a job as its work calls it: each step reports, and heavy work first lets light requests pass."""

    def __init__(self, job: Progress, report: Callable[[Report], object] | None, stand_aside: Callable[[Progress], None] | None) -> None:
        super().__init__()
        self._cancel = job._cancel
        self._job, self._report, self._stand_aside = job, report, stand_aside
        self._reported, self._said = 0.0, ""

    def __call__(self, completed: float, total: float | None = None, message: str | None = None) -> None:
        super().__call__(completed, total, message)
        self._job.completed, self._job.total, self._job.message = self.completed, self.total, self.message
        self._tell(now=self.message != self._said)

    def share(self, value: Any) -> None:
        super().share(value)
        self._job.shared = value
        self._tell(now=True)

    def check(self) -> None:
        if self._stand_aside is not None:
            self._stand_aside(self)
        super().check()

    def _tell(self, *, now: bool) -> None:
        if self._report is not None and (now or time.monotonic() - self._reported >= REPORT_EVERY):
            self._reported, self._said = time.monotonic(), self.message
            self._report(Report(self.completed, self.total, self.message, self.shared))


class _Held(dict[str, Shared]):
    """The pictures that this process holds, as a mapping that notes which were ``used`` and keeps these alive."""

    def __init__(self, blobs: BoundedCache[str, Shared]) -> None:
        super().__init__()
        self._blobs = blobs

    @property
    def used(self) -> dict[str, Shared]:
        return self

    def __contains__(self, key: object) -> bool:
        if super().__contains__(key):
            return True
        blob = self._blobs.peek(str(key))
        if blob is None:
            return False
        self[str(key)] = blob
        return True


def _packed_outcome(job: Job[Any], blobs: _Held) -> bytes:
    if job.state is JobState.CANCELLED:
        return pack(Outcome(stopped=True))[0]
    error = job.exception()
    if error is not None:
        return _packed_error(error)
    return pack(Outcome(job.result()), blobs.values())[0]


def _packed_error(error: BaseException) -> bytes:
    error = error.with_traceback(None)
    try:
        data = pack(Outcome(error=error))[0]
        unpack(data, {})
    except Exception:  # noqa: BLE001  an error of anybody's code, which may refuse to be copied in any way
        data = pack(Outcome(error=RuntimeError(f"{type(error).__name__}: {error}")))[0]
    return data


def _on_cpu(identity: str) -> str:
    """What a model's copy on the CPU is held as."""
    return f"{identity} on the CPU"


def _without_keyword(work: Callable[[Progress], Any], progress: Progress) -> Any:
    return work(progress)


def _lower_priority() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        if os.getpriority(os.PRIO_PROCESS, thread) < NICE:
            os.setpriority(os.PRIO_PROCESS, thread, NICE)


def _collect(_: str) -> None:
    gc.collect()  # a server runs with automatic collections after each script off
    if "torch" in sys.modules:
        sys.modules["torch"].cuda.empty_cache()
