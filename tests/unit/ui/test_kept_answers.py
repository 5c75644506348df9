"""Answers to a browser's questions, in Streamlit's own queues and sessions, where a run begins before they are sent."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from streamlit import runtime
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit_runtime import running_streamlit

from vizlib.ui.core import kept_answers


def message(kind: str, place: int = 0) -> ForwardMsg:
    made = ForwardMsg()
    if kind == "script_finished":
        made.script_finished = ForwardMsg.FINISHED_SUCCESSFULLY
    else:
        getattr(made, kind).SetInParent()
    made.metadata.delta_path[:] = [place]
    return made


def kinds(queue) -> list[str]:
    return [one.WhichOneof("type") for one in queue.flush()]


def filled() -> ForwardMsgQueue:
    queue = ForwardMsgQueue()
    for place, kind in enumerate(("delta", "file_urls_response", "script_finished", "backend_operation_response", "delta")):
        queue.enqueue(message(kind, place))
    return queue


def test_streamlit_drops_them():
    queue = filled()
    queue.clear(retain_lifecycle_msgs=True)
    assert kinds(queue) == ["script_finished"]  # if this fails, Streamlit keeps them itself, and kept_answers can go


def test_they_are_kept_and_sent_once_and_nothing_else_is():
    queue = filled()
    for _ in range(2):  # twice is once
        kept_answers.keep_in(queue)
    for _ in range(2):
        queue.clear(retain_lifecycle_msgs=True)
    queue.enqueue(message("delta"))
    assert kinds(queue) == ["file_urls_response", "backend_operation_response", "script_finished", "delta"]
    assert kinds(queue) == []
    queue = filled()
    kept_answers.keep_in(queue)
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=["one"])
    assert sorted(kinds(queue)) == sorted(["delta", "file_urls_response", "script_finished", "backend_operation_response", "delta"])
    queue = filled()
    kept_answers.keep_in(queue)
    queue.clear()
    assert kinds(queue) == []


@pytest.fixture
def session():
    """A session of Streamlit's own runtime."""
    with running_streamlit() as (made, loop):

        async def connected():
            return made.connect_session(client=MagicMock(), user_info={})

        identity = asyncio.run_coroutine_threadsafe(connected(), loop).result(10)
        yield made._session_mgr.get_session_info(identity).session


def test_a_session_of_streamlit_keeps_them(session, monkeypatch):
    monkeypatch.setattr(kept_answers, "get_script_run_ctx", lambda **_: SimpleNamespace(session_id=session.id))
    kept_answers.keep_answers()
    session._browser_queue.enqueue(message("file_urls_response"))
    session._clear_queue()  # as a run that begins does
    assert "file_urls_response" in [one.WhichOneof("type") for one in session.flush_browser_queue()]


def test_a_script_without_a_server_goes_on():
    assert not runtime.exists()
    kept_answers.keep_answers()
