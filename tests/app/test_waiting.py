"""What a visitor meets while work beside the page changes its state between two looks."""

from __future__ import annotations

from typing import Any

from streamlit.testing.v1 import AppTest

from vizlib.engine import jobs
from vizlib.engine.jobs import Job, JobState, Worker
from vizlib.ui.core import job_slots


def test_a_job_that_ends_between_two_looks_is_followed_and_not_called_stopped(monkeypatch):
    class Hasty(Job[str]):
        @property
        def state(self) -> JobState:
            return next(looks)

        @state.setter
        def state(self, _: JobState) -> None:
            pass

    looks = iter([JobState.WAITING, *[JobState.DONE] * 9])
    followed, said = [], []
    monkeypatch.setattr(job_slots, "follow", lambda slot, job: followed.append(slot))
    monkeypatch.setattr(job_slots.st, "info", lambda *args, **_: said.append(args))
    monkeypatch.setattr(job_slots.st, "button", lambda *args, **_: said.append(args))
    job = Hasty("key", lambda progress: "made")
    job._ended.set()
    assert job_slots.result_or_status("slot", job) is None
    assert followed == ["slot"]
    assert not said


def test_a_job_that_says_it_is_done_gives_its_result(monkeypatch):
    class Watched(Job[Any]):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "state" and value is JobState.DONE:
                seen.append((self.done, self.result()))

    seen: list[tuple[bool, str]] = []
    monkeypatch.setattr(jobs, "Job", Watched)
    worker = Worker()
    assert worker.submit("key", lambda progress: "made").wait(60)
    worker.close()
    assert seen == [(True, "made")]


def _following():
    import streamlit as st

    from vizlib.engine.jobs import Job
    from vizlib.ui.core import job_slots

    job = st.session_state.setdefault("job", Job("key", lambda progress: None))
    job_slots.result_or_status("slot", job)


def test_a_click_on_stop_is_taken_where_its_look_ends_in_a_whole_run(monkeypatch):
    beats = [0.3, 0.3, 0.3]
    monkeypatch.setattr(job_slots, "beat_of", lambda job: beats.pop(0) if beats else 1.0)
    at = AppTest.from_function(_following).run()
    assert not at.info
    at.button(key="stop.slot").click().run()  # the fourth beat is a longer one
    assert at.session_state["job"].cancelled
    assert at.info[0].value == "Stopped."


def test_a_job_is_looked_at_less_often_the_more_are_waited_for(monkeypatch):
    class Server:
        awake, failure = True, ""

        class dispatcher:  # noqa: N801
            waited_for = 1

    monkeypatch.setattr(job_slots, "service", lambda: Server)
    job = Job[str]("key")
    assert job_slots.beat_of(job) == 0.3
    beats = []
    for count in (7, 20, 60, 240):
        Server.dispatcher.waited_for = count
        beats.append(job_slots.beat_of(job))
    assert beats == [0.3, 1.0, 2.5, 5.0]
    assert max(count / beat for count, beat in zip((7, 20, 60, 240), beats, strict=True)) < 50  # runs of the script a second


def test_the_words_for_a_waiting_job_are_true(monkeypatch):
    class Server:
        awake, failure = False, ""

    monkeypatch.setattr(job_slots, "service", lambda: Server)
    job = Job[str]("key")
    assert job_slots.words_of(job) == "Waking up"
    Server.failure = "The scheduler is gone."
    assert job_slots.words_of(job) == "The scheduler is gone."
    Server.awake = True
    job.jobs_before = 2
    assert job_slots.words_of(job) == "2 jobs before yours"
    job.jobs_before = 1
    assert job_slots.words_of(job) == "1 job before yours"
    job.jobs_before = 0
    assert job_slots.words_of(job) == "Yours is next"
    job._begin()
    assert job_slots.words_of(job) == "Beginning"
    job.progress(1, 2, "Counting")
    assert job_slots.words_of(job) == "Counting"
