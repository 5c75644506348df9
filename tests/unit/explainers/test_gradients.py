"""Gradient rollout, relevance and LeGrad against whole matrices and autograd's own gradient of each attention weight."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import zoo_cases as zoo
from explicit import chain, whole
from largest_tensor import LargestTensor
from timm.models.vision_transformer import VisionTransformer
from torch.overrides import TorchFunctionMode

import vizlib
from vizlib.explainers.scorer import make_scorer
from vizlib.explainers.targets import resolve_targets
from vizlib.passes.backward import gradients_on
from vizlib.passes.forward import capture_taps
from vizlib.zoo.adapters.base import Tap
from vizlib.zoo.networks.t2t import TokenPerformer

if TYPE_CHECKING:
    from vizlib.tracing.token_flow import Attention

CASES = [
    "token", "mean", "registers", "distilled", "pool", "pool_past_registers", "parallel", "wide", "written_out", "eva_mean", "beit",
    "pvt", "pvt_v2", "pvt_v2_linear", "cvt", "cct", "vit_lite", "t2t_transformer", "t2t_performer", "swin", "swin_padded", "swin_v2",
]  # fmt: skip
LAYERED = ["token", "mean", "registers", "distilled", "pool", "pool_past_registers", "parallel", "written_out", "eva_pool", "beit"]
METHODS = ["gradient_rollout", "relevance", "legrad"]


class _Explicit(TorchFunctionMode):
    """Fused attention written out; every matrix of weights is kept with its graph, in the order of execution."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[torch.Tensor] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            q, k, v = args[:3]
            scores = q @ k.transpose(-2, -1) * (kwargs.get("scale") or q.shape[-1] ** -0.5)
            mask = kwargs.get("attn_mask")
            self.weights.append((scores if mask is None else scores + mask).softmax(-1))
            return self.weights[-1] @ v
        output = func(*args, **kwargs)
        if func in (torch.softmax, torch.Tensor.softmax, F.softmax) and output.ndim == 4:
            self.weights.append(output)
        return output


def _explicit_performer(explicit: _Explicit):
    def attend(self: TokenPerformer, x: torch.Tensor) -> torch.Tensor:
        k, q, v = self.kqv(x).chunk(3, dim=-1)
        shares = self.exponent(q).exp() @ self.exponent(k).exp().transpose(1, 2)
        explicit.weights.append((shares / shares.sum(-1, keepdim=True))[:, None])
        return v + self.proj((explicit.weights[-1] @ v[:, None])[:, 0])

    return attend


