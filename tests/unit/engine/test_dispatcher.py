"""Who comes when, with a backend that does nothing until it is told to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizlib.engine import dispatcher
from vizlib.engine.dispatcher import Dispatcher, LimitError, WorkerDiedError
from vizlib.engine.jobs import JobState
from vizlib.engine.limits import Limits
from vizlib.engine.work_order import Lane, Outcome, Report, WorkOrder
from vizlib.errors import VizlibError


@dataclass
class Kept:
    what: str
    nbytes: int = 8


@dataclass
class ByHand:
    """A backend whose orders end when the test says so."""

    names: list[str] = field(default_factory=lambda: ["a"])
    begun: list[tuple[str, Any]] = field(default_factory=list)
    open: dict[str, Any] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    renewed: list[set[str]] = field(default_factory=list)

    def places(self):
        return self.names

    def start(self, place, number, order, lane, report, end):
        self.begun.append((place, order.work))
        self.open[number] = (order.work, report, end)

    def stop(self, place, number):
        self.stopped.append(self.open[number][0])

    def restart(self, place):
        self.restarted.append(place)

    def forget(self, identity):
        pass

    def expire(self, seconds):
        self.expired = seconds

    def renew(self, places, needed):
        self.renewed.append(set(places))
        assert not needed()

    def close(self):
        pass

    def end(self, work, outcome=None, *, died=False):
        number = next(number for number, (what, _, _) in self.open.items() if what == work)
        _, _, end = self.open.pop(number)
        end(None if died else outcome or Outcome(Kept(work)))


@pytest.fixture
def hand():
    return ByHand()


@pytest.fixture
def queue(hand):
    made = Dispatcher(hand)
    yield made
    made.close()


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def names(hand):
    return [work for _, work in hand.begun]


def test_visitors_come_in_turn_each_with_their_oldest(queue, hand):
    queue.submit("first", 0, WorkOrder("first 0"))
    until(lambda: names(hand) == ["first 0"])
    jobs = [queue.submit("first", slot, WorkOrder(f"first {slot}")) for slot in (1, 2)]
    jobs += [queue.submit("second", slot, WorkOrder(f"second {slot}")) for slot in (0, 1)]
    assert [job.jobs_before for job in jobs] == [0, 2, 1, 3]
    for count in range(1, 5):
        hand.end(names(hand)[-1])
        until(lambda count=count: len(hand.begun) == count + 1)
    assert names(hand) == ["first 0", "first 1", "second 0", "first 2", "second 1"]


@given(st.lists(st.sampled_from("abc"), max_size=12))
@settings(max_examples=25, deadline=None)
def test_the_number_of_jobs_before_is_how_many_begin_before(owners: list[str]):
    hand = ByHand()
    queue = Dispatcher(hand)
    queue.submit("a", "first", WorkOrder("first"))
    until(lambda: len(hand.begun) == 1)
    jobs = {f"{owner} {slot}": queue.submit(owner, slot, WorkOrder(f"{owner} {slot}")) for slot, owner in enumerate(owners)}
    promised = {name: job.jobs_before for name, job in jobs.items()}
    for count in range(len(jobs)):
        hand.end(names(hand)[-1])
        until(lambda count=count: len(hand.begun) == count + 2)
    assert [promised[name] for name in names(hand)[1:]] == list(range(len(jobs)))
    queue.close()


def test_a_light_request_waits_for_no_heavy_work(queue, hand):
    for slot in range(3):
        queue.submit("greedy", slot, WorkOrder(f"heavy {slot}"), lane=Lane.HEAVY)
    until(lambda: hand.begun)
    light = queue.submit("other", 0, WorkOrder("light"))
    until(lambda: light.state is JobState.RUNNING)
    assert names(hand) == ["heavy 0", "light"]


def test_a_long_piece_of_heavy_work_leaves_room_for_that_of_others(queue, hand):
    hand.names = ["a", "b"]
    for slot in range(4):
        queue.submit("greedy", slot, WorkOrder(f"greedy {slot}"), lane=Lane.HEAVY)
    until(lambda: len(hand.begun) == 2)  # as many as there are places, on one each
    assert sorted(place for place, _ in hand.begun) == ["a", "b"]
    for other in range(5):
        queue.submit(f"other {other}", 0, WorkOrder(f"other {other}"), lane=Lane.HEAVY)
    until(lambda: len(hand.begun) == 6)  # three at each
    time.sleep(0.05)
    assert names(hand)[2:] == [f"other {other}" for other in range(4)]
    assert sorted(place for place, _ in hand.begun) == ["a", "a", "a", "b", "b", "b"]
    hand.end("greedy 0")
    until(lambda: len(hand.begun) == 7)
    assert names(hand)[-1] in ("greedy 2", "other 4")


def test_what_cannot_be_tidied_up_stops_no_work(hand, monkeypatch, caplog):
    monkeypatch.setattr(dispatcher, "TIDY_EVERY", 0.0)
    monkeypatch.setattr(dispatcher, "BEAT", 0.01)
    queue = Dispatcher(hand)
    tidied = []

    def tidy():
        tidied.append(time.monotonic())
        raise AttributeError("not there any more")

    queue.on_tidy = tidy
    queue.submit("one", 0, WorkOrder("first"))
    until(lambda: len(tidied) > 2)
    queue.submit("one", 1, WorkOrder("second"), lane=Lane.HEAVY)
    until(lambda: names(hand) == ["first", "second"])
    assert "could not be tidied up" in caplog.text
    queue.close()


def test_a_card_has_several_light_requests_at_once(hand):
    queue = Dispatcher(hand, Limits(light_at_once=3))
    for visitor in range(5):
        queue.submit(f"visitor {visitor}", 0, WorkOrder(visitor))
    until(lambda: len(hand.begun) == 3)
    time.sleep(0.05)
    assert names(hand) == [0, 1, 2]
    hand.end(1)
    until(lambda: len(hand.begun) == 4)
    queue.close()


def test_the_same_question_is_worked_on_once_and_kept(queue, hand):
    first = queue.submit("one", "map", WorkOrder("map"), key="k")
    second = queue.submit("two", "map", WorkOrder("map"), key="k")
    until(lambda: hand.begun)
    first.cancel()
    assert first.state is JobState.CANCELLED
    hand.end("map")
    assert second.wait(5)
    assert second.result().what == "map"
    assert queue.submit("three", "map", WorkOrder("map"), key="k").result() is second.result()
    assert names(hand) == ["map"]
    assert not hand.stopped


def test_what_is_asked_again_in_the_same_slot_goes_on(queue, hand):
    first = queue.submit("one", "map", WorkOrder("map"), key="k")
    until(lambda: hand.begun)
    again = queue.submit("one", "map", WorkOrder("map"), key="k")
    assert first.state is JobState.CANCELLED
    hand.end("map")
    assert again.wait(5)
    assert again.state is JobState.DONE
    assert names(hand) == ["map"]


def test_work_that_everybody_left_stops_and_who_comes_back_in_time_takes_it_up(queue, hand, monkeypatch):
    monkeypatch.setattr(dispatcher, "LINGER", 0.5)
    monkeypatch.setattr(dispatcher, "BEAT", 0.02)
    job = queue.submit("one", "map", WorkOrder("map"), key="k", lane=Lane.HEAVY)
    waiting = queue.submit("one", "next", WorkOrder("next"), lane=Lane.HEAVY)
    until(lambda: hand.begun)
    queue.leave("one")
    assert job.abandoned
    assert (job.state, waiting.state) == (JobState.CANCELLED, JobState.CANCELLED)
    back = queue.submit("one, loaded again", "map", WorkOrder("map"), key="k", lane=Lane.HEAVY)
    time.sleep(0.8)
    assert not hand.stopped
    assert back.state is JobState.RUNNING
    queue.leave("one, loaded again")
    until(lambda: hand.stopped == ["map"])
    hand.end("map", Outcome(stopped=True))
    assert queue.counts() == {"waiting": 0, "running": 0, "places": 1}


def test_a_process_that_dies_costs_one_more_try(queue, hand):
    hand.names = ["a", "b"]
    job = queue.submit("one", 0, WorkOrder("map"), key="k")
    until(lambda: hand.begun)
    hand.end("map", died=True)
    until(lambda: len(hand.begun) == 2)
    assert "Begun again" in job.progress.message
    hand.end("map")
    assert job.wait(5)
    assert job.result().what == "map"
    job = queue.submit("one", 0, WorkOrder("other"))
    for count in (3, 4):
        until(lambda count=count: len(hand.begun) == count)
        hand.end("other", died=True)
    assert job.wait(5)
    with pytest.raises(WorkerDiedError, match="ended twice"):
        job.result()


def test_an_order_goes_where_its_model_is(queue, hand):
    hand.names = ["a", "b"]
    order = partial(WorkOrder, models=(("vit", None),))
    queue.submit("one", 0, WorkOrder("other"))
    queue.submit("two", 0, order("first"))
    until(lambda: len(hand.begun) == 2)
    at = {work: place for place, work in hand.begun}
    assert at["other"] != at["first"]
    hand.end("first")
    hand.end("other")
    for turn in range(3):
        job = queue.submit("three", 0, order(f"again {turn}"))
        until(lambda turn=turn: len(hand.begun) == 3 + turn)
        assert hand.begun[-1][0] == at["first"]
        hand.end(f"again {turn}")
        assert job.wait(5)


def test_progress_reaches_everybody_who_waits(queue, hand):
    jobs = [queue.submit(who, "map", WorkOrder("map"), key="k") for who in ("one", "two")]
    until(lambda: hand.open)
    next(iter(hand.open.values()))[1](Report(3, 4, "Looking", [1]))
    assert [(job.progress.fraction, job.progress.message, job.progress.shared) for job in jobs] == [(0.75, "Looking", [1])] * 2


def test_one_visitor_has_so_many_jobs_and_no_more(hand):
    queue = Dispatcher(hand, Limits(jobs=2))
    jobs = [queue.submit("greedy", slot, WorkOrder(str(slot))) for slot in range(3)]
    with pytest.raises(LimitError, match="2 jobs of yours"):
        jobs[2].result()
    assert queue.submit("greedy", 1, WorkOrder("in its place")).state is not JobState.FAILED
    assert queue.submit("other", 0, WorkOrder("other")).state is not JobState.FAILED
    queue.close()


def test_a_job_that_takes_too_long_is_stopped_in_a_sentence(hand, monkeypatch):
    monkeypatch.setattr(dispatcher, "BEAT", 0.02)
    queue = Dispatcher(hand, Limits(heavy_seconds=1))
    job = queue.submit("one", 0, WorkOrder("long"), lane=Lane.HEAVY)
    until(lambda: hand.stopped == ["long"])
    hand.end("long", Outcome(stopped=True))
    assert job.wait(5)
    with pytest.raises(LimitError, match="longer than the 1 seconds"):
        job.result()
    queue.close()


def test_work_that_does_not_hear_the_stop_is_waited_for_no_more(hand, monkeypatch):
    monkeypatch.setattr(dispatcher, "BEAT", 0.02)
    monkeypatch.setattr(dispatcher, "UNHEARD", 0.1)
    queue = Dispatcher(hand, Limits())
    fetched = queue.submit("one", 0, WorkOrder("fetch"), lane=Lane.FETCH)
    opened = queue.submit("one", 1, WorkOrder("open", seconds=1), lane=Lane.LIGHT)
    assert opened.wait(10)
    with pytest.raises(LimitError, match="longer than the 1 seconds"):
        opened.result()
    assert hand.stopped == ["open"]
    assert not fetched.done
    assert not hand.restarted
    monkeypatch.setattr(dispatcher, "STUCK", 0.1)
    until(lambda: hand.restarted)
    queue.close()


def test_what_nobody_asks_for_is_let_go_of(hand, monkeypatch):
    monkeypatch.setattr(dispatcher, "BEAT", 0.02)
    monkeypatch.setattr(dispatcher, "TIDY_EVERY", 0.05)
    queue = Dispatcher(hand, Limits(idle_seconds=1))
    job = queue.submit("one", 0, WorkOrder("map"), key="k")
    until(lambda: hand.begun)
    hand.end("map")
    assert job.wait(5)
    assert queue.results.peek("k") is not None
    until(lambda: queue.results.info().count == 0)
    assert hand.expired == 1
    queue.close()


def test_when_everybody_has_gone_all_is_as_at_the_start(hand, monkeypatch):
    monkeypatch.setattr(dispatcher, "BEAT", 0.02)
    queue = Dispatcher(hand, Limits(empty_seconds=0))
    queue.arrive("one")
    queue.arrive("two")
    job = queue.submit("one", 0, WorkOrder("map"), key="k")
    until(lambda: hand.begun)
    hand.end("map")
    assert job.wait(5)
    queue.leave("one")
    time.sleep(0.2)
    assert not hand.renewed, "somebody is there still"
    assert queue.results.peek("k") is not None
    queue.leave("two")
    until(lambda: hand.renewed)
    assert hand.renewed == [{"a"}]
    assert queue.results.info().count == 0
    time.sleep(0.2)
    assert len(hand.renewed) == 1, "nothing has been done since"
    queue.close()


def test_an_error_reaches_who_waits_and_is_not_kept(queue, hand):
    job = queue.submit("one", 0, WorkOrder("map"), key="k")
    until(lambda: hand.begun)
    hand.end("map", Outcome(error=ValueError("no")))
    assert job.wait(5)
    with pytest.raises(ValueError, match="no"):
        job.result()
    queue.submit("one", 0, WorkOrder("map"), key="k")
    until(lambda: len(hand.begun) == 2)


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "", "٣"])
def test_a_limit_that_is_no_number_is_refused_by_its_variable(text):
    with pytest.raises(VizlibError, match="VIZLIB_LIMIT_JOBS"):
        Limits.from_environment({"VIZLIB_LIMIT_JOBS": text})


def test_limits_come_from_the_environment():
    assert Limits.from_environment({"VIZLIB_LIMIT_HEAVY_SECONDS": "7"}) == Limits(heavy_seconds=7)
