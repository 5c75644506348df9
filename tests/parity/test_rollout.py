"""Rollouts against maps that were computed apart from any adapter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import vizlib

MAPS = Path(__file__).resolve().parents[2].parent / "shared" / "parity" / "rollout"


@pytest.mark.parametrize("name", ["t2t_vit_7", "pvt_tiny", "cct_7_3x1_32"])
def test_the_map_is_the_one_computed_apart(parity, name):
    model = vizlib.wrap(parity.model(name, torch.float32))
    explained = vizlib.explain(model, parity.input(parity.golden(name)["image_size"], torch.float32)[0])
    reference = np.load(MAPS / f"{name}.npz")
    assert np.abs(explained.input_map - reference["input_map"]).sum() < 1e-3
    assert abs(explained.sink - float(reference["sink"])) < 1e-4
