"""The backend that does the app's work, begun before the app itself where the server starts by ``server_start``."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from vizlib.engine.cluster_backend import SCHEDULER, ClusterBackend, local_settings
from vizlib.engine.local_backend import ThreadBackend
from vizlib.engine.worker_host import WorkerHost

if TYPE_CHECKING:
    from vizlib.engine.dispatcher import Backend

ENGINE_VARIABLE: Final = "VIZLIB_ENGINE"  # "processes", "threads", or "checked": threads, and all that is handed over goes through bytes
WORKER_IMPORTS, WORKER_START = "vizlib.ui.core.workers.imports", "vizlib.ui.core.workers.start"
_lock = threading.Lock()
_begun: list[Backend] = []


def begin() -> None:
    """Start the backend that the app will take."""
    with _lock:
        if not _begun:
            _begun.append(_new())


def take() -> Backend:
    """The backend that was begun, or a new one."""
    with _lock:
        return _begun.pop() if _begun else _new()


def _new() -> Backend:
    kind = os.environ.get(ENGINE_VARIABLE, "processes")
    if kind in ("threads", "checked"):
        return ThreadBackend(WorkerHost(), checked=kind == "checked")
    return ClusterBackend(local_settings((WORKER_IMPORTS,), (WORKER_START,)), os.environ.get(SCHEDULER, ""))
