"""An audit's rows and maps are what explain gives, and whatever stops it, going on gives the same bytes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import timm
import torch
from audit_classes import CLASSES
from PIL import Image

import vizlib
from vizlib import files
from vizlib.auditing import api
from vizlib.auditing.map_statistics import kept_grid, map_statistics, region_statistics
from vizlib.auditing.model_sources import model_sources
from vizlib.auditing.pictures import audit_pictures
from vizlib.auditing.summary import summaries
from vizlib.errors import AuditError, MethodError, TargetError, VizlibError
from vizlib.stats import wilson
from vizlib.zoo.weights import state_fingerprint

METHODS = ["rollout", ("saliency", {})]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of an audit by its name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> vizlib.Audit:
    out = tmp_path_factory.mktemp("whole") / "audit"
    return vizlib.audit(folder, ["vit_tiny50", "cct_tiny50=random"], METHODS, out, chunk=5, heads=True)


def test_each_picture_is_there_once_for_each_model_and_method(whole: vizlib.Audit) -> None:
    rows = whole.rows()
    assert whole.complete
    assert whole.models == ["vit_tiny50", "cct_tiny50=random"]
    readable = rows[rows["error"].isna()]
    assert len(readable) == 12 * 2 * 2
    assert not readable.duplicated(["picture", "model", "method"]).any()
    torn = rows[rows["error"].notna()]
    assert list(torn["path"]) == ["goose/torn.png"] * 2
    assert torn["method"].isna().all()


def test_rows_and_maps_are_those_of_explain(whole: vizlib.Audit, folder: Path) -> None:
    model = vizlib.load("vit_tiny50")
    rows = whole.rows()
    maps = dict(whole.maps("vit_tiny50", "saliency"))
    for _, row in rows[(rows["model"] == "vit_tiny50") & (rows["method"] == "saliency")].iterrows():
        explanation = vizlib.explain(model, folder / row["path"], "saliency")
        logits = torch.from_numpy(explanation.logits).double()
        label = model.index_of(row["path"].split("/")[0])
        assert row["prediction"] == int(logits.argmax())
        assert row["label"] == label
        assert row["right"] == (int(logits.argmax()) == label)
        assert row["label_rank"] == int((logits.argsort(descending=True) == label).nonzero()) + 1
        assert abs(row["label_probability"] - float(logits.softmax(0)[label])) < 1e-6
        expected = kept_grid(explanation.input_map, explanation.stages)
        assert expected.sum() == pytest.approx(explanation.input_map.sum())
        kept = maps[row["picture"]]
        assert np.abs(kept - expected).max() < 1e-3 * np.abs(expected).max()
    rollout = vizlib.explain(model, folder / "pizza" / "2.png", "rollout")
    number = int(rows[rows["path"] == "pizza/2.png"]["picture"].iloc[0])
    kept = dict(whole.maps("vit_tiny50", "rollout"))[number]
    assert kept.shape == rollout.stages[0].shape
    assert np.abs(kept - rollout.stages[0]).max() < 1e-3 * rollout.stages[0].max()


def test_heads_are_those_of_the_trace(whole: vizlib.Audit, folder: Path) -> None:
    from vizlib.analysis.attention.head_statistics import head_statistics

    trace = vizlib.trace(vizlib.load("vit_tiny50"), folder / "goose" / "0.png")
    entropy, distance = whole.heads("vit_tiny50", "entropy"), whole.heads("vit_tiny50", "distance")
    for site in trace.attention:
        statistics = head_statistics(site, (64, 64))
        np.testing.assert_allclose(entropy[site.name][0], statistics.entropy, rtol=1e-4)
        np.testing.assert_allclose(distance[site.name][0], statistics.distance, rtol=1e-4)
        assert entropy[site.name].shape == (13, site.heads)
        assert np.isnan(entropy[site.name]).any(1).sum() == 1  # the torn picture


def test_what_was_stopped_goes_on_to_the_same_bytes(whole: vizlib.Audit, folder: Path, tmp_path: Path) -> None:
    def stop(there: int, _total: int, _failed: object) -> None:
        if there >= 15:
            raise KeyboardInterrupt

    out = tmp_path / "audit"
    arguments = (folder, ["vit_tiny50", "cct_tiny50=random"], METHODS, out)
    with pytest.raises(KeyboardInterrupt):
        vizlib.audit(*arguments, chunk=5, heads=True, report=stop)
    early = contents(out)
    assert 0 < len(early) < len(contents(whole.folder))
    (out / "pictures" / "part-00-000000.parquet").unlink()  # as if it was stopped between the two files of a part
    (out / "maps" / "part-01-000001.npz.part").write_bytes(b"torn")
    vizlib.audit(*arguments, chunk=5, heads=True)
    assert contents(out) == contents(whole.folder)


def test_a_folder_of_another_audit_or_of_other_files_is_left_alone(whole: vizlib.Audit, folder: Path, tmp_path: Path) -> None:
    before = contents(whole.folder)
    with pytest.raises(AuditError, match="audit of other methods"):
        vizlib.audit(folder, ["vit_tiny50", "cct_tiny50=random"], "rollout", whole.folder, chunk=5, heads=True)
    with pytest.raises(AuditError, match="audit of other classes, data, models, pictures"):
        vizlib.audit(folder / "goose", ["vit_tiny50", "cct_tiny50=random"], METHODS, whole.folder, chunk=5, heads=True)
    assert contents(whole.folder) == before
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(AuditError, match="holds other files"):
        vizlib.audit(folder, "vit_tiny50", "rollout", tmp_path)


def test_a_full_disk_is_said_and_loses_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(VizlibError, match=r"No space left on device.*goes on from it"):
            vizlib.audit(folder, "vit_tiny50", "rollout", tmp_path / "audit")
    assert not list((tmp_path / "audit").rglob("*.part"))
    assert vizlib.audit(folder, "vit_tiny50", "rollout", tmp_path / "audit").complete


DRIVER = """
import sys, vizlib
if __name__ == "__main__":
    vizlib.audit(sys.argv[1], ["vit_tiny50"], ["rollout", "saliency"], sys.argv[2], chunk=1, workers=int(sys.argv[3]))
