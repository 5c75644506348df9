"""Every network against the golden logits of its official implementation: keys in order, shapes, parameters, logits."""

from __future__ import annotations

import pytest
import torch
from timm.models import create_model

from vizlib.zoo.networks import compact, cvt, pvt, pvt_v2, t2t

OWN = ["t2t_vit_7", "t2t_vit_t_14", "cct_7_3x1_32", "cvt_7_4_32", "pvt_tiny", "cvt_13"]
ALL = [*OWN, "pvt_v2_b0"]
BUILDERS = {name: family.build for family in (t2t, compact, pvt, cvt) for name in family.VARIANTS}


@pytest.mark.parametrize("name", OWN)
def test_state_dict_is_the_official_one(parity, name):
    golden = parity.golden(name)
    with torch.device("meta"):
        model = BUILDERS[name](name)
    layout = [[key, list(value.shape)] for key, value in model.state_dict().items()]
    assert layout == [[key, list(shape)] for key, shape in golden["state_dict"]]
    assert sum(p.numel() for p in model.parameters()) == golden["parameters"]


FLOAT32_ONLY = {"t2t_vit_7", "cvt_13"}
CASES = [(name, torch.float32) for name in ALL] + [(name, torch.float64) for name in ALL if name not in FLOAT32_ONLY]


@pytest.mark.parametrize(("name", "dtype"), CASES, ids=[f"{name}-{str(dtype)[6:]}" for name, dtype in CASES])
def test_logits_are_the_official_ones(parity, name, dtype):
    golden = parity.golden(name)
    model = parity.model(name, dtype)
    assert parity.error(name, model, dtype) <= 1
    with torch.no_grad():
        logits = model(parity.input(golden["image_size"], dtype))
    assert logits.shape == (1, golden["num_classes"])
    assert int(logits.argmax()) == golden["argmax"]
    assert float(logits.double().norm()) == pytest.approx(golden["logits_norm"], rel=1e-6)


def test_pvt_v2_map_covers_timms_model(parity):
    golden = parity.golden("pvt_v2_b0")
    official = {key: torch.empty(shape, device="meta") for key, shape in golden["state_dict"]}
    mapped = pvt_v2.from_official(official)
    model = create_model("pvt_v2_b0")
    assert {key: value.shape for key, value in mapped.items()} == {key: value.shape for key, value in model.state_dict().items()}
    assert sum(p.numel() for p in model.parameters()) == golden["parameters"]
    assert list(pvt_v2.from_official(mapped)) == list(mapped)


@pytest.mark.parametrize("name", ["t2t_vit_7", "t2t_vit_t_14", "cct_7_3x1_32", "pvt_tiny", "cvt_13"])
def test_batch_of_two_is_two_single_images(parity, name):
    model = parity.model(name, torch.float32)
    x = parity.input(parity.golden(name)["image_size"], torch.float32)
    both = torch.cat([x, x.flip(-1)])
    with torch.no_grad():
        torch.testing.assert_close(model(both), torch.cat([model(x), model(x.flip(-1))]), rtol=0, atol=1e-5)
