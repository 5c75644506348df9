"""Long pieces of work that take turns."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest

from vizlib.engine.turns import Turns
from vizlib.engine.work_order import Lane, WorkOrder
from vizlib.engine.worker_host import WorkerHost


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_who_comes_first_goes_on_for_a_slice_and_then_the_next(clock):
    turns = Turns(4.0, clock)
    with turns.among("a"), turns.among("b"), turns.among("c"):
        assert [turns.left(name) for name in "abc"] == [0.0, 4.0, 4.0]
        clock.now += 3
        assert [turns.left(name) for name in "abc"] == [0.0, 1.0, 1.0]
        clock.now += 1
        assert [turns.left(name) for name in "abc"] == [4.0, 0.0, 4.0]  # the holder hands on at its own step
        clock.now += 4
        assert turns.left("c") == 0.0  # and where it comes to no step, the one who waits takes the turn
        assert turns.left("b") == 4.0


def test_who_is_alone_never_waits(clock):
    turns = Turns(4.0, clock)
    with turns.among("a"):
        for _ in range(5):
            clock.now += 3
            assert turns.left("a") == 0.0
        with turns.among("b"):
            assert turns.left("b") > 0
        clock.now += 10
        assert turns.left("a") == 0.0


def test_who_ends_hands_on_a_whole_slice_at_once(clock):
    turns = Turns(4.0, clock)
    with turns.among("b"):
        with turns.among("c"):
            clock.now += 3
            assert turns.left("c") == 1.0
            assert turns.left("b") == 0.0
        clock.now += 0.5
        assert turns.left("b") == 0.0
    with turns.among("first"):
        pass
    with turns.among("late"):
        assert turns.left("late") == 0.0


def test_an_error_in_the_work_hands_the_turn_on(clock):
    turns = Turns(4.0, clock)
    with turns.among("b"):
        with pytest.raises(ValueError, match="broken"), turns.among("c"):
            raise ValueError("broken")
        assert turns.left("b") == 0.0


def test_short_heavy_work_does_not_wait_for_long_heavy_work_to_end(monkeypatch):
    monkeypatch.setattr("vizlib.engine.worker_host.SLICE", 0.2)
    host = WorkerHost(1 << 30)
    steps, begun = [], threading.Event()

    def work(name, count, *, progress):
        for step in range(count):
            progress(step, count)
            steps.append(name)
            begun.set()
            time.sleep(0.01)
        return name

    try:
        long = host.start("1", WorkOrder(_named(work, "long", 10_000)), Lane.HEAVY)
        assert begun.wait(10)
        short = [host.start(str(number), WorkOrder(_named(work, f"short {number}", 15)), Lane.HEAVY) for number in (2, 3)]
        for job in short:
            assert job.wait(20)
        assert not long.done
        assert len({job.result() for job in short}) == 2
        changes = sum(one != other for one, other in pairwise(steps))
        assert changes <= len(steps) / 5  # in slices, not step by step
        host.stop("1")
        assert long.wait(10)
    finally:
        host.close()


def test_heavy_work_that_waits_for_what_other_heavy_work_makes_gets_it(monkeypatch):
    monkeypatch.setattr("vizlib.engine.worker_host.SLICE", 0.1)
    host = WorkerHost(1 << 30)
    made = threading.Event()

    def make(*, progress):
        for step in range(60):
            progress(step)
            time.sleep(0.01)
        made.set()

    def take(*, progress):
        progress(0)
        assert made.wait(20)

    try:
        maker = host.start("1", WorkOrder(make), Lane.HEAVY)
        taker = host.start("2", WorkOrder(take), Lane.HEAVY)
        assert taker.wait(20)
        assert maker.wait(20)
        assert (maker.exception(), taker.exception()) == (None, None)
    finally:
        host.close()


def _named(work, name, count):
    def run(*, progress):
        return work(name, count, progress=progress)

    return run
