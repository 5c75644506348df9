"""Orders done by threads of this process: for scripts and tests, where a second process would cost more than it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.engine.handover import pack, unpack
from vizlib.engine.jobs import Job, JobState
from vizlib.engine.work_order import Outcome
from vizlib.engine.worker_host import WorkerHost

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from vizlib.engine.work_order import Lane, Report, WorkOrder

HERE = "here"


class ThreadBackend:
    """One place, this process. ``checked`` sends every order and result through bytes, as between processes."""

    def __init__(self, host: WorkerHost | None = None, *, checked: bool = False) -> None:
        self.host = host or WorkerHost()
        self._checked = checked

    def places(self) -> list[str]:
        """This process."""
        return [HERE]

    def start(
        self, place: str, number: str, order: WorkOrder, lane: Lane, report: Callable[[Report], None], end: Callable[[Outcome | None], None]
    ) -> None:
        """Begin an order."""
        del place
        blobs: dict[str, Any] = {}
        if self._checked:
            try:
                data, blobs = pack(order)
                order = unpack(data, blobs)
            except Exception as error:  # noqa: BLE001  whatever cannot be packed is said to whoever waits
                end(Outcome(error=error))
                return
        job = self.host.start(number, order, lane, report)
        job.when_done(lambda: end(self._outcome(job, blobs)))

    def stop(self, place: str, number: str) -> None:
        """Stop an order at its next step."""
        del place
        self.host.stop(number)

    def restart(self, place: str) -> None:
        """Nothing: a thread cannot be ended, and this process is the caller's."""

    def renew(self, places: Collection[str], needed: Callable[[], bool]) -> None:
        """Let go of what is kept, the models left aside: this process is the caller's."""
        del places, needed
        self.expire(0)

    def forget(self, identity: str) -> None:
        """Free what is held of a model."""
        self.host.forget(identity)

    def expire(self, seconds: float) -> None:
        """Let go of what nobody asked for in the last ``seconds``, the models left aside."""
        self.host.expire(seconds)

    def close(self) -> None:
        """Stop everything."""
        self.host.close()

    def _outcome(self, job: Job[Any], blobs: dict[str, Any]) -> Outcome:
        if job.state is JobState.CANCELLED:
            return Outcome(stopped=True)
        error = job.exception()
        if error is not None:
            return Outcome(error=error)
        value = job.result()
        if self._checked:
            try:
                value = unpack(pack(value, blobs.values())[0], blobs, light=True)
            except Exception as problem:  # noqa: BLE001  said to whoever waits
                return Outcome(error=problem)
        return Outcome(value)
