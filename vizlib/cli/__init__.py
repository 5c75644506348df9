"""The command line: ``vizlib`` or ``python -m vizlib``. Reading cards and help imports no torch."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Annotated

import typer

from vizlib import __version__
from vizlib.cli import app as app_command
from vizlib.cli import audit, bench, compare, exam, explain, fetch, list_models_methods, report, train_eval, train_head, train_seq2seq
from vizlib.cli.errors_and_output import MISUSED, Commands

__all__ = ["app", "main"]

_EPILOG = """[bold]For example[/bold]

  vizlib models

  vizlib explain cat.jpg --model vit_tiny50 --target tabby --out explanations

  vizlib replay explanations/cat

  vizlib COMMAND --help

Exit codes: 0 done, 1 some of it failed, 2 asked for something there is not, 130 stopped with Ctrl-C. \
Results go to stdout, everything else to stderr."""

app = typer.Typer(
    cls=Commands, help="See how a vision model sees.", epilog=_EPILOG, pretty_exceptions_enable=False, rich_markup_mode="rich"
)
app.command("models", epilog=list_models_methods.MODELS_EPILOG)(list_models_methods.models)
app.command("methods", epilog=list_models_methods.METHODS_EPILOG)(list_models_methods.methods)
app.command("explain", epilog=explain.EXPLAIN_EPILOG)(explain.explain)
app.command("compare", epilog=compare.COMPARE_EPILOG)(compare.compare)
app.command("audit", epilog=audit.AUDIT_EPILOG)(audit.audit)
app.command("exam", epilog=exam.EXAM_EPILOG)(exam.exam)
app.command("replay", epilog=explain.REPLAY_EPILOG)(explain.replay)
app.command("fetch", epilog=fetch.FETCH_EPILOG)(fetch.fetch)
app.command("app", epilog=app_command.APP_EPILOG)(app_command.app)
app.command("train", epilog=train_eval.TRAIN_EPILOG)(train_eval.train)
app.command("train report", epilog=report.REPORT_EPILOG)(report.report)
app.command("train head", epilog=train_head.HEAD_EPILOG)(train_head.head)
app.command("train seq2seq", epilog=train_seq2seq.SEQ2SEQ_EPILOG)(train_seq2seq.seq2seq)
app.command("eval", epilog=train_eval.EVAL_EPILOG)(train_eval.evaluate)
app.command("bench", epilog=bench.BENCH_EPILOG)(bench.bench)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"vizlib {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; VIZLIB_DEBUG=1 does the same.")] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(MISUSED)


@app.command("version")
def version() -> None:
    """Print the versions of vizlib and of what a result depends on."""
    print(f"vizlib {__version__}")
    print(f"python {platform.python_version()}")
    for name in ("torch", "timm", "numpy", "pillow"):
        print(f"{name} {metadata.version(name)}")


def main() -> None:
    """Run the command line and exit with its code."""
    app(prog_name="vizlib")
