"""The chunks of an audit done by processes of this machine or of a cluster, and written by the caller alone."""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from vizlib.auditing.chunk import audit_chunk
from vizlib.engine.work_order import Lane, WorkOrder
from vizlib.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vizlib.auditing.chunk import Part
    from vizlib.auditing.model_sources import ModelSource
    from vizlib.auditing.plan import ChunkPlan
    from vizlib.engine.dispatcher import Dispatcher

AHEAD = 2  # chunks for each worker that are handed out at once
PATIENCE = 60.0  # seconds until a cluster without any worker is given up
SECONDS = 24 * 3600  # that one chunk may take
IMPORTS = ("vizlib.auditing.chunk",)


def by_workers(
    left: Sequence[ChunkPlan], sources: Sequence[ModelSource], keep: Callable[[ChunkPlan, Part], None], workers: int, scheduler: str
) -> None:
    """Hand out the chunks in order, two for each worker at a time, and ``keep`` each part in the caller's thread.

    AuditError where no worker comes; an order whose process died is done once more, and a second death is a WorkerDiedError.
    """
    waiting, running = deque(left), deque[tuple[Any, Any]]()
    with _dispatcher(workers, scheduler) as dispatcher:
        while waiting or running:
            places = dispatcher.counts()["places"] or 1
            while waiting and len(running) < AHEAD * places:
                plan = waiting.popleft()
                source = sources[plan.model_number]
                order = WorkOrder(partial(audit_chunk, plan=plan), ((source.identity, source.make),), seconds=SECONDS)  # type: ignore[arg-type]
                running.append((plan, dispatcher.submit("audit", plan.stem, order, lane=Lane.HEAVY)))
            plan, job = running.popleft()
            job.wait()
            keep(plan, job.result())


@contextmanager
def _dispatcher(workers: int, scheduler: str) -> Iterator[Dispatcher]:
    """One with at least one worker."""
    from vizlib.engine.cluster_backend import ClusterBackend, local_settings
    from vizlib.engine.dispatcher import Dispatcher
    from vizlib.engine.limits import Limits

    backend = ClusterBackend(local_settings(IMPORTS, workers=workers), scheduler)
    dispatcher = Dispatcher(backend, Limits(jobs=AHEAD * 1024))
    backend.changed = dispatcher.wake
    try:
        until = time.monotonic() + PATIENCE
        while not backend.places():
            if backend.failure is not None or time.monotonic() > until:
                reason = f" ({backend.failure})" if backend.failure is not None else ""
                raise AuditError(f"No worker came{reason}: check the scheduler's address, or leave it out.")
            time.sleep(0.05)
        yield dispatcher
    finally:
        dispatcher.close()
