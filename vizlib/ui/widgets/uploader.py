"""A file uploader that empties itself: what is handed in is taken once, whatever becomes of the run that it came with."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.delta_generator import DeltaGenerator
    from streamlit.runtime.uploaded_file_manager import UploadedFile


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


def let_go(file: UploadedFile | None) -> None:
    """Free the memory of an upload that was taken: Streamlit would keep it until the session ends."""
    context = get_script_run_ctx()
    if file is not None and context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