"""


def test_two_workers_one_killed_and_then_the_driver_lose_nothing(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    environment = {**os.environ, "PYTHONPATH": str(Path(vizlib.__file__).parents[1]), "OMP_NUM_THREADS": "1"}

    def start(out: Path, workers: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(script), str(folder), str(out), str(workers)], env=environment, start_new_session=True)

    assert start(tmp_path / "whole", 0).wait(120) == 0
    out = tmp_path / "audit"
    driver = start(out, 2)
    parts = out / "pictures"
    until = time.monotonic() + 90
    while not (parts.is_dir() and len(list(parts.glob("*.parquet"))) >= 2) and time.monotonic() < until and driver.poll() is None:
        time.sleep(0.02)
    workers = worker_processes(driver.pid)
    if workers:
        os.kill(workers[0], signal.SIGKILL)
    time.sleep(0.3)
    driver.kill()
    driver.wait(10)
    assert start(out, 2).wait(120) == 0
    assert contents(out) == contents(tmp_path / "whole")


def worker_processes(driver: int) -> list[int]:
    """Those of a driver's descendants that multiprocessing started."""
    parents: dict[int, int] = {}
    words: dict[int, str] = {}
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")
            except (OSError, ValueError):
                continue

    def below(process: int) -> bool:
        while process in parents:
            process = parents[process]
            if process == driver:
                return True
        return False

    return [process for process in sorted(parents) if below(process) and "fork" in words[process]]


