"""Requests that are done in one go."""

from __future__ import annotations

import threading
import time

import pytest

from vizlib.engine.gathering import Gathering


class Work:
    """Doubles numbers, and remembers which came together; ``go`` lets it begin, and a negative number is an error."""

    def __init__(self):
        self.groups, self.go, self.begun = [], threading.Event(), threading.Semaphore(0)

    def __call__(self, items):
        self.groups.append(sorted(items))
        self.begun.release()
        assert self.go.wait(10)
        if min(items) < 0:
            raise ValueError(f"{min(items)} is below 0")
        return [2 * item for item in items]


def asked(gathering, work, items, kind="kind"):
    """Threads that each ask for one item, and what each got."""
    got = {}

    def ask(item):
        try:
            got[item] = gathering.run(kind, item, work)
        except ValueError as error:
            got[item] = str(error)

    threads = [threading.Thread(target=ask, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    return threads, got


def ended(threads):
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_what_comes_while_a_group_is_worked_on_is_the_next_group():
    gathering, work = Gathering(16, window=0.0), Work()
    first, got_first = asked(gathering, work, [1])
    assert work.begun.acquire(timeout=10)
    others, got = asked(gathering, work, [2, 3, 4, 5])
    until(lambda: len(gathering._open["kind"].items) == 4)
    work.go.set()
    ended(first + others)
    assert work.groups == [[1], [2, 3, 4, 5]]
    assert got_first | got == {item: 2 * item for item in range(1, 6)}  # each its own


def test_a_group_is_no_larger_than_it_may_be():
    gathering, work = Gathering(3, window=0.0), Work()
    first, _ = asked(gathering, work, [0])
    assert work.begun.acquire(timeout=10)
    others, got = asked(gathering, work, range(1, 8))
    until(lambda: len(gathering._open["kind"].items) == 1)
    work.go.set()
    ended(first + others)
    assert sorted(map(len, work.groups)) == [1, 1, 3, 3]
    assert got == {item: 2 * item for item in range(1, 8)}


def test_other_kinds_neither_join_nor_wait():
    gathering, work, other = Gathering(16, window=0.0), Work(), Work()
    first, _ = asked(gathering, work, [1])
    assert work.begun.acquire(timeout=10)
    other.go.set()
    threads, got = asked(gathering, other, [2], kind="another")
    ended(threads)
    assert got == {2: 4}
    work.go.set()
    ended(first)
    assert not gathering._open
    assert not gathering._at_work


def test_an_error_is_that_of_its_own_request():
    gathering, work = Gathering(16, window=0.0), Work()
    first, _ = asked(gathering, work, [1])
    assert work.begun.acquire(timeout=10)
    others, got = asked(gathering, work, [2, -3, 4])
    until(lambda: len(gathering._open["kind"].items) == 3)
    work.go.set()
    ended(first + others)
    assert got == {2: 4, -3: "-3 is below 0", 4: 8}
    assert work.groups[1] == [-3, 2, 4]


def test_alone_an_error_is_raised_once():
    gathering, work = Gathering(16, window=0.0), Work()
    work.go.set()
    with pytest.raises(ValueError, match="-1 is below 0"):
        gathering.run("kind", -1, work)
    assert work.groups == [[-1]]
    assert gathering.run("kind", 3, work) == 6


def test_those_of_the_window_come_together():
    gathering, work = Gathering(2, window=10.0), Work()
    work.go.set()
    threads, got = asked(gathering, work, [1, 2])
    ended(threads)  # full before the window is over
    assert work.groups == [[1, 2]]
    assert got == {1: 2, 2: 4}
