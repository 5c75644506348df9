"""``vizlib train seq2seq``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vizlib.cli.errors_and_output import UsageError, stderr_console
from vizlib.figures.numbers import percent
from vizlib.seq2seq.cards import FOLDER, NAMES

if TYPE_CHECKING:
    from vizlib.seq2seq.train import Seq2SeqProgress

SEQ2SEQ_EPILOG = """[bold]For example[/bold]

  vizlib train seq2seq dates_gru_concat --out assets/weights/seq2seq

  vizlib train seq2seq all --threads 2

A run that was stopped goes on from its last check when the same command is given again. Minutes each, on a processor."""


def seq2seq(
    names: Annotated[list[str], typer.Argument(metavar="NAME ...", help="Names such as dates_gru_concat, or all.", show_default=False)],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where weights and cards are written.", show_default="assets/weights/seq2seq")
    ] = FOLDER,
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Where the checkpoints of the runs are.")] = Path("runs/seq2seq"),
    threads: Annotated[int, typer.Option(min=1, help="Processor threads; the result depends on their number.")] = 1,
) -> None:
    """Train the small translators of the page on the beginnings of attention."""
    from vizlib.errors import nearest

    chosen = list(NAMES) if names == ["all"] else names
    for name in chosen:
        if name not in NAMES:
            raise UsageError(f"There is no translator {name!r}.{nearest(name, list(NAMES))}")
    import torch

    from vizlib.seq2seq.train import export, train

    torch.set_num_threads(threads)
    screen = stderr_console()

    def show(progress: Seq2SeqProgress) -> None:
        right = "" if progress.exact is None else f"  exact {percent(progress.exact, 1)}"
        screen.print(
            f"  step {progress.step:>5}/{progress.steps}  loss {progress.loss:.4f}{right}  {progress.seconds:.0f} s", soft_wrap=True
        )

    for name in chosen:
        screen.print(f"{name}: {runs / name}", soft_wrap=True)
        try:
            translator, training = train(name, runs / name, report=show)
        except KeyboardInterrupt:
            screen.print("stopped; the same command goes on from the last check")
            raise
        facts = export(translator, training, out, f"vizlib train seq2seq {name} --threads {threads}")["accuracy"]
        low, high = facts["interval"]
        interval = f"95\u00a0% interval {low:.1f} to {high:.1f}\u00a0%"
        line = f"exact match {facts['exact']:.1f}\u00a0% of {facts['samples']:,} fresh samples ({interval})"
        print(f"{name}: {line} after {training['steps']} steps and {training['seconds']} processor seconds")
