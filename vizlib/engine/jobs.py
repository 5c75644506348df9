"""Heavy work beside the page: one at a time, with progress and cancel, and a newer request replaces a stale one."""

from __future__ import annotations

import atexit
import threading
import time
import traceback
import weakref
from concurrent.futures import InvalidStateError
from contextvars import Context
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from vizlib.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import TracebackType

T = TypeVar("T")
GRACE: Final = 2.0  # seconds that running work has to stop when the interpreter exits


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Progress:
    """How far a job is; calling it reports a step, and raises CancelledError when nobody waits for the job any more."""

    def __init__(self) -> None:
        self.completed: float = 0
        self.total: float | None = None
        self.message = ""
        self.shared: Any = None
        self._cancel = threading.Event()

    def __call__(self, completed: float, total: float | None = None, message: str | None = None) -> None:
        """Note ``completed`` of ``total`` steps (or bytes); without a ``message`` the last one stays."""
        self.check()
        self.completed, self.total = completed, total
        self.message = self.message if message is None else message

    def share(self, value: Any) -> None:
        """Show whoever follows the job what there is so far, a value that nobody changes any more; raises as ``check`` does."""
        self.check()
        self.shared = value

    def check(self) -> None:
        """Raise CancelledError when the job was cancelled."""
        if self.cancelled():
            raise CancelledError("The work was stopped because a newer request replaced it or it was cancelled.")

    def cancelled(self) -> bool:
        """Whether to stop: give it to ``download`` as ``cancelled``."""
        return self._cancel.is_set()

    @property
    def fraction(self) -> float | None:
        """``completed`` of ``total`` between 0 and 1, or None when the total is not known."""
        return min(1.0, max(0.0, self.completed / self.total)) if self.total else None


