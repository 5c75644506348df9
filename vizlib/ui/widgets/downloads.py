"""Files to take away: a button each, what they are called, and what kind of file the browser is told."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture

# By the end of a file's name: the button's word, the media type and the icon.
_KINDS = {
    "png": ("PNG", "image/png", "image"),
    "gif": ("GIF", "image/gif", "gif_box"),
    "npz": ("NPZ", "application/octet-stream", "data_array"),
    "csv": ("CSV", "text/csv", "table"),
    "json": ("JSON", "application/json", "data_object"),
    "zip": ("ZIP", "application/zip", "folder_zip"),
    "html": ("Report", "text/html", "description"),
}


def file_stem(*parts: Picture | ModelChoice | str) -> str:
    """What the names of files begin with: picture, model and what they hold, in lower case, joined by dashes."""
    return "-".join(part if isinstance(part, str) else part.file_name for part in parts).lower().replace(" ", "_")


def download_button(
    name: str, content: bytes | str | Callable[[], bytes | str], *, key: str, label: str = "", hint: str = "", disabled: bool = False
) -> None:
    """A button for the file ``name``; ``content`` that is a function is called when somebody clicks, which does not run the page again."""
    word, kind, icon = _KINDS[name.rpartition(".")[2]]
    st.download_button(
        label or word, content, name, kind, key=key, icon=f":material/{icon}:", on_click="ignore", help=hint or None, disabled=disabled
    )  # fmt: skip


def download_row(stem: str, page: str, *files: tuple[str, bytes | str | Callable[[], bytes | str], str]) -> None:
    """A row of buttons: for each file the end of its name, its content, and what it holds.

    An end with a dash before it, "-tokens.csv", goes on the stem; keys are the page's name and the end.
    """
    with st.container(horizontal=True):
        for end, content, hint in files:
            name = f"{stem}{end}" if end.startswith("-") else f"{stem}.{end}"
            download_button(name, content, key=f"{page}.{end.removeprefix('-')}", hint=hint)


def npz(**arrays: Any) -> bytes:
    """Arrays by name, as the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
