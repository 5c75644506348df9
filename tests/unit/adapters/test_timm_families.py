"""Every timm module with self-attention: a rollout that equals that of its averaging twin, or a refusal that says why.

A few run by default; VIZLIB_FULL_TABLE=1 runs all.
"""

from __future__ import annotations

import os

import pytest
import timm
import torch
from averaging_network import gradient_rollout, relevance, rollout
from traced_checks import filled, maps_of

import vizlib
from vizlib.catalog.attention_variants import VARIANTS, Variant

SAMPLE = {
    "hiera",
    "levit",
    "twins",
    "tnt",
    "cpubone",
    "vision_transformer_hybrid",
    "iformer",
    "xcit",
    "cait",
    "mvitv2",
}
FULL = bool(os.environ.get("VIZLIB_FULL_TABLE"))


def built(variant: Variant) -> torch.nn.Module:
    """The variant in float64 with weights of its own seed."""
    torch.manual_seed(0)
    return filled(timm.create_model(variant.name, pretrained=False, num_classes=10, **variant.options))


@pytest.mark.parametrize(
    "variant", [variant for variant in VARIANTS if FULL or variant.module in SAMPLE], ids=lambda variant: variant.module
)
def test_the_rollout_is_right_or_refused(variant: Variant) -> None:
    module = built(variant)
    model = vizlib.wrap(module, input_size=variant.size)
    x = torch.randn(2, 3, variant.size, variant.size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    if variant.refused is not None:
        assert "rollout" not in model.card.methods
        with pytest.raises(vizlib.MethodError, match=variant.refused):
            vizlib.explain(model, x, "rollout")
        assert "saliency" in model.card.methods
        return
    explanations = vizlib.explain(model, x, "rollout")
    maps = maps_of(explanations)
    assert all(abs(explanation.input_map.sum() + explanation.sink - 1) < 1e-9 for explanation in explanations)
    assert float(maps.min()) >= 0
    assert float((maps[0] - maps[1]).abs().max()) > 1e-6 * float(maps.max())
    if variant.own_windows:
        return
    for share, own in ((0.5, maps), (0.3, maps_of(vizlib.explain(model, x, "rollout", residual_weight=0.3)))):
        reference = rollout(module, x, share)
        assert float((own - reference).abs().max()) < 1e-6 * float(reference.max())
    reference = relevance(module, x, 3)
    relevances = maps_of(vizlib.explain(model, x, "relevance", target=[3, 3]))
    assert float((relevances - reference).abs().max()) < 1e-6 * float(reference.max())
    reference = gradient_rollout(module, x, 3)
    maps = maps_of(vizlib.explain(model, x, "gradient_rollout", target=[3, 3]))
    assert float((maps - reference).abs().max()) < 1e-6 * float(reference.max())


def test_at_least_forty_modules_have_a_rollout() -> None:
    assert len({variant.module for variant in VARIANTS}) >= 53
    assert len({variant.module for variant in VARIANTS if variant.refused is None}) >= 40


def test_in_single_precision_and_with_other_residuals() -> None:
    variant = next(variant for variant in VARIANTS if variant.module == "mvitv2")
    module = built(variant)
    x = torch.randn(2, 3, variant.size, variant.size, generator=torch.Generator().manual_seed(1))
    reference = rollout(module, x.double(), 0.3)
    maps = maps_of(vizlib.explain(vizlib.wrap(module.float(), input_size=variant.size), x, "rollout", residual_weight=0.3))
    assert float((maps - reference).abs().max()) < 1e-4 * float(reference.max())


def test_a_map_of_mixed_heads_says_by_what_its_shares_are() -> None:
    for name, noted in (("cait", True), ("levit", False)):
        variant = next(variant for variant in VARIANTS if variant.module == name)
        model = vizlib.wrap(built(variant), input_size=variant.size)
        for method in ("rollout", "relevance"):
            explanation = vizlib.explain(model, torch.zeros(3, variant.size, variant.size), method, target=0)
            assert any("magnitude" in note for note in explanation.notes) == noted
