"""A file uploader that empties itself: what is handed in is taken once, whatever becomes of the run that it came with."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from vizlib.ui.core.looks import drawn_every

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.delta_generator import DeltaGenerator
    from streamlit.runtime.uploaded_file_manager import UploadedFile


LOOKS = 5  # at a file of which no run was told
LOOK_SECONDS = 1.0


def uploader(home: DeltaGenerator, slot: str, label: str, take: Callable[[list[UploadedFile]], None], **options: Any) -> None:
    """Draw it in ``home``; new files go to ``take``, and the page is drawn again with an empty uploader.

    Not a callback: where another request of the page meets the one that tells of the file, Streamlit may drop the callback, and the
    file would lie in the uploader as if nothing had happened. Each ``slot`` has a key of its own; the number in it is the emptying.
    On a busy server two runs of the page may see the file: one takes it, and the other, which may be the one that is drawn, waits.
    """
    state = st.session_state
    taken = state.setdefault(f"{slot}.taken", 0)
    uploaded = home.file_uploader(label, key=f"{slot}.{taken}", **options)
    files = uploaded if isinstance(uploaded, list) else [uploaded] if uploaded is not None else []
    if files:
        with state.setdefault(f"{slot}.lock", Lock()):
            if state[f"{slot}.taken"] == taken:
                take(files)
                state[f"{slot}.taken"] = taken + 1
        for file in files:
            let_go(file)
        st.rerun()
    _listen(f"{slot}.{taken}")


def _listen(key: str) -> None:
    """Ask the browser again where a file lies here that no run was told of.

    A request of the browser that meets another of the same page may wipe what that one told: both write the widgets' values. The file
    would lie in the uploader as if nothing had happened, until the visitor touches something.
    """
    looks = _looks()
    waiting = [file_id for file_id in _stored() if looks[file_id] < LOOKS]
    if waiting:
        drawn_every(_look, LOOK_SECONDS)(key, waiting)


def _look(key: str, waiting: list[str]) -> None:
    """What the browser says now; not without end, for the file may belong to nothing that is drawn any more."""
    looks = _looks()
    looks.update(waiting)
    if st.session_state.get(key) or all(looks[file_id] >= LOOKS for file_id in waiting):
        st.rerun()


def told(file: UploadedFile | None) -> None:
    """Say that a run has seen a file which stays in its uploader."""
    if file is not None:
        _looks()[file.file_id] = LOOKS


def _looks() -> Counter[str]:
    """How often was looked for each file."""
    looks: Counter[str] = st.session_state.setdefault("uploads.looks", Counter())
    return looks


def _stored() -> list[str]:
    context = get_script_run_ctx()
    if context is None or not isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        return []
    return list(context.uploaded_file_mgr.file_storage.get(context.session_id, ()))


def let_go(file: UploadedFile | None) -> None:
    """Free the memory of an upload that was taken: Streamlit would keep it until the session ends."""
    context = get_script_run_ctx()
    if file is not None and context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
