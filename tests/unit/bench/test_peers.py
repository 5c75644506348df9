"""Maps beside other packages': captum's, which is always here, and what the table says of one that fails or is not there."""

from __future__ import annotations

import itertools
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import vizlib
from vizlib.bench import beside_peers
from vizlib.bench.beside_peers import MAPS, agreement, beside_peer, left_behind, measure, peers_markdown, two_threads
from vizlib.bench.peer_differences import DIFFERENCES
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


def rollout_drawn_bilinearly(module: nn.Module, x: torch.Tensor) -> np.ndarray:
    """The product of whole attention matrices with half the residual, its patches drawn bilinearly between their centres."""
    product = torch.eye(module.patch_embed.num_patches + module.num_prefix_tokens)
    for block in module.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda part, inputs, output: weights.append(output[0].mean(0)))
    weights: list[torch.Tensor] = []
    with torch.no_grad():
        module(x)
    for weight in weights:
        product = (0.5 * weight + 0.5 * torch.eye(len(weight))) @ product
    cells = product[0, module.num_prefix_tokens :].unflatten(0, module.patch_embed.grid_size)
    return nn.functional.interpolate(cells[None, None], x.shape[2:], mode="bilinear")[0, 0].numpy()


def first_component_of_centred(module: nn.Module, x: torch.Tensor) -> np.ndarray:
    kept: list[torch.Tensor] = []
    handle = module.layer4.register_forward_hook(lambda part, inputs, output: kept.append(output[0]))
    with torch.no_grad():
        module(x)
    handle.remove()
    channels = kept[0].flatten(1).double().numpy()
    _, vectors = np.linalg.eigh(np.cov(channels))
    projected = (channels - channels.mean(1, keepdims=True)).T @ vectors[:, -1]
    return np.maximum(-projected, 0).reshape(kept[0].shape[1:])


@pytest.mark.parametrize(
    ("name", "method", "call", "by_hand"),
    [
        ("vit_tiny50", "rollout", "torchxai_rollout", rollout_drawn_bilinearly),
        ("resnet_tiny50", "eigen_cam", "grad_cam_eigen_cam", first_component_of_centred),
    ],
)
def test_what_sets_a_package_apart_is_the_reason_that_the_table_gives(name: str, method: str, call: str, by_hand) -> None:
    model, x = vizlib.load(name), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    theirs = by_hand(vizlib.load(name).module, x)
    alike = max(agreement(ours, theirs) for ours in DIFFERENCES[call].ours(model, x, 0))
    assert alike == pytest.approx(1, abs=1e-5)
    assert agreement(vizlib.explain(model, x[0], method, 0).input_map, theirs) < 0.97


def test_hilrp_is_asked_after_ours_since_it_changes_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    model, explain, gammas = vizlib.load("vit_tiny50", checkpoint="random"), vizlib.explain, []

    def attribute(module: nn.Module, x: torch.Tensor, target: int, *, arch: str, gamma: float = 0.25) -> dict:
        gammas.append(gamma)
        pixels = torch.from_numpy(explain(model, x[0], "balanced", target, gradient="cp").input_map)
        return {"target": target, "pixel_map": pixels if gamma == 0 else pixels.flip(0)}

    def ours(*given, **options):
        assert not gammas
        return explain(*given, **options)

    monkeypatch.setitem(sys.modules, "hilrp", SimpleNamespace(attribute=attribute))
    monkeypatch.setattr(vizlib, "explain", ours)
    case = PeerCase("hilrp", "vit_tiny50", "balanced", "hilrp", (("gradient", "cp"),))
    measured = measure(order("time", case))
    assert measured["alike"] == pytest.approx(1)
    assert measured["agreement"] < 0.9
    assert gammas[-1] == 0
    measured_of_a_row = {"time": measured, "threads_ours": {"failed": "-"}, "threads_peer": {"failed": "-"}}
    assert f"| {measured['agreement']:.4f}: its gamma of 0.25 is one more rule" in peers_markdown([(case, measured_of_a_row)])


def test_our_maps_on_two_threads_are_those_of_one() -> None:
    case = PeerCase("captum", "vit_tiny50", "grad_cam", "captum_grad_cam")
    assert measure(order("threads_ours", case)) == {"right": MAPS, "wrong": 0, "raised": 0}


def test_wrong_maps_and_errors_on_threads_are_counted() -> None:
    images = [torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)]
    calls = itertools.count(1)  # each call has a number of its own, on whatever thread it is

    def job(x: torch.Tensor, target: int) -> np.ndarray:
        number = next(calls)
        if number == 5:
            raise RuntimeError("a hook of another thread")
        return x[0, 0].numpy() + (1.0 if number in (7, 9) else 0.0) + 1

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
