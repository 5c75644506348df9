from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import vizlib
from vizlib.analysis.cost import spatial_reduction_timing as measured
from vizlib.analysis.cost.spatial_reduction import KINDS, Layer, gathered, keys, multiply_adds, peak_bytes, sites
from vizlib.analysis.cost.spatial_reduction_timing import Budget, allocated, attend, measure, weights
from vizlib.errors import CancelledError, MethodError
from vizlib.passes.forward import run
from vizlib.zoo.networks.pvt import SpatialReductionAttention

LAYER = Layer(width=16, heads=2, reduction=4, stride=4)


@pytest.fixture(scope="module")
def passed():
    model = vizlib.load("pvt_tiny50", checkpoint="random")
    return run(model, torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))


def test_even_windows_gather_their_block(passed):
    step = sites(passed.lineage())[0]  # stage 1: 32 x 32 tokens, 4 x 4 keys, R = 8
    shares = gathered(step, 6)  # row 1, column 2
    block = torch.zeros(32, 32, dtype=torch.float64)
    block[8:16, 16:24] = 1 / 64
    assert torch.equal(shares, block)


def test_contributions_are_the_norms_of_what_passes(passed):
    step = sites(passed.lineage("contribution"))[0]
    shares = gathered(step, 5)
    attention = passed.model.module.block1[0].attn
    x = passed.recording.notes[attention.site]["x"][0]
    norms = torch.stack([(attention.sr.weight[:, :, r, c] @ x[:, 8 + r, 8 + c]).norm() for r in range(8) for c in range(8)])
    assert torch.allclose(shares[8:16, 8:16].flatten(), (norms / norms.sum()).double(), atol=1e-6)
    assert shares.sum().item() == pytest.approx(1, abs=1e-12)


def test_the_class_token_is_a_key_that_gathers_no_cell(passed):
    last = sites(passed.lineage())[-1]
    assert gathered(last, 0).sum() == 0
    assert gathered(last, 3).nonzero().tolist() == [[0, 2]]
    with pytest.raises(MethodError, match="keys 0 to 16"):
        gathered(last, 17)


@pytest.mark.parametrize("reduction", [1, 2, 4])
def test_multiply_adds_are_what_a_counter_counts(reduction):
    module = SpatialReductionAttention(16, 2, "x", reduction=reduction, qkv_bias=True, attn_drop=0.0, drop=0.0)
    with FlopCounterMode(display=False) as counter:
        module(torch.randn(1, 96, 16), (8, 12))
    layer = Layer(16, 2, reduction, 4)
    assert multiply_adds("sra", layer, (8, 12)).total * 2 == counter.get_total_flops()


@pytest.mark.parametrize("kind", KINDS)
def test_the_measured_layer_costs_what_is_computed(kind):
    tokens, grid = torch.randn(1, 28 * 20, 16), (28, 20)
    with FlopCounterMode(display=False) as counter:
        attend(tokens, grid, LAYER, kind, weights(LAYER, kind), fused=True)
    assert multiply_adds(kind, LAYER, grid).total * 2 == counter.get_total_flops()


def test_multiply_adds_by_hand():
    # 56 x 56 tokens of width 64, R = 8: 49 keys.
    cost = multiply_adds("sra", Layer(64, 1, 8, 4), (56, 56))
    assert cost.attention == 2 * 3136 * 49 * 64
    assert cost.reducing == 64 * 49 * 64 * 64
    assert cost.projections == 2 * (3136 + 49) * 64 * 64
    assert multiply_adds("full", Layer(64, 1, 8, 4), (56, 56)).attention == 64 * cost.attention
    assert keys("linear", (512, 512), 8) == 49


def test_the_written_out_layer_is_the_fused_one_and_that_of_the_network():
    module = SpatialReductionAttention(16, 2, "x", reduction=4, qkv_bias=False, attn_drop=0.0, drop=0.0).eval()
    given = weights(LAYER, "sra")
    with torch.inference_mode():
        module.q.weight.copy_(given["q"])
        module.kv.weight.copy_(given["kv"])
        module.proj.weight.copy_(given["proj"])
        module.proj.bias.zero_()
        module.sr.weight.copy_(given["reduce"])
        module.sr.bias.zero_()
        tokens = torch.randn(1, 96, 16)
        fused, written = (attend(tokens, (8, 12), LAYER, "sra", given, fused=one) for one in (True, False))
        assert torch.allclose(module(tokens, (8, 12)), fused, atol=1e-6)
        assert torch.allclose(written, fused, atol=1e-6)


@pytest.mark.parametrize("layer", [Layer(64, 1, 8, 4), Layer(64, 2, 8, 4)])
@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_what_the_allocator_gave(kind, layer):
    grid, given = layer.grid(224), weights(layer, kind)
    tokens = torch.randn(1, grid[0] * grid[1], 64)
    with torch.inference_mode():
        peaks = {fused: allocated(lambda fused=fused: attend(tokens, grid, layer, kind, given, fused=fused)) for fused in (True, False)}
    # A convolution reorders its weights and fused attention has scratch inside its kernel; the matrix written out dwarfs both.
    scratch = 4 * sum(tensor.numel() for tensor in given.values())
    for fused, peak in peaks.items():
        assert peak_bytes(kind, layer, grid, fused=fused) <= peak < 1.5 * peak_bytes(kind, layer, grid, fused=fused) + scratch
    if kind == "full":
        assert peaks[False] == pytest.approx(peak_bytes(kind, layer, grid), rel=0.01)


def test_allocations_of_a_hand_made_run():
    def work():
        a = torch.zeros(1000)
        del a
        b = torch.zeros(500)
        c = torch.zeros(700)
        return b, c

    assert allocated(work) == 4 * 1200


def test_what_does_not_fit_says_so(monkeypatch):
    monkeypatch.setattr(measured, "available_memory", lambda: 50_000_000)
    layer = Layer(16, 1, 8, 4)
    found = {(one.kind, one.side): one for one in measure(layer, sides=(64, 448), kinds=(("full", False), ("sra", True)))}
    assert found["full", 64].fits
    assert found["sra", 448].fits
    refused = found["full", 448]
    assert (refused.seconds, refused.peak_bytes) == (None, None)
    assert refused.why == "does not fit: it needs 1.3 GB, and 50 MB are free"


def test_a_budget_of_time_is_told_from_the_run_before():
    found = measure(LAYER, sides=(64, 128, 224), kinds=(("full", True),), budget=Budget(seconds=1e-9))
    assert [one.fits for one in found] == [True, False, False]
    assert found[1].why.startswith("not run: about")


def test_a_measurement_can_be_stopped():
    heard = []

    def progress(done, total, what):
        heard.append(what)
        if done == 1:
            raise CancelledError("stop")

    with pytest.raises(CancelledError):
        measure(LAYER, sides=(64,), kinds=(("sra", True), ("linear", True)), progress=progress)
    assert heard == ["SRA at 64 px", "Linear SRA at 64 px"]
