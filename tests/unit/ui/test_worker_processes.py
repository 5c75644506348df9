"""The backend that a server begins with is the one that its app takes, once."""

from __future__ import annotations

from vizlib.ui.core import worker_processes


def test_what_was_begun_is_taken_and_after_that_a_new_one(monkeypatch):
    made = []
    monkeypatch.setattr(worker_processes, "_new", lambda: made.append(object()) or made[-1])
    monkeypatch.setattr(worker_processes, "_begun", [])
    worker_processes.begin()
    worker_processes.begin()
    assert len(made) == 1
    assert worker_processes.take() is made[0]
    assert worker_processes.take() is not made[0]
    assert len(made) == 2
