"""What an explanation costs: what is measured, how rounds become ratios, and what the command prints."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

import vizlib
from vizlib.bench import peak_memory as peaks
from vizlib.bench.cases import Case, cases, floor_of
from vizlib.bench.peak_memory import measure_peak, peak
from vizlib.bench.timing import Times, interleaved, threads
from vizlib.bench.workloads import load, run_workload
from vizlib.cli import app
from vizlib.cli.bench import Row
from vizlib.errors import MethodError, VizlibError
from vizlib.zoo.cards import all_cards

ROOT = Path(__file__).parents[3]
MIB = 2**20


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["bench", *map(str, words)])


class TestCases:
    def test_without_a_name_every_family_that_follows_attention_and_every_bundled_model_is_there(self) -> None:
        names = {case.model for case in cases()}
        cards = {card.name: card for card in vizlib.models()}
        with_attention = {card.family for card in cards.values() if "rollout" in card.methods}
        assert {cards[name].family for name in names} >= with_attention
        assert {card.name for card in cards.values() if card.source == "bundled" and "rollout" in card.methods} <= names
        assert any(case.side == 1024 for case in cases())

    def test_a_method_is_only_measured_where_it_fits(self) -> None:
        by_name = {case.model: case.methods for case in cases(["vit_tiny50", "pvt_tiny", "resnet_tiny50"])}
        assert by_name == {
            "vit_tiny50": ("rollout", "gradient_rollout", "relevance", "legrad"),
            "pvt_tiny": ("rollout", "gradient_rollout", "relevance"),
        }
        with pytest.raises(MethodError, match=r"resnet_tiny50 can be explained by rollout"):
            cases(["resnet_tiny50"], ["rollout"])
        with pytest.raises(MethodError, match="no method 'rolout'"):
            cases([], ["rolout"])

    def test_sizes_multiply_the_models(self) -> None:
        assert [(case.model, case.side) for case in cases(["pvt_tiny", "cvt_13"], ["rollout"], [224, 448])] == [
            ("pvt_tiny", 224), ("cvt_13", 224), ("pvt_tiny", 448), ("cvt_13", 448),
        ]  # fmt: skip

    def test_models_whose_weights_are_here_run_with_them_and_others_with_random_ones(self) -> None:
        assert Case("vit_tiny50", None, ()).checkpoint is None
        # Without its weights it has no classes, and methods that need one would not fit.
        here = all_cards()["vit_small_saliency"].at_hand
        assert Case("vit_small_saliency", None, ()).checkpoint == (None if here else "random")
        assert Case("pvt_tiny", None, ()).checkpoint == "random"
        assert Case("vit_tiny_patch16_384", None, ()).checkpoint == "random"

    def test_a_method_stands_on_the_floor_that_it_needs(self) -> None:
        assert {name: floor_of(name) for name in ("rollout", "relevance", "legrad", "grad_cam", "balanced", "saliency")} == {
            "rollout": "forward", "relevance": "backward", "legrad": "backward", "grad_cam": "backward",
            "balanced": "pixels", "saliency": "pixels",
        }  # fmt: skip


class TestWork:
    def test_every_piece_of_work_can_be_done(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model, x = load(Case("vit_tiny50", None, ()), "cpu")
        assert x.shape == (1, 3, 64, 64)
        seen: list[str] = []
        monkeypatch.setattr("vizlib.bench.workloads.vizlib.explain", lambda _model, _x, name: seen.append(name))
        for name in ("forward", "backward", "relevance"):
            run_workload(model, x, name)()
        assert seen == ["relevance"]

    def test_the_backward_floor_reaches_every_attention(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from vizlib.passes.backward import run_with_gradient

        found = []
        monkeypatch.setattr("vizlib.bench.workloads.run_with_gradient", lambda *given: found.append(run_with_gradient(*given)))
        model, x = load(Case("vit_tiny50", None, ()), "cpu")
        run_workload(model, x, "backward")()
        calls = found[0].recording.calls
        assert len(calls) == len(vizlib.trace(model, x[0]).attention)
        assert all(bool(call.gradient.any()) for call in calls)

    def test_the_floor_of_the_pixels_is_the_gradient_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model, x = load(Case("resnet_tiny50", None, ()), "cpu")
        pixels = x.clone().requires_grad_()
        model.module(pixels).amax(1).sum().backward()
        found, grad = [], torch.autograd.grad
        monkeypatch.setattr(torch.autograd, "grad", lambda *given: found.append(grad(*given)) or found[-1])
        run_workload(model, x, "pixels")()
        assert len(found) == 1
        assert torch.allclose(found[0][0], pixels.grad, rtol=1e-4, atol=1e-6)
        assert not any(parameter.requires_grad for parameter in model.module.parameters())


class TestTimes:
    def test_jobs_take_turns_after_a_round_that_is_not_counted(self) -> None:
        order: list[str] = []
        found = interleaved({"a": lambda: order.append("a"), "b": lambda: (order.append("b"), time.sleep(0.01))}, rounds=3)
        assert order == ["a", "b"] * 4
        assert len(found["a"].rounds) == 3
        assert found["a"].least < 0.01 <= found["b"].least <= found["b"].median

    def test_the_processors_clock_stands_still_while_a_job_sleeps(self) -> None:
        assert interleaved({"a": lambda: time.sleep(0.05)}, rounds=1, clock="processor")["a"].least < 0.02
        assert interleaved({"a": lambda: time.sleep(0.05)}, rounds=1)["a"].least >= 0.05

    def test_fast_jobs_get_many_rounds_and_slow_ones_few(self) -> None:
        assert len(interleaved({"a": lambda: None})["a"].rounds) == 15
        slow = iter([2.0, 0.0, 0.0, 0.0])
        assert len(interleaved({"a": lambda: time.sleep(next(slow))})["a"].rounds) == 3

    def test_ratios_are_of_the_least_and_of_rounds_that_belong_together(self) -> None:
        # The second round ran while the machine was busy: the least and the paired ratios do not mind.
        floor, mine = Times((1.0, 4.0, 2.0)), Times((1.5, 8.0, 2.0))
        row = Row(Case("a", None, ()), (64, 64), "rollout", floor, mine, {"above": 10 * MIB}, {"above": 15 * MIB})
        assert (row.ratio, row.median_ratio, row.memory_ratio) == (1.5, 1.5, 1.5)
        assert (floor.least, floor.median) == (1.0, 2.0)

    def test_the_number_of_threads_is_put_back(self) -> None:
        before = torch.get_num_threads()
        seen = []

        def fail() -> None:
            with threads(before + 1) as count:
                seen.append((count, torch.get_num_threads()))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert seen == [(before + 1, before + 1)]
        assert torch.get_num_threads() == before
        with threads(None) as count:
            assert count == before


class TestPeak:
    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can reset the highest resident memory")
    def test_a_job_weighs_what_it_holds_at_once(self) -> None:
        def job() -> None:
            first = bytearray(40 * MIB)
            second = bytearray(80 * MIB)
            del first, second
            bytearray(20 * MIB)

        if measure_peak(job)["how"] != "resettable":
            pytest.skip("this system does not let a process reset its highest resident memory")
        found = measure_peak(job)
        assert 115 * MIB < found["above"] < 150 * MIB
        assert found["whole"] > found["above"]

    def test_what_stays_after_a_first_run_is_not_counted(self) -> None:
        kept: list[bytearray] = []

        def job() -> None:
            if not kept:
                kept.append(bytearray(200 * MIB))

        found = measure_peak(job)
        if found["how"] != "resettable":
            pytest.skip("this system does not let a process reset its highest resident memory")
        assert found["above"] < 50 * MIB

    def test_what_a_first_run_took_for_itself_is_not_counted(self) -> None:
        sizes = iter([200, 10])
        found = measure_peak(lambda: bytearray(next(sizes) * MIB))
        if found["how"] != "resettable":
            pytest.skip("this system does not let a process reset its highest resident memory")
        assert 9 * MIB < found["above"] < 50 * MIB

    def test_where_the_highest_level_cannot_be_reset_its_growth_is_told_as_such(self, monkeypatch: pytest.MonkeyPatch) -> None:
        levels = iter([300, 500, 500])
        monkeypatch.setattr(peaks, "_can_reset", lambda: False)
        monkeypatch.setattr(peaks, "_highest", lambda: next(levels))
        assert measure_peak(lambda: None) == {"above": 200, "whole": 500, "how": "process"}

    def test_a_process_that_fails_says_why(self) -> None:
        with pytest.raises(VizlibError, match=r"memory of forward on no_such_model .*no_such_model"):
            peak(Case("no_such_model", None, ()), "forward", "cpu", 1)


class TestCommand:
    def test_its_help_has_examples_and_needs_no_torch(self) -> None:
        code = (
            "import sys, vizlib.cli\nfrom typer.testing import CliRunner\n"
            "found = CliRunner().invoke(vizlib.cli.app, ['bench', '--help'])\n"
            "assert found.exit_code == 0 and 'vizlib bench' in found.stdout.split('For example')[1]\n"
            "print([name for name in ('torch', 'timm', 'cv2') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.stdout.strip() == "[]", done.stderr

    def test_json_tells_the_machine_the_rounds_and_the_ratios(self) -> None:
        result = run("--model", "vit_tiny50", "--method", "rollout", "--method", "relevance", "--rounds", 2, "--threads", 1, "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["torch"] == torch.__version__
        assert (found["device"], found["threads"]) == ("cpu", 1)
        assert found["machine"]
        assert found["command"].startswith("vizlib")
        assert [(row["method"], row["floor"], row["input"], row["weights"]) for row in found["rows"]] == [
            ("rollout", "forward", [64, 64], "own"),
            ("relevance", "backward", [64, 64], "own"),
        ]
        for row in found["rows"]:
            assert len(row["seconds"]["rounds"]) == len(row["floor_seconds"]["rounds"]) == 2
            assert row["ratio"] == row["seconds"]["least"] / row["floor_seconds"]["least"]
            assert row["peak_bytes"]["above"] >= 0

    def test_a_table_names_everything_it_was_made_with(self) -> None:
        result = run("--model", "vit_tiny50", "--method", "rollout", "--rounds", 1, "--threads", 1, "--no-memory")
        assert result.exit_code == 0, result.output
        assert f"cpu, 1 threads, wall time, torch {torch.__version__}" in result.stdout
        assert "rollout" in result.stdout
        assert "MiB:" not in result.stdout

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (["--method", "rolout"], 2, "no method 'rolout'"),
            (["--model", "resnet_tiny50", "--method", "rollout"], 2, "can be explained by rollout"),
            (["--model", "no_such_model", "--method", "rollout", "--no-memory"], 2, "no_such_model"),
            (["--model", "pvt_tiny", "--size", 225, "--method", "rollout", "--no-memory"], 2, "224"),
            (["--device", "tpu", "--model", "vit_tiny50"], 2, "tpu"),
        ],
    )
    def test_what_there_is_not_is_said_in_one_line(self, words: list, code: int, said: str) -> None:
        result = run(*words)
        assert result.exit_code == code, result.output
        assert said in result.stderr
        assert "Traceback" not in result.output

    def test_one_model_that_fails_does_not_take_the_others_with_it(self) -> None:
        result = run("--model", "no_such_model", "--model", "vit_tiny50", "--method", "rollout", "--rounds", 1, "--no-memory", "--json")
        assert result.exit_code == 1
        assert "no_such_model" in result.stderr
        assert [row["model"] for row in json.loads(result.stdout)["rows"]] == ["vit_tiny50"]
