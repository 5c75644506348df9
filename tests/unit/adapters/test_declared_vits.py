"""torch's multi-head attention as the recorder sees it, and models built of it that are read by a declaration, against brute force."""

from __future__ import annotations

from typing import Any

import brute_force as brute
import pytest
import torch
import torchvision
from torch import nn
from vit_modules import DEPTH, ClipTower, EncoderViT, LucidViT, filled

import vizlib
from vizlib.errors import MethodError, ModelError
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.recorder import record
from vizlib.tracing.token_grid import Grid

CLIP = vizlib.PlainViT("transformer.resblocks", "conv1", head=("ln_post", "proj"), classifier="")
LUCID = vizlib.PlainViT(
    "transformer.layers", "to_patch_embedding", attention="0", patch=8, norm="transformer.norm", head=("mlp_head",), classifier="mlp_head"
)
ENCODER = vizlib.PlainViT("encoder.layers", "patches", prefix=0, readout="mean", attention="self_attn", added="dropout1", head=("head",))
TOKEN, MEAN = torch.eye(1, 17, dtype=torch.float64), torch.full((1, 16), 1 / 16, dtype=torch.float64)


def tv_vit() -> nn.Module:
    return torchvision.models.VisionTransformer(32, 8, DEPTH, 3, 24, 48, num_classes=7)


MODELS: dict[str, tuple[Any, Any, int, torch.Tensor, Any]] = {
    "torchvision": (tv_vit, None, 1, TOKEN, lambda m, s: m.heads(m.encoder.ln(s))),
    "open_clip": (ClipTower, CLIP, 1, TOKEN, lambda m, s: m.ln_post(s) @ m.proj),
    "open_clip, weights wanted": (lambda: ClipTower(need_weights=True), CLIP, 1, TOKEN, lambda m, s: m.ln_post(s) @ m.proj),
    "clip, tokens first": (
        lambda: ClipTower(batch_first=False),
        vizlib.PlainViT("transformer.resblocks", "conv1", batch_first=False),
        1,
        TOKEN,
        None,
    ),
    "lucidrains": (LucidViT, LUCID, 1, TOKEN, lambda m, s: m.mlp_head(m.transformer.norm(s))),
    "encoder": (EncoderViT, ENCODER, 0, MEAN, lambda m, s: m.head(s)),
    "encoder, norm last": (lambda: EncoderViT(norm_first=False), ENCODER, 0, MEAN, lambda m, s: m.head(s)),
}


def third(answer: torch.Tensor) -> torch.Tensor:
    return answer[:, 2]