class Job(Generic[T]):
    """A piece of work handed to a ``Worker`` or a ``Dispatcher``; made by ``submit`` only. Nothing here blocks but ``wait``."""

    def __init__(self, key: Hashable, work: Callable[[Progress], T] | None = None) -> None:
        self.key = key
        self.progress = Progress()
        self.state = JobState.WAITING
        self.jobs_before = 0  # that begin before this one, while it waits
        self.abandoned = False  # cancelled because whoever waited for it left
        self._made = time.perf_counter()
        self._work: Callable[[Progress], T] | None = work
        self._callbacks: list[Callable[[], object]] = []
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._started = self._finished = 0.0

    def cancel(self) -> None:
        """Never start the job, or stop it at its next step; one that has ended stays as it is."""
        self.progress._cancel.set()
        self._settle(JobState.CANCELLED, only_waiting=True)

    def abandon(self) -> None:
        """Cancel the job because whoever waits for it leaves: who comes back asks anew."""
        self.abandoned = True
        self.cancel()

    @property
    def age(self) -> float:
        """The seconds since the job was asked for."""
        return time.perf_counter() - self._made

    @property
    def cancelled(self) -> bool:
        """Whether the job was asked to stop, or stopped."""
        return self.state is JobState.CANCELLED or (not self.done and self.progress.cancelled())

    @property
    def done(self) -> bool:
        """Whether the job has ended, well or not."""
        return self.state not in (JobState.WAITING, JobState.RUNNING)

    @property
    def seconds(self) -> float:
        """How long the job ran, so far or in all."""
        return (self._finished or time.perf_counter()) - self._started if self._started else 0.0

    def result(self) -> T:
        """What the work returned, or its error raised; CancelledError when cancelled, InvalidStateError while it goes on."""
        state = self.state
        if state in (JobState.WAITING, JobState.RUNNING):
            raise InvalidStateError(f"The job {self.key!r} is {state}: ask for its result when it is done.")
        if state is JobState.CANCELLED:
            raise CancelledError(f"The job {self.key!r} was cancelled and has no result.")
        if self._error is not None:
            raise self._error.with_traceback(self._traceback)  # or it would grow with every raise
        return self._result[0]

    def exception(self) -> BaseException | None:
        """The error the work ended with; None when there is none, or none yet."""
        return self._error if self.state is JobState.FAILED else None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most ``timeout`` seconds for the end; whether it came."""
        return self._ended.wait(timeout)

    def when_done(self, call: Callable[[], object]) -> None:
        """Have ``call`` called once the job has ended, in the thread that ends it; at once where it has."""
        with self._lock:
            if not self.done:
                self._callbacks.append(call)
                return
        call()

    def _begin(self) -> bool:
        """Whether the job still waits; it then runs from now on."""
        with self._lock:
            if self.state is not JobState.WAITING:
                return False
            self.state, self._started = JobState.RUNNING, time.perf_counter()
            return True

    def _run(self) -> None:
        work = self._work
        if work is None or not self._begin():
            return
        try:
            # An empty context: neither the page that submitted the job nor the job before it is seen from inside.
            result = Context().run(work, self.progress)
        except CancelledError:
            self._settle(JobState.CANCELLED)
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            traceback.clear_frames(error.__traceback__)  # or the error would keep the tensors of its frames
            self._fail(error)
        else:
            self._finish(result)

    def _finish(self, result: T) -> None:
        """End with a result; a job that was cancelled meanwhile has none."""
        self._settle(JobState.CANCELLED if self.progress.cancelled() else JobState.DONE, result=[result])

    def _fail(self, error: BaseException) -> None:
        self._settle(JobState.FAILED, error=error)

    def _settle(
        self, state: JobState, *, result: list[T] | None = None, error: BaseException | None = None, only_waiting: bool = False
    ) -> None:
        with self._lock:
            if self.done or (only_waiting and self.state is not JobState.WAITING):
                return
            if state is JobState.DONE:
                self._result = result or []
            if error is not None:
                self._error, self._traceback = error, error.__traceback__
            self._work, self._finished = None, time.perf_counter()
            self.state = state  # last, for whoever sees it may ask for the result
            self._ended.set()
            callbacks, self._callbacks = self._callbacks, []
        for call in callbacks:
            call()


class Worker:
    """Runs jobs in ``threads`` daemon threads, first come first served.

    The threads of a ThreadPoolExecutor would keep the interpreter alive until the last job ends; these are told to stop at exit, get
    two seconds for it, and go down with the process.
    """

    def __init__(self, threads: int = 1, name: str = "vizlib-worker") -> None:
        if threads < 1:
            raise ValueError(f"A worker needs at least one thread, not {threads}.")
        self._count, self._name = threads, name
        self._change = threading.Condition()
        self._waiting: dict[Hashable, Job[Any]] = {}  # a replaced job leaves its place in the queue to the new one
        self._running: set[Job[Any]] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False
        _workers.add(self)

    def submit(self, key: Hashable, fn: Callable[..., T], *args: Any) -> Job[T]:
        """Queue ``fn(*args, progress=Progress)``; a waiting job of the same ``key`` is dropped, a running one told to stop."""
        job: Job[T] = Job(key, lambda progress: fn(*args, progress=progress))
        with self._change:
            if self._closed:
                raise RuntimeError(f"{self._name} is closed: no job can be submitted any more.")
            stale = [old for old in (self._waiting.get(key), *self._running) if old is not None and old.key == key]
            self._waiting[key] = job
            if len(self._threads) < self._count:
                thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._change.notify()
        for old in stale:
            old.cancel()
        return job

    def close(self, timeout: float | None = GRACE) -> None:
        """Cancel everything, take no more jobs, and wait at most ``timeout`` seconds for the threads to end."""
        with self._change:
            self._closed = True
            jobs = [*self._waiting.values(), *self._running]
            self._waiting.clear()
            self._change.notify_all()
        for job in jobs:
            job.cancel()
        until = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))

    def _serve(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job = self._waiting.pop(next(iter(self._waiting)))
                self._running.add(job)
            job._run()
            with self._change:
                self._running.discard(job)
            del job  # an idle thread would keep its result


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for timeout in (0.0, GRACE):  # all are told to stop before any is waited for
        for worker in list(_workers):
            worker.close(timeout)
