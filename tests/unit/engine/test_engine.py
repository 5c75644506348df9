"""The cache, the worker and the memory counters: what the app's speed and its patience rest on."""

from __future__ import annotations

import contextvars
import gc
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import InvalidStateError, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from vizlib.engine.cache import BoundedCache
from vizlib.engine.jobs import Job, JobState, Progress, Worker
from vizlib.engine.memory import UNKNOWN, available_memory, model_bytes
from vizlib.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Thing:
    """A value with a weight that a weak reference can watch."""

    def __init__(self, size: int) -> None:
        self.size = size


def make_cache(**options: Any) -> BoundedCache[str, Thing]:
    return BoundedCache(**{"max_bytes": 100, "size": lambda thing: thing.size, **options})


def wait_until(what: Any, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


def test_cache_makes_once_for_all_who_ask() -> None:
    cache, made, go = make_cache(), [], threading.Event()

    def make() -> Thing:
        made.append(1)
        assert go.wait(5)
        return Thing(1)

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(cache.get, "a", make) for _ in range(6)]
        wait_until(lambda: made)
        time.sleep(0.05)
        go.set()
        values = {id(future.result(5)) for future in futures}
    assert len(made) == 1
    assert len(values) == 1
    assert (cache.info().misses, cache.info().hits, cache.info().making) == (1, 5, 0)


def test_cache_makes_different_keys_at_the_same_time() -> None:
    cache, both = make_cache(), threading.Barrier(2, timeout=5)

    def make() -> Thing:
        both.wait()  # breaks when one has to wait for the other
        return Thing(1)

    with ThreadPoolExecutor(2) as pool:
        assert [f.result(5).size for f in [pool.submit(cache.get, key, make) for key in "ab"]] == [1, 1]


def test_cache_does_not_keep_errors_but_tells_all_who_wait() -> None:
    cache, made, go = make_cache(), [], threading.Event()

    def fail() -> Thing:
        made.append(1)
        assert go.wait(5)
        raise ValueError("broken file")

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(cache.get, "a", fail) for _ in range(3)]
        wait_until(lambda: made)
        time.sleep(0.05)
        go.set()
        for future in futures:
            with pytest.raises(ValueError, match="broken file"):
                future.result(5)
    assert len(made) == 1
    assert cache.get("a", lambda: Thing(7)).size == 7


def test_cache_waiter_takes_over_when_the_maker_was_cancelled() -> None:
    cache, started, go = make_cache(), threading.Event(), threading.Event()

    def cancelled() -> Thing:
        started.set()
        assert go.wait(5)
        raise CancelledError("stopped")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "a", cancelled)
        assert started.wait(5)
        second = pool.submit(cache.get, "a", lambda: Thing(3))
        time.sleep(0.05)
        go.set()
        assert second.result(5).size == 3
        with pytest.raises(CancelledError):
            first.result(5)


def test_cache_evicts_least_recently_used_by_bytes_and_by_count() -> None:
    gone: list[str] = []
    cache = make_cache(max_count=3, on_evict=gone.append)
    for key in "abc":
        cache.get(key, lambda: Thing(30))
    cache.get("a", lambda: pytest.fail("a was there"))
    cache.get("d", lambda: Thing(10))
    assert gone == ["b"]  # by count; a was used since
    cache.get("e", lambda: Thing(61))
    assert gone == ["b", "c", "a"]  # by count, then by bytes: 30 + 10 + 61
    assert (cache.info().bytes, cache.info().count, cache.info().evictions) == (71, 2, 3)


def test_cache_keeps_the_newest_even_when_too_large() -> None:
    cache = make_cache()
    cache.get("small", lambda: Thing(1))
    big = cache.get("big", lambda: Thing(1000))
    assert cache.get("big", lambda: pytest.fail("made again")) is big
    assert cache.info().count == 1


