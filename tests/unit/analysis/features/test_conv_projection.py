from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import vizlib
from vizlib.analysis.features.conv_projection import PARTS, blocks, centre_share, constancy, projection, squeeze
from vizlib.errors import MethodError
from vizlib.passes.forward import run


def filled(name="cvt_tiny50"):
    """A CvT whose batch norms have statistics that matter."""
    model = vizlib.load(name, checkpoint="random")
    generator = torch.Generator().manual_seed(5)
    for key, buffer in model.module.named_buffers():
        if key.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.1)
        elif key.endswith("running_var"):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return model


@pytest.fixture(scope="module")
def passed():
    return run(filled(), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)), keep_values=True, keep_states=True)


def test_every_block_is_listed(passed):
    assert blocks(passed) == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3)]


@pytest.mark.parametrize(("stage", "block"), [(0, 0), (1, 1), (2, 3)])
def test_maps_and_kernels_are_those_of_the_forward(passed, stage, block):
    found = projection(passed, stage, block)
    attention = passed.model.module.stage(stage).blocks[block].attn
    call = passed.recording.calls[blocks(passed).index((stage, block))]
    prefix = int(stage == 2)
    for part, tensor in zip(PARTS, (call.q, call.k, call.v), strict=True):
        # The linear map of the convolved map is what attention received.
        linear = getattr(attention, f"proj_{part}")
        received = tensor.transpose(1, 2).flatten(2)[0, prefix:]
        assert torch.allclose(linear(found.after[part].flatten(1).T), received, atol=1e-5)
        # The folded kernel gives the same map up to the batch norm's shift, one number a channel.
        stride = 1 if part == "q" else 2
        plain = F.conv2d(found.before[None], found.kernels[part][:, None], stride=stride, padding=1, groups=len(found.before))[0]
        rest = found.after[part] - plain
        assert rest.flatten(1).std(1).max() < 1e-5
    assert found.after["k"].shape[1] == -(-found.before.shape[1] // 2)


@pytest.mark.parametrize(("stage", "block"), [(0, 0), (1, 1), (2, 0), (2, 2)])
def test_the_strided_output_is_that_of_the_forward(passed, stage, block, monkeypatch):
    """With the full grid's stride set to the model's own, the two outputs are one, and equal to what the forward gave."""
    attention = passed.model.module.stage(stage).blocks[block].attn
    call = passed.recording.calls[blocks(passed).index((stage, block))]
    outputs = []
    plain = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **k: outputs.append(plain(*a, **k)) or outputs[-1])
    found = squeeze(passed, stage, block)
    assert torch.allclose(outputs[0], call.output, atol=1e-5)
    tokens = call.q.shape[2]
    assert (found.keys, found.all_keys) == (call.k.shape[2], tokens)
    y, whole = (attention.proj(one.transpose(1, 2).flatten(2)).double() for one in outputs)
    assert found.change == pytest.approx(float((y - whole).norm() / whole.norm()), rel=1e-9)
    assert 0 < found.change < 2


def test_an_even_map_loses_nothing_to_squeezing():
    """Keys that are all the same weigh the same however many there are; only the border's padding tells them apart."""
    model = filled()
    done = run(model, torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    attention = model.module.stage(0).blocks[0].attn
    for part in PARTS:
        getattr(attention, f"conv_proj_{part}").conv.weight.zero_()
    assert squeeze(done, 0, 0).change < 1e-5


def test_kernels_by_hand():
    passing, even, edge = torch.zeros(3, 3), torch.ones(3, 3), torch.tensor([[-1.0, 0, 1]] * 3)
    passing[1, 1] = -2
    kernels = torch.stack([passing, even, edge, torch.zeros(3, 3)])
    assert centre_share(kernels).tolist() == pytest.approx([1, 1 / 9, 0, 0])
    assert constancy(kernels).tolist() == pytest.approx([1, 1, 0, 0])


def test_other_models_and_blocks_are_refused(passed):
    with pytest.raises(MethodError, match="no block 1 in stage 0"):
        projection(passed, 0, 1)
    vit = vizlib.load("vit_tiny50", checkpoint="random")
    with pytest.raises(MethodError, match="no CvT"):
        blocks(run(vit, torch.zeros(1, 3, 64, 64)))
