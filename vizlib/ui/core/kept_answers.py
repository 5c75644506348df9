"""What a browser asked for reaches it although a run begins: where a file may go, and a file made for it."""

from __future__ import annotations

from typing import Any

from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

# What Streamlit answers once, and nothing asks for again.
ANSWERS = {"file_urls_response", "backend_operation_response"}


def keep_answers() -> None:
    """Have Streamlit send this session's browser every answer.

    When a run begins, Streamlit drops what it has not sent yet, and answers with it: an upload then stands still for good, a download that
    is made when it is asked for never comes. There is no public way; tests/unit/ui/test_kept_answers.py says when the names change, or when
    Streamlit keeps them itself.
    """
    context = get_script_run_ctx(suppress_warning=True)
    if context is None or not runtime.exists():
        return
    sessions: Any = getattr(runtime.get_instance(), "_session_mgr", None)  # what stands for the server in AppTest has none
    found = sessions.get_session_info(context.session_id) if sessions is not None else None
    if found is not None:
        keep_in(found.session._browser_queue)


def keep_in(queue: Any) -> None:
    """Have one queue of messages keep its answers, where it does not yet."""
    if "clear" in vars(queue):
        return
    clear = queue.clear

    def keeping(retain_lifecycle_msgs: bool = False, fragment_ids_this_run: list[str] | None = None) -> None:
        answers = [message for message in queue._queue if retain_lifecycle_msgs and message.WhichOneof("type") in ANSWERS]
        clear(retain_lifecycle_msgs=retain_lifecycle_msgs, fragment_ids_this_run=fragment_ids_this_run)
        kept = {id(message) for message in queue._queue}
        queue._queue[:0] = [message for message in answers if id(message) not in kept]

    queue.clear = keeping