def test_cache_let_go_before_it_tells_and_holders_keep_the_value() -> None:
    alive: list[bool] = []
    watch: list[weakref.ref[Thing]] = []
    cache = make_cache(max_count=1, on_evict=lambda key: alive.append(watch[-1]() is not None))
    watch.append(weakref.ref(cache.get("a", lambda: Thing(1))))
    held = cache.get("b", lambda: Thing(2))
    watch.append(weakref.ref(held))
    cache.get("c", lambda: Thing(3))
    assert alive == [False, True]
    assert held.size == 2


def test_cache_clear_also_forgets_what_is_being_made() -> None:
    gone: list[str] = []
    cache, started, go = make_cache(on_evict=gone.append), threading.Event(), threading.Event()

    def slow() -> Thing:
        started.set()
        assert go.wait(5)
        return Thing(1)

    cache.get("b", lambda: Thing(1))
    with ThreadPoolExecutor(1) as pool:
        old = pool.submit(cache.get, "a", slow)
        assert started.wait(5)
        cache.clear()
        new = cache.get("a", lambda: Thing(2))
        go.set()
        assert old.result(5).size == 1
    assert gone == ["b"]
    assert cache.get("a", lambda: pytest.fail("made again")) is new
    assert cache.info().bytes == 2


def test_cache_asked_by_its_own_maker_says_so() -> None:
    cache = make_cache()
    with pytest.raises(RuntimeError, match="very function"):
        cache.get("a", lambda: cache.get("a", lambda: Thing(1)))


def test_cache_under_many_threads_stays_within_its_bounds() -> None:
    cache = make_cache(max_count=4)

    def hammer(start: int) -> None:
        for i in range(200):
            size = (start + i) % 9 + 10
            assert cache.get(str(size), partial(Thing, size)).size == size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hammer, range(8)))
    info = cache.info()
    assert info.count <= 4
    assert info.bytes <= 100
    assert info.hits + info.misses == 1600
    cache.clear()
    assert cache.info().bytes == 0


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def hold(started: threading.Event, go: threading.Event, progress: Progress) -> str:
    started.set()
    for step in range(5000):
        progress(step, 5000, "holding")
        if go.wait(0.002):
            return "held"
    raise AssertionError("nobody let go")


def test_job_runs_reports_and_returns(worker: Worker) -> None:
    started, go = threading.Event(), threading.Event()
    job = worker.submit("a", hold, started, go)
    assert started.wait(5)
    wait_until(lambda: job.progress.completed > 1)
    assert job.state is JobState.RUNNING
    assert (job.progress.total, job.progress.message) == (5000, "holding")
    assert job.progress.fraction is not None
    assert 0 < job.progress.fraction < 1
    with pytest.raises(InvalidStateError):
        job.result()
    assert job.exception() is None
    assert not job.wait(0.01)
    go.set()
    assert job.wait(5)
    assert (job.state, job.result(), job.cancelled) == (JobState.DONE, "held", False)
    assert job.seconds > 0


def test_newer_request_replaces_waiting_and_stops_running(worker: Worker) -> None:
    started, go, ran = threading.Event(), threading.Event(), []

    def note(name: str, progress: Progress) -> str:
        ran.append(name)
        return name

    running = worker.submit("slider", hold, started, go)
    assert started.wait(5)
    other = worker.submit("other", note, "other")
    jobs = [worker.submit("slider", note, f"slider {i}") for i in range(4)]
    assert jobs[-1].wait(5)
    assert other.wait(5)
    assert running.state is JobState.CANCELLED
    assert [job.state for job in jobs] == [JobState.CANCELLED] * 3 + [JobState.DONE]
    assert ran == ["other", "slider 3"]
    with pytest.raises(CancelledError):
        running.result()
    with pytest.raises(CancelledError):
        jobs[0].result()


