"""Parts of pages that are drawn in the browser: each a folder with its HTML, CSS and JavaScript, registered once."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


def register(name: str, *, kit: bool = False) -> ComponentRenderer:
    """The component in the folder ``name``, whose three files carry the folder's name too; ``kit`` puts the kit's CSS and JS first."""
    home = files(__package__)
    before = ["_lib/kit"] if kit else []

    def joined(kind: str, *paths: str) -> str:
        return "\n".join((home / f"{path}.{kind}").read_text("utf-8") for path in paths)

    own = f"{name}/{name}"
    css, js = joined("css", *before, own), joined("js", "_lib/lifecycle", *before, own)
    return st.components.v2.component(f"vizlib_{name}", html=joined("html", own), css=css, js=js)


def as_json(data: dict[str, Any]) -> bytes:
    """Data for a component as JSON in bytes: a dictionary would be searched for tables, and importing pandas takes half a second."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
