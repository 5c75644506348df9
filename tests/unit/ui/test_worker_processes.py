"""The backend that a server begins with is the one that its app takes, once."""

from __future__ import annotations

import os
import subprocess
import sys

from vizlib.ui.core.workers import processes


def test_a_setting_that_means_nothing_ends_the_start_in_a_sentence():
    command = [sys.executable, "-m", "vizlib.ui.core.server_start", "run", "app.py"]
    ended = subprocess.run(
        command,
        env=os.environ | {"VIZLIB_WORKERS": "many", "VIZLIB_ENGINE": "processes"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr.strip()) == (1, "VIZLIB_WORKERS is a whole number from 1 to 256, not 'many'.")


def test_what_was_begun_is_taken_and_after_that_a_new_one(monkeypatch):
    made = []
    monkeypatch.setattr(processes, "_new", lambda: made.append(object()) or made[-1])
    monkeypatch.setattr(processes, "_begun", [])
    processes.begin()
    processes.begin()
    assert len(made) == 1
    assert processes.take() is made[0]
    assert processes.take() is not made[0]
    assert len(made) == 2
