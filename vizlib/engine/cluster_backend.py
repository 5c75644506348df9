"""Orders done by processes of dask.distributed: on this machine, each under a nanny that starts it again, or on a cluster's."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from vizlib.engine.handover import Shared, pack, unpack
from vizlib.engine.limits import limits
from vizlib.engine.memory import available_memory
from vizlib.engine.work_order import Outcome, at_once
from vizlib.errors import VizlibError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from distributed import Client, Future
    from distributed.security import Security

    from vizlib.engine.work_order import Lane, Report, WorkOrder
    from vizlib.engine.worker_host import WorkerHost

SCHEDULER, CA, CERT, KEY = "VIZLIB_SCHEDULER", "VIZLIB_SCHEDULER_CA", "VIZLIB_SCHEDULER_CERT", "VIZLIB_SCHEDULER_KEY"
LOOK_EVERY = 1.0  # seconds between two looks at which workers there are
_log = logging.getLogger(__name__)


class ClusterError(VizlibError):
    """A scheduler that cannot be reached, or settings of one that do not fit together."""


@dataclass(frozen=True)
class LocalSettings:
    """The processes to start on this machine: ``imports`` are modules that all of them have, ``preload`` what each runs when it starts."""

    workers: int
    threads: int = 1  # of torch, in each
    imports: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    memory: int = 0  # bytes over which a worker is started again; 0: no limit


class ClusterBackend:
    """Places are the workers of a scheduler: the one at ``address``, or one that is started here and ends with this process."""

    def __init__(self, settings: LocalSettings, address: str = "", *, changed: Callable[[], None] = lambda: None) -> None:
        self.changed = changed
        self._settings, self._address = settings, address
        self._topic = f"vizlib-{uuid4().hex}"
        self._lock = threading.Lock()
        self._places: list[str] = []
        self._running: dict[str, _Running] = {}
        self._client: Client | None = None
        self._process: subprocess.Popen[str] | None = None
        self._folder: str = ""
        self._closing = threading.Event()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._live, name="vizlib-cluster", daemon=True)
        self._thread.start()

    def places(self) -> list[str]:
        """The addresses of the workers that are there now."""
        return self._places

    def start(
        self, place: str, number: str, order: WorkOrder, lane: Lane, report: Callable[[Report], None], end: Callable[[Outcome | None], None]
    ) -> None:
        """Begin an order at a worker; pictures that it lacks are sent first."""
        try:
            data, blobs = pack(order)
        except Exception as error:  # noqa: BLE001  whatever cannot be packed is said to whoever waits
            end(Outcome(error=error))
            return
        running = _Running(place, number, data, blobs, lane, report, end)
        with self._lock:
            self._running[number] = running
        self._submit(running)

    def stop(self, place: str, number: str) -> None:
        """Stop an order at its next step."""
        self._tell(_stop_order, number, places=[place])

    def restart(self, place: str) -> None:
        """End a worker and have its nanny start another."""
        client = self._client
        if client is not None and client.status == "running":
            _log.warning("a process whose work did not stop is ended")
            threading.Thread(target=_restart, args=(client, place), daemon=True).start()

    def renew(self, places: Collection[str], needed: Callable[[], bool]) -> None:
        """Start these workers again, one after another and until they are ``needed``; those of a cluster are its operator's."""
        client = self._client
        if client is not None and client.status == "running" and self._process is not None:
            threading.Thread(target=_renew, args=(client, sorted(places), needed), daemon=True).start()

    def forget(self, identity: str) -> None:
        """Free what every worker holds of a model."""
        self._tell(_forget_model, identity, places=None)

    def expire(self, seconds: float) -> None:
        """Let go of what nobody asked for in the last ``seconds``, the models left aside."""
        self._tell(_expire, seconds, places=None)

    def close(self) -> None:
        """End the processes that were started here, and let go of a cluster's."""
        self._closing.set()
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()  # it ends with that, and the workers with it
            process.wait(5)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _live(self) -> None:
        """Keep a client, and the list of workers, for as long as this backend is used."""
        while not self._closing.is_set():
            try:
                self._connect()
            except Exception as error:  # noqa: BLE001  said by whoever asks for work; the next try may do
                self.failure = error
                _log.exception("no workers")
                self._closing.wait(5)
                continue
            while not self._closing.wait(LOOK_EVERY if self._places else 0.05):
                if not self._look():
                    break
            self._drop_client()

    def _connect(self) -> None:
        address, security = self._address, None
        if address:
            security = _operators_security(address)
        else:
            address, security = self._start_process()
        from distributed import Client

        client = Client(address, security=security, set_as_default=False, timeout=30, name="vizlib")
        client.subscribe_topic(self._topic, self._hear)
        self._client, self.failure = client, None

    def _start_process(self) -> tuple[str, Security]:
        self._folder = self._folder or tempfile.mkdtemp(prefix="vizlib-work-")
        command = [sys.executable, "-m", "vizlib.engine.cluster_process"]
        process = subprocess.Popen(  # noqa: S603  this very interpreter
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, env=_with_this_path()
        )
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        settings = self._settings
        asked = {
            "workers": settings.workers, "threads": settings.threads, "memory": settings.memory,
            "slots": sum(at_once(limits()).values()) + 1,  # a thread for all that a worker may have under way, and one to spare
            "folder": self._folder, "imports": list(settings.imports), "preload": list(settings.preload),
        }  # fmt: skip
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        self._process = process
        import distributed.client  # noqa: F401  meanwhile

        line = process.stdout.readline()
        if not line:
            raise ClusterError(f"The processes that do the work could not be started (exit code {process.wait(5)}).")
        from distributed.security import Security

        said = json.loads(line)
        return said.pop("address"), Security(require_encryption=True, **said)

    def _look(self) -> bool:
        """Take in which workers there are; whether the scheduler is there at all."""
        client = self._client
        if client is None or client.status != "running" or (self._process is not None and self._process.poll() is not None):
            return False
        try:
            places = sorted(client.nthreads())
        except (OSError, RuntimeError, TimeoutError):
            return False
        if places != self._places:
            self._places = places
            self.changed()
        return True

    def _drop_client(self) -> None:
        self._places = []
        client, self._client = self._client, None
        with self._lock:
            lost, self._running = list(self._running.values()), {}
        for running in lost:
            running.end(None)
        if client is not None:
            threading.Thread(target=partial(_close, client), daemon=True).start()
        if self._process is not None:
            self._process.kill()

    def _submit(self, running: _Running) -> None:
        client = self._client
        if client is None:
            self._finish(running, None)
            return
        try:
            future = client.submit(
                _run_order, running.number, running.data, str(running.lane), self._topic,
                key=f"vizlib-{uuid4().hex}", workers=[running.place], allow_other_workers=True, pure=False, retries=0,
            )  # fmt: skip
        except Exception:  # noqa: BLE001  whatever it is, the client is of no use: the next look makes another, and the order is begun again
            _log.warning("order %s could not be handed over", running.number, exc_info=True)
            self._finish(running, None)
            return
        running.future = future
        future.add_done_callback(partial(self._done, running))

    def _done(self, running: _Running, future: Future[Any]) -> None:
        if running.future is not future:
            return
        if future.status != "finished":
            _log.warning("the process of order %s ended (%s)", running.number, future.status)
            # Nothing begins at a place that is gone; one that is there after all is found again at the next look.
            self._places = [] if future.status == "cancelled" else [place for place in self._places if place != running.place]
            self._finish(running, None)
            return
        place, missing, data = future.result()
        if missing:
            try:
                self._send(running, place, missing)
            except Exception:  # noqa: BLE001  whatever it is, the worker or the scheduler is gone: the order is begun again
                _log.warning("order %s: its pictures could not be sent", running.number, exc_info=True)
                self._finish(running, None)
                return
            self._submit(running)
            return
        try:
            outcome: Outcome = unpack(data, running.blobs, light=True)
        except Exception as error:  # noqa: BLE001  said to whoever waits
            outcome = Outcome(error=error)
        self._finish(running, outcome)

    def _finish(self, running: _Running, outcome: Outcome | None) -> None:
        with self._lock:
            if self._running.get(running.number) is running:
                del self._running[running.number]
        running.future = None
        running.end(outcome)

    def _send(self, running: _Running, place: str, missing: Sequence[str]) -> None:
        client = self._client
        if client is None:
            raise ClusterError("The scheduler is gone.")
        running.place = place
        for key in missing:
            client.run(_hold_blob, key, pickle.dumps(running.blobs[key], pickle.HIGHEST_PROTOCOL), workers=[place])

    def _hear(self, event: tuple[float, tuple[str, bytes]]) -> None:
        number, data = event[1]
        running = self._running.get(number)
        if running is not None:
            running.report(unpack(data, running.blobs, light=True))

    def _tell(self, function: Callable[..., Any], *args: Any, places: list[str] | None) -> None:
        client = self._client
        if client is not None and client.status == "running" and self._places:
            threading.Thread(target=_run_everywhere, args=(client, function, args, places), daemon=True).start()


