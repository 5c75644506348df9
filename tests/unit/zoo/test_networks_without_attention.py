"""One small variant of every timm module without self-attention: it loads, its maps come, and its card says that nothing attends."""

from __future__ import annotations

import os

import pytest
import timm
import torch
from timm.models import _registry

import vizlib
from vizlib.catalog.attention_variants import VARIANTS

NETWORKS = {
    "convmixer": "convmixer_1024_20_ks9_p14", "convnext": "convnext_atto", "cspnet": "darknet17", "cspnext": "cspnext_tiny",
    "densenet": "densenet121", "dla": "dla46_c", "dpn": "dpn48b", "efficientnet": "tinynet_e", "efficientvim": "efficientvim_m1",
    "fasternet": "fasternet_t0", "focalnet": "focalnet_tiny_srf", "ghostnet": "ghostnet_050", "hardcorenas": "hardcorenas_a",
    "hgnet": "hgnetv2_b0", "hrnet": "hrnet_w18", "inception_next": "inception_next_atto", "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3", "inception_v4": "inception_v4", "lcnetv2": "lcnetv2_small", "mambaout": "mambaout_femto",
    "mlp_mixer": "mixer_s32_224", "nasnet": "nasnetalarge", "nfnet": "nfnet_l0", "pnasnet": "pnasnet5large", "rdnet": "rdnet_tiny",
    "regnet": "regnety_004", "repghost": "repghostnet_050", "repvit": "repvit_m0_9", "res2net": "res2net50d", "resnest": "resnest14d",
    "resnet": "resnet18", "resnetv2": "resnetv2_18", "rexnet": "rexnet_100", "selecsls": "selecsls42", "senet": "legacy_seresnet18",
    "sequencer": "sequencer2d_s", "sknet": "skresnet18", "starnet": "starnet_s050", "tresnet": "tresnet_m", "vgg": "vgg11_bn",
    "vovnet": "ese_vovnet19b_dw", "xception": "xception", "xception_aligned": "xception41",
}  # fmt: skip
SIZES = {"mlp_mixer": 224, "sequencer": 224, "inception_v3": 128, "inception_v4": 128, "inception_resnet_v2": 128, "nasnet": 128}
OTHERS = {"efficientvim": "weighs places one by one"}  # by sums over all places
SAMPLE = ("convnext", "efficientvim", "mambaout", "mlp_mixer", "resnest")
FULL = bool(os.environ.get("VIZLIB_FULL_TABLE"))


def test_every_module_is_here_or_among_those_with_attention() -> None:
    assert set(NETWORKS) | {variant.module for variant in VARIANTS} == set(_registry._module_to_models)


@pytest.mark.parametrize("module", NETWORKS if FULL else SAMPLE)
def test_it_is_explained_and_says_that_nothing_attends(module: str) -> None:
    size = SIZES.get(module, 96)
    torch.manual_seed(0)
    model = vizlib.wrap(timm.create_model(NETWORKS[module], pretrained=False, num_classes=10).eval(), input_size=size)
    x = torch.randn(3, size, size, generator=torch.Generator().manual_seed(1))
    for method in ("grad_cam", "saliency"):
        explanation = vizlib.explain(model, x, method, target=3)
        assert explanation.input_map.shape == (size, size)
        assert (explanation.input_map >= 0).all()
        assert explanation.input_map.any() or "the map is zero" in explanation.notes[0]
    reason = OTHERS.get(module, "no attention")
    assert reason in model.card.unavailable["rollout"]
    with pytest.raises(vizlib.MethodError, match=reason):
        vizlib.explain(model, x, "rollout")
