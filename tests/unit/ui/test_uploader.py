"""An upload is taken once and then shown, also where two runs of the page see it."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from vizlib.ui.widgets import uploader as module


class AgainError(Exception):
    """What st.rerun is here."""


@pytest.fixture
def page(monkeypatch):
    """A page's state, and an uploader that holds a file until it is emptied."""

    def again():
        raise AgainError

    state = {}
    monkeypatch.setattr(module, "st", SimpleNamespace(session_state=state, rerun=again))
    monkeypatch.setattr(module, "let_go", lambda file: None)
    home = SimpleNamespace(file_uploader=lambda label, *, key: "file" if key == "slot.0" else None)
    return state, home


def test_a_run_that_meets_another_one_s_upload_waits_and_is_drawn_again(page):
    state, home = page
    inside, go, taken, ends = threading.Event(), threading.Event(), [], []

    def take(files):
        inside.set()
        assert go.wait(10)
        taken.extend(files)

    def run(name):
        try:
            module.uploader(home, "slot", "Add", take)
        except AgainError:
            ends.append((name, "again", list(taken)))
        else:
            ends.append((name, "went on", list(taken)))

    first, second = (threading.Thread(target=run, args=(name,)) for name in ("first", "second"))
    first.start()
    assert inside.wait(10)
    second.start()
    second.join(0.2)
    go.set()
    first.join(10)
    second.join(10)
    assert sorted(ends) == [("first", "again", ["file"]), ("second", "again", ["file"])]
    assert state["slot.taken"] == 1
    run("third")
    assert ends[-1] == ("third", "went on", ["file"])