def weights_and_gradients(model: vizlib.Model, x: torch.Tensor, score, monkeypatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Every attention matrix (B, h, N, M) in the order of execution, and the gradient of the score with respect to it."""
    explicit = _Explicit()
    with monkeypatch.context() as patch:
        patch.setattr(TokenPerformer, "attend", _explicit_performer(explicit))
        with explicit:
            logits = model.module(x)
    gradients = torch.autograd.grad(score(logits).sum(), explicit.weights)
    return [(weights.detach(), gradient) for weights, gradient in zip(explicit.weights, gradients, strict=True)]


def close(actual: np.ndarray, expected: torch.Tensor, tolerance: float = 1e-6) -> bool:
    expected = expected.numpy()
    return bool(np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()) and bool(np.abs(expected).max() > 0)


TARGETS = {
    "class": (3, lambda logits: logits[:, 3]),
    "difference": ((1, 5), lambda logits: logits[:, 1] - logits[:, 5]),
    "callable": (lambda logits: logits.log_softmax(1)[:, 2], lambda logits: logits.log_softmax(1)[:, 2]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("target", TARGETS)
def test_relevance_equals_the_product_of_whole_matrices(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name, 2).double()
    target_argument, score = TARGETS[target]
    layers = weights_and_gradients(model, x, score, monkeypatch)

    def attention(index: int, step: Attention, gather: torch.Tensor) -> torch.Tensor:
        weights, gradient = layers[index]
        added = whole(step, (weights * gradient).relu().mean(1)) @ gather
        return added + torch.eye(*added.shape[1:], dtype=torch.float64) if step.skip else added

    def alone(index: int, step: Attention, gather: torch.Tensor) -> torch.Tensor:
        tokens = step.site.query_grid.tokens
        return torch.eye(tokens, dtype=torch.float64) if step.skip else torch.zeros(tokens, step.source.tokens, dtype=torch.float64)

    pulled, _ = chain(model, x, attention)
    start, _ = chain(model, x, alone)
    for explanation, expected in zip(vizlib.explain(model, x, "relevance", target_argument), pulled - start, strict=True):
        assert close(explanation.input_map, expected)
        assert explanation.input_map.min() >= 0
        assert explanation.sink is None


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("residual_weight", [0.5, 0.1])
def test_a_gradient_rollout_equals_the_product_of_whole_matrices(
    name: str, residual_weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name, 2).double()
    layers = weights_and_gradients(model, x, lambda logits: logits[:, 3], monkeypatch)

    def attention(index: int, step: Attention, gather: torch.Tensor) -> torch.Tensor:
        weights, gradient = layers[index]
        # Swin's masks are -100: what they leave, e^-100, is no weight that could speak.
        rows = whole(step, (torch.where(weights < 1e-30, 0.0, weights) * gradient).mean(1).relu())
        total = rows.sum(-1, keepdim=True)
        if not step.skip:
            return torch.where(total > 0, rows / total, weights.mean(1)) @ gather
        unit = torch.eye(rows.shape[1], gather.shape[1], dtype=torch.float64)
        return residual_weight * unit + (1 - residual_weight) * torch.where(total > 0, (rows / total) @ gather, unit)

    maps, sinks = chain(model, x, attention)
    explained = vizlib.explain(model, x, "gradient_rollout", 3, residual_weight=residual_weight)
    for explanation, expected, sink in zip(explained, maps, sinks, strict=True):
        assert close(explanation.input_map, expected)
        assert abs(explanation.sink - sink) < 1e-9
        assert abs(explanation.input_map.sum() + explanation.sink - 1) < 1e-9


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.parametrize("options", [{}, {"layers": 1}, {"pooling": "readout"}])
def test_legrad_equals_the_gradient_of_each_blocks_own_score(name: str, options: dict) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name, 2).double()
    module, tokens, explicit = copy.deepcopy(model.module), [], _Explicit()
    for block in module.blocks:
        block.register_forward_hook(lambda _, __, output: tokens.append(output))
    pooled = getattr(module, "attn_pool", None) is not None
    with explicit:
        module(x)
    maps = []
    for block in range(len(module.blocks))[-options.get("layers", 0) :]:
        if pooled or options.get("pooling") == "readout":
            with explicit:
                logits = module.forward_head(module.norm(tokens[block]))
        else:
            mean = getattr(module, "fc_norm", torch.nn.Identity())(module.norm(tokens[block].mean(1)))
            logits = (module.head(mean) + module.head_dist(mean)) / 2 if name == "distilled" else module.head(mean)
        weights = explicit.weights[-1 if pooled else block]
        maps.append(torch.autograd.grad(logits[:, 3].sum(), weights, retain_graph=True)[0].relu().mean((1, 2)))
    keys = torch.stack(maps).mean(0)
    height, width = model.transform.size
    cells = keys[:, -(height // 8) * (width // 8) :].unflatten(1, (height // 8, width // 8))
    expected = cells.repeat_interleave(8, 1).repeat_interleave(8, 2) / 64
    for explanation, reference in zip(vizlib.explain(model, x, "legrad", 3, **options), expected, strict=True):
        assert close(explanation.input_map, reference)
        assert explanation.sink is None


@pytest.mark.parametrize("pooling", ["mean", "readout"])
@pytest.mark.parametrize("name", ["cct", "compact_vit", "vit_lite"])
def test_legrad_of_a_compact_transformer_reads_each_block(name: str, pooling: str) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name).double()
    module, tokens, explicit = copy.deepcopy(model.module), [], _Explicit()
    for block in module.classifier.blocks:
        block.register_forward_hook(lambda _, __, output: tokens.append(output))
    with explicit:
        module(x)
    head, total = module.classifier, 0.0
    for state, weights in zip(tokens, explicit.weights, strict=True):
        normed = head.norm(state)
        read = head.pool(normed) if head.seq_pool else normed[:, 0]
        logits = head.fc(head.norm(state.mean(1)) if pooling == "mean" else read)
        slope = torch.autograd.grad(logits[0, 3], weights, retain_graph=True)[0]
        total += slope.relu().mean((1, 2))[0, head.num_prefix_tokens :].sum() / len(tokens)
    explained = vizlib.explain(model, x[0], "legrad", 3, pooling=pooling)
    assert abs(explained.input_map.sum() - total) < 1e-9 * total
    assert explained.input_map.min() >= 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["token", "pool", "eva_mean", "pvt", "t2t_performer", "cct"])
def test_the_size_of_the_blocks_does_not_matter(name: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name, 2)
    if method not in model.card.methods:
        pytest.skip("refused")
    whole = [explanation.input_map for explanation in vizlib.explain(model, x, method, 2)]
    for budget in (1, 200):
        monkeypatch.setattr("vizlib.tracing.attention_site._CPU_BLOCK", budget)
        for explanation, expected in zip(vizlib.explain(model, x, method, 2), whole, strict=True):
            assert np.allclose(explanation.input_map, expected, rtol=1e-9, atol=1e-12 * expected.max())


@pytest.mark.parametrize("method", ["gradient_rollout", "relevance"])
def test_one_image_of_a_network_with_batch_norm_gives_what_it_gives_among_others(method: str) -> None:
    # torch's own gradient of a frozen batch norm is wrong here for a batch of one.
    model, xs = zoo.model("cvt", torch.float64), zoo.inputs("cvt", 3).double()
    together = vizlib.explain(model, xs, method, 3)
    for explanation, x in zip(together, xs, strict=True):
        alone = vizlib.explain(model, x, method, 3)
        assert np.allclose(explanation.input_map, alone.input_map, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_no_matrix_of_all_tokens_is_ever_made(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = VisionTransformer(img_size=256, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=7)
    zoo.fill_random(module)
    model = vizlib.wrap(module.eval(), input_size=(256, 256))
    x = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr("vizlib.tracing.attention_site._CPU_BLOCK", 64 * 1025)
    with LargestTensor() as largest_tensor:
        vizlib.explain(model, x[0], method, 1)
    assert x.numel() <= largest_tensor.largest < 1025 * 1025 / 4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["token", "mean", "pool", "beit"])
def test_the_target_changes_the_map(name: str, method: str) -> None:
    model, x = zoo.model(name), zoo.inputs(name)
    first, second = (vizlib.explain(model, x[0], method, target) for target in (1, 2))
    top = vizlib.explain(model, x[0], method)
    assert not np.array_equal(first.input_map, second.input_map)
    assert top.target == int(top.logits.argmax())
    assert np.array_equal(top.input_map, vizlib.explain(model, x[0], method, top.target).input_map)
    assert np.isfinite(first.input_map).all()
    assert (first.input_map >= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_what_the_caller_has_switched_off_does_not_matter(method: str) -> None:
    model, x = zoo.model("token"), zoo.inputs("token")
    plain = vizlib.explain(model, x[0], method, 1).input_map
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            assert np.array_equal(vizlib.explain(model, x.clone()[0], method, 1).input_map, plain)
    frozen = vizlib.wrap(copy.deepcopy(model.module).requires_grad_(requires_grad=False), input_size=model.transform.size)
    assert np.array_equal(vizlib.explain(frozen, x[0], method, 1).input_map, plain)
    assert not any(parameter.requires_grad for parameter in frozen.module.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_a_gradient_that_is_there_already_stays(method: str) -> None:
    module = copy.deepcopy(zoo.model("token").module)
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    vizlib.explain(vizlib.wrap(module, input_size=(32, 32)), zoo.inputs("token")[0], method, 1)
    assert all(parameter.requires_grad and bool((parameter.grad == 2).all()) for parameter in module.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_a_target_without_a_gradient_is_refused(method: str) -> None:
    with pytest.raises(vizlib.TargetError, match="no gradient"):
        vizlib.explain(zoo.model("token"), zoo.inputs("token")[0], method, lambda logits: logits.argmax(1).float())


@pytest.mark.parametrize("method", METHODS)
def test_a_model_without_a_head_is_refused(method: str) -> None:
    module = VisionTransformer(**{**zoo.SMALL, "num_classes": 0})
    with pytest.raises(vizlib.MethodError, match="no classification head"):
        vizlib.explain(vizlib.wrap(module.eval(), input_size=(32, 32)), zoo.inputs("token"), method)


@pytest.mark.parametrize("name", ["pvt", "pvt_v2", "cvt", "t2t_performer"])
def test_legrad_is_refused_where_the_head_does_not_fit_every_block(name: str) -> None:
    assert "last stage" in zoo.model(name).card.unavailable["legrad"]
    with pytest.raises(vizlib.MethodError, match="last stage"):
        vizlib.explain(zoo.model(name), zoo.inputs(name), "legrad")


def test_legrad_cannot_take_more_blocks_than_there_are() -> None:
    with pytest.raises(vizlib.MethodError, match="3 blocks"):
        vizlib.explain(zoo.model("token"), zoo.inputs("token")[0], "legrad", layers=4)


def test_where_nothing_speaks_for_the_target_the_map_says_so() -> None:
    model = zoo.model("token")

    def flat(logits: torch.Tensor) -> torch.Tensor:
        return (logits * 0).sum(1)

    relevance = vizlib.explain(model, zoo.inputs("token")[0], "relevance", flat)
    assert not relevance.input_map.any()
    assert any("speaks for this target" in note for note in relevance.notes)
    rollout = vizlib.explain(model, zoo.inputs("token")[0], "gradient_rollout", flat)
    assert rollout.sink == 1
    assert any("layer 3, layer 2 and layer 1" in note for note in rollout.notes)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["token", "pool", "eva_mean", "beit"])
def test_other_precisions_work(name: str, dtype: torch.dtype, method: str) -> None:
    explained = vizlib.explain(zoo.model(name, dtype), zoo.inputs(name)[0], method, 1)
    full = vizlib.explain(zoo.model(name), zoo.inputs(name)[0], method, 1)
    # The model itself rounds: eight bits of bfloat16 through three blocks there and back.
    assert np.abs(explained.input_map - full.input_map).sum() < (0.3 if dtype == torch.bfloat16 else 0.03) * full.input_map.sum()


@pytest.mark.parametrize(("mebibytes", "images"), [(1, 64), (30, 4), (85, 4), (200, 2), (900, 1)])
def test_a_few_images_go_through_together_where_they_take_no_more_than_half_a_gibibyte(mebibytes: int, images: int) -> None:
    with gradients_on():
        scorer = make_scorer(zoo.model("token"), zoo.inputs("token"), lambda logits: resolve_targets(zoo.model("token"), 0, logits))
    assert replace(scorer, bytes_per_image=mebibytes << 20).batch_size(gradients=True) == images


def test_only_the_parts_that_are_watched_are_copied() -> None:
    module, x, states = zoo.model("token").module, zoo.inputs("token"), {}
    before = [len(part._forward_hooks) for part in module.modules()]
    with capture_taps(module, [Tap("second", "blocks.1")], states) as copied, torch.no_grad():
        logits = copied(x)
    assert torch.equal(logits, module(x))
    assert torch.equal(states["second"], module.blocks[1](module.blocks[0](tokens_of(module, x))))
    assert copied.blocks[1] is not module.blocks[1]
    assert copied.blocks[0] is module.blocks[0]
    assert copied.blocks[1].attn is module.blocks[1].attn
    assert [len(part._forward_hooks) for part in module.modules()] == before


def tokens_of(module: VisionTransformer, x: torch.Tensor) -> torch.Tensor:
    return module.norm_pre(module.patch_drop(module._pos_embed(module.patch_embed(x))))


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_integrated_gradients_are_captums_whatever_the_batch(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from captum.attr import IntegratedGradients

    from vizlib.explainers.scorer import TargetScorer

    monkeypatch.setattr(TargetScorer, "batch_size", lambda self, gradients: batch)
    model, x = zoo.model("token", torch.float64), zoo.inputs("token").double()
    found = vizlib.explain(model, x, "integrated_gradients", 1, steps=10, max_gap=1.0, baseline="mean")[0]
    expected = IntegratedGradients(model.module).attribute(x.requires_grad_(), torch.zeros_like(x), target=1, n_steps=10).sum(1)[0]
    # captum's places on the way are in float32
    assert np.abs(found.input_map - expected.detach().numpy()).max() < 1e-6 * np.abs(found.input_map).max()
    assert found.facts["steps"] == 10
