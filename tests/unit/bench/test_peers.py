"""Maps beside other packages': captum's, which is always here, and what the table says of one that fails or is not there."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from vizlib.bench import beside_peers
from vizlib.bench.beside_peers import MAPS, agreement, beside_peer, left_behind, measure, peers_markdown, two_threads
from vizlib.bench.peers import PEER_CASES, PeerCase
from vizlib.cli import app


def order(part: str, case: PeerCase) -> dict:
    fields = [case.package, case.model, case.method, case.call, case.options]
    return json.loads(json.dumps({"case": fields, "part": part, "rounds": 1, "clock": "processor", "threads": 1}))


@pytest.mark.parametrize(
    ("model", "method", "options"),
    [
        ("vit_tiny50", "grad_cam", ()),
        ("resnet_tiny50", "saliency", ()),
        ("vit_tiny50", "integrated_gradients", (("steps", 20), ("max_gap", 1.0))),
    ],
)
def test_captums_maps_are_ours(model: str, method: str, options: tuple) -> None:
    measured = measure(order("time", PeerCase("captum", model, method, f"captum_{method}", options)))
    assert measured["agreement"] == pytest.approx(1, abs=1e-5)
    assert measured["left"] == []
    assert min(measured["ours"], measured["peer"]) > 0


def test_our_maps_on_two_threads_are_those_of_one() -> None:
    case = PeerCase("captum", "vit_tiny50", "grad_cam", "captum_grad_cam")
    assert measure(order("threads_ours", case)) == {"right": MAPS, "wrong": 0, "raised": 0}


def test_wrong_maps_and_errors_on_threads_are_counted() -> None:
    images = [torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)]
    calls = []

    def job(x: torch.Tensor, target: int) -> np.ndarray:
        calls.append(target)
        if len(calls) == 5:
            raise RuntimeError("a hook of another thread")
        return x[0, 0].numpy() + (1.0 if len(calls) in (7, 9) else 0.0) + 1

    assert two_threads(job, images, 0) == {"right": MAPS - 3, "wrong": 2, "raised": 1}


def test_what_a_map_leaves_behind_is_named() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).eval()

    def job() -> None:
        module[0].register_forward_hook(lambda *_: None)
        module(torch.ones(1, 2)).sum().backward()
        module[1].train()

    assert left_behind(module, job) == ["+1 hooks", "+2 gradients", "+1 parts in training"]
    assert left_behind(module, lambda: None) == []


def test_agreement_is_of_maps_up_to_their_scale() -> None:
    coarse = np.random.default_rng(0).random((7, 7))
    fine = torch.nn.functional.interpolate(torch.from_numpy(coarse)[None, None], (28, 28), mode="bilinear", align_corners=False)[0, 0]
    assert agreement(3 * fine.numpy() + 1, coarse) == pytest.approx(1)
    assert agreement(fine.numpy(), -coarse) == pytest.approx(-1)


def test_a_package_that_ends_its_process_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(words, **_):
        asked = json.loads(words[-1])
        if asked["part"] == "threads_peer":
            return SimpleNamespace(returncode=-11, stdout="", stderr="")
        if asked["part"] == "memory_peer":
            return SimpleNamespace(returncode=1, stdout="", stderr="Traceback\nImportError: it needs another")
        answers = {
            "time": {"ours": 0.01, "peer": 0.02, "agreement": 0.5, "left": ["+2 hooks"]},
            "threads_ours": {"right": 10, "wrong": 0, "raised": 0},
            "memory_ours": {"above": 3 * 2**20},
        }
        return SimpleNamespace(returncode=0, stdout=json.dumps(answers[asked["part"]]) + "\n", stderr="")

    monkeypatch.setattr("vizlib.bench.beside_peers.subprocess.run", run)
    beside_peers._in_own_process.cache_clear()
    case = PEER_CASES[0]
    row = peers_markdown([(case, beside_peer(case))]).splitlines()[2]
    beside_peers._in_own_process.cache_clear()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[3:] == [
        "10", "20", "0.50", "3", "ImportError: it needs another", "0.5000", "10 of 10 right", "the process died", "+2 hooks",
    ]  # fmt: skip
    assert "| not installed |" in peers_markdown([(case, None)])


def test_the_command_names_what_is_absent_and_what_it_can_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vizlib.bench.peers.version", lambda package: missing(package))
    words = ["bench", "--peers", "--method", "layer_cam", "--method", "balanced"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("not installed") == 3
    for wrong in (["--size", "64"], ["--method", "lime"], ["--device", "cuda"]):
        assert CliRunner().invoke(app, ["bench", "--peers", *wrong]).exit_code == 2


def missing(package: str) -> str:
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(package)
