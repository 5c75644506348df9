"""The tables of bench, exam and report on a narrow terminal, and what compare and eval print: nothing is cut, and no cell is broken."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from rich import box
from rich.console import Console

from vizlib.bench.cases import Case
from vizlib.catalog.methods import METHODS
from vizlib.claims import Claim, Verdict
from vizlib.cli import bench, compare, exam, report, train_eval
from vizlib.cli.errors_and_output import print_json
from vizlib.cli.tables import print_table
from vizlib.model_report.accuracy import AccuracyScore

if TYPE_CHECKING:
    from collections.abc import Callable


def times(least: float) -> SimpleNamespace:
    return SimpleNamespace(least=least, median=least)


def bench_rows() -> list[Any]:
    peak = {"above": 3_221_225_472, "how": "cuda"}
    case = Case("vit_base_patch16_clip_quickgelu_224.openai", 1024, ("rollout",))
    row = SimpleNamespace(
        case=case, size=(1024, 1024), method="attention_x_gradient", floor_times=times(0.0123456), times=times(0.0234567), ratio=1.9,
        median_ratio=1.95, floor_peak=peak, peak=peak, memory_ratio=1.0,
    )  # fmt: skip
    return [row] * 2


def report_sections() -> dict[str, Any]:
    name, method = "vit_base_patch16_clip_quickgelu_224.openai", "integrated_gradients"
    return {
        "models": {name: {"parameters": 86_567_656}},
        "accuracy": {name: {"top1": (0.5843, 0.5712, 0.5977), "top5": (0.9012, 0.89, 0.91)}},
        "calibration": {name: {"error": 0.0312}},
        "cost": {name: {"multiply_adds": 17_581_000_000, "milliseconds": 123.4}},
        "localisation": {"models": {name: {method: {"all": {"ratio": (1.23, 1.2, 1.3)}}}}},
    }


def exam_marks(monkeypatch: pytest.MonkeyPatch) -> Any:
    from vizlib.evaluation.exams import summary
    from vizlib.evaluation.exams.cards import EXAMS

    average = summary.Average(value=0.53, low=0.45, high=0.61, reference=0.2, passed=12, models=14, refused=0)
    monkeypatch.setattr(summary, "summary", lambda marks: {name: dict.fromkeys(EXAMS, average) for name in METHODS})
    return SimpleNamespace(marks=[SimpleNamespace(exam=name) for name in EXAMS])


def printed(width: int, call: Callable[[], None], module: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    text = io.StringIO()
    monkeypatch.setattr(module, "stdout_console", lambda: Console(file=text, width=width, highlight=False))
    call()
    return text.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("name", ["bench", "exam", "report"])
def test_every_cell_is_whole(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = exam_marks(monkeypatch)
    module, call, needed = {
        "bench": (bench, lambda: bench._print_rows(bench_rows()), ["attention_x_gradient", "1024", "23.5", "3072.0", "1.95"]),
        "exam": (exam, lambda: exam._print(marks), ["0.53 (0.45 to 0.61) 12/14", "Integrated gradients"]),
        "report": (
            report,
            lambda: report._print_table(report_sections()),
            ["58.4\u00a0% (57.1\u00a0% to 59.8\u00a0%)", "90.1\u00a0%", "86.57 M", "17581 M", "integrated_gradients 1.23x its area"],
        ),
    }[name]
    lines = printed(width, call, module, monkeypatch)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    for cell in needed:
        assert any(cell in line for line in lines), cell  # on one line


def test_sentences_break_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [SimpleNamespace(text="word " * 40, claim=Claim("claim " * 30, "", "claim " * 10, Verdict.SO))]
    monkeypatch.setattr("vizlib.compare.findings.findings", lambda comparison: findings)
    comparison = SimpleNamespace(missing={})
    lines = printed(80, lambda: compare._print_findings(comparison, as_json=False), compare, monkeypatch)
    score = AccuracyScore(50, 30, 45, 10, "the names of the folders, which are labels", left_out=3)
    lines += printed(
        80, lambda: train_eval._print_score("vit_tiny50", "/a/long/path/to/a/folder", score, as_json=False), train_eval, monkeypatch
    )
    assert max(map(len, lines)) <= 80
    assert {word for line in lines[:5] for word in line.split()} <= {"word", "claim", *Verdict.SO.split()}


def test_a_wide_terminal_gets_a_table_and_a_narrow_one_lines() -> None:
    rows = [("first", "1.0 ms", "")] * 2
    for width, expected in ((40, ["name  time  memory", "first 1.0 ms       "]), (14, ["first", "  time 1.0 ms"])):
        text = io.StringIO()
        print_table(Console(file=text, width=width), ("name", "time", "memory"), rows)
        assert [line.split() for line in text.getvalue().splitlines()[:2]] == [line.split() for line in expected]
    text = io.StringIO()
    print_table(Console(file=text, width=40), ("name", "[bold]"), [("[red]x", "[/]")], box=box.SIMPLE_HEAD)
    assert "[red]x" in text.getvalue()


def test_what_is_no_number_is_null_in_json(capsys):
    print_json([{"score": float("nan"), "ends": (1.5, float("-inf"))}])
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == [{"score": None, "ends": [1.5, None]}]
