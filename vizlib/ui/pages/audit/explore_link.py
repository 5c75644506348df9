"""From a row of an audit to the page Explore, with its picture and its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

import vizlib
from vizlib.ui.core import formatting
from vizlib.ui.core.pictures import handed_in
from vizlib.ui.pages.audit.sources import PictureSource
from vizlib.ui.widgets.picture_picker import show_picture

if TYPE_CHECKING:
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.pages.audit.sources import Source


def open_in_explore(source: Source, number: int, path: str, model: str, method: str) -> None:
    """Go there; a sample and a model by name are part of the address, a picture of the visitor's own goes with the session.

    What cannot be had any more is said, and the page stays.
    """
    address = {"models": model, f"{model}.method": method.partition("-")[0]}
    try:
        if isinstance(source, PictureSource) and source.pictures.samples:
            address["sample"] = source.pictures.samples[number]
            show_picture(None)
        else:
            show_picture(_picture(source, number, path))
    except vizlib.VizlibError as error:
        st.error(formatting.plain(str(error)), icon=":material/broken_image:")
        return
    st.switch_page("pages/explore.py", query_params=address)


def _picture(source: Source, number: int, path: str) -> Picture:
    if isinstance(source, PictureSource):
        return handed_in(path, list(source.pictures.pictures.values())[number])
    from vizlib.auditing.pictures import audit_pictures, read_sources

    (held,) = read_sources([audit_pictures(source.data).items[number]])
    if isinstance(held, Path):
        try:
            held = held.read_bytes()
        except OSError as error:
            raise vizlib.ImageError(f"{path} cannot be read any more: {error.strerror or error}.") from error
    return handed_in(Path(path).name, held)
