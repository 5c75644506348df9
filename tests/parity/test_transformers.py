"""PVT v1 and CvT against transformers, with the two known deviations of transformers undone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from timm.layers import QuickGELU
from torch import nn
from torch.overrides import TorchFunctionMode

from vizlib.zoo.networks import cvt, pvt

transformers = pytest.importorskip("transformers")


class Calls(TorchFunctionMode):
    """The attention weights of each fused call, worked out from its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = []

    def __torch_function__(self, func, kinds, args=(), kwargs=None):
        if func is F.scaled_dot_product_attention:
            query, key = args[:2]
            self.weights.append((query @ key.transpose(-2, -1) * kwargs["scale"]).softmax(dim=-1))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def pvt_pair(parity):
    """transformers' PVT-tiny and ours with the same weights, in float64."""
    with torch.device("meta"):
        config = transformers.PvtConfig(num_labels=1000, attn_implementation="eager")
        theirs, ours = transformers.PvtForImageClassification(config), pvt.build("pvt_tiny")
    state = parity.fill(theirs.state_dict(), torch.float64)
    theirs.load_state_dict(state, assign=True)
    ours.load_state_dict(pvt.to_official(state), strict=True, assign=True)
    return theirs.eval(), ours.eval()


def fix_pvt(theirs: nn.Module) -> None:
    """Give the norms after convolutions the official epsilon; transformers has one for all."""
    for name, module in theirs.named_modules():
        if name.endswith("self.layer_norm") or ("patch_embeddings" in name and name.endswith("layer_norm")):
            module.eps = 1e-5


def test_pvt_equals_transformers_but_for_its_epsilon(parity, pvt_pair):
    theirs, ours = pvt_pair
    x = parity.input(224, torch.float64)
    with torch.no_grad():
        shipped = (theirs(x).logits - ours(x)).abs().max()
        fix_pvt(theirs)
        fixed = (theirs(x).logits - ours(x)).abs().max()
    assert 1e-9 < shipped < 1e-3
    assert fixed < 1e-10


def test_pvt_attention_equals_transformers(parity, pvt_pair):
    theirs, ours = pvt_pair
    fix_pvt(theirs)
    x = parity.input(224, torch.float64)
    with torch.no_grad():
        wanted = theirs(x, output_attentions=True).attentions
        with Calls() as calls:
            ours(x)
    assert [tuple(w.shape[1:]) for w in calls.weights] == [
        *[(1, 3136, 49)] * 2,
        *[(2, 784, 49)] * 2,
        *[(5, 196, 49)] * 2,
        *[(8, 50, 50)] * 2,
    ]
    for got, want in zip(calls.weights, wanted, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-10)


def test_cvt_equals_transformers_but_for_its_activation(parity):
    with torch.device("meta"):
        theirs, ours = transformers.CvtForImageClassification(transformers.CvtConfig(num_labels=1000)), cvt.build("cvt_13")
    state = parity.fill(theirs.state_dict(), torch.float64)
    theirs.load_state_dict(state, assign=True)
    ours.load_state_dict(cvt.to_official(state), strict=True, assign=True)
    theirs.eval(), ours.eval()
    x = parity.input(224, torch.float64)
    with torch.no_grad():
        shipped = (theirs(x).logits - ours(x)).abs().max()
        replaced = 0
        for module in theirs.modules():
            for name, child in module.named_children():
                if isinstance(child, nn.GELU):
                    setattr(module, name, QuickGELU())
                    replaced += 1
        fixed = (theirs(x).logits - ours(x)).abs().max()
    assert replaced == 13
    assert shipped > 1e-3
    assert fixed < 1e-10


@pytest.mark.parametrize("family", [pvt, cvt], ids=["pvt", "cvt"])
def test_maps_leave_official_names_alone(family):
    with torch.device("meta"):
        state = family.build("pvt_tiny" if family is pvt else "cvt_13").state_dict()
    assert list(family.to_official(state)) == list(state)


def test_maps_read_a_bare_backbone():
    with torch.device("meta"):
        for family, config, backbone in (
            (pvt, transformers.PvtConfig, transformers.PvtModel),
            (cvt, transformers.CvtConfig, transformers.CvtModel),
        ):
            name = "pvt_tiny" if family is pvt else "cvt_13"
            mapped = set(family.to_official(backbone(config()).state_dict()))
            missing = set(family.build(name).state_dict()) - mapped
            assert missing <= {"head.weight", "head.bias", "norm.weight", "norm.bias"}
            assert mapped <= set(family.build(name).state_dict())


@pytest.mark.parametrize("kind", ["ViT", "DeiT"])
def test_transformers_files_of_vit_and_deit_load_into_timms(tmp_path, kind):
    import vizlib

    sizes = {"hidden_size": 192, "num_hidden_layers": 12, "num_attention_heads": 3, "intermediate_size": 768, "layer_norm_eps": 1e-6}
    config = getattr(transformers, f"{kind}Config")(**sizes, num_labels=5)
    name = "vit_tiny_patch16_224" if kind == "ViT" else "deit_tiny_distilled_patch16_224"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = getattr(transformers, f"{kind}ForImageClassification{'' if kind == 'ViT' else 'WithTeacher'}")(config).eval()
    theirs.save_pretrained(tmp_path)
    model = vizlib.load(name, checkpoint=tmp_path / "model.safetensors")
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (model(x) - theirs(x).logits).abs().max() < 1e-5
