"""LeGrad of networks that are read by their own code, against gradients of softmaxes caught in modules that are driven by hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import brute_force as brute
import pytest
import timm
import torch
from torch import nn
from traced_checks import filled, maps_of

import vizlib
from vizlib.catalog.attention_variants import VARIANTS
from vizlib.catalog.transformers_variants import FACTS
from vizlib.model_report.family_table import transformers_model

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL: dict[str, Any] = {"embed_dim": 24, "num_heads": 3, "num_classes": 7}
FULL = bool(os.environ.get("VIZLIB_FULL_TABLE"))
X = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def of_transformers(name: str) -> nn.Module:
    pytest.importorskip("transformers", reason="transformers is not installed")
    return transformers_model(name, FACTS[name])


def cells_on_pixels(keys: torch.Tensor, prefix: int = 0) -> torch.Tensor:
    """Values (B, prefix + 16) of tokens of patches of 16 pixels, learned ones left out: (B, 64, 64)."""
    return (keys @ brute.without_prefix(16, prefix) @ brute.patches((64, 64), (16, 16))).unflatten(1, (64, 64))


def checked(module: nn.Module, expected: torch.Tensor, **options: Any) -> vizlib.Model:
    """The model, whose maps of X are ``expected`` in float64 and near them in float32."""
    model = vizlib.wrap(module, input_size=64)
    maps = maps_of(vizlib.explain(model, X, "legrad", target=[2, 2], **options))
    assert float((maps - expected).abs().max()) < 1e-9 * float(expected.max())
    single = vizlib.wrap(module.float(), input_size=64)
    maps = maps_of(vizlib.explain(single, X.float(), "legrad", target=[2, 2], **options))
    assert float((maps - expected).abs().max()) < 1e-4 * float(expected.max())
    return model


def relative() -> nn.Module:
    return timm.create_model("vit_relpos_small_patch16_224", img_size=64, depth=3, **SMALL)


def mean_of_patches(module: Any, tokens: torch.Tensor) -> torch.Tensor:
    return module.head(module.fc_norm(module.norm(tokens).mean(1)))


def mean_of_latents(module: Any, tokens: torch.Tensor) -> torch.Tensor:
    return module.classifier(module.ijepa.layernorm(tokens).mean(1))


def first_of_data2vec(module: Any, tokens: torch.Tensor) -> torch.Tensor:
    pooler = module.data2vec_vision.pooler
    return module.classifier(pooler.layernorm(tokens[:, 1:].mean(1)))


def first_of_msn(module: Any, tokens: torch.Tensor) -> torch.Tensor:
    return module.classifier(module.vit.layernorm(tokens)[:, 0])


def mean_of_metaclip(module: Any, tokens: torch.Tensor) -> torch.Tensor:
    return module.classifier(tokens[:, 1:].mean(1))


# How each is built, the path of its blocks, its learned tokens, and its head by hand.
PLAIN: dict[str, tuple[Callable[[], nn.Module], str, int, Callable[[Any, torch.Tensor], torch.Tensor]]] = {
    "relative positions": (relative, "blocks", 0, mean_of_patches),
    "i-jepa": (lambda: of_transformers("IJepaForImageClassification"), "ijepa.layers", 0, mean_of_latents),
    "data2vec": (lambda: of_transformers("Data2VecVisionForImageClassification"), "data2vec_vision.encoder.layer", 1, first_of_data2vec),
    "vit msn": (lambda: of_transformers("ViTMSNForImageClassification"), "vit.layers", 1, first_of_msn),
    "metaclip 2": (lambda: of_transformers("MetaClip2ForImageClassification"), "vision_model.encoder.layers", 1, mean_of_metaclip),
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("pooling", ["mean", "readout"])
def test_it_is_that_of_each_blocks_own_answer(name: str, pooling: str) -> None:
    build, blocks, prefix, head = PLAIN[name]
    module = filled(build())
    paths = [f"{blocks}.{index}" for index in range(len(list(module.get_submodule(blocks).children())))]
    caught = brute.catch(module, X, states=paths)
    for path, state in caught.states.items():
        caught.states[path] = state[0] if isinstance(state, tuple) else state

    def pooled(tokens: torch.Tensor) -> torch.Tensor:
        return tokens.mean(1, keepdim=True).expand_as(tokens) if pooling == "mean" else tokens

    keys = brute.legrad(caught, paths, lambda tokens: head(module, tokens)[:, 2].sum(), pooled)
    model = checked(module, cells_on_pixels(keys, prefix), pooling=pooling)
    assert "legrad" in model.card.methods


def test_a_part_of_another_module_and_fewer_blocks() -> None:
    module = filled(relative())
    caught = brute.catch(module, X, states=["blocks.2"])
    slope = torch.autograd.grad(mean_of_patches(module, caught.states["blocks.2"])[:, 2].sum(), caught.weights[2])[0]
    expected = cells_on_pixels(slope.clamp_min(0).mean((1, 2)))
    model = vizlib.wrap(nn.Sequential(nn.Identity(), module), part="1", input_size=64)
    maps = maps_of(vizlib.explain(model, X, "legrad", target=[2, 2], layers=1, pooling="readout"))
    assert float((maps - expected).abs().max()) < 1e-9 * float(expected.max())
    with pytest.raises(vizlib.MethodError, match="has 3 blocks, so layers is at most that, not 4"):
        vizlib.explain(model, X, "legrad", target=[2, 2], layers=4)


@pytest.mark.parametrize("window", [0, 3])
def test_windows_and_a_neck_before_the_head(window: int) -> None:
    module: Any = filled(
        timm.create_model(
            "samvit_base_patch16_224", img_size=64, depth=3, window_size=window, global_attn_indexes=(1,), neck_chans=16, **SMALL
        )
    )
    caught = brute.catch(module, X, states=[f"blocks.{index}" for index in range(3)])
    per_block = []
    for index in range(3):
        windows = window if index != 1 else 0
        state = caught.states[f"blocks.{index}"]
        score = module.head(module.neck(state.permute(0, 3, 1, 2)))[:, 2].sum()
        slope = torch.autograd.grad(score, caught.weights[index], retain_graph=True)[0].clamp_min(0).unflatten(0, (-1, 3))
        whole = brute.in_windows((4, 4), (windows or 4, windows or 4))(slope.mean(1))
        per_block.append(whole.mean(1))
    checked(module, cells_on_pixels(torch.stack(per_block).mean(0)), pooling="readout")


def test_class_attention_is_what_the_head_attends_by() -> None:
    module: Any = filled(timm.create_model("cait_xxs24_224", img_size=64, depth=3, **SMALL))
    caught = brute.catch(module, X, states=[f"blocks.{index}" for index in range(3)])
    per_block = []
    for index in range(3):
        tokens = caught.states[f"blocks.{index}"]
        with brute.Catcher() as catcher:
            token = module.cls_token.expand(2, -1, -1)
            for block in module.blocks_token_only:
                token = block(tokens, token)
            score = module.head(module.norm(torch.cat([token, tokens], 1))[:, 0])[:, 2].sum()
        assert len(catcher.weights) == 2
        slopes = torch.autograd.grad(score, catcher.weights, retain_graph=True)
        per_block.append(torch.stack([slope.clamp_min(0).mean((1, 2)) for slope in slopes]).mean(0))
    expected = cells_on_pixels(torch.stack(per_block).mean(0), prefix=1)
    for pooling in ("mean", "readout"):  # the head pools by attention either way
        checked(module.double(), expected, pooling=pooling)


class TalkingHeads(nn.Module):
    """A block whose heads are mixed after their softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.mix, self.mlp = nn.Linear(16, 48), nn.Linear(2, 2), nn.Linear(16, 16)
        self.kept: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.mT / 3).softmax(-1)
        self.kept = self.mix(weights.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = x + (self.kept @ v).transpose(1, 2).flatten(2)
        return x + torch.tanh(self.mlp(x))


class MixedNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cut, self.head = nn.Conv2d(3, 16, 16, 16), nn.Linear(16, 5)
        self.blocks = nn.Sequential(TalkingHeads(), TalkingHeads())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.blocks(self.cut(x).flatten(2).mT)).mean(1))


