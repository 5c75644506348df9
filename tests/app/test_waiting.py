"""What a visitor meets while work beside the page changes its state between two looks."""

from __future__ import annotations

from typing import Any

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