def test_replaced_job_leaves_its_place_in_the_queue(worker: Worker) -> None:
    started, go, ran = threading.Event(), threading.Event(), []
    worker.submit("block", hold, started, go)
    assert started.wait(5)

    def note(name: str, progress: Progress) -> None:
        ran.append(name)

    jobs = [worker.submit(key, note, name) for key, name in [("a", "a1"), ("b", "b1"), ("a", "a2")]]
    go.set()
    assert all(job.wait(5) for job in jobs)
    assert ran == ["a2", "b1"]


def test_cancel_stops_at_the_next_step_and_never_starts_what_waits(worker: Worker) -> None:
    started, go = threading.Event(), threading.Event()

    def never(progress: Progress) -> None:
        raise AssertionError("started")

    running, waiting = worker.submit("a", hold, started, go), worker.submit("b", never)
    assert started.wait(5)
    waiting.cancel()
    assert waiting.state is JobState.CANCELLED
    running.cancel()
    assert running.cancelled
    assert running.wait(5)
    assert running.state is JobState.CANCELLED
    done = worker.submit("c", lambda progress: 5)
    assert done.wait(5)
    done.cancel()
    assert (done.state, done.result(), done.cancelled) == (JobState.DONE, 5, False)


def test_failed_job_keeps_its_error_but_not_its_frames(worker: Worker) -> None:
    watch: list[weakref.ref[Thing]] = []

    def fail(progress: Progress) -> None:
        heavy = Thing(1)
        watch.append(weakref.ref(heavy))
        raise ValueError(f"bad input of size {heavy.size}")

    job = worker.submit("a", fail)
    assert job.wait(5)
    assert job.state is JobState.FAILED
    for _ in range(3):
        with pytest.raises(ValueError, match="size 1") as caught:
            job.result()
    assert sum(entry.name == "result" for entry in caught.traceback) == 1  # it does not grow with every raise
    assert isinstance(job.exception(), ValueError)
    gc.collect()
    assert watch[0]() is None
    assert worker.submit("a", lambda progress: 1).wait(5)


def test_idle_worker_holds_no_result(worker: Worker) -> None:
    job: Job[Thing] | None = worker.submit("a", lambda progress: Thing(1))
    assert job is not None
    assert job.wait(5)
    watch = weakref.ref(job.result())
    del job
    wait_until(lambda: gc.collect() is not None and watch() is None)


def test_jobs_see_no_context_of_the_page_nor_of_each_other(worker: Worker) -> None:
    page: contextvars.ContextVar[str] = contextvars.ContextVar("page", default="none")
    page.set("explore")

    def look(progress: Progress) -> str:
        seen = page.get()
        page.set("left behind")
        return seen

    jobs = [worker.submit(i, look) for i in range(2)]
    assert all(job.wait(5) for job in jobs)
    assert [job.result() for job in jobs] == ["none", "none"]


def test_several_threads_work_at_the_same_time() -> None:
    worker, both = Worker(threads=2), threading.Barrier(2, timeout=5)
    jobs = [worker.submit(i, lambda progress: both.wait()) for i in range(2)]
    assert all(job.wait(5) for job in jobs)
    assert sorted(job.result() for job in jobs) == [0, 1]
    worker.close()
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit("a", lambda progress: 1)


def test_close_cancels_all_and_ends_the_threads(worker: Worker) -> None:
    started = threading.Event()
    running, waiting = worker.submit("a", hold, started, threading.Event()), worker.submit("b", lambda progress: 1)
    assert started.wait(5)
    worker.close()
    assert [running.state, waiting.state] == [JobState.CANCELLED] * 2
    assert not any(thread.is_alive() for thread in worker._threads)


EXIT = """
import sys, time
from vizlib.engine.jobs import Worker
def deaf(progress):
    print("running", flush=True)
    time.sleep(60)
def polite(progress):
    try:
        while True:
            progress(0); time.sleep(0.01)
    finally:
        print("tidied", flush=True)
Worker().submit("a", {0})
import vizlib.engine.cache, vizlib.engine.memory
time.sleep(0.1)
assert not {{"torch", "streamlit", "numpy"}} & set(sys.modules), "heavy import"
"""