def test_of_mixed_heads_it_is_the_gradient_of_what_meets_the_values() -> None:
    module: Any = filled(MixedNetwork())
    first = module.blocks[0](module.cut(X).flatten(2).mT)
    second = module.blocks[1](first)
    keys = []
    for block, tokens in zip(module.blocks, (first, second), strict=True):
        score = module.head(torch.tanh(tokens).mean(1))[:, 2].sum()
        keys.append(torch.autograd.grad(score, block.kept, retain_graph=True)[0].clamp_min(0).mean((1, 2)))
    for block in module.blocks:
        del block.kept
    checked(module, cells_on_pixels(torch.stack(keys).mean(0).detach()), pooling="readout")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (
            "convit",
            r"reads tokens as blocks.11 gives them \(4 x 4 and 1 learned, 96 channels\), and as blocks.0 gives them \(4 x 4, 96 ",
        ),
        ("hiera", r"different numbers of tokens \(256 in blocks.0.attn, 16 in blocks.4.attn\), and one head does not fit"),
        ("crossvit", "different numbers of tokens"),
        ("byobnet", "no part around head gives tokens that lie on the image for the head to read"),
    ],
)
def test_what_one_head_cannot_read_is_refused_on_the_card_and_when_it_is_run(name: str, why: str) -> None:
    variant = next(variant for variant in VARIANTS if variant.module == name)
    module = timm.create_model(variant.name, pretrained=False, num_classes=7, **variant.options).eval()
    model = vizlib.wrap(module, input_size=variant.size)
    assert "legrad" not in model.card.methods
    with pytest.raises(vizlib.MethodError, match=why):
        vizlib.explain(model, torch.zeros(3, variant.size, variant.size), "legrad", target=1)