@dataclass(eq=False)
class _Running:
    place: str
    number: str
    data: bytes
    blobs: dict[str, Shared]
    lane: Lane
    report: Callable[[Report], None]
    end: Callable[[Outcome | None], None]
    future: Future[Any] | None = None


def local_settings(imports: tuple[str, ...] = (), preload: tuple[str, ...] = (), workers: int = 0) -> LocalSettings:
    """So many ``workers`` for this machine, else as VIZLIB_WORKERS says, else one for each core, up to eight, as far as memory goes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = os.environ.get("VIZLIB_WORKERS", "")
    if text and (not text.isdecimal() or not 1 <= int(text) <= 256):
        raise ClusterError(f"VIZLIB_WORKERS is a whole number from 1 to 256, not {text[:40]!r}.")
    free = available_memory()
    workers = workers or (int(text) if text else max(1, min(cores, 8, int(free // (1.5 * (1 << 30))))))
    return LocalSettings(workers, max(1, cores // workers), imports, preload, int(free * 0.9 / workers))


def _operators_security(address: str) -> Security | None:
    from distributed.security import Security

    files = {name: os.environ.get(variable, "") for name, variable in (("ca", CA), ("cert", CERT), ("key", KEY))}
    if address.startswith("tls://"):
        missing = [variable for variable, text in zip((CA, CERT, KEY), files.values(), strict=True) if not text]
        if missing:
            raise ClusterError(f"{SCHEDULER} is a tls address, which needs {', '.join(missing)} too.")
        return Security(tls_ca_file=files["ca"], tls_client_cert=files["cert"], tls_client_key=files["key"], require_encryption=True)
    return None


def _with_this_path() -> dict[str, str]:
    """The environment, with the folder that vizlib was imported from, and the caller's, on Python's path."""
    path = [str(Path(__file__).resolve().parents[2]), str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning"}


def _close(client: Client) -> None:
    """Close it, and with it its thread and sockets."""
    try:
        client.close(timeout=2)
    except Exception:  # noqa: BLE001  its listener's: an error while it sought a scheduler that is gone is raised before anything is closed
        client._handle_report_task = None
        client.close(timeout=2)


def _restart(client: Client, place: str) -> None:
    with suppress(OSError, RuntimeError, TimeoutError, KeyError):  # the worker or the scheduler is gone: the next look sees it
        client.restart_workers([place], raise_for_error=False)


def _renew(client: Client, places: Sequence[str], needed: Callable[[], bool]) -> None:
    for place in places:
        if needed():
            return
        _restart(client, place)


def _run_everywhere(client: Client, function: Callable[..., Any], args: tuple[Any, ...], places: list[str] | None) -> None:
    client.run(function, *args, workers=places, on_error="ignore")


# What follows runs in the workers.

_host_lock = threading.Lock()
_hosts: list[WorkerHost] = []


def host() -> WorkerHost:
    """This worker's host, made when it is first asked for."""
    from vizlib.engine.worker_host import WorkerHost

    with _host_lock:
        if not _hosts:
            _hosts.append(WorkerHost(_model_bytes(), lower_priority=True))
        return _hosts[0]


def _model_bytes() -> int:
    share = os.environ.get("VIZLIB_WORKER_SHARE", "")
    return available_memory() // 2 // (int(share) if share.isdecimal() and int(share) else 1)


def _run_order(number: str, data: bytes, lane: str, topic: str) -> tuple[str, tuple[str, ...], bytes]:
    from distributed import get_worker

    from vizlib.engine.handover import MissingBlobError

    worker = get_worker()
    try:
        return worker.address, (), host().run_packed(number, data, lane, lambda state: worker.log_event(topic, (number, state)))
    except MissingBlobError as error:
        return worker.address, error.keys, b""


def _hold_blob(key: str, data: bytes) -> None:
    host().hold(key, data)


def _stop_order(number: str) -> None:
    host().stop(number)


def _expire(seconds: float) -> None:
    host().expire(seconds)


def _forget_model(identity: str) -> None:
    host().forget(identity)
