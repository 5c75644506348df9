"""Heads of networks that attend in windows are switched off right, or not at all."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F
from traced_checks import filled

import vizlib
from vizlib.analysis.attention.head_ablation import HeadAblation, compare_ablation
from vizlib.catalog.attention_variants import VARIANTS

X = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def module_of(name: str) -> torch.nn.Module:
    variant = next(variant for variant in VARIANTS if variant.module == name)
    torch.manual_seed(0)
    return filled(timm.create_model(variant.name, pretrained=False, num_classes=10, **variant.options))


def test_a_head_is_switched_off_in_every_window(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of("tiny_vit")
    outcome = compare_ablation(vizlib.wrap(module, input_size=64), X, HeadAblation(heads={(1, 2): "zero"}))
    calls, fused = [], F.scaled_dot_product_attention

    def without_a_head(q: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        calls.append(q.shape)
        output = fused(q, *args, **kwargs)
        return torch.cat([output[:, :2], 0 * output[:, 2:3], output[:, 3:]], 1) if len(calls) == 2 else output

    monkeypatch.setattr(F, "scaled_dot_product_attention", without_a_head)
    expected = module(X)[0]
    assert calls[1][0] > 1  # windows
    assert torch.allclose(outcome.after, expected, atol=1e-12)
    assert not torch.allclose(outcome.after, outcome.before, atol=1e-3)


@pytest.mark.parametrize("name", ["twins", "vision_transformer_sam"])
def test_heads_on_another_axis_are_refused(name: str) -> None:
    with pytest.raises(vizlib.MethodError, match="second of four axes"):
        compare_ablation(vizlib.wrap(module_of(name), input_size=64), X, HeadAblation(heads={(0, 0): "zero"}))


def test_a_key_of_a_window_stands_for_no_token() -> None:
    with pytest.raises(vizlib.MethodError, match="looks at windows"):
        compare_ablation(vizlib.wrap(module_of("tiny_vit"), input_size=64), X, HeadAblation(cut={0: (3,)}))