def inputs(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", MODELS)
def test_maps_equal_brute_force(name: str, dtype: torch.dtype) -> None:
    build, declared, prefix, row, _ = MODELS[name]
    module = filled(build(), dtype)
    model, x = vizlib.wrap(module, adapter=declared, input_size=32), inputs(dtype)
    caught = brute.catch(filled(build()), inputs(), lambda answer: third(answer).sum())
    chain, row = brute.plain_chain(DEPTH, prefix, (32, 32), (8, 8)), row.expand(2, -1)
    expected = {
        "rollout": brute.rollout(caught, row, chain),
        "attention": brute.raw_attention(caught, row, chain, DEPTH - 1),
        "relevance": brute.relevance(caught, row, chain),
        "gradient_rollout": brute.gradient_rollout(caught, row, chain),
    }
    for method, maps in expected.items():
        for explanation, pixel_map in zip(vizlib.explain(model, x, method, target=third), maps, strict=True):
            assert brute.relative_error(explanation.input_map, pixel_map) < (1e-9 if dtype == torch.float64 else 1e-4), method


@pytest.mark.parametrize("name", [name for name, facts in MODELS.items() if facts[-1] is not None])
def test_legrad_equals_brute_force(name: str) -> None:
    build, declared, prefix, _, answer = MODELS[name]
    module = filled(build())
    blocks = {"torchvision": "encoder.layers.encoder_layer_", "lucidrains": "transformer.layers."}.get(
        name, "encoder.layers." if "encoder" in name else "transformer.resblocks."
    )
    paths = [f"{blocks}{index}" for index in range(DEPTH)] if name != "lucidrains" else []
    if paths:
        caught = brute.catch(module, inputs(), states=paths)
    else:  # what a block gives is the sum of what its last part is given and gives
        caught = brute.catch(_Summed(module), inputs(), states=["sums.0", "sums.1"])
        paths = ["sums.0", "sums.1"]
    keys = brute.legrad(caught, paths, lambda states: third(answer(module, states)).sum(), lambda tokens: tokens.mean(1))
    expected = keys @ brute.without_prefix(16, prefix) @ brute.patches((32, 32), (8, 8))
    model = vizlib.wrap(module, adapter=declared, input_size=32)
    for explanation, pixel_map in zip(vizlib.explain(model, inputs(), "legrad", target=third), expected, strict=True):
        assert brute.relative_error(explanation.input_map, pixel_map) < 1e-9


class _Summed(nn.Module):
    """A lucidrains ViT whose block states can be caught."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module, self.sums = module, nn.ModuleList(nn.Identity() for _ in range(DEPTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        module = self.module
        x = module.to_patch_embedding(x)
        x = torch.cat([module.cls_token.expand(len(x), -1, -1), x], 1) + module.pos_embedding
        for (attention, feed), total in zip(module.transformer.layers, self.sums, strict=True):
            x = attention(x) + x
            x = total(feed(x) + x)
        return module.mlp_head(module.transformer.norm(x)[:, 0])


@pytest.mark.parametrize("name", MODELS)
def test_grad_cam_leave_one_out_and_measured_residuals_follow(name: str) -> None:
    build, declared, prefix, *_ = MODELS[name]
    model, x = vizlib.wrap(filled(build()), adapter=declared, input_size=32), inputs()[:1]
    if "feature_map" not in model.adapter.refusals:
        assert vizlib.explain(model, x, "grad_cam", target=third)[0].input_map.max() > 0
    if "tokens first" in name:
        with pytest.raises(MethodError, match="tokens before images"):
            vizlib.explain(model, x, "rollout", residual_weight="norms")
    else:
        measured = vizlib.explain(model, x, "rollout", residual_weight="norms")[0]
        assert abs(measured.input_map.sum() + measured.sink - 1) < 1e-9
    if name in ("torchvision", "open_clip", "clip, tokens first"):
        hidden = vizlib.explain(model, x, "leave_one_out", target=third, way="mask")[0]
        with torch.no_grad(), Hiding(key=prefix + 6):
            left = third(model.module(x))
        expected = float(third(model(x)) - left)
        assert abs(hidden.input_map[8:16, 16:24] - expected).max() < 1e-9


class Hiding(brute.Catcher):
    """Attention that is written out, and that never looks at one key."""

    def __init__(self, key: int) -> None:
        super().__init__()
        self.key = key

    def fused(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *_: Any) -> torch.Tensor:
        mask = torch.zeros(k.shape[-2], dtype=q.dtype)
        mask[self.key] = float("-inf")
        return super().fused(q, k, v, mask)


MASKS = {
    "none": None,
    "added": torch.randn(5, 5, generator=torch.Generator().manual_seed(1)).double(),
    "forbidden": torch.eye(5, dtype=torch.bool).roll(1, 0),
    "by head": torch.randn(6, 5, 5, generator=torch.Generator().manual_seed(2)).double(),
}


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("mask", MASKS)
def test_multi_head_attention_is_recorded_as_it_ran(mask: str, wanted: bool) -> None:
    attention = filled(nn.MultiheadAttention(12, 3, batch_first=True))
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    padding = torch.tensor([[False] * 5, [False, False, False, True, True]])
    plain = attention(x, x, x, attn_mask=MASKS[mask], key_padding_mask=padding, average_attn_weights=False)
    seen = record(lambda: attention(x, x, x, attn_mask=MASKS[mask], key_padding_mask=padding, need_weights=wanted)[0], keep_values=True)
    assert torch.allclose(seen.output, plain[0], atol=1e-12)
    (call,) = seen.calls
    assert call.applied
    site = AttentionSite.of(call, "s", 0, 0, Grid(1, 5), Grid(1, 5))
    weights = site.block_weights(slice(None), slice(None), None)
    assert torch.allclose(weights, plain[1], atol=1e-12)
    assert torch.allclose(weights @ call.v, call.output, atol=1e-12)


def test_the_fast_path_gives_the_same_answer_and_hides_no_attention() -> None:
    module = filled(EncoderViT(), torch.float32)
    x = inputs(torch.float32)
    with torch.inference_mode():
        fast = module(x)
        seen = record(lambda: module(x))
    assert len(seen.calls) == DEPTH
    assert torch.allclose(seen.output, fast, atol=1e-5)


def test_a_declaration_that_the_module_does_not_keep_is_refused() -> None:
    class Flipped(ClipTower):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.flip(3))

    x = inputs()[0]
    with pytest.raises(MethodError, match="changes the tokens"):
        vizlib.explain(vizlib.wrap(filled(Flipped()), adapter=CLIP), x)
    by_mean = vizlib.PlainViT("transformer.resblocks", "conv1", readout="mean")
    with pytest.raises(MethodError, match="the answer reads 1 tokens"):
        vizlib.explain(vizlib.wrap(filled(ClipTower()), adapter=by_mean), x)
    with pytest.raises(MethodError, match="16 tokens"):
        vizlib.explain(vizlib.wrap(filled(ClipTower()), adapter=vizlib.PlainViT("transformer.resblocks", "conv1", prefix=0)), x)
    with pytest.raises(ModelError, match="has no part 'blocks'"):
        vizlib.wrap(filled(ClipTower()), adapter=vizlib.PlainViT("blocks", "conv1"))
    with pytest.raises(ModelError, match="read-out is one of"):
        vizlib.PlainViT("blocks", "conv1", readout="class")


def test_torchvisions_convolutional_stem_is_refused_and_its_size_is_checked() -> None:
    config = [torchvision.models.vision_transformer.ConvStemConfig(8, 3, 2) for _ in range(3)]
    stem = torchvision.models.VisionTransformer(32, 8, 1, 3, 24, 48, num_classes=7, conv_stem_configs=config)
    assert "convolutions" in vizlib.wrap(filled(stem)).card.unavailable["rollout"]
    with pytest.raises(ModelError, match="32 x 32"):
        vizlib.wrap(filled(tv_vit()))(torch.rand(1, 3, 40, 40))
