"""Networks that are read by running their own code on place numbers, against averaging twins that share no code with the reading."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from averaging_network import relevance, rollout
from timm.models.vision_transformer import ParallelThingsBlock, VisionTransformer
from torch import nn
from traced_checks import filled, maps_of

import vizlib
from vizlib.catalog.family import NO_ATTENTION
from vizlib.zoo.adapters.traced import TracedAdapter


def against_the_twin(module: nn.Module, size: int, adapter: TracedAdapter | None = None) -> tuple[float, float]:
    """The largest difference of a rollout and of a relevance map from the twin's, in shares of its peak."""
    model = vizlib.wrap(module, adapter=adapter, input_size=size)
    x = torch.randn(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    worst = []
    for method, reference, options in (("rollout", rollout(module, x), {}), ("relevance", relevance(module, x, 3), {"target": [3, 3]})):
        explanations = vizlib.explain(model, x, method, **options)
        maps = maps_of(explanations)
        worst.append(float((maps - reference).abs().max() / reference.abs().max()))
        if method == "rollout":
            assert all(abs(explanation.input_map.sum() + explanation.sink - 1) < 1e-12 for explanation in explanations)
            assert float(maps.min()) >= 0
            assert float((maps[0] - maps[1]).abs().max()) > 1e-6 * float(maps.max())
    return worst[0], worst[1]


class Parted(nn.Module):
    """Two attentions side by side whose heads lie in the batch's axis, a difference, channels joined, and a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 4, 4)
        self.attn = nn.Linear(16, 48)
        self.mixer = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.gate, self.join, self.head = nn.Linear(16, 16), nn.Linear(32, 16), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + (self.mixer(x) - x)
        shape, x = x.shape, x.flatten(2).mT
        q, k, v = (part.unflatten(-1, (2, 8)).transpose(1, 2).flatten(0, 1) for part in self.attn(x).chunk(3, -1))
        attended = ((q @ k.mT) * 8**-0.5).softmax(-1) @ v
        attended = attended.unflatten(0, (-1, 2)).transpose(1, 2).flatten(2)
        x = x + self.join(torch.cat([attended, x * self.gate(x).sigmoid()], -1))
        return self.head(x.mean(1)) if shape[0] else x


@pytest.mark.parametrize("told", [True, False])
def test_a_network_of_ones_own(told: bool) -> None:
    """No part of it is called an attention, and none need be."""
    module = filled(Parted())
    assert max(against_the_twin(module, 24, TracedAdapter(module) if told else None)) < 1e-12


def test_what_needs_an_input_size_asks_for_it() -> None:
    with pytest.raises(vizlib.MethodError, match=r"found by running it on inputs of one size, .* give input_size="):
        vizlib.explain(vizlib.wrap(filled(Parted())), torch.rand(3, 24, 24, dtype=torch.float64))


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "regnetx_002"])
def test_convolutional_networks_are_said_to_have_no_attention(name: str) -> None:
    card = vizlib.wrap(timm.create_model(name)).card
    assert card.unavailable["rollout"] == card.unavailable["leave_one_out"] == NO_ATTENTION


def test_windows_that_shift_and_keys_that_are_pooled() -> None:
    module = timm.create_model("hiera_tiny_224", img_size=64, embed_dim=24, stages=(1, 1, 2, 1), num_classes=10)
    assert max(against_the_twin(filled(module), 64)) < 1e-11


def test_blocks_of_two_attentions_side_by_side() -> None:
    options = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5}
    module = filled(VisionTransformer(**options, block_fn=ParallelThingsBlock))
    model = vizlib.wrap(module)
    assert model.card.family == "vit"
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    reference = rollout(module, x)
    assert float((maps_of(vizlib.explain(model, x)) - reference).abs().max()) < 1e-12


@pytest.mark.parametrize("method", ["rollout", "attention", "relevance"])
def test_a_bias_kept_from_a_pass_with_gradients_is_read_as_a_fresh_one_is(method: str) -> None:
    """LeViT keeps its biases from pass to pass in evaluation, with the graph of the pass that made them."""
    module, x = filled(timm.create_model("levit_128s", img_size=64, num_classes=4)).eval(), torch.rand(3, 64, 64, dtype=torch.float64)
    fresh = vizlib.explain(vizlib.wrap(copy.deepcopy(module)), x, method, 1)
    module(x[None])
    kept = vizlib.explain(vizlib.wrap(module), x, method, 1)
    assert (kept.input_map == fresh.input_map).all()
    assert kept.input_map.std() > 0


class OfTorch(nn.Module):
    """Patches, torch's own encoder, a mean: no word of where anything lies."""

    def __init__(self, *, batch_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=batch_first, dropout=0.0)
        self.cut, self.encoder, self.head = (
            nn.Conv2d(3, 16, 8, 8),
            nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
            nn.Linear(16, 5),
        )
        self.batch_first = batch_first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.cut(x).flatten(2).mT
        tokens = self.encoder(tokens) if self.batch_first else self.encoder(tokens.transpose(0, 1)).transpose(0, 1)
        return self.head(tokens.mean(1))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("batch_first", [True, False])
def test_torchs_own_encoder_is_followed(batch_first: bool) -> None:
    module, x = filled(OfTorch(batch_first=batch_first)), torch.rand(2, 3, 32, 32, dtype=torch.float64)
    given: list[torch.Tensor] = []
    handles = [layer.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0])) for layer in module.encoder.layers]
    module(x)
    for handle in handles:
        handle.remove()
    rows = torch.full((2, 1, 16), 1 / 16, dtype=torch.float64)
    for layer, tokens in zip(reversed(module.encoder.layers), reversed(given), strict=True):
        rows = (rows + rows @ layer.self_attn(tokens, tokens, tokens, need_weights=True)[1]) / 2
    expected = rows.view(2, 4, 4).repeat_interleave(8, 1).repeat_interleave(8, 2) / 64
    explanations = vizlib.explain(vizlib.wrap(module, input_size=32), x, "rollout")
    assert float((maps_of(explanations) - expected).abs().max() / expected.max()) < 1e-12