class TwoAnswers(nn.Module):
    """Blocks of one width, whose answer is read of each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = MixedNetwork()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.inside.blocks[0](self.inside.cut(x).flatten(2).mT)
        return self.inside.head((torch.tanh(first) + torch.tanh(self.inside.blocks[1](first))).mean(1))


def test_an_answer_that_is_read_past_the_last_block_is_refused() -> None:
    model = vizlib.wrap(filled(TwoAnswers()), input_size=64)
    assert "rollout" in model.card.methods
    with pytest.raises(vizlib.MethodError, match=r"not read through what inside.blocks.1 gives alone"):
        vizlib.explain(model, X, "legrad", target=[2, 2])


# The blocks, the patches a side, and the learned tokens before them.
WITH_OTHER_HEADS = {
    "deepseek_vit": ("encoder.blocks", 4, 0),
    "qwen3_vit": ("encoder.blocks", 4, 0),
    "gemma4_vit": ("encoder.blocks", 3, 0),
    "naflexvit": ("blocks", 4, 4),
    "efficientformer": ("stages.3.blocks", 7, 0),
}


@pytest.mark.parametrize("name", [name for name in WITH_OTHER_HEADS if FULL or name not in ("qwen3_vit", "gemma4_vit")])
def test_the_head_is_all_that_comes_after_the_last_block(name: str) -> None:
    blocks, side, prefix = WITH_OTHER_HEADS[name]
    variant = next(variant for variant in VARIANTS if variant.module == name)
    module = filled(timm.create_model(variant.name, pretrained=False, num_classes=7, **variant.options))
    x = torch.randn(1, 3, variant.size, variant.size, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    count = len(list(module.get_submodule(blocks).children()))
    paths = [f"{blocks}.{index}" for index in range(count)][-1 if name == "efficientformer" else 0 :]
    caught, keys = brute.catch(module, x, states=paths), []
    for number, path in enumerate(paths):
        handle = module.get_submodule(paths[-1]).register_forward_hook(lambda *_, path=path: caught.states[path])
        slope = torch.autograd.grad(module(x)[:, 2].sum(), caught.weights[number], retain_graph=True)[0]
        handle.remove()
        keys.append(slope.clamp_min(0).mean((1, 2))[:, prefix:])
    expected = torch.stack(keys).mean(0).unflatten(1, (side, side))
    maps = maps_of(vizlib.explain(vizlib.wrap(module, input_size=variant.size), x, "legrad", target=2, pooling="readout"))
    step = variant.size // side
    if name == "efficientformer":  # its cells overlap on the pixels: the shares of all of them are one
        assert float(abs(maps.sum() - expected.sum())) < 1e-9 * float(expected.sum())
        return
    own = maps.unflatten(2, (side, step)).unflatten(1, (side, step)).sum((2, 4))
    assert float((own - expected).abs().max()) < 1e-9 * float(expected.max())
