"""Looks from Lightning and from transformers' Trainer: the steps that are looked at, and the same bits of weights with and without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vizlib.callbacks import Folder, read_looks

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 32
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


class Photographs(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Twenty of noise."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(index)
        return {"pixel_values": torch.randn(3, SIZE, SIZE, generator=generator), "labels": torch.tensor(index % 4)}


def lightning_run(folder: Path | None, home: Path) -> dict[str, torch.Tensor]:
    pytest.importorskip("lightning", reason="Lightning is installed by `make test-integrations` alone.")
    import lightning
    from timm.models.vision_transformer import VisionTransformer

    from vizlib.callbacks import LightningWatch

    class Classifier(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = VisionTransformer(
                img_size=SIZE, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=4, proj_drop_rate=0.2
            )

        def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
            return F.cross_entropy(self.model(batch["pixel_values"]), batch["labels"])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-2)

    lightning.seed_everything(0, verbose=False)
    module = Classifier()
    watch: list[Any] = []
    if folder is not None:
        watch = [LightningWatch([PICTURE], part="model", to=Folder(folder), every=2, share=None, input_size=SIZE)]
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", accumulate_grad_batches=2, callbacks=watch, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=home,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(Photographs(), batch_size=4, shuffle=True))
    assert trainer.global_step == 6
    return module.state_dict()


@pytest.mark.filterwarnings("ignore")
def test_lightning(tmp_path: Path) -> None:
    plain, watched = lightning_run(None, tmp_path), lightning_run(tmp_path / "looks", tmp_path)
    for name, tensor in plain.items():
        assert torch.equal(tensor, watched[name]), name
    assert [look["step"] for look in read_looks(tmp_path / "looks")] == [0, 2, 4, 6]


def trainer_run(folder: Path | None, home: Path) -> dict[str, torch.Tensor]:
    pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate, which `make test-integrations` alone installs.")
    from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification, set_seed

    from vizlib.callbacks import TrainerWatch

    set_seed(0)
    config = ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, image_size=SIZE, patch_size=8, num_labels=4,
        hidden_dropout_prob=0.2, id2label=dict(enumerate(("cat", "dog", "bird", "fish"))),
    )  # fmt: skip
    model: nn.Module = ViTForImageClassification(config)
    watch = [TrainerWatch([PICTURE], to=Folder(folder), every=2, share=None)] if folder is not None else []
    arguments = TrainingArguments(
        output_dir=str(home), max_steps=5, per_device_train_batch_size=4, use_cpu=True, report_to=[], save_strategy="no",
        logging_strategy="no", disable_tqdm=True, learning_rate=1e-2,
    )  # fmt: skip
    Trainer(model=model, args=arguments, train_dataset=Photographs(), callbacks=watch).train()
    return model.state_dict()


@pytest.mark.filterwarnings("ignore")
def test_transformers_trainer(tmp_path: Path) -> None:
    plain, watched = trainer_run(None, tmp_path / "out"), trainer_run(tmp_path / "looks", tmp_path / "out")
    for name, tensor in plain.items():
        assert torch.equal(tensor, watched[name]), name
    looks = read_looks(tmp_path / "looks")
    assert [look["step"] for look in looks] == [0, 2, 4, 5]
    assert looks[0]["answers"]["picture 1"][0]["label"] in ("cat", "dog", "bird", "fish")
