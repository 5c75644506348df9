"""How far long work is, on a terminal."""

from __future__ import annotations

from typing import Self

from vizlib.cli.errors_and_output import stderr_console


class ProgressBar:
    """A bar on a terminal, silence elsewhere; ``left`` also guesses how long it still takes."""

    def __init__(self, *, left: bool = True) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.screen = stderr_console()
        guess = (TextColumn("left"), TimeRemainingColumn()) if left else ()
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), *guess)
        self.bar = Progress(*columns, console=self.screen, disable=not self.screen.is_terminal, transient=True)
        self.task = self.bar.add_task("", total=None)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def show(self, completed: float, total: float | None = None, message: str | None = None) -> None:
        """Draw ``completed`` of ``total``."""
        self.bar.update(self.task, completed=completed, total=total, description=message or "")
