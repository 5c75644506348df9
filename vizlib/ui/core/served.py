"""Whether a page is served to the machine that it runs on, whose user may name its files and code, or to strangers."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import streamlit as st

from vizlib.engine.limits import SERVED_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

FORWARDED: Final = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip")


def is_local_visitor() -> bool:
    """Whether this page's visitor sits at this machine: never where the app is ``--served``."""
    return not is_served() and only_this_machine(st.get_option("server.address"), st.context.headers)


def is_served() -> bool:
    """Whether the operator says that strangers come, whatever the address."""
    return os.environ.get(SERVED_VARIABLE, "0") not in ("", "0")


def only_this_machine(address: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a page is served to the machine it runs on and no other: then its visitor may name files of that machine.

    The server must listen on a loopback address, the browser must have asked for one, and nothing may have passed the request on.
    """
    hosts = [headers.get("Host", ""), re.sub(r"^https?://", "", headers.get("Origin", ""))]
    return all(map(_loopback, [address or "", *hosts])) and not any(name in headers for name in FORWARDED)


def _loopback(host: str) -> bool:
    name = re.sub(r":\d+$", "", host) if host.count(":") == 1 or host.startswith("[") else host
    name = name.strip("[]")
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
