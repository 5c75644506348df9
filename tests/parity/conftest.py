"""The golden logits of the official implementations, where the folder that holds them is present."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from timm.models import create_model
from torch import Tensor, nn

from vizlib.zoo.networks import compact, cvt, pvt, pvt_v2, t2t

if TYPE_CHECKING:
    from types import ModuleType

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "parity"
FAMILIES = (t2t, compact, pvt, cvt)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}


@dataclass(frozen=True)
class Parity:
    """Reproducible weights and inputs, and what the official code makes of them."""

    tools: ModuleType

    def golden(self, name: str) -> dict[str, Any]:
        return json.loads((FOLDER / "golden" / f"{name}.json").read_text(encoding="utf-8"))

    def dtypes(self, name: str) -> list[torch.dtype]:
        return [dtype for dtype in TOLERANCE if self.golden(name)[f"logits_{str(dtype)[6:]}"] is not None]

    def fill(self, state: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
        filled = self.tools.fill(state)
        return {key: value.to(dtype) if value.is_floating_point() else value for key, value in filled.items()}

    def input(self, size: int, dtype: torch.dtype) -> Tensor:
        return self.tools.make_input(size).to(dtype)

    def model(self, name: str, dtype: torch.dtype) -> nn.Module:
        """The model called ``name`` in evaluation mode, with the golden weights loaded strictly."""
        official = {key: torch.empty(shape, device="meta") for key, shape in self.golden(name)["state_dict"]}
        state = self.fill(official, dtype)
        with torch.device("meta"):
            model = build(name)
        if name.startswith("pvt_v2"):
            state = pvt_v2.from_official(state)
        model.load_state_dict(state, strict=True, assign=True)
        return model.eval()

    def error(self, name: str, model: nn.Module, dtype: torch.dtype) -> float:
        """The largest difference from the golden logits, in units of what is allowed."""
        golden = self.golden(name)
        wanted = torch.tensor(golden[f"logits_{str(dtype)[6:]}"], dtype=dtype)
        with torch.no_grad():
            logits = model(self.input(golden["image_size"], dtype))[0]
        return float((logits[: len(wanted)] - wanted).abs().max()) / TOLERANCE[dtype]


def build(name: str) -> nn.Module:
    """Any model that has golden logits, with fresh weights."""
    for family in FAMILIES:
        if name in family.VARIANTS:
            return family.build(name)
    return create_model(name)


@pytest.fixture(scope="session")
def parity() -> Parity:
    if not (FOLDER / "fill.py").is_file():
        pytest.skip("The golden logits of the official implementations are not beside this checkout, in ../shared/parity.")
    spec = importlib.util.spec_from_file_location("parity_fill", FOLDER / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    tools = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tools)
    return Parity(tools)
