from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo_cases
from timm.models.vision_transformer import VisionTransformer

import vizlib
from vizlib.passes.forward import traces
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.token_grid import Grid
from vizlib.ui.components.attention_canvas import payload
from vizlib.ui.core.message_codec import unpack
from vizlib.zoo.weights import fill_random


class Decoder:
    """What the browser does with the bytes, as plainly as it can be written."""

    def __init__(self, data: bytes) -> None:
        self.header, self.arrays = unpack(data)

    def array(self, name: str, kind: str, *shape: int) -> np.ndarray:
        array = self.arrays[name]
        assert array.dtype == kind
        assert array.shape == shape
        return array

    def matrix(self, index: int) -> np.ndarray:
        site = self.header["sites"][index]
        prefix = [len(site["query_prefix"]), len(site["key_prefix"])]
        n, m = (int(np.prod(site[name])) + count for name, count in zip(("queries", "keys"), prefix, strict=True))
        heads = site["heads"]
        if site["coding"] == "matrix":
            steps = (1 << site["bits"]) - 1
            codes = self.array(f"{index}.codes", "u1" if site["bits"] == 8 else "<u2", heads, n, m - prefix[1])
            cells = (codes / steps) ** 2 * self.array(f"{index}.peaks", "<f4", heads, n)[..., None]
            return np.concatenate([self.array(f"{index}.learned", "<f4", heads, n, prefix[1]), cells], -1)
        q = self.array(f"{index}.q", "<f4", heads, n, site["width"]).astype(float)
        k = self.array(f"{index}.k", "<f4", heads, m, site["width"]).astype(float)
        totals = self.array(f"{index}.totals", "<f4", heads, n)[..., None]
        scores = q @ k.swapaxes(1, 2)
        return np.exp(scores - totals) if site["coding"] == "softmax" else scores / totals


def traced(name: str):
    model = zoo_cases.model(name)
    return model, traces(model, zoo_cases.inputs(name))[0]


@pytest.mark.parametrize("name", [name for name in zoo_cases.ATTENTIVE if not name.startswith("swin")])
def test_every_weight_comes_back_within_the_stated_error(name):
    model, trace = traced(name)
    shown = payload.view(model, trace)
    decoder = Decoder(payload.pack(shown))
    assert len(decoder.header["sites"]) == len(shown.sites)
    for index, site in enumerate(shown.sites):
        entry, true = decoder.header["sites"][index], site.weights().numpy()
        found = decoder.matrix(index)
        assert found.shape == true.shape
        if entry["coding"] == "matrix":
            prefix = site.key_grid.prefix
            assert np.array_equal(found[..., :prefix].astype(np.float32), true[..., :prefix])
            cells = true[..., prefix:]
            if cells.size:
                assert (np.abs(found[..., prefix:] - cells) <= entry["error"] * cells.max(-1, keepdims=True) + 1e-7).all()
        else:
            assert np.abs(found - true).max() < 1e-5
        assert entry["queries"] == list(site.query_grid.shape)
        assert entry["keys"] == list(site.key_grid.shape)
        assert len(entry["key_prefix"]) == site.key_grid.prefix


def test_attention_inside_windows_is_refused():
    with pytest.raises(vizlib.MethodError, match="inside windows"):
        payload.view(*traced("swin"))


@pytest.mark.parametrize("bits", [8, 16])
def test_the_error_bound_is_reached_and_not_passed(bits):
    generator = np.random.default_rng(0)
    weights = generator.dirichlet(np.full(400, 0.05), size=(2, 300)).astype(np.float32)
    entry, arrays = payload._matrix(weights, 0, bits)
    codes = arrays["codes"]
    assert codes.dtype == ("u1" if bits == 8 else "<u2")
    peak = weights.max(-1, keepdims=True)
    off = np.abs((codes / ((1 << bits) - 1)) ** 2 * peak - weights) / peak
    assert entry["error"] * 0.5 < off.max() <= entry["error"] + 1e-7


def random_site(queries: Grid, keys: Grid, heads: int = 2, width: int = 8, *, bias: bool = False) -> AttentionSite:
    generator = torch.Generator().manual_seed(3)
    q, k = (torch.randn(1, heads, grid.tokens, width, generator=generator) for grid in (queries, keys))
    added = torch.randn(1, heads, queries.tokens, keys.tokens, generator=generator) if bias else None
    return AttentionSite("one", 0, 0, queries, keys, q, k, 0.7, added)


