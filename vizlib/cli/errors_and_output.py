"""What all commands share: where they write, how they fail, and how waiting is shown."""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from vizlib.errors import (
    AuditError,
    CheckpointError,
    DeviceError,
    DownloadError,
    ExamError,
    MethodError,
    ModelError,
    TargetError,
    TrainingError,
    VizlibError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

OK, FAILED, MISUSED = 0, 1, 2
_WIDE = 1000  # columns, so that no line of a table is wrapped where a program reads it


class UsageError(VizlibError):
    """A command line that asks for something there is not, or for two things at odds."""


_MISUSE = (UsageError, ModelError, CheckpointError, DeviceError, AuditError, MethodError, TargetError, TrainingError, ExamError)


class Commands(TyperGroup):
    """The group of all commands: errors become one line on stderr and an exit code, tracebacks only with --debug or VIZLIB_DEBUG=1."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A command whose name is two words, such as ``train report``, goes before one whose argument is the second word."""
        if " ".join(args[:2]) in self.commands:
            args = [" ".join(args[:2]), *args[2:]]
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and turn an error into one line and an exit code."""
        words = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in words or os.environ.get("VIZLIB_DEBUG", "0") not in ("", "0")
        words = [word for word in words if word != "--debug"]
        try:
            code = super().main(words, prog_name, complete_var, standalone_mode=False, windows_expand_args=windows_expand_args, **extra)
        except typer.TyperException as error:
            code = _failed(_with_help(error), getattr(error, "exit_code", MISUSED))
        except VizlibError as error:
            if debug:
                raise
            code = _failed(str(error), exit_code(error))
        if not standalone_mode:
            return code
        return sys.exit(code if isinstance(code, int) else OK)


def exit_code(error: VizlibError) -> int:
    """2 for what the command line asked wrongly, 1 for what failed on the way."""
    return MISUSED if isinstance(error, _MISUSE) and not isinstance(error, DownloadError) else FAILED


def print_error(message: str) -> None:
    """One error line on stderr."""
    print(f"error: {message}", file=sys.stderr)


def _failed(message: str, code: int) -> int:
    print_error(message)
    return code


def _with_help(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split())
    return f"{message} (see {context.command_path} --help)" if context is not None else message


def readable(name: object) -> str:
    """A file's name or a text with one in it, as it can be printed: bytes that are no text become marks."""
    return os.fsencode(str(name)).decode("utf-8", "replace")


def stdout_console() -> Console:
    """Standard output: as wide as the terminal, or as wide as its lines where there is none."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def stderr_console() -> Console:
    """Standard error, for progress and remarks that are no result."""
    return Console(stderr=True, highlight=False)


def print_json(value: Any, *, lines: bool = True) -> None:
    """A result as JSON on stdout, on many ``lines`` or one; what is no finite number, which JSON does not have, is null."""
    print(json.dumps(_finite(value), indent=1 if lines else None, ensure_ascii=False, allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def download_progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """What ``vizlib.load`` reports a download to: a bar on a terminal, silence elsewhere."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    screen = stderr_console()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as bar:
        task = bar.add_task(f"fetching {name}", total=None, visible=False)
        yield lambda received, total: bar.update(task, completed=received, total=total, visible=True)
