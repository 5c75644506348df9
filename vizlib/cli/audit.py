"""``vizlib audit``: models and methods over a whole data set."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vizlib.cli.completion import complete_method, complete_model, complete_score
from vizlib.cli.errors_and_output import FAILED, OK, print_error, print_json, stderr_console, stdout_console
from vizlib.cli.model_options import LabelsOption, read_labels
from vizlib.cli.progress_bar import ProgressBar
from vizlib.figures.numbers import percent

if TYPE_CHECKING:
    from vizlib.auditing.summary import Summary

AUDIT_EPILOG = """[bold]For example[/bold]

  vizlib audit photos --model vit_tiny50 --out audit

  vizlib audit val.parquet --model vit_tiny50 --model resnet_tiny50 --method grad_cam --method saliency --out audit

  vizlib audit photos --model 'vit_tiny50=runs/epoch-*.safetensors' --out epochs   (one model for each file)

  vizlib audit list.csv --model my_models:build --out audit --workers 2   (columns: path, label, x0, y0, x1, y1, mask)

OUT gets manifest.json, pictures/part-*.parquet (one row a picture, model and method), maps/part-*.npz (float16, on their grid) and \
report.html (one file to look at, without a network). \
Stopped at any moment, the same command goes on; with as many threads and workers the files are the same bytes as without a stop. \
Exit codes: 0 done, 1 some pictures could not be read or explained (a row says why), 2 asked for something there is not, 130 stopped."""


def audit(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            show_default=False,
            help="A folder, one folder for each class, a table (Parquet, CSV, TSV, JSON lines), a text file of paths, or a glob.",
        ),
    ],
    model: Annotated[
        list[str],
        typer.Option(
            metavar="MODEL",
            show_default=False,
            help="A name, a folder of save_pretrained, NAME=CHECKPOINT (a glob takes a run's epochs), NAME=random, or "
            "MODULE:FUNCTION of your own code; repeatable.",
            autocompletion=complete_model,
        ),
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method with its defaults; repeatable.", show_default="rollout", autocompletion=complete_method),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The audit's folder.")] = Path("audit"),
    target: Annotated[str, typer.Option(help="What maps explain: prediction, label, or one class.")] = "prediction",
    fit: Annotated[str | None, typer.Option(help="Pictures become inputs by crop, pad or squash.", show_default="each model's own")] = None,
    labels: LabelsOption = None,
    heads: Annotated[bool, typer.Option("--heads", help="Entropy and distance of every head, too: one more pass a picture.")] = False,
    features: Annotated[
        bool,
        typer.Option(
            "--features", help="The mean over cells of every layer, for CKA and probes: one more pass a picture, 4 bytes a channel on disk."
        ),
    ] = False,
    lens: Annotated[bool, typer.Option("--lens", help="The answer after every block, by the logit lens: one more pass a picture.")] = False,
    score: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            show_default="none",
            help="How faithful each map is: deletion, insertion, sensitivity_n, infidelity, road; repeatable. Hundreds of passes.",
            autocompletion=complete_score,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, max=256, help="Processes that share the work; 0: this one does it.")] = 0,
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="A dask scheduler whose workers share the work (docs/operators.md).", show_default="none")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    chunk: Annotated[
        int | None,
        typer.Option(
            min=1, max=4096, help="Pictures of one part, which is done again whole after a stop.", show_default="64; with scores 8"
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Processor threads here; the last digits depend on them.", show_default="torch's own"),
    ] = None,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
    shortcuts: Annotated[
        bool,
        typer.Option(
            "--shortcuts",
            help="The report ranks clusters by the accuracy that falls without their place: six passes for each of up to 24 members.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for every part that is done, and the result.")] = False,
) -> None:
    """Audit models over a data set: what they answer and where they look, picture by picture."""
    import torch

    from vizlib.auditing.api import audit as run

    if threads is not None:
        torch.set_num_threads(threads)
    started, failures = time.monotonic(), 0
    first: int | None = None  # what an earlier run had done
    with ProgressBar() as bar:

        def show(there: int, total: int, failed: list[tuple[str, str]]) -> None:
            nonlocal first, failures
            first = there if first is None else first
            failures += len(failed)
            rate = (there - first) / max(time.monotonic() - started, 1e-9)
            bar.show(there, total, f"pictures, {rate:.1f} a second")
            for name, reason in failed:
                print_error(f"{name}: {reason}")
            if as_json:
                print_json({"done": there, "of": total, "failed": failures}, lines=False)

        result = run(
            data, model, method or ["rollout"], out, target=target, fit=fit, labels=read_labels(labels), heads=heads, features=features,
            lens=lens, scores=score or (), workers=workers, scheduler=scheduler, device=device, chunk=chunk, report=show,
        )  # fmt: skip
    from vizlib.auditing.summary import summaries

    rows = summaries(result)
    _print_summary(rows, labelled=bool(result.facts["classes"]), as_json=as_json)
    for note in result.notes:
        stderr_console().print(f"note: {note}", soft_wrap=True, markup=False)
    if report:
        from vizlib.auditing.report.report_html import write_report

        write_report(result, data=data, models=model if shortcuts else None)
    look = f"; to look at it: {out / 'report.html'}" if report else ""
    stderr_console().print(f"written to {out} in {time.monotonic() - started:.1f} s{look}", soft_wrap=True, markup=False)
    raise typer.Exit(FAILED if any(row.failed for row in rows) else OK)


def _print_summary(rows: list[Summary], *, labelled: bool, as_json: bool) -> None:
    if as_json:
        print_json({"summary": [row.as_record() for row in rows]}, lines=False)
        return
    screen = stdout_console()
    for row in rows:
        words = [f"{row.pictures:,} pictures"]
        right, interval = row.mean("right"), row.interval("right")
        if right is not None and interval is not None:
            words.append(f"right {percent(right, 1)} ({percent(interval[0], 1)} to {percent(interval[1], 1)})")
        elif row.pictures:
            words.append("no label that it knows" if labelled else "the pictures have no labels")
        share, area = row.mean("region_share"), row.mean("region_area")
        if share is not None and area is not None:
            words.append(f"{percent(share)} of the map on the object, which is {percent(area)} of what the model sees")
        evenness = row.mean("evenness")
        words += [f"evenness {evenness:.3f} (of an even map: 1)"] if evenness is not None else []
        screen.print(f"{row.model}, {row.method}: {', '.join(words)}", soft_wrap=True, markup=False)