def test_large_sites_go_as_what_their_rows_are_made_of():
    site = random_site(Grid(20, 30, 2), Grid(20, 30, 2))
    shown = payload.View([site], ("class token", "register 1"))
    decoder = Decoder(payload.pack(shown))
    assert decoder.header["sites"][0]["coding"] == "softmax"
    assert np.abs(decoder.matrix(0) - site.weights().numpy()).max() < 1e-6
    biased = payload.View([random_site(Grid(20, 30, 2), Grid(20, 30, 2), bias=True)], ())
    decoder = Decoder(payload.pack(biased))
    assert decoder.header["sites"][0]["coding"] == "matrix"
    assert np.abs(decoder.matrix(0) - biased.sites[0].weights().numpy()).max() < 1e-3


def test_coarse_cells_are_means_over_queries_of_sums_over_keys():
    site = random_site(Grid(5, 7, 1), Grid(3, 4, 1))
    found, true = payload.coarse(site, 2), site.weights().double().numpy()
    assert found.shape == (2, 1 + 3 * 4, 1 + 2 * 2)
    assert np.abs(found.sum(-1) - 1).max() < 1e-6
    # the pooled query cell (1, 3) holds rows 2 and 3 of the last column; the pooled key cell (0, 1) columns 2 and 3 of rows 0 and 1
    queries, keys = [1 + 2 * 7 + 6, 1 + 3 * 7 + 6], [1 + 2, 1 + 3, 1 + 4 + 2, 1 + 4 + 3]
    assert found[1, 1 + 1 * 4 + 3, 1 + 1] == pytest.approx(true[1][queries][:, keys].sum(1).mean(), rel=1e-5)
    assert found[0, 0, 0] == pytest.approx(true[0, 0, 0], rel=1e-5)


def test_a_view_keeps_its_budget_and_the_finer_site_is_there_on_demand():
    grid = Grid(40, 40, 1)
    shown = payload.View([random_site(grid, grid, heads=3, width=16) for _ in range(4)], ("class token",))
    whole = payload.pack(shown, budget=10_000_000)
    assert all(entry["coding"] == "softmax" for entry in Decoder(whole).header["sites"])
    tight = payload.pack(shown, budget=1_000_000)
    decoder = Decoder(tight)
    assert len(tight) < 4_200_000
    entry = decoder.header["sites"][2]
    assert entry["pool"] > 1
    assert entry["full"] == [[40, 40], [40, 40]]
    assert np.abs(decoder.matrix(2).sum(-1) - 1).max() < 0.05
    assert payload.pack_site(shown, 2, budget=100) is None
    fine = Decoder(payload.pack_site(shown, 2))
    assert fine.header["index"] == 2
    assert np.abs(fine.matrix(0) - shown.sites[2].weights().numpy()).max() < 2e-6


def test_3136_tokens_fit_into_a_view():
    model = vizlib.load("t2t_vit_t_14", checkpoint="random")
    trace = traces(model, torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)))[0]
    shown = payload.view(model, trace)
    data = payload.pack(shown)
    assert len(data) < payload.BUDGET
    decoder = Decoder(data)
    first, site = decoder.header["sites"][0], shown.sites[0]
    assert (first["coding"], first["queries"]) == ("softmax", [56, 56])
    q, k = (decoder.array(f"0.{name}", "<f4", 1, 3136, first["width"])[0].astype(float) for name in ("q", "k"))
    row = np.exp(q[1500] @ k.T - decoder.array("0.totals", "<f4", 1, 3136)[0][1500])
    assert np.abs(row - site.weights([1500])[0, 0].numpy()).max() < 1e-6


def test_sequence_pooling_is_a_site_of_its_own():
    model, trace = traced("cct")
    shown = payload.view(model, trace)
    assert shown.sites[-1].name == "readout"
    assert torch.allclose(shown.sites[-1].weights()[0, 0].double(), trace.readout, atol=1e-6)
    for plain in ("token", "mean", "pvt", "distilled"):
        assert payload.view(*traced(plain)).sites[-1].name != "readout"


def test_learned_tokens_have_their_names():
    names = {name: payload.prefix_names(zoo_cases.model(name)) for name in ("token", "registers", "distilled", "mean_without_token", "cvt")}
    assert names["token"] == names["cvt"] == ("class token",)
    assert names["registers"] == ("class token", "register 1", "register 2", "register 3", "register 4")
    assert names["distilled"] == ("class token", "distillation token")
    module = VisionTransformer(**zoo_cases.SMALL, global_pool="avg", class_token=False, reg_tokens=2)
    fill_random(module)
    assert payload.prefix_names(vizlib.wrap(module.eval(), input_size=(32, 32))) == ("register 1", "register 2")
