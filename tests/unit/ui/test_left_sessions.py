"""Sessions whose browsers are gone, in the storage that Streamlit keeps them in."""

from __future__ import annotations

import asyncio
import gc
import weakref
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from streamlit import runtime
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.session_manager import SessionInfo
from streamlit_runtime import running_streamlit

from vizlib.ui.core import model_service


@pytest.fixture
def running():
    """Streamlit's own runtime, with a storage that keeps sessions for a second."""
    storage = MemorySessionStorage(ttl_seconds=1)
    with running_streamlit(session_storage=storage) as (_, loop):
        yield SimpleNamespace(storage=storage, loop=loop)


def settle(loop):
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(10)


def test_a_session_goes_once_its_time_is_over_and_not_before(running, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(running.storage._cache, "_timer", lambda: now[0])
    session = MagicMock(id="left")
    running.storage.save(SessionInfo(client=None, session=session, script_run_count=1))
    now[0] = 0.5
    model_service._let_go_of_sessions()
    settle(running.loop)
    assert running.storage.get("left").session is session
    now[0] = 2.0
    settle(running.loop)
    assert running.storage._cache._data  # Streamlit itself keeps it
    model_service._let_go_of_sessions()
    settle(running.loop)
    assert not running.storage._cache._data


def test_the_last_session_goes_even_where_it_holds_itself(running, monkeypatch):
    class Session:
        id = "circle"

        def __init__(self):
            self.itself = self

    now, session = [0.0], Session()
    monkeypatch.setattr(running.storage._cache, "_timer", lambda: now[0])
    running.storage.save(SessionInfo(client=None, session=session, script_run_count=1))
    gone = weakref.ref(session)
    del session
    gc.disable()
    try:
        now[0] = 2.0
        model_service._let_go_of_sessions()
        settle(running.loop)
        assert gone() is None
    finally:
        gc.enable()


def test_without_a_server_there_is_nothing_to_do():
    assert not runtime.exists()
    model_service._let_go_of_sessions()
