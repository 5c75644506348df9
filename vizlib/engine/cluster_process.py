"""``python -m vizlib.engine.cluster_process``: a scheduler and its workers on this machine, for as long as standard input is open.

A process of its own, so that no worker imports what its parent runs as ``__main__``, and the scheduler costs the parent nothing.
The first line in is the settings as JSON; the first line out is where the scheduler listens, and the keys that it lets in.
On Linux workers are forked from a process that has imported what they need and done nothing else: it is imported once for all of them,
beside the scheduler's own start, its memory is shared, and a worker that dies is there again within a moment.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from multiprocessing import forkserver
from typing import Any

SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # the dispatcher decides what is done again
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.profile.enabled": False,
    "distributed.comm.compression": None,
    "distributed.comm.timeouts.connect": "30s",
}


def main() -> None:
    """Run until nobody holds the other end of standard input."""
    settings: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    threads = str(settings["threads"])
    environment = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    # dask's own MALLOC_TRIM_THRESHOLD_ stays out: with it every large tensor is mapped and cleared anew, and work takes 1.4 times as long.
    environment["VIZLIB_WORKER_SHARE"] = str(settings["workers"])
    method = "forkserver" if sys.platform == "linux" else "spawn"
    if method == "forkserver":
        os.environ.update(environment)  # read where workers come from
        forkserver.set_forkserver_preload(["vizlib.engine.fork_parent", "distributed", *settings["imports"]])
        forkserver.ensure_running()
    import dask
    from distributed import LocalCluster
    from distributed.security import Security

    dask.config.set({
        **SETTINGS, "distributed.nanny.pre-spawn-environ": environment, "distributed.worker.multiprocessing-method": method,
    })  # fmt: skip
    security = Security.temporary()
    cluster = LocalCluster(
        n_workers=settings["workers"],
        threads_per_worker=settings["slots"],
        processes=True,
        host="127.0.0.1",
        protocol="tls://",
        security=security,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # what tells that it lives, on a free port: its own may be another's
        memory_limit=settings["memory"] or None,
        local_directory=settings["folder"],
        preload=settings["preload"],
        silence_logs=50,
    )
    keys = {name: getattr(security, name) for name in ("tls_ca_file", "tls_client_cert", "tls_client_key")}
    sys.stdout.write(json.dumps({"address": cluster.scheduler_address, **keys}) + "\n")
    sys.stdout.flush()
    threading.Event().wait()


def _end_with_parent() -> None:
    while sys.stdin.read(1):
        pass
    os._exit(0)  # the workers watch this process and end with it


if __name__ == "__main__":
    main()
