"""``vizlib fetch``: what it would take is shown first, then it is fetched from a hub on this machine, once, and gone on with."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub_server import Hub
from typer.testing import CliRunner

from vizlib.cli import app
from vizlib.zoo.cards import all_cards
from vizlib.zoo.official_releases import ON_TIMM, RELEASES
from vizlib.zoo.weight_sets import SETS

ROOT = Path(__file__).parents[3]
LINKS = ("t2t_vit_7", "pvt_v2_b0", "cct_14_7x2_224")
HUBS = {
    "deit_tiny_patch16_224.fb_in1k": "timm/deit_tiny_patch16_224.fb_in1k/model.safetensors",
    "cvt_13": "microsoft/cvt-13/pytorch_model.bin",
    "resnet18.tv_in1k": "timm/resnet18.tv_in1k/model.safetensors",
}
SMALL = ("vizlib", "fetch", "imagenet-small")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    draw = random.Random(0)
    files = {path: draw.randbytes(1_200_000) for path in HUBS.values()} | {f"links/{name}/x": draw.randbytes(700_000) for name in LINKS}
    all_cards()  # kept for good: with the links that they really have
    server = Hub(files)
    server.use(monkeypatch, tmp_path / "hf")
    monkeypatch.setenv("VIZLIB_CACHE", str(tmp_path / "cache"))
    for table in (RELEASES, ON_TIMM):
        for name in LINKS:
            if name in table:
                monkeypatch.setitem(table, name, dataclasses.replace(table[name], url=f"{server.url}/cdn/links/{name}/x"))
    yield server
    server.shutdown()
    server.server_close()


def run(*words):
    return CliRunner().invoke(app, ["fetch", *words])


def test_the_set_is_named_with_sizes_and_licences(hub):
    result = run("--list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "imagenet-small: ImageNet, small"
    for name in SETS["imagenet-small"].models:
        (line,) = [line for line in lines if line.strip().startswith(f"{name} ")]
        assert "MB" in line
        assert all_cards()[name].licence.split(";")[0] in line
        assert line.endswith("not here yet")
    assert any("vit_small_saliency" in line for line in lines)
    assert hub.seen == []


def test_the_set_is_fetched_once(hub):
    result = run("imagenet-small", "--yes")
    assert result.exit_code == 0, result.stderr
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == list(SETS["imagenet-small"].models)
    assert "1 MB" in result.stderr
    assert all(all_cards()[name].at_hand.startswith("fetched from") for name in SETS["imagenet-small"].models)
    before = len(hub.seen)
    again = run("imagenet-small", "--yes")
    assert again.exit_code == 0
    assert len(hub.seen) == before
    assert "here" in again.stderr


def test_without_a_terminal_it_asks_for_yes_and_fetches_nothing(hub):
    result = run("imagenet-small")
    assert result.exit_code != 0
    assert not any(method == "GET" for method, _ in hub.seen)
    assert "Apache-2.0" in result.stderr


def test_what_is_here_is_not_fetched_again_after_a_failure(hub):
    missing = hub.files.pop(HUBS["resnet18.tv_in1k"])
    result = run("imagenet-small", "--yes")
    assert result.exit_code != 0
    assert "resnet18.tv_in1k" in result.stderr
    assert hub.gets("deit_tiny") == 1
    hub.files[HUBS["resnet18.tv_in1k"]] = missing
    assert run("imagenet-small", "--yes").exit_code == 0
    assert (hub.gets("deit_tiny"), hub.gets("resnet18"), hub.gets("t2t_vit_7")) == (1, 1, 1)


def command(hub, tmp_path, *words):
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "VIZLIB_CACHE": str(tmp_path / "cache")}
    return subprocess.Popen(
        [sys.executable, "-m", "vizlib", "fetch", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_stops_it_and_the_next_one_goes_on(hub, tmp_path):
    import threading

    hub.stall = threading.Event()
    process = command(hub, tmp_path, "cvt_13", "deit_tiny_patch16_224.fb_in1k", "--yes")
    until = time.monotonic() + 60
    while not hub.gets("cvt-13") and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    hub.stall.set()
    again = run("cvt_13", "deit_tiny_patch16_224.fb_in1k", "--yes")
    assert (again.exit_code, len(again.stdout.splitlines())) == (0, 2), again.stderr


def test_where_nothing_can_be_reached_one_sentence_says_so(hub, tmp_path, monkeypatch):
    hub.shutdown()
    hub.server_close()
    process = command(hub, tmp_path, "imagenet-small", "--yes")
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, output) == (1, "")
    assert errors.startswith("error: The hub could not be reached")
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "sentence"), [(("imagenet-smal",), "imagenet-small"), ((), "--list"), (("cct_7_3x1_33",), "cct_7_3x1_32")]
)
def test_what_there_is_not_is_refused_with_the_nearest(hub, words, sentence):
    result = run(*words)
    assert result.exit_code != 0
    assert sentence in result.stderr
    assert hub.seen == []
