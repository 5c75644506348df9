"""Every step of a pass against ``vizlib.trace`` and against the blocks' own parts, applied by hand."""

from __future__ import annotations

import pytest
import torch
import zoo_cases as zoo

import vizlib
from vizlib.analysis import forward_steps

TOKEN = 3
TAKEN_APART = [*zoo.TRANSFORMERS, "cct", "compact_vit", "pvt", "cvt", "t2t_performer"]


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5, check_dtype=False)


@pytest.mark.parametrize("name", TAKEN_APART)
def test_what_leaves_each_block_is_what_the_trace_has_and_the_sums_hold(name):
    model, x = zoo.model(name), zoo.inputs(name)
    steps, trace = forward_steps(model, x[0]), vizlib.trace(model, x[0])
    close(steps.answer.logits, trace.logits)
    assert len(steps.blocks) == len(trace.tokens)
    for block, site in zip(steps.blocks, trace.attention, strict=False):
        close(block.leaves.numbers[TOKEN], trace.tokens[block.name][TOKEN])
        close(block.leaves.lengths, torch.linalg.vector_norm(trace.tokens[block.name], dim=1))
        close(block.between.numbers, block.arrives.numbers + block.attention.numbers)
        close(block.leaves.numbers, block.carried.numbers + block.mlp.numbers)
        assert site.name == block.site.name
        weights = site.weights([TOKEN]).mean(0)[0]
        cells, shares = block.sources(3)
        close(shares[TOKEN], weights.sort(descending=True).values[:3])
        close(weights[cells[TOKEN]], shares[TOKEN])
    if steps.answer.features is not None:
        close(steps.answer.weights @ steps.answer.features + steps.answer.bias, trace.logits)


def test_every_step_of_a_vit_is_that_of_its_own_parts():
    model = vizlib.load("vit_tiny50")
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    steps, trace, module = forward_steps(model, x[0]), vizlib.trace(model, x[0]), model.module
    with torch.no_grad():
        patches = module.patch_embed(x)[0]
        close(steps.patches.numbers, patches)
        state = module._pos_embed(patches[None])
        for block, site, part in zip(steps.blocks, trace.attention, module.blocks, strict=True):
            close(block.arrives.numbers, state[0])
            close(block.first_norm.numbers, part.norm1(state)[0])
            mixed = (site.weights() @ site.v[0]).transpose(0, 1).flatten(1)
            close(block.attention.numbers, part.attn.proj(mixed))
            between = state + part.attn.proj(mixed)
            close(block.between.numbers, between[0])
            close(block.second_norm.numbers, part.norm2(between)[0])
            close(block.mlp.numbers, part.mlp(part.norm2(between))[0])
            state = between + part.mlp(part.norm2(between))
            assert block.width == 192
        close(steps.answer.features, module.norm(state)[0, 0])
        assert steps.answer.read.argmax() == 0


def test_compact_transformers_norm_what_goes_past_the_mlp():
    model, x = zoo.model("cct"), zoo.inputs("cct")
    steps = forward_steps(model, x[0])
    for block, part in zip(steps.blocks, model.module.classifier.blocks, strict=True):
        with torch.no_grad():
            close(block.carried.numbers, part.norm1(block.between.numbers))
            close(block.first_norm.numbers, part.pre_norm(block.arrives.numbers))


def test_the_first_numbers_alone_keep_the_lengths():
    model = vizlib.load("vit_tiny50", checkpoint="random")
    x = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(2))
    few, all_of_them = forward_steps(model, x, numbers=4), forward_steps(model, x)
    for one, other in zip(few.blocks, all_of_them.blocks, strict=True):
        assert one.mlp.numbers.shape == (65, 4)
        assert torch.equal(one.mlp.numbers, other.mlp.numbers[:, :4])
        assert torch.equal(one.mlp.lengths, other.mlp.lengths)
        close(other.mlp.lengths, other.mlp.numbers.norm(dim=1))


@pytest.mark.parametrize(("name", "reason"), [("resnet", "not known"), ("pvt_v2", "cannot be taken apart")])
def test_what_cannot_be_taken_apart_is_refused_with_the_reason(name, reason):
    with pytest.raises(vizlib.MethodError, match=reason):
        forward_steps(zoo.model(name), zoo.inputs(name)[0])