@pytest.mark.parametrize("kind", ["folder", "csv", "jsonl", "txt", "parquet", "glob", "list", "dataset"])
def test_data_in_every_form(kind: str, folder: Path, tmp_path: Path) -> None:
    files = sorted(path for path in folder.rglob("*.png") if path.stem != "torn")
    labels = [path.parent.name for path in files]
    data: object = folder
    if kind == "csv":
        data = tmp_path / "list.csv"
        rows = [(path, label, 0, 0, 9, 9) for path, label in zip(files, labels, strict=True)]
        with data.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "label", "x0", "y0", "x1", "y1"), *rows])
    elif kind == "jsonl":
        data = tmp_path / "list.jsonl"
        records = [{"path": str(path), "label": label, "box": [0, 0, 9, 9]} for path, label in zip(files, labels, strict=True)]
        data.write_text("\n".join(map(json.dumps, records)))
    elif kind == "txt":
        data = tmp_path / "list.txt"
        data.write_text("\n".join(map(str, files)))
    elif kind == "parquet":
        data = tmp_path / "list.parquet"
        parquet.write_table(pa.table({"image": [path.read_bytes() for path in files], "label": labels}), data, row_group_size=5)
    elif kind == "glob":
        data = str(folder / "*" / "[0-9].png")
    elif kind == "list":
        data = [(np.asarray(Image.open(path)), CLASSES.index(label)) for path, label in zip(files, labels, strict=True)]
    elif kind == "dataset":
        data = Photographs(files)
    pictures = audit_pictures(data)
    read = [picture for picture in pictures.items if not picture.name.endswith("torn.png")]
    assert len(read) == 12
    names = {number: words for number, (_, words) in enumerate(pictures.classes)}
    if kind not in ("txt", "glob"):
        told = [names[picture.label] for picture in read]
        assert sorted(told) == sorted(labels) or told == [str(CLASSES.index(label)) for label in labels]
    if kind in ("csv", "jsonl"):
        assert {picture.box for picture in read} == {(0.0, 0.0, 9.0, 9.0)}
    result = vizlib.audit(data, "vit_tiny50", "rollout", tmp_path / "audit")
    assert (result.rows()["error"].isna()).sum() == 12


