"""``vizlib train report``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vizlib.cli.errors_and_output import print_json, stderr_console, stdout_console
from vizlib.cli.progress_bar import ProgressBar
from vizlib.cli.tables import print_table
from vizlib.figures.numbers import percent
from vizlib.model_report.report_file import FOLDER, write_report

if TYPE_CHECKING:
    from vizlib.model_report.measure import ReportProgress

REPORT_EPILOG = """[bold]For example[/bold]

  vizlib train report --data tiny-imagenet-200

  vizlib train report --data tiny-imagenet-200 --runs runs --threads 2

The Models page of the app draws the file that this writes. The small-data curves come from runs on a share of the photographs: \
vizlib train cct_tiny50 --data DIR --share 0.1, then 0.25 and 0.5."""


def report(
    data: Annotated[Path, typer.Option(help="The images that the models were trained and validated on.", show_default=False)],
    runs: Annotated[
        Path | None, typer.Option(help="The folder of runs made with `vizlib train NAME --share`.", show_default="runs, where it exists")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where report.json is written.", show_default="assets/training")] = FOLDER,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Images explained side by side, each on one thread: only times depend on it.", show_default="all cores"),
    ] = None,
    map_images: Annotated[
        int | None, typer.Option(min=1, help="Make maps of only so many images, evenly over the classes.", show_default="all")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, too.")] = False,
) -> None:
    """Measure the shipped models: accuracy, cost, confusions, calibration, small data, and whether maps lie on the object."""
    import os

    import torch

    from vizlib.datasets.tiny_imagenet import read_split
    from vizlib.model_report.measure import measure

    torch.set_num_threads(1)
    screen = stderr_console()
    with screen.status(f"reading {data}") if screen.is_terminal else nullcontext():
        train, val = read_split(data, "train"), read_split(data, "val")
    runs_folder = runs or (Path("runs") if Path("runs").is_dir() else None)
    with _Display() as display:
        measured = measure(train, val, runs_folder, workers=threads or os.cpu_count() or 1, map_images=map_images, tell=display.hear)
    path = write_report(measured, out)
    if as_json:
        print_json(measured)
    else:
        _print_table(measured)
    screen.print(f"written to {path}", soft_wrap=True)


class _Display(ProgressBar):
    """The explanations as they are made: a bar on a terminal, one line a measurement elsewhere."""

    last = ""

    def hear(self, progress: ReportProgress) -> None:
        if progress.step != self.last and not self.screen.is_terminal:
            self.screen.print(progress.step, soft_wrap=True)
        self.last = progress.step
        self.show(progress.explained, progress.total or None, progress.step)


def _print_table(sections: dict[str, Any]) -> None:
    headings = ("model", "top-1 (95 %)", "top-5", "parameters", "multiply-adds", "ms", "calibration error", "best map (mass in box)")
    rows = []
    for name, facts in sections["models"].items():
        share, low, high = sections["accuracy"][name]["top1"]
        cost, maps = sections["cost"][name], sections["localisation"]["models"][name]
        best = max(maps, key=lambda method: maps[method]["all"]["ratio"][0], default=None)
        cells = (
            name,
            f"{percent(share, 1)} ({percent(low, 1)} to {percent(high, 1)})",
            percent(sections["accuracy"][name]["top5"][0], 1),
            f"{facts['parameters'] / 1e6:.2f} M",
            f"{cost['multiply_adds'] / 1e6:.0f} M",
            f"{cost['milliseconds']:.1f}",
            percent(sections["calibration"][name]["error"], 1),
            f"{best} {maps[best]['all']['ratio'][0]:.2f}x its area" if best else "none",
        )
        rows.append(cells)
    print_table(stdout_console(), headings, rows, left=(0, 7))
