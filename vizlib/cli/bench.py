"""``vizlib bench``."""

from __future__ import annotations

import shlex
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich import box
from rich.markup import escape

from vizlib.bench.cases import FLOORS, Case, cases, floor_of
from vizlib.cli.completion import complete_method, complete_model
from vizlib.cli.errors_and_output import FAILED, MISUSED, OK, UsageError, exit_code, print_error, print_json, stderr_console, stdout_console
from vizlib.cli.tables import print_table
from vizlib.errors import DownloadError, VizlibError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.bench.timing import Times

BENCH_EPILOG = """[bold]For example[/bold]

  vizlib bench --model vit_tiny50

  vizlib bench --model cvt_13 --method rollout --method relevance --size 448 --threads 1

  vizlib bench --device cuda --json

  vizlib bench --peers --threads 1 --clock processor

Without --model: one model of every family with attention, the bundled ones, and a ViT at 4,097 tokens, which takes minutes. The weights \
are random, since they do not change the cost, except those of bundled models. A rollout stands on the plain forward pass; a method that \
needs gradients on the forward pass and the way back from the top class, to the pixels if it reads their gradients, else to every attention.

--peers sets maps beside those of torch-cam, captum, grad-cam, torchxai-explain and hilrp, where they are installed, on a ViT, a PVT v2 \
and a ResNet with random weights, on the CPU, and prints a table in Markdown.

Exit codes: 0 done, 1 some of it could not be measured, 2 asked for something there is not."""


