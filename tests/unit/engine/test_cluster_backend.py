"""Worker processes: work, progress, death, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import engine_work as work
import numpy as np
import psutil
import pytest

from vizlib.engine import dispatcher
from vizlib.engine.cluster_backend import ClusterBackend, ClusterError, LocalSettings, local_settings
from vizlib.engine.dispatcher import Dispatcher, LimitError, WorkerDiedError
from vizlib.engine.jobs import JobState
from vizlib.engine.limits import Limits
from vizlib.engine.work_order import Lane, WorkOrder


@pytest.fixture(scope="module")
def queue():
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), before]))
    backend = ClusterBackend(LocalSettings(2))
    made = Dispatcher(backend)
    backend.changed = made.wake
    yield made
    children = psutil.Process(backend._process.pid).children(recursive=True)
    made.close()
    _, alive = psutil.wait_procs(children, 10)
    assert not alive
    os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


def result(job, seconds=60):
    assert job.wait(seconds)
    return job.result()


def test_two_processes_share_the_work_and_neither_is_this_one(queue):
    jobs = [queue.submit("me", slot, WorkOrder(partial(work.count_to, 20)), lane=Lane.HEAVY) for slot in range(2)]
    pids = {result(queue.submit("you", slot, WorkOrder(work.process))) for slot in range(3)}
    assert [result(job) for job in jobs] == [20, 20]
    assert pids
    assert os.getpid() not in pids


def test_its_processes_listen_on_loopback_alone_and_leave_the_ports_of_others(queue):
    result(queue.submit("me", "process", WorkOrder(work.process)))  # by then they are there
    here = psutil.Process(queue._backend._process.pid)
    listening = [
        each.laddr for process in (here, *here.children(recursive=True)) for each in process.net_connections() if each.status == "LISTEN"
    ]
    assert listening
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert 8787 not in {address.port for address in listening}  # which dask takes, with a warning where it is another's


def test_a_picture_is_sent_once_and_its_array_comes_back_as_the_same(queue):
    photo = work.Photo("photo", np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    for _ in range(3):
        mapped = result(queue.submit("me", "map", WorkOrder(partial(work.mean_of, photo))))
        assert mapped.image is photo.pixels
        assert np.array_equal(mapped.values, photo.pixels.mean(2))


def test_progress_arrives_and_a_job_can_be_stopped(queue):
    job = queue.submit("me", "count", WorkOrder(partial(work.count_to, 10_000)), lane=Lane.HEAVY)
    end = time.monotonic() + 30
    while not (job.progress.shared and job.progress.completed) and time.monotonic() < end:
        time.sleep(0.02)
    assert job.progress.message == "Counting"
    assert job.progress.shared
    job.cancel()
    assert job.state is JobState.CANCELLED
    end = time.monotonic() + 15
    while queue.counts()["running"] and time.monotonic() < end:
        time.sleep(0.05)
    assert queue.counts()["running"] == 0


def test_the_death_of_a_process_costs_one_retry_and_the_second_one_a_sentence(queue, tmp_path):
    first = result(queue.submit("me", "die", WorkOrder(partial(work.die_once, str(tmp_path / "mark")))))
    assert int(first) not in {result(queue.submit("me", slot, WorkOrder(work.process))) for slot in range(2)}
    job = queue.submit("me", "die", WorkOrder(work.die))
    assert job.wait(60)
    with pytest.raises(WorkerDiedError):
        job.result()
    assert result(queue.submit("me", "after", WorkOrder(work.process))) != os.getpid()


def test_work_that_goes_on_after_its_stop_loses_its_process(queue, tmp_path, monkeypatch):
    monkeypatch.setattr(dispatcher, "STUCK", 0.5)
    mark = tmp_path / "mark"
    stuck = queue.submit("me", "stuck", WorkOrder(partial(work.hear_nothing, str(mark)), seconds=1))
    end = time.monotonic() + 30
    while not (mark.exists() and mark.read_text(encoding="ascii")) and time.monotonic() < end:
        time.sleep(0.02)
    process = psutil.Process(int(mark.read_text(encoding="ascii")))
    assert stuck.wait(30)
    with pytest.raises(LimitError, match="longer than the 1 seconds"):
        stuck.result()
    process.wait(30)
    assert result(queue.submit("me", "after", WorkOrder(work.process))) != process.pid


def test_when_everybody_has_gone_the_processes_that_worked_are_new_ones(queue, monkeypatch):
    monkeypatch.setattr(dispatcher, "BEAT", 0.02)
    monkeypatch.setattr(queue, "limits", Limits(empty_seconds=0))
    queue.arrive("me")
    before = {result(queue.submit("me", slot, WorkOrder(work.process))) for slot in range(3)}
    queue.leave("me")
    for pid in before:
        if psutil.pid_exists(pid):
            psutil.Process(pid).wait(30)
    assert result(queue.submit("me", "after", WorkOrder(work.process))) not in before


def test_the_scheduler_s_death_is_survived(queue):
    running = queue.submit("me", "count", WorkOrder(partial(work.count_to, 50)), lane=Lane.HEAVY)
    end = time.monotonic() + 30
    while not running.progress.completed and time.monotonic() < end:
        time.sleep(0.02)
    queue._backend._process.kill()
    assert result(running) == 50


def test_a_client_whose_listener_ended_with_an_error_is_closed_whole(queue, monkeypatch):
    result(queue.submit("me", "process", WorkOrder(work.process)))
    client = queue._backend._client

    async def fail():
        raise ValueError("the stream is not idle")

    monkeypatch.setattr(client, "_reconnect", fail)
    runner = client._loop_runner
    assert runner.is_started()
    queue._backend._process.kill()
    end = time.monotonic() + 20
    while runner.is_started() and time.monotonic() < end:
        time.sleep(0.02)
    assert not runner.is_started()
    assert client.status == "closed"
    assert result(queue.submit("me", "again", WorkOrder(work.process)))


def test_errors_come_through_and_a_tensor_is_refused(queue):
    for order, kind, words in (
        (WorkOrder(work.fail_oddly), Exception, "one and two"),
        (WorkOrder(work.give_a_tensor), TypeError, "arrays and plain records"),
        (WorkOrder(lambda *, progress: None), Exception, "pickle"),
    ):
        with pytest.raises(kind, match=words):
            result(queue.submit("me", "error", order))


def test_a_server_that_is_killed_leaves_no_process(tmp_path):
    code = (
        "import time, sys; from vizlib.engine.cluster_backend import *\n"
        "if __name__ == '__main__':\n"
        "    backend = ClusterBackend(LocalSettings(1))\n"
        "    while not backend.places(): time.sleep(.05)\n"
        "    print(backend._process.pid, flush=True); time.sleep(600)"
    )
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    cluster = psutil.Process(int(server.stdout.readline()))
    processes = [cluster, *cluster.children(recursive=True)]
    assert len(processes) >= 2
    server.send_signal(signal.SIGKILL)
    server.wait(10)
    _, alive = psutil.wait_procs(processes, 5)
    assert not alive


@pytest.mark.parametrize("text", ["0", "x", "-1", "1000"])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("VIZLIB_WORKERS", text)
    with pytest.raises(ClusterError, match="VIZLIB_WORKERS"):
        local_settings()


def test_two_machines_of_a_cluster_and_one_of_them_killed(tmp_path, monkeypatch):
    """A scheduler and two workers started as an operator would, with keys in files; what runs where one dies is done once more."""
    from distributed.security import Security

    keys = Security.temporary()
    for name, variable in (("tls_ca_file", "CA"), ("tls_client_cert", "CERT"), ("tls_client_key", "KEY")):
        (tmp_path / variable).write_text(getattr(keys, name), encoding="ascii")
        monkeypatch.setenv(f"VIZLIB_SCHEDULER_{variable}", str(tmp_path / variable))
    tls = ["--tls-ca-file", tmp_path / "CA", "--tls-cert", tmp_path / "CERT", "--tls-key", tmp_path / "KEY"]
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(work.__file__).parents[3])])
    start = partial(subprocess.Popen, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    python = [sys.executable, "-m"]
    file = tmp_path / "scheduler.json"
    machines = [start([*python, "distributed.cli.dask_scheduler", "--host", "tls://127.0.0.1", "--no-dashboard", "--port", "0",
                       "--scheduler-file", file, *tls])]  # fmt: skip
    try:
        while not (file.exists() and file.read_text(encoding="utf-8")):
            assert machines[0].poll() is None
            time.sleep(0.05)
        address = json.loads(file.read_text(encoding="utf-8"))["address"]
        command = [*python, "distributed.cli.dask_worker", address, "--nthreads", "4", "--no-nanny", "--no-dashboard", "--local-directory",
                   tmp_path, *tls]  # fmt: skip
        machines += [start(command), start(command)]
        backend = ClusterBackend(LocalSettings(0), address)
        queue = Dispatcher(backend)
        backend.changed = queue.wake
        end = time.monotonic() + 60
        while len(backend.places()) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        mark = tmp_path / "mark"
        jobs = [
            queue.submit("me", slot, WorkOrder(partial(work.note_and_count, str(mark), slot, 60)), lane=Lane.HEAVY) for slot in range(2)
        ]
        while not all(job.progress.completed for job in jobs) and time.monotonic() < end:
            time.sleep(0.02)
        machines[1].kill()
        assert [result(job) for job in jobs] == [60, 60]
        lines = mark.read_text(encoding="ascii").split()
        begun, done = [[line for line in lines if line.startswith(kind)] for kind in ("begun", "done")]
        assert sorted(done) == ["done0", "done1"]  # nothing lost, nothing twice
        assert len(begun) == 3
        queue.close()
        assert machines[2].poll() is None  # a cluster's workers stay
    finally:
        for machine in machines:
            machine.kill()
            machine.wait(10)


def test_a_tls_scheduler_without_keys_is_refused_by_the_variables(monkeypatch):
    for name in ("CA", "CERT", "KEY"):
        monkeypatch.delenv(f"VIZLIB_SCHEDULER_{name}", raising=False)
    from vizlib.engine.cluster_backend import _operators_security

    with pytest.raises(ClusterError, match=r"VIZLIB_SCHEDULER_CA, VIZLIB_SCHEDULER_CERT, VIZLIB_SCHEDULER_KEY"):
        _operators_security("tls://127.0.0.1:1")
