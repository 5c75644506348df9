"""What a person at a terminal meets: tables of 80 columns, the nearest names, and completion."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import vizlib
from vizlib.cli import app
from vizlib.cli.completion import complete_class, complete_method, complete_model
from vizlib.zoo.loading_plans import named_labels

ROOT = Path(__file__).parents[3]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def on_a_terminal(columns: int, *words: object) -> list[str]:
    """The lines that a command draws on a terminal so wide, without its colours; what a bar drew over itself is left out."""
    pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))
    head, tail = pty.openpty()
    fcntl.ioctl(tail, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")} | {"TERM": "xterm"}
    command = [sys.executable, "-m", "vizlib", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=tail, stderr=tail, stdin=tail, env=environment)
    os.close(tail)
    screen = b""
    try:
        while part := os.read(head, 4096):
            screen += part
    except OSError:
        pass  # Linux ends so when the other side is closed
    os.close(head)
    assert process.wait(120) == 0, screen.decode("utf-8", "replace")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.decode("utf-8", "replace"))
    return [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]


class TestWidth:
    @pytest.mark.parametrize(
        "words", [("models",), ("models", "vit_tiny50"), ("methods",), ("methods", "rollout"), ("explain",)], ids=" ".join
    )
    def test_what_is_drawn_fits_80_columns(self, photo: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
        more = (photo, "--out", tmp_path / "out", "--top", 3) if words == ("explain",) else ()
        lines = on_a_terminal(80, *words, *more)
        assert max(map(len, lines)) <= 80
        assert not any("…" in line for line in lines)  # folded, and nothing cut away
        folded = "".join(line.replace(" ", "") for line in lines)
        for needed in {
            "models": ["vit_tiny50", "2.3M", "vizlibmodelsNAME"],
            "models vit_tiny50": ["kernel_shap", "Apache-2.0", "noguided_backprop"],
            "methods": ["integrated_gradients", "head_fusion=mean"],
            "methods rollout": ["AbnarandZuidema", "residual_weight=0.5"],
            "explain": ["rolloutofvit_tiny50", "sink"],
        }[" ".join(words)]:
            assert needed in folded, needed

    def test_a_wide_terminal_has_all_that_is_known(self) -> None:
        lines = on_a_terminal(220, "models", "--source", "bundled")
        assert any("licence" in line and "methods" in line for line in lines)


class TestNearest:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--method", "rolout"), "Did you mean 'rollout'"),
            (("--model", "vit_tiny5"), "vit_tiny50"),
            (("--model", "resnet_tny50"), "resnet_tiny50"),
            (("--target", "tabbi"), "Did you mean 'tabby'"),
            (("--option", "head_fuson=max"), "Did you mean 'head_fusion'"),
            (("--methd", "rollout"), "--method"),
        ],
    )
    def test_explain(self, photo: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
        result = CliRunner().invoke(app, ["explain", str(photo), "--out", str(tmp_path / "out"), *words])
        assert result.exit_code == 2, result.output
        assert said in result.stderr
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("eval", "vit_tiny5", "--data", "."), "vit_tiny50"),
            (("compare", "vit_tiny5", "resnet_tiny50", "--images", "."), "vit_tiny50"),
            (("exam", "vit_tiny50", "--methods", "saliencey"), "saliency"),
            (("exam", "vit_tiny5"), "vit_tiny50"),
        ],
    )
    def test_other_commands(self, words: tuple[str, ...], said: str) -> None:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 2, result.output
        assert f"'{said}'" in result.stderr


class Context:
    """As much of typer's context as completion reads."""

    def __init__(self, **params: Any) -> None:
        self.params = params


class TestCompletion:
    def test_models(self) -> None:
        assert dict(complete_model("vit_tiny5")) == {"vit_tiny50": "ViT, 8-px patches, class token"}
        assert len(list(complete_model(""))) == len(vizlib.models())

    def test_methods_that_fit(self) -> None:
        names = {name for name, _ in complete_method(Context(model="resnet_tiny50"), "")}  # type: ignore[arg-type]
        assert "grad_cam" in names
        assert "rollout" not in names
        assert dict(complete_method(Context(), "rol")) == {"rollout": "Attention rollout"}  # type: ignore[arg-type]
        everything = {name for name, _ in complete_method(Context(model="resnet26d"), "")}  # type: ignore[arg-type]
        assert everything == {card.name for card in vizlib.methods()}

    def test_classes(self) -> None:
        assert dict(complete_class(Context(), "ta")) == {"tarantula": "class 2", "tabby": "class 11"}  # type: ignore[arg-type]
        imagenet = [label for label, _ in complete_class(Context(model="cvt_13"), "")]  # type: ignore[arg-type]
        assert imagenet == list(named_labels("imagenet-1k", 1000) or ())
        assert list(complete_class(Context(models=["resnet18.tv_in1k=mine.pth"]), "tench"))  # type: ignore[arg-type]
        assert not list(complete_class(Context(model="vit_small_patch14_dinov2.lvd142m"), ""))  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("typed", "completions"),
        [
            ("explain cat.jpg --model vit_tiny5", {"vit_tiny50"}),
            ("explain --model resnet_tiny50 cat.jpg --method r", {"rise"}),
            ("explain cat.jpg --target ta", {"tarantula", "tabby"}),
            ("compare vit_tiny50 resnet_t", {"resnet_tiny50"}),
            ("methods roll", {"rollout"}),
            ("bench --model pvt_tiny5", {"pvt_tiny50"}),
        ],
    )
    def test_a_shell_gets_them(self, typed: str, completions: set[str]) -> None:
        environment = {
            **os.environ,
            "_VIZLIB_COMPLETE": "complete_bash",
            "COMP_WORDS": f"vizlib {typed}",
            "COMP_CWORD": str(len(typed.split())),
        }
        process = subprocess.run([sys.executable, "-m", "vizlib"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert set(process.stdout.split()) == completions, process.stderr

    def test_a_key_waits_for_no_torch(self) -> None:
        code = (
            "import sys\nfrom vizlib.cli.completion import complete_class, complete_method, complete_model\n"
            "class Context: params = {'model': 'cvt_13'}\n"
            "assert list(complete_model('')) and list(complete_method(Context, '')) and list(complete_class(Context, 'tab'))\n"
            "assert not {'torch', 'timm', 'captum', 'streamlit'} & set(sys.modules)\n"
        )
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)
