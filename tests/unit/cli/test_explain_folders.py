"""Where explanations are written: right inside the folder that was named, never over another's, and again where they were left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vizlib.cli import app
from vizlib.cli.image_files import OutputFolders, folder_name

ROOT = Path(__file__).parents[3]
FILES = {"map.png", "map.npz", "image.png", "explanation.json"}


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def photograph(path: Path, seed: int = 0) -> Path:
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(path, "PNG")
    return path


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    (tmp_path / "in").mkdir()
    return [photograph(tmp_path / "in" / f"{name}.png", number) for number, name in enumerate("abc")]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class TestNames:
    @pytest.mark.parametrize(
        ("name", "folder"),
        [
            ("cat.jpg", "cat"),
            ("odd[1].v2.png", "odd[1].v2"),
            ("...jpg", "photo"),
            ("....png", "photo"),
            (". .jpg", "photo"),
            ("..", "photo"),
            ("a..png", "a"),
            ("..a.png", "..a"),
            ("..\\up.png", ".._up"),
            ("c:evil.png", "c_evil"),
            ("line\nbreak.png", "line_break"),
            ("nul.jpg", "nul_"),
            ("COM1.tar.png", "COM1.tar_"),
            ("ü" * 120 + ".png", "ü" * 90),
        ],
    )
    def test_a_name_becomes_one_folder(self, name: str, folder: str) -> None:
        assert folder_name(Path(name)) == folder

    @pytest.mark.parametrize("name", ["...jpg", "....jpg", ". .jpg", "..a.jpg", "line\nbreak.jpg", "-.jpg", "~.jpg", "ü" * 120 + ".jpg"])
    def test_nothing_is_written_outside(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "in").mkdir()
        photo = photograph(tmp_path / "in" / name)
        before = contents(tmp_path)
        out = tmp_path / "deep/out"
        result = run("explain", photo, "--out", out, "--method", "attention")
        assert result.exit_code == 0, result.output
        written = set(contents(tmp_path)) - set(before)
        (folder,) = out.iterdir()
        assert written == {(folder / file).relative_to(tmp_path).as_posix() for file in FILES}
        assert folder.resolve().parent == out.resolve()

    def test_two_that_come_to_the_same_name(self, tmp_path: Path) -> None:
        places = OutputFolders(tmp_path)
        assert [places.of(Path(name)).name for name in ("...jpg", "....jpg", "photo.png")] == ["photo", "photo-2", "photo-3"]

    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        for folder in ("elsewhere", "out", "out/dog"):
            (tmp_path / folder).mkdir()
        (tmp_path / "out/cat").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        (tmp_path / "out/dog/map.png").symlink_to(tmp_path / "elsewhere/map.png")
        places = OutputFolders(tmp_path / "out")
        assert [places.of(Path(name)).name for name in ("cat.png", "dog.png")] == ["cat-2", "dog-2"]

    def test_a_name_that_is_no_text_can_be_printed(self, tmp_path: Path) -> None:
        try:
            photo = photograph(tmp_path / os.fsdecode(b"caf\xe9.png"))
        except (OSError, ValueError):
            pytest.skip("This file system takes names of text alone.")
        command = [sys.executable, "-m", "vizlib", "explain", str(photo), "--out", str(tmp_path / "out"), "--method", "attention", "--json"]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300)
        assert process.returncode == 0, process.stderr
        assert json.loads(process.stdout)[0]["photo"].endswith("caf\ufffd.png")


class TestOverwriting:
    def test_another_method_or_model_is_refused(self, photos: list[Path], tmp_path: Path) -> None:
        out = tmp_path / "out"
        assert run("explain", *photos[:2], "--out", out, "--method", "rollout").exit_code == 0
        before = contents(out)
        for words, said in (
            (("--method", "attention"), "holds rollout of vit_tiny50"),
            (("--model", "cct_tiny50", "--method", "rollout"), "holds rollout of vit_tiny50, and 1 more folders"),
            (("--checkpoint", "random", "--method", "rollout"), "holds rollout of vit_tiny50"),
        ):
            result = run("explain", *photos, "--out", out, *words)
            assert result.exit_code == 2, words
            assert said in result.stderr
            assert "--force" in result.stderr
            assert contents(out) == before  # and the third photograph, which has no folder, was not begun

    def test_force_replaces(self, photos: list[Path], tmp_path: Path) -> None:
        out = tmp_path / "out"
        assert run("explain", photos[0], "--out", out, "--method", "rollout").exit_code == 0
        assert run("explain", photos[0], "--out", out, "--method", "attention", "--force").exit_code == 0
        assert json.loads((out / "a/explanation.json").read_text(encoding="utf-8"))["method"] == "attention"

    def test_the_same_is_made_again(self, photos: list[Path], tmp_path: Path) -> None:
        out = tmp_path / "out"
        for target in ("tabby", "lion"):
            assert run("explain", photos[0], "--out", out, "--method", "relevance", "--target", target).exit_code == 0
        assert json.loads((out / "a/explanation.json").read_text(encoding="utf-8"))["label"].startswith("lion")
        (out / "a/explanation.json").write_text("{", encoding="utf-8")  # left by a machine that went down
        assert run("explain", photos[0], "--out", out, "--method", "rollout").exit_code == 0


class TestGoingOn:
    @pytest.fixture
    def explained(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The pictures that were explained, in order; the second of all stops the command as Ctrl-C does, once."""
        import vizlib

        sound, pictures = vizlib.explain, []

        def explain(model: Any, images: list[Any], *words: Any, **options: Any) -> Any:
            pictures.append(images[0].tobytes())
            if len(pictures) == 2:
                raise KeyboardInterrupt
            return sound(model, images, *words, **options)

        monkeypatch.setattr("vizlib.explain", explain)
        return pictures

    def test_what_is_done_is_kept_and_not_made_again(self, photos: list[Path], tmp_path: Path, explained: list[str]) -> None:
        words = ("explain", *photos, "--out", tmp_path / "out", "--method", "relevance")
        stopped = run(*words)
        assert stopped.exit_code == 130
        assert "1 of 3 photographs are explained" in stopped.stderr
        assert "--resume" in stopped.stderr
        assert str(photos[0]) in stopped.stdout  # the row of what is done
        assert str(photos[1]) not in stopped.stdout
        before = contents(tmp_path / "out")
        assert set(before) == {f"a/{file}" for file in FILES}
        rows = json.loads(run(*words, "--resume", "--json").stdout)
        assert [Path(row["photo"]).name for row in rows] == ["a.png", "b.png", "c.png"]
        assert len(explained) == 4  # the first, the one that was stopped, and the two that were left
        after = contents(tmp_path / "out")
        assert {name: after[name] for name in before} == before
        assert set(after) == {f"{name}/{file}" for name in "abc" for file in FILES}
        again = json.loads(run(*words, "--json").stdout)
        for row, whole in zip(rows, again, strict=True):
            assert {**row, "seconds": 0} == {**whole, "seconds": 0}
        assert len(explained) == 7

    @pytest.mark.parametrize("change", [("--target", "lion"), ("--fit", "pad"), ("--option", "discard_ratio=0.5"), "picture"])
    def test_what_would_come_out_otherwise_is_made_again(self, photos: list[Path], tmp_path: Path, change: Any) -> None:
        words = ["explain", photos[0], "--out", tmp_path / "out", "--method", "rollout"]
        assert run(*words).exit_code == 0
        path = tmp_path / "out/a/explanation.json"
        stamp = path.stat().st_mtime_ns
        assert run(*words, "--resume").exit_code == 0
        assert path.stat().st_mtime_ns == stamp
        if change == "picture":
            photograph(photos[0], 7)
        else:
            words += change
        assert run(*words, "--resume").exit_code == 0
        assert path.stat().st_mtime_ns != stamp

    def test_measuring_is_not_left_out(self, photos: list[Path], tmp_path: Path) -> None:
        result = run("explain", photos[0], "--out", tmp_path / "out", "--evaluate", "--resume")
        assert result.exit_code == 2
        assert "leave --resume out" in result.stderr

    def test_a_terminal_shows_how_far_it_is_and_ctrl_c_keeps_what_is_done(self, photos: list[Path], tmp_path: Path) -> None:
        pty = pytest.importorskip("pty")
        many = [photograph(tmp_path / "in" / f"m{number}.png", number) for number in range(60)]
        head, tail = pty.openpty()
        command = [sys.executable, "-m", "vizlib", "explain", *map(str, [*photos, *many]), "--out", str(tmp_path / "out")]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, cwd=ROOT, stdout=tail, stderr=tail, stdin=tail, env=environment)
        os.close(tail)
        screen = b""
        while len(list((tmp_path / "out").glob("*/explanation.json"))) < 3:
            screen += os.read(head, 4096)
        process.send_signal(signal.SIGINT)
        try:
            while part := os.read(head, 4096):
                screen += part
        except OSError:
            pass  # Linux ends so when the other side is closed
        assert process.wait(120) == 130
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.decode("utf-8", "replace"))
        assert "━" in text
        done = int(re.search(r"stopped; (\d+) of 63 photographs", " ".join(text.split()))[1])  # type: ignore[index]
        assert 2 <= done < 63  # the third may have been written and not yet counted
        assert len(list((tmp_path / "out").glob("*/explanation.json"))) in (done, done + 1)
        assert "Traceback" not in text
