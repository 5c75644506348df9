"""Looks in the real trackers, offline: what was written is read back with the tracker's own reader."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from vizlib.callbacks import MLflow, TensorBoard, Watch, WeightsAndBiases
from vizlib.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 32
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def network() -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VisionTransformer(img_size=SIZE, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=4)


def watched(tracker: Any, steps: int = 2) -> list[Any]:
    watch = Watch(network(), {"a picture": PICTURE}, to=tracker, every=1, share=None, input_size=SIZE)
    return [watch(step) for step in range(steps)]


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is installed by `make test-integrations` alone.")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = TensorBoard(tmp_path)
    looks = watched(tracker)
    tracker.close()
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0, "histograms": 0})
    events.Reload()
    for name, value in looks[1].scalars().items():
        assert [event.step for event in events.Scalars(f"vizlib/{name}")] == [0, 1]
        assert events.Scalars(f"vizlib/{name}")[1].value == pytest.approx(value, rel=1e-6)
    image = events.Images("vizlib/a picture/rollout")[0]
    assert (image.height, image.width) == (40, 30)
    assert len([tag for tag in events.Tags()["histograms"] if tag.endswith("each head")]) == 4


def test_a_writer_of_the_training_stays_open(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is installed by `make test-integrations` alone.")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        tracker = TensorBoard(writer)
        watched(tracker, 1)
        tracker.close()
        writer.add_scalar("loss", 1.0, 0)


def test_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="Weights & Biases is installed by `make test-integrations` alone.")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with pytest.raises(TrainingError, match="No run of Weights & Biases is under way"):
        watched(WeightsAndBiases(), 1)
    with wandb.init(mode="offline", dir=str(tmp_path), project="test") as run:
        watch = Watch(network(), {"a picture": PICTURE}, to=WeightsAndBiases(), every=1, share=None, input_size=SIZE)
        looks = []
        for step in range(2):
            looks.append(watch(step))
            run.log({"loss": 1.0})
        assert run.step == 2  # looks add no step of their own
        summary = dict(run.summary)
    assert summary["vizlib/step"] == 1
    for name, value in looks[1].scalars().items():
        assert summary[f"vizlib/{name}"] == pytest.approx(value)
    assert len(list(tmp_path.rglob("media/images/vizlib/a picture/rollout*.png"))) == 2


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is installed by `make test-integrations` alone.")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"file://{tmp_path}/store")
    with pytest.raises(TrainingError, match="No run of MLflow is under way"):
        watched(MLflow(), 1)
    with mlflow.start_run() as run:
        looks = watched(MLflow())
    client = mlflow.MlflowClient()
    for name, value in looks[1].scalars().items():
        history = client.get_metric_history(run.info.run_id, f"vizlib/{name}")
        assert [metric.step for metric in history] == [0, 1]
        assert history[1].value == pytest.approx(value)
    files = [file.path for file in client.list_artifacts(run.info.run_id, "images")]
    assert len([path for path in files if path.endswith(".png")]) == 2, json.dumps(files)
