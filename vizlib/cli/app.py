"""``vizlib app``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vizlib.cli.errors_and_output import UsageError
from vizlib.errors import VizlibError
from vizlib.files.product import product_root

if TYPE_CHECKING:
    from pathlib import Path

HOSTS_VARIABLE = "STREAMLIT_SERVER_ALLOWED_HOSTS"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
APP_EPILOG = """[bold]For example[/bold]

  vizlib app

  vizlib app --port 8600 --no-browser

  vizlib app --model my_models:build   (a torch module of your own code)

  vizlib app --served --no-browser --host vizlib.example.org   (for others, through a proxy on this machine: docs/operators.md)

  vizlib app --address 0.0.0.0   (for others too: put a proxy before it)

Ctrl-C ends it. The settings are those of .streamlit/config.toml beside the app, whatever the current folder holds; variables of the \
environment such as STREAMLIT_SERVER_BASE_URL_PATH go before them."""


def app(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port; it must be free.", show_default="8501, or the next one that is free")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="The address to listen at; 0.0.0.0 serves every machine that reaches this one.",
            show_default="127.0.0.1: this machine alone",
        ),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in a browser, where there is a display.")] = True,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="A model of your own code, opened on every page that fits it; this runs that code, so only for this machine. Repeatable.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name in the addresses that visitors use, as vizlib.example.org; requests for others are refused. Repeatable.",
            show_default="this machine's own names; every name with --served or --address",
        ),
    ] = None,
    served: Annotated[
        bool,
        typer.Option(
            "--served", help="Others come, through a proxy: no paths of this machine, and of weights only safetensors. As VIZLIB_SERVED=1."
        ),
    ] = False,
) -> None:
    """Start the app."""
    from vizlib.engine.limits import SERVED_VARIABLE, Limits
    from vizlib.zoo.user_code import CODE_VARIABLE, is_reference

    for name in model or ():
        if not is_reference(name):
            raise UsageError(f"--model takes your own code as MODULE:FUNCTION, not {name!r}; all other models are chosen in the app.")
    if model and address not in (None, *LOOPBACK):
        raise UsageError("--model runs your own code for whoever opens the app: leave --address out.")
    served = served or os.environ.get(SERVED_VARIABLE, "0") not in ("", "0")
    if model and served:
        raise UsageError("--model runs your own code for whoever opens the app: leave --served out.")
    limits = Limits.from_environment()
    script = product_root() / "app.py"
    if not script.is_file():
        raise VizlibError(f"The app is not where it should be ({script}); install vizlib again.")
    if port is not None and not _is_free(address or "127.0.0.1", port):
        raise UsageError(f"Port {port} of {address or '127.0.0.1'} cannot be taken; name another one with --port.")
    command = streamlit_command(script, port=port, address=address, browser=browser and not served)
    command.append(f"--server.maxUploadSize={max(limits.weights_mb, limits.picture_mb)}")
    command += allowed_hosts(host or [], for_others=served or address not in (None, *LOOPBACK))
    if served:
        os.environ[SERVED_VARIABLE] = "1"
    if model:
        os.environ[CODE_VARIABLE] = ",".join(model)
    if os.name == "posix":
        os.execv(command[0], command)  # noqa: S606  the server takes this process's place, and with it Ctrl-C and SIGTERM
    raise typer.Exit(subprocess.call(command))  # noqa: S603  this very interpreter


def streamlit_command(script: Path, *, port: int | None, address: str | None, browser: bool) -> list[str]:
    """The command that serves ``script``; what it does not name is read from .streamlit/config.toml beside the script."""
    display = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    headless = not (browser and display)
    command = [sys.executable, "-m", "vizlib.ui.core.server_start", "run", str(script), f"--server.headless={str(headless).lower()}"]
    command.append("--server.showEmailPrompt=false")
    if address is not None:
        command.append(f"--server.address={address}")
    if port is not None:
        command.append(f"--server.port={port}")
    return command


def allowed_hosts(names: list[str], *, for_others: bool) -> list[str]:
    """The options that say which Host a request may name; none where STREAMLIT_SERVER_ALLOWED_HOSTS says it."""
    if HOSTS_VARIABLE in os.environ and not names:
        return []
    if not names and not for_others:
        return []  # those of .streamlit/config.toml
    return [f"--server.allowedHosts={name}" for name in ([*LOOPBACK, *names] if names else ["*"])]


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: one that just ended is no hindrance
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