@dataclass(frozen=True)
class Row:
    """One method beside its floor: seconds of each round, and the peak memory of each where it was weighed."""

    case: Case
    size: tuple[int, int]
    method: str
    floor_times: Times
    times: Times
    floor_peak: dict[str, Any] | None
    peak: dict[str, Any] | None

    @property
    def ratio(self) -> float:
        """The least time over the floor's least."""
        return self.times.least / self.floor_times.least

    @property
    def median_ratio(self) -> float:
        """The median over the rounds of the time over the floor's in the same round."""
        pairs = sorted(seconds / floor_seconds for seconds, floor_seconds in zip(self.times.rounds, self.floor_times.rounds, strict=True))
        return (pairs[(len(pairs) - 1) // 2] + pairs[len(pairs) // 2]) / 2

    @property
    def memory_ratio(self) -> float | None:
        """The peak memory over the floor's."""
        if self.peak is None or self.floor_peak is None or not self.floor_peak["above"]:
            return None
        return self.peak["above"] / self.floor_peak["above"]


def bench(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A model's name, or MODULE:FUNCTION of your own code; give it again for more.",
            show_default="one of every family",
            autocompletion=complete_model,
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method", help="A method; give it again for more.", show_default="all that follow attention", autocompletion=complete_method
        ),
    ] = None,
    size: Annotated[
        list[int] | None,
        typer.Option("--size", min=1, help="The input's side in pixels; give it again for more.", show_default="the model's own"),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.", show_default="torch's own")] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds in which floors and methods take turns.", show_default="by their time")
    ] = None,
    clock: Annotated[
        Literal["wall", "processor"],
        typer.Option(help="What a second is: processor is the steadier one on a machine that others use too, with --threads 1."),
    ] = "wall",
    peers: Annotated[bool, typer.Option("--peers", help="Beside other packages instead, where they are installed.")] = False,
    memory: Annotated[bool, typer.Option(help="Weigh the peak memory too, each in a process of its own.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what explanations cost beside the plain model: time and peak memory, as ratios within one run."""
    if peers and (size or device != "cpu"):
        raise UsageError("--peers measures on the CPU at each model's own size; leave out --size and --device.")
    chosen = [] if peers else cases(model or (), method or (), size or ())
    import torch

    from vizlib.bench.timing import threads as use_threads
    from vizlib.model_report.cost import processor
    from vizlib.zoo.load import pick_device

    resolved_device = str(pick_device(device))
    if clock == "processor" and resolved_device.startswith("cuda"):
        raise UsageError("--clock processor says nothing of a GPU; leave it out, or take --device cpu.")
    rows: list[Row] = []
    worst = OK
    with use_threads(threads) as count:
        facts = {
            "machine": torch.cuda.get_device_name(resolved_device) if resolved_device.startswith("cuda") else processor(),
            "device": resolved_device,
            "threads": count,
            "clock": clock,
            "torch": torch.__version__,
            "command": _command(),
            "floors": FLOORS,
        }
        if not as_json:
            _print_facts(facts)
        if peers:
            _bench_peers(model or (), method or (), facts, rounds, memory=memory, as_json=as_json)
        for case in chosen:
            try:
                rows += _measured(case, resolved_device, count, rounds, clock, memory=memory)
            except VizlibError as error:
                print_error(str(error))
                misused = exit_code(error) == MISUSED and not isinstance(error, DownloadError)
                worst = max(worst, MISUSED if misused and len(chosen) == 1 else FAILED)
    print_json({**facts, "rows": [_facts(row) for row in rows]}) if as_json else _print_rows(rows)
    raise typer.Exit(worst)


def _bench_peers(
    models: Sequence[str], methods: Sequence[str], facts: dict[str, Any], rounds: int | None, *, memory: bool, as_json: bool
) -> NoReturn:
    """Every case beside a package, and the end of the command."""
    from vizlib.bench.beside_peers import beside_peer, peers_markdown
    from vizlib.bench.peers import PEER_CASES

    chosen = [case for case in PEER_CASES if (not models or case.model in models) and (not methods or case.method in methods)]
    if not chosen:
        raise UsageError(
            f"Beside other packages are {', '.join(dict.fromkeys(case.method for case in PEER_CASES))} of "
            f"{', '.join(dict.fromkeys(case.model for case in PEER_CASES))}: name one of these."
        )
    screen, results = stderr_console(), []
    if not as_json:
        stdout_console().print(peers_markdown([]), markup=False, soft_wrap=True)
    for case in chosen:
        with screen.status(f"{case.package}: {case.method} of {case.model}") if screen.is_terminal else nullcontext():
            parts = None
            if case.version is not None:
                parts = beside_peer(case, rounds, facts["clock"], facts["threads"], memory=memory)
            results.append((case, parts))
        if not as_json:
            # Line by line, so that what was measured is not lost when it is stopped.
            stdout_console().print(peers_markdown(results[-1:]).splitlines()[-1], markup=False, soft_wrap=True)
    if as_json:
        print_json({**facts, "rows": [{**asdict(case), "version": case.version, "measured": parts} for case, parts in results]})
    raise typer.Exit(OK)


def _measured(case: Case, device: str, threads: int, rounds: int | None, clock: str, *, memory: bool) -> list[Row]:
    from vizlib.bench.peak_memory import peak
    from vizlib.bench.timing import times

    screen = stderr_console()
    workload = f"{case.model}{f' at {case.side} px' if case.side else ''}"
    with screen.status(f"timing {workload}") if screen.is_terminal else nullcontext():
        size, taken = times(case, device, rounds, clock)
    peaks: dict[str, dict[str, Any]] = {}
    if memory:
        with screen.status(f"weighing {workload}") if screen.is_terminal else nullcontext():
            peaks = {name: peak(case, name, device, threads) for name in taken}
    return [
        Row(case, size, method, taken[floor_of(method)], taken[method], peaks.get(floor_of(method)), peaks.get(method))
        for method in case.methods
    ]


def _command() -> str:
    return shlex.join(["vizlib", *sys.argv[1:]])


def _facts(row: Row) -> dict[str, Any]:
    floor = floor_of(row.method)
    aims = row.case.aims(row.method)
    return {
        "model": row.case.model,
        "input": list(row.size),
        "weights": row.case.checkpoint or "own",
        "method": row.method,
        "floor": floor,
        "seconds": {"least": row.times.least, "median": row.times.median, "rounds": list(row.times.rounds)},
        "floor_seconds": {"least": row.floor_times.least, "median": row.floor_times.median, "rounds": list(row.floor_times.rounds)},
        "ratio": row.ratio,
        "median_ratio": row.median_ratio,
        "aim": aims[0],
        "peak_bytes": row.peak,
        "floor_peak_bytes": row.floor_peak,
        "memory_ratio": row.memory_ratio,
        "memory_aim": aims[1],
    }


def _print_facts(facts: dict[str, Any]) -> None:
    screen = stdout_console()
    screen.print(
        f"{facts['machine']}, {facts['device']}, {facts['threads']} threads, {facts['clock']} time, torch {facts['torch']}", soft_wrap=True
    )
    screen.print(escape(facts["command"]), soft_wrap=True)


def _print_rows(rows: list[Row]) -> None:
    if not rows:
        return
    headings = ["model", "input", "method", "beside", "floor ms", "ms", "ratio", "median", "aim"]
    headings += ["floor MiB", "MiB", "MiB ratio", "MiB aim"]
    cells = []
    for row in rows:
        time_aim, memory_aim = row.case.aims(row.method)
        height, width = row.size
        cells.append(
            (
                row.case.model,
                str(height) if height == width else f"{height} x {width}",
                row.method,
                floor_of(row.method),
                f"{1000 * row.floor_times.least:.1f}",
                f"{1000 * row.times.least:.1f}",
                f"{row.ratio:.2f}",
                f"{row.median_ratio:.2f}",
                _ratio(time_aim),
                _mebibytes(row.floor_peak),
                _mebibytes(row.peak),
                _ratio(row.memory_ratio),
                _ratio(memory_aim),
            )
        )
    screen = stdout_console()
    print_table(screen, headings, cells, left=(0, 2, 3), box=box.SIMPLE_HEAD)
    for name in dict.fromkeys(floor_of(row.method) for row in rows):
        screen.print(f"{name}: {FLOORS[name]}")
    screen.print("ms and ratio: the fastest rounds; median: of the rounds' own ratios")
    ways = dict.fromkeys(row.peak["how"] for row in rows if row.peak is not None)
    if ways:
        from vizlib.bench.peak_memory import HOW

        screen.print(f"MiB: {'; '.join(HOW[way] for way in ways)}")


def _mebibytes(peak: dict[str, Any] | None) -> str:
    return "" if peak is None else f"{peak['above'] / 2**20:.1f}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