class ByName(nn.Module):
    """One head, its scores and its sum over values by name, two blocks of it."""

    def __init__(self) -> None:
        super().__init__()
        self.cut, self.head = nn.Conv2d(3, 16, 8, 8), nn.Linear(16, 5)
        self.parts = nn.ModuleList(nn.Linear(16, 16) for _ in range(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.cut(x).flatten(2).mT
        for block in (self.parts[:3], self.parts[3:]):
            q, k, v = (part(x) for part in block)
            weights = (torch.einsum("bic,bjc->bij", q, k) / 4).softmax(-1)
            x = x + torch.einsum("bij,bjc->bic", weights, v)
        return self.head(x.mean(1))


def test_attention_of_one_head_by_name() -> None:
    assert max(against_the_twin(filled(ByName()), 32)) < 1e-12


class Written(nn.Module):
    """Attends from half of its tokens to all, and writes both halves into one new tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.cut, self.qkv, self.head = nn.Conv2d(3, 16, 8, 8), nn.Linear(16, 48), nn.Linear(16, 5)

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        x = self.cut(x).flatten(2).mT
        q, k, v = self.qkv(x).chunk(3, -1)
        attended = (q[:, :8] @ k.mT * 16**-0.5).softmax(-1) @ v
        written = x.new_zeros(x.shape)
        written[:, 8:] = x[:, 8:]
        written[:, :8] = attended
        return written

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        written = self.tokens(x)
        weights = torch.ones_like(written)
        weights[:, :3] = 0
        return self.head((written * weights)[:, 2:].mean(1))


def test_tokens_that_are_written_into_parts_of_a_tensor() -> None:
    assert max(against_the_twin(filled(Written()), 32)) < 1e-12


def test_torchvisions_swin_by_its_own_code_is_what_its_adapter_reads() -> None:
    from torchvision.models import SwinTransformer

    module = filled(SwinTransformer([4, 4], 12, [2, 2], [2, 3], [4, 4], num_classes=5))
    x = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    own, traced = vizlib.wrap(module, input_size=64), vizlib.wrap(module, input_size=64, adapter="traced")
    assert (own.card.family, traced.card.family) == ("swin", "traced")
    expected = maps_of(vizlib.explain(own, x, "rollout"))
    assert float((maps_of(vizlib.explain(traced, x, "rollout")) - expected).abs().max()) < 1e-12 * float(expected.max())


class Behind(Written):
    """Adds to a view of its tokens, and then reads the tokens themselves."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.cut(x).flatten(2).mT.contiguous()
        view = x[:, 3:]
        view += x.mean(1, keepdim=True)
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.head(((q @ k.mT).softmax(-1) @ v).mean(1))


def test_a_tensor_that_is_changed_through_a_view_is_refused() -> None:
    card = vizlib.wrap(filled(Behind()), input_size=32).card
    assert "changed in place, by add" in card.unavailable["rollout"]