@pytest.mark.parametrize(("work", "said"), [("polite", "tidied"), ("deaf", "running")])
def test_interpreter_exits_whatever_runs(work: str, said: str) -> None:
    # Deaf work never ends by itself.
    done = subprocess.run([sys.executable, "-c", EXIT.format(work)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, said, "")


def test_model_bytes_counts_shared_storage_once() -> None:
    import torch

    first, second = torch.nn.Linear(4, 8, bias=False), torch.nn.Linear(4, 8, bias=False)
    module = torch.nn.Sequential(first, second, torch.nn.BatchNorm1d(8))
    assert model_bytes(module) == 2 * 4 * 8 * 4 + 4 * 8 * 4 + 8  # two matrices, four vectors, an int64
    second.weight = first.weight
    module.register_buffer("view", first.weight.detach()[:2])
    assert model_bytes(module) == 4 * 8 * 4 + 4 * 8 * 4 + 8
    assert model_bytes(module.half()) < 4 * 8 * 4 + 4 * 8 * 4
    assert model_bytes(module.to("meta")) == 0


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


MEMINFO = {"proc/meminfo": "MemTotal: 16000 kB\nMemAvailable: 9000 kB\n"}
STAT = "anon 5\ninactive_file 100\n"


@pytest.mark.parametrize(
    ("files", "left"),
    [
        (MEMINFO, 9000 << 10),
        (MEMINFO | {"proc/self/cgroup": "0::/\n"}, 9000 << 10),
        # The parent's limit is the tighter one; page cache counts as left.
        (
            MEMINFO
            | {
                "proc/self/cgroup": "0::/app/pod\n",
                "sys/fs/cgroup/app/memory.max": "5000\n",
                "sys/fs/cgroup/app/memory.current": "3000\n",
                "sys/fs/cgroup/app/memory.stat": STAT,
                "sys/fs/cgroup/app/pod/memory.max": "max\n",
                "sys/fs/cgroup/app/pod/memory.current": "3000\n",
            },
            2100,
        ),
        # A container that sees the path of the host, where its own group is the top.
        (
            MEMINFO
            | {
                "proc/self/cgroup": "0::/../host/abc\n",
                "sys/fs/cgroup/memory.max": "700\n",
                "sys/fs/cgroup/memory.current": "200\n",
            },
            500,
        ),
        (
            MEMINFO
            | {
                "proc/self/cgroup": "5:cpu:/\n4:memory:/docker/x\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "4096\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "5000\n",
                "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 4\n",
            },
            0,
        ),
    ],
)
def test_available_memory_is_the_tightest_bound(tmp_path: Path, files: dict[str, str], left: int) -> None:
    assert available_memory(write(tmp_path, files)) == left


def test_available_memory_without_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}[name])
    assert available_memory(tmp_path) == 1000 * 4096 // 2
    monkeypatch.setattr("os.sysconf_names", {})
    assert available_memory(tmp_path) == UNKNOWN


def test_available_memory_here_is_plausible() -> None:
    assert 1 << 20 < available_memory() < 1 << 50


def test_a_cache_lets_go_of_what_nobody_asked_for(monkeypatch):
    from vizlib.engine import cache as module

    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    gone = []
    kept = module.BoundedCache(max_bytes=100, size=lambda value: value, on_evict=gone.append)
    kept.get("old", lambda: 10)
    now[0] = 5
    kept.get("new", lambda: 20)
    now[0] = 8
    kept.expire(6)
    assert gone == ["old"]
    assert kept.info().bytes == 20
    kept.peek("new")
    now[0] = 13
    kept.expire(6)
    assert kept.info().count == 1
    now[0] = 15
    kept.expire(6)
    assert (kept.info().count, kept.info().bytes) == (0, 0)