class Photographs(torch.utils.data.Dataset):
    def __init__(self, files: list[Path]) -> None:
        self.classes = list(CLASSES)
        self.files = files
        self.targets = [CLASSES.index(path.parent.name) for path in files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        pixels = torch.from_numpy(np.asarray(Image.open(self.files[index])).copy())
        return pixels.permute(2, 0, 1) / 255, self.targets[index]


def test_a_live_module_and_the_label_as_target(folder: Path, tmp_path: Path) -> None:
    model = vizlib.load("resnet_tiny50")
    result = vizlib.audit(folder, model, "grad_cam", tmp_path / "audit", target="label")
    rows = result.rows()
    assert list(rows[rows["error"].isna()]["target"].unique()) == ["goose", "pizza", "tabby"]
    live = vizlib.wrap(model.module, transform=model.transform, labels=model.labels)
    with pytest.raises(AuditError, match="lives in this process"):
        vizlib.audit(folder, live, "grad_cam", tmp_path / "other", workers=1)


def test_boxes_and_masks_are_counted_on_the_input(tmp_path: Path) -> None:
    values = np.zeros((4, 6))
    values[1:3, 2:4] = 3
    values[0, 0] = 4
    region = np.zeros((4, 6), dtype=bool)
    region[1:3, 2:5] = True
    numbers = region_statistics(values, region, np.ones((4, 6), dtype=bool))
    assert numbers is not None
    assert (numbers.share, numbers.area, numbers.pointing) == (12 / 16, 6 / 24, 0.0)
    padding = np.ones((4, 6), dtype=bool)
    padding[0] = False
    padded = region_statistics(values, region, padding)
    assert padded is not None
    assert (padded.share, padded.area, padded.pointing) == (1.0, 6 / 18, 1.0)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[8:24, 16:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (tmp_path / "boxes.csv").write_text("path,xmin,ymin,xmax,ymax,mask\na.png,16,8,39,23,\na.png,,,,,mask.png\n")
    rows = vizlib.audit(tmp_path / "boxes.csv", "vit_tiny50", "saliency", tmp_path / "audit").rows()
    assert list(rows["path"]) == ["a.png", "a.png (2)"]
    explanation = vizlib.explain(vizlib.load("vit_tiny50"), tmp_path / "a.png", "saliency")
    inside = explanation.input_map[8:24, 16:40].sum() / explanation.input_map.sum()
    np.testing.assert_allclose(rows["region_share"], [inside, inside], rtol=1e-6)
    np.testing.assert_allclose(rows["region_area"], 16 * 24 / 64**2, rtol=1e-6)


def test_a_map_is_kept_as_the_sums_over_its_cells() -> None:
    values = np.random.default_rng(1).normal(size=(42, 28))
    kept = kept_grid(values, ())
    assert kept.shape == (28, 28)
    # Two cells lie on three rows: the middle one is split.
    np.testing.assert_allclose(kept[0], values[0] + values[1] / 2)
    np.testing.assert_allclose(kept[1], values[1] / 2 + values[2])
    assert kept.sum() == pytest.approx(values.sum())


def test_map_statistics_by_hand() -> None:
    even = map_statistics(np.full((4, 8), 0.5))
    assert even.evenness == pytest.approx(1)
    assert (even.centre_row, even.centre_column, even.strongest, even.cells) == (0.5, 0.5, 1 / 32, 32)
    corner = np.zeros((4, 8))
    corner[3, 7] = -2  # evidence against counts by its size
    point = map_statistics(corner)
    assert (point.evenness, point.centre_row, point.centre_column, point.strongest) == (0, 3.5 / 4, 7.5 / 8, 1)
    two = np.zeros((2, 2))
    two[0] = 1
    assert map_statistics(two).evenness == pytest.approx(0.5)  # one bit of two
    assert np.isnan(map_statistics(np.zeros((2, 2))).evenness)


def test_summaries_are_the_shares_of_the_rows(whole: vizlib.Audit) -> None:
    rows = whole.rows()
    for summary in summaries(whole):
        own = rows[(rows["model"] == summary.model) & (rows["method"] == summary.method) & rows["error"].isna()]
        assert (summary.pictures, summary.failed, summary.count("right"), summary.count("pointing")) == (12, 1, 12, 0)
        right, interval = summary.mean("right"), summary.interval("right")
        assert right == pytest.approx(own["right"].astype(float).mean())
        assert interval == wilson(own["right"].sum(), 12)
        assert summary.mean("evenness") == pytest.approx(own["evenness"].astype(float).mean())
        assert summary.mean("region_share") is None


def test_a_model_that_was_loaded_can_be_made_again_elsewhere() -> None:
    model = vizlib.load("vit_tiny50", num_classes=3, checkpoint="random", labels=["a", "b", "c"])
    (source,) = model_sources(model)
    assert source.load() is model
    again = source.make(None)
    assert again.labels == model.labels
    assert state_fingerprint(again.module) == state_fingerprint(model.module)
    assert model_sources(model.module)[0].make is None


def test_pictures_that_cannot_be_judged_have_rows_that_say_why(folder: Path, tmp_path: Path) -> None:
    class Torn(Photographs):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            if index == 1:
                raise RuntimeError("no such shard")
            return super().__getitem__(index)

    data = Torn(sorted(path for path in folder.rglob("*.png") if path.stem != "torn"))
    data.classes, data.targets = ["tabby", "goose", "yak"], [0, 0, 2, *[0] * 9]
    # A class that the model does not know is none of its own, so that there is no label to explain; the others are as they are named.
    rows = vizlib.audit(data, "vit_tiny50", "saliency", tmp_path / "labels", target="label").rows()
    assert rows["error"].str.contains("no such shard").sum() == 1
    assert rows["error"].str.contains("no label that vit_tiny50 knows").fillna(value=False).tolist() == [row == 2 for row in range(12)]
    assert set(rows["target"][rows["error"].isna()]) == {"tabby"}
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(tmp_path / "mask.png")
    (tmp_path / "masks.csv").write_text("path,mask\na.png,mask.png\na.png,none.png\na.png,\n")
    errors = vizlib.audit(tmp_path / "masks.csv", "vit_tiny50", "rollout", tmp_path / "masks").rows()["error"]
    assert "10 x 20 and the picture 20 x 20" in errors[0]
    assert "none.png" in errors[1]
    assert errors.isna().tolist() == [False, False, True]


def test_only_attention_over_the_whole_grid_has_statistics_of_heads(folder: Path, tmp_path: Path) -> None:
    module = timm.create_model("swin_tiny_patch4_window7_224", img_size=56, window_size=7, num_classes=3).eval()
    audit = vizlib.audit(folder / "goose", vizlib.wrap(module, input_size=56), "rollout", tmp_path / "audit", heads=True)
    sites = audit.heads(audit.models[0], "entropy")
    assert sites
    assert not any(name.startswith("layers.0") for name in sites)  # 14 x 14 tokens in windows of 7 x 7
    without = vizlib.audit(folder / "goose", "resnet_tiny50", "grad_cam", tmp_path / "resnet", heads=True)
    with pytest.raises(AuditError, match="No attention of resnet_tiny50"):
        without.heads("resnet_tiny50", "entropy")


def test_a_runs_epochs_are_one_model_each_in_their_order(tmp_path: Path) -> None:
    for epoch in (10, 9, 1):
        (tmp_path / f"epoch-{epoch}.safetensors").write_bytes(b"")
    sources = model_sources(f"vit_tiny50={tmp_path}/epoch-*.safetensors")
    assert [source.name for source in sources] == ["vit_tiny50=epoch-1", "vit_tiny50=epoch-9", "vit_tiny50=epoch-10"]
    with pytest.raises(AuditError, match="Nothing matches"):
        model_sources(f"vit_tiny50={tmp_path}/none-*")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("nowhere", "vit_tiny50"), AuditError, "There is no 'nowhere'"),
        ((7, "vit_tiny50"), AuditError, "not over a int"),
        (([], "vit_tiny50"), AuditError, "no pictures"),
        ((["a.png"], []), AuditError, "at least one model"),
        ((["a.png"], 7), AuditError, "not a int"),
        ((["a.png"], "resnet_tiny50", "rollout"), MethodError, "does not fit"),
        ((["a.png"], "vit_tiny50", 7), MethodError, "A method is a name"),
        ((["a.png"], "vit_tiny50", []), MethodError, "at least one method"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(arguments: tuple, error: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words):
        vizlib.audit(*arguments, out=tmp_path / "audit")
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize(
    ("options", "error"), [({"fit": "stretch"}, AuditError), ({"target": "unicorn"}, TargetError), ({"chunk": 0}, AuditError)]
)
def test_so_are_its_options(options: dict, error: type[Exception], folder: Path, tmp_path: Path) -> None:
    with pytest.raises(error):
        vizlib.audit(folder, "vit_tiny50", out=tmp_path / "audit", **options)
    assert not (tmp_path / "audit").exists()


def test_one_picture_that_fails_leaves_the_others(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vizlib.auditing import chunk

    own = chunk.explain

    def failing(model: object, images: list[np.ndarray], *arguments: object, **options: object) -> object:
        if any(image.shape[0] == 48 for image in images):
            raise MethodError("It cannot be told.")
        return own(model, images, *arguments, **options)

    monkeypatch.setattr(chunk, "explain", failing)
    rows = api.audit(folder, "vit_tiny50", "rollout", tmp_path / "audit").rows()
    assert len(rows) == 13
    assert sorted(rows[rows["error"] == "It cannot be told."]["path"]) == ["goose/1.png", "pizza/1.png", "tabby/1.png"]
