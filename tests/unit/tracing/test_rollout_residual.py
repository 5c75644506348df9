"""Residual weights measured in the forward pass, against states read off the blocks and whole matrices."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from explicit import chain, matrix, whole
from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer

import vizlib
from vizlib.passes.forward import run_measured
from vizlib.tracing.residuals import skip_share
from vizlib.tracing.token_flow import Attention, Mix


def two_ways(model: vizlib.Model, x: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """What each residual adds up, (B, N, C) each: its input, and the state after the sum less the input."""
    module, seen = copy.deepcopy(model.module), {}
    for name, part in module.named_modules():
        part.register_forward_hook(lambda _, inputs, output, name=name: seen.update({name: (inputs[0], output)}))
    with torch.no_grad():
        module(x)
        return _ways(module, seen)


def _ways(module: torch.nn.Module, seen: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    ways = {}
    for name, part in module.named_modules():
        kind = type(part).__name__
        if kind == "ParallelScalingBlock":
            start, end = seen[name]
            ways[f"{name}.attn"] = start, end - start - seen[f"{name}.mlp_out_proj"][1]
        elif kind in ("TokenPerformer", "TokenTransformer"):
            joint = part.kqv if kind == "TokenPerformer" else part.attn.qkv
            value = joint(part.norm1(seen[name][0])).chunk(3, -1)[2]
            ways[f"{name}.attn"] = value, seen[f"{name}.norm2"][0] - value
        elif re.search(r"blocks?\d?\.\d+$", name):
            after = {"ResPostBlock": "mlp", "SwinTransformerV2Block": "mlp"}.get(kind, "norm1" if hasattr(part, "self_attn") else "norm2")
            start, total = seen[name][0], seen[f"{name}.{after}"][0]
            site = "self_attn" if hasattr(part, "self_attn") else "attn"
            ways[f"{name}.{site}"] = start, total.view_as(start) - start
            ways[f"{name}.mlp"] = total, seen[name][1].view_as(total) - total
    return {name: (skip.flatten(1, -2), branch.flatten(1, -2)) for name, (skip, branch) in ways.items()}


def expected_share(ways: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    skip, branch = (way.square().sum(-1).sqrt() for way in ways)
    return skip / (skip + branch)


@pytest.mark.parametrize("name", zoo.ATTENTIVE)
def test_the_share_of_a_token_is_that_of_what_the_residual_adds(name: str) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name, 2).double()
    ways = two_ways(model, x)
    done = run_measured(model, x, shares=True)
    named = {step.site.name for step in done.lineage().steps if isinstance(step, Attention) and step.skip}
    assert named <= set(done.recording.residual_shares) <= set(ways)
    for site, kept in done.recording.residual_shares.items():
        assert kept.dtype == torch.float64
        assert torch.allclose(kept, expected_share(ways[site]), atol=1e-12)
        assert kept.std() > 1e-4  # tokens differ


@pytest.mark.parametrize("name", zoo.ATTENTIVE)
def test_a_rollout_by_norms_equals_the_product_of_whole_matrices(name: str) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name, 2).double()
    ways = two_ways(model, x)

    def attention(_: int, step: Attention, gather: torch.Tensor) -> torch.Tensor:
        weights = whole(step, step.site.block_weights(slice(None), slice(None), None).mean(1)) @ gather
        if not step.skip:
            return weights
        kept = expected_share(ways[step.site.name])[:, :, None]
        return kept * torch.eye(*weights.shape[1:]).double() + (1 - kept) * weights

    mixes = iter([site for site in reversed(ways) if site.endswith(".mlp")])

    def other(step: object) -> torch.Tensor:
        if not isinstance(step, Mix):
            return matrix(step)
        spread = step.spread.spread(torch.eye(step.target.tokens).double()[None])
        kept = expected_share(ways[next(mixes)])[:, :, None]
        mixed = kept * torch.eye(step.target.tokens).double() + (1 - kept) * spread
        return torch.cat([mixed, torch.zeros_like(mixed[..., :1])], 2)

    maps, sinks = chain(model, x, attention, other)
    for one, expected, sink in zip(vizlib.explain(model, x, residual_weight="norms"), maps, sinks, strict=True):
        assert np.abs(one.input_map - expected.numpy()).max() < 1e-9
        assert abs(one.sink - float(sink)) < 1e-9
        assert abs(one.input_map.sum() + one.sink - 1) < 1e-9


def test_layer_scale_counts_in_what_is_added() -> None:
    # A gain near zero leaves every token where it is.
    module = VisionTransformer(**zoo.SMALL, init_values=1e-9)
    zoo.fill_random(module)
    with torch.no_grad():
        for block in module.blocks:
            block.ls1.gamma.fill_(1e-9)
    model = vizlib.wrap(module.eval(), input_size=(32, 32))
    assert vizlib.explain(model, zoo.inputs("token")[0], residual_weight="norms").sink > 1 - 1e-6
    assert vizlib.explain(model, zoo.inputs("token")[0]).sink < 0.9


def test_a_parallel_block_measures_its_attention_behind_the_layer_scale() -> None:
    module = VisionTransformer(**zoo.SMALL, block_fn=ParallelScalingBlock, init_values=0.1)
    zoo.fill_random(module)
    model, x = vizlib.wrap(module.eval().double(), input_size=(32, 32)), zoo.inputs("token").double()
    seen = {}
    copied = copy.deepcopy(module)
    for name in ("blocks.0", "blocks.0.attn_out_proj"):
        copied.get_submodule(name).register_forward_hook(lambda _, inputs, output, name=name: seen.update({name: (inputs[0], output)}))
    copied(x)
    skip, branch = seen["blocks.0"][0], copied.blocks[0].ls(seen["blocks.0.attn_out_proj"][1])
    measured = run_measured(model, x, shares=True).recording.residual_shares["blocks.0.attn"]
    assert torch.allclose(measured, expected_share((skip, branch)), atol=1e-12)


def test_what_cannot_be_measured_is_refused_with_the_reason() -> None:
    class Joint(ParallelScalingBlock):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **kwargs, fuse_out_proj=True)

    model = vizlib.wrap(VisionTransformer(**zoo.SMALL, block_fn=Joint).eval(), input_size=(32, 32))
    assert vizlib.explain(model, zoo.inputs("token")[0]).input_map.any()
    with pytest.raises(vizlib.MethodError, match="attention and MLP together"):
        vizlib.explain(model, zoo.inputs("token")[0], residual_weight="norms")


def test_an_adapter_that_knows_no_residuals_is_refused() -> None:
    from vizlib.zoo.adapters.base import Adapter
    from vizlib.zoo.adapters.timm.vit import ViTAdapter

    class Silent(ViTAdapter):
        forks = Adapter.forks

    module = zoo.model("token").module
    model = vizlib.wrap(module, adapter=Silent(module), input_size=(32, 32))
    with pytest.raises(vizlib.MethodError, match="as a number"):
        vizlib.explain(model, zoo.inputs("token")[0], residual_weight="norms")


def test_the_share_holds_where_a_branch_or_both_are_silent() -> None:
    skip, branch = torch.tensor([0.0, 2.0, 0.0, 3.0]), torch.tensor([1.0, 0.0, 0.0, 1.0])
    assert skip_share(skip, branch).tolist() == [0.0, 1.0, 1.0, 0.75]


def test_the_option_is_a_number_or_the_word() -> None:
    model, x = zoo.model("token"), zoo.inputs("token")
    explained = vizlib.explain(model, x[0], residual_weight="norms")
    assert explained.options["residual_weight"] == "norms"
    for wrong in ("norm", None, [0.5]):
        with pytest.raises(vizlib.MethodError, match="as a number or as 'norms'"):
            vizlib.explain(model, x, residual_weight=wrong)
    with pytest.raises(vizlib.MethodError, match=r"from 0.0 to 1.0 or as 'norms', not 2"):
        vizlib.explain(model, x, residual_weight=2)
    with pytest.raises(vizlib.MethodError, match="as a number, not 'norms'"):
        vizlib.explain(model, x, "gradient_rollout", residual_weight="norms")


def test_a_saved_rollout_by_norms_is_made_again(tmp_path) -> None:
    model = vizlib.load("t2t_vit_7", checkpoint="random", image_size=64)
    photo = np.random.default_rng(0).integers(0, 255, (70, 64, 3), dtype=np.uint8)
    saved = vizlib.explain(model, photo, residual_weight="norms")
    again = vizlib.replay(saved.save(tmp_path / "one"))
    assert again.options["residual_weight"] == "norms"
    assert again.input_map.tobytes() == saved.input_map.tobytes()
