"""What a page shows, kept in the address bar, so that a link restores it, and in the session while other pages are open."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.ui.core import presenting
from vizlib.ui.core.formatting import plain

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class _Part:
    key: str
    default: Any
    write: Callable[[Any], str | None]
    linked: bool


class UrlState:
    """The parts of one page's state: declare each before its widget, give the widget the key, and ``write`` at the end of the run.

    ``arrived`` says that the visitor came from another page. The address is read when it is not the one this page wrote: a link, a
    typed address, or the browser's way back. A request that a widget changed may still carry the address before the last one, so then
    the session is right. A run that was cut short has written nothing: the next one reads what that one did not, and nothing twice.
    """

    def __init__(self, page: str, *, arrived: bool) -> None:
        self._page = page
        self._store = st.session_state.setdefault(f"{page}:address", {"values": {}, "written": None, "reading": None, "read": set()})
        self._parts: dict[str, _Part] = {}
        self._unread: dict[str, str] = {}
        given = {name: text for name, text in st.query_params.items() if name != presenting.PARAMETER}
        if arrived and not given:  # the session is right, in the next run too where this one is cut short
            self._store["written"] = given
        touched = any(key in st.session_state and st.session_state[key] != value for key, value in self._store["values"].items())
        if given != self._store["written"] and given != self._store["reading"] and not touched:
            self._store["reading"], self._store["read"] = given, set()
        self._given = given if given == self._store["reading"] else None

    def declare(
        self,
        name: str,
        default: Any,
        read: Callable[[str], Any] = str,
        write: Callable[[Any], str | None] = str,
        *,
        linked: bool = True,
    ) -> str:
        """Declare a part and give back the key of its widget; ``read`` raises ValueError for a text that means nothing here.

        A part that is not ``linked``, or that ``write`` gives None for, is kept in the session only.
        """
        key = f"{self._page}.{name}"
        if linked and self._given is not None and name not in self._store["read"]:
            st.session_state[key] = self._read(name, default, read)
            self._store["read"].add(name)
        elif key not in st.session_state:
            st.session_state[key] = self._store["values"].get(key, default)
        self._parts[name] = _Part(key, default, write, linked)
        return key

    def reset(self, name: str, value: Any) -> None:
        """Have a part begin from ``value``, before it is declared; what a link says of it goes before."""
        st.session_state[f"{self._page}.{name}"] = value

    def _read(self, name: str, default: Any, read: Callable[[str], Any]) -> Any:
        if self._given is None or name not in self._given:
            return default
        try:
            return read(self._given[name])
        except ValueError:
            self._unread[name] = self._given[name]
            return default

    def write(self) -> None:
        """Write every part that differs from its default into the address bar, and say which of a link's could not be read."""
        values = {name: st.session_state[part.key] for name, part in self._parts.items()}
        self._store["values"].update({self._parts[name].key: value for name, value in values.items()})
        differ = {name: part for name, part in self._parts.items() if part.linked and values[name] != part.default}
        texts = {name: part.write(values[name]) for name, part in differ.items()}
        written = {name: text for name, text in texts.items() if text is not None}
        self._store["written"], self._store["reading"] = written, None
        address = written | presenting.in_address()
        if dict(st.query_params) != address:
            st.query_params.from_dict(address)
        if self._unread:
            asked = ", ".join(plain(f"{name}={text[:40]}") for name, text in list(self._unread.items())[:3])
            more = f" and {len(self._unread) - 3} more" if len(self._unread) > 3 else ""
            them = "it is" if len(self._unread) == 1 else "they are"
            st.toast(f"The link asks for {asked}{more}, which this page does not offer here: {them} left out.", icon=":material/link_off:")


def resend(key: str) -> str:
    """The key of a widget, its value set anew.

    A browser that is told of two runs before it has drawn the first takes a widget's value from the second alone, and only where that
    run sets it; otherwise it starts empty, and says so.
    Not for fields that are typed in, which would lose what is half written: these are
    given their value as ``value=`` in every run, which a browser reads only where it starts them.
    """
    st.session_state[key] = st.session_state[key]
    return key


def one_of(choices: list[str] | tuple[str, ...]) -> Callable[[str], str]:
    """A reader that takes these words only."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return read


def some_of(choices: list[str] | tuple[str, ...], most: int) -> Callable[[str], list[str]]:
    """A reader of words joined by commas, each once; unknown ones are left out."""

    def read(text: str) -> list[str]:
        picked = [word for word in dict.fromkeys(text.split(",")) if word in choices]
        if text and not picked:
            raise ValueError(text)
        return picked[:most]

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """A reader of finite numbers in a range."""

    def read(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(text)
        return value

    return read
