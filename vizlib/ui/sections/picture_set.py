"""A set of photographs: some of the samples, or files of the visitor's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.engine.limits import limits
from vizlib.figures.numbers import counted
from vizlib.ui.core import formatting
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.pictures import SAMPLES, sample
from vizlib.ui.core.url_state import resend, some_of
from vizlib.ui.widgets.uploader import uploader

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from vizlib.ui.core.url_state import UrlState

MOST_FILES = 64
MOST_TOGETHER = 200 << 20  # bytes of one visitor's files


@dataclass(frozen=True)
class PictureSet:
    """Pictures by name: arrays or the contents of files; ``identity`` tells the set from all others, ``samples`` are those in it."""

    identity: tuple[str, ...]
    pictures: dict[str, Any]
    samples: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class _File:
    identity: str
    name: str
    content: bytes


def pick_set(url_state: UrlState, page: str, hint: str, *, most: int = MOST_FILES, command: str = "compare") -> PictureSet:
    """Samples to choose among and an uploader for several files; what cannot be read is found when it is measured.

    ``page`` names the widgets, ``hint`` says what pictures are for, and ``command`` the one that takes more than ``most`` files.
    """
    key = url_state.declare("images", list(SAMPLES), some_of(list(SAMPLES), len(SAMPLES)), ",".join)
    state = st.session_state
    uploads = state.setdefault(f"{page}.files", {"files": [], "errors": []})

    def take(files: list[UploadedFile]) -> None:
        uploads["errors"] = []
        for file in files:
            kept = uploads["files"]
            if len(kept) >= most:
                uploads["errors"].append(f"{file.name}: {most} files are the most here; `vizlib {command}` takes any number.")
            elif file.size > limits().picture_mb << 20:
                uploads["errors"].append(f"{file.name} has {file.size / 1e6:.0f} MB, over the limit of {limits().picture_mb} MB.")
            elif file.size + sum(len(other.content) for other in kept) > MOST_TOGETHER:
                uploads["errors"].append(f"{file.name}: with it, the files would take over {MOST_TOGETHER >> 20} MB.")
            else:
                kept.append(_File(file.file_id, file.name, file.getvalue()))

    def remove() -> None:
        uploads["files"], uploads["errors"] = [], []

    left, right = st.columns([3, 2], gap="medium")
    uploader(
        right, f"{page}.upload", "Add pictures", take, type=["image/*"], accept_multiple_files=True, max_upload_size=limits().picture_mb,
        help=f"Up to {most} files, which are taken instead of the samples. They stay in this server's memory.",
    )  # fmt: skip
    files: list[_File] = uploads["files"]
    with left:
        st.pills(
            "Pictures", list(SAMPLES), key=resend(key), format_func=lambda name: SAMPLES[name].title, selection_mode="multi",
            disabled=bool(files), help=hint, wrap=True,
        )  # fmt: skip
        if files:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{counted(len(files), 'file')} of yours** instead of the samples.")
                st.button("Back to the samples", key=f"{page}.remove", icon=":material/undo:", type="tertiary", on_click=here(remove))
    if uploads["errors"]:
        st.error("Left out. " + " ".join(formatting.plain(error) for error in uploads["errors"]), icon=":material/broken_image:")
    if files:
        return PictureSet(tuple(file.identity for file in files), _named(files))
    chosen = [name for name in SAMPLES if name in state[key]]
    return PictureSet(
        tuple(f"sample:{name}" for name in chosen), {SAMPLES[name].title: sample(name).pixels for name in chosen}, tuple(chosen)
    )


def _named(files: list[_File]) -> dict[str, Any]:
    """The files by name, told apart by a number where two have the same."""
    contents: dict[str, Any] = {}
    for file in files:
        name, number = file.name, 2
        while name in contents:
            name, number = f"{file.name} ({number})", number + 1
        contents[name] = file.content
    return contents
