"""Parts of pages that are drawn in the browser: each a folder with its HTML, CSS and JavaScript, registered once."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


def register(name: str) -> ComponentRenderer:
    """The component in the folder ``name``; its three files carry the folder's name too."""
    folder = files(__package__) / name
    html, css, js = ((folder / f"{name}.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component(f"vizlib_{name}", html=html, css=css, js=js)


def as_json(data: dict[str, Any]) -> bytes:
    """Data for a component as JSON in bytes: a dictionary would be searched for tables, and importing pandas takes half a second."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
