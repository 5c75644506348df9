"""Balanced gradients against networks written out with the constants detached, and what their sums must be."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import zoo_cases as zoo
from torch import nn

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.passes.gradient_rules import BalancedGradient
from vizlib.zoo.weights import fill_random

RULES = ("libra", "cp", "attn")
WITH_RULES = [name for name, card in METHODS.items() if any(option.name == "gradient" for option in card.options)]


class Toy(nn.Module):
    """Two blocks of attention, a gated branch, a product of two streams and a squeeze, in any of several writings."""

    def __init__(self, attention: str = "fused", *, parts: bool = False, over: bool = False, fifth: str = "layer") -> None:
        super().__init__()
        self.attention, self.parts, self.over, self.fifth = attention, parts, over, fifth
        self.embed = nn.Conv2d(3, 12, 4, 4)
        for block in range(2):
            for name, part in {
                "norm": nn.LayerNorm(12), "qkv": nn.Linear(12, 36), "proj": nn.Linear(12, 12), "norm2": nn.LayerNorm(12),
                "one": nn.Linear(12, 16), "two": nn.Linear(12, 16), "down": nn.Linear(16, 12), "squeeze": nn.Linear(12, 12),
            }.items():  # fmt: skip
                self.add_module(f"{name}_{block}", part)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 12))
        self.act, self.last, self.head = nn.GELU(), nn.GroupNorm(3, 12), nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        for block in range(2):

            def part(name: str, block: int = block) -> nn.Module:
                return getattr(self, f"{name}_{block}")

            norm = part("norm")
            seen = norm(tokens) if self.parts else F.layer_norm(tokens, (12,), norm.weight, norm.bias, norm.eps)
            q, k, v = part("qkv")(seen).unflatten(-1, (3, 2, 6)).permute(2, 0, 3, 1, 4)
            tokens = tokens + part("proj")(self.attend(q, k, v).transpose(1, 2).flatten(2)) * self.scale
            seen = part("norm2")(tokens)
            gate = part("one")(seen)
            hidden = (F.silu(gate, inplace=True) if self.over else F.silu(gate)) * part("two")(seen)
            hidden = self.act(hidden) if self.parts else F.gelu(hidden)
            hidden = part("down")(hidden)
            share = torch.sigmoid(part("squeeze")(hidden.mean(1, keepdim=True)))
            if self.over:
                hidden = hidden.clone()
                hidden *= share.expand_as(hidden)
            else:
                hidden = hidden * share
            tokens = tokens + hidden
        return self.head(self.last(tokens.transpose(1, 2)).mean(2))

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if self.attention == "fused":
            return F.scaled_dot_product_attention(q, k, v)
        if self.attention == "einsum":
            return torch.einsum("bhij,bhjd->bhid", torch.einsum("bhid,bhjd->bhij", q, k).mul(6**-0.5).softmax(-1), v)
        return ((q * 6**-0.5) @ k.transpose(-2, -1)).softmax(-1) @ v


class Detached(Toy):
    """The same numbers, with every constant of a rule detached by hand."""

    def __init__(self, rule: str) -> None:
        super().__init__()
        self.rule = rule

    def norm(self, x: torch.Tensor, part: nn.Module, dims: tuple[int, ...]) -> torch.Tensor:
        centred = x - x.mean(dims, keepdim=True)
        return centred / (centred.square().mean(dims, keepdim=True) + part.eps).sqrt().detach()

    def gate(self, x: torch.Tensor, function) -> torch.Tensor:
        constant = function(torch.zeros(1, dtype=x.dtype))
        return x * ((function(x) - constant) / x).detach() + constant

    def half(self, x: torch.Tensor, share: float = 0.5) -> torch.Tensor:
        return x * share + (x * (1 - share)).detach()

    def times(self, one: torch.Tensor, two: torch.Tensor, constant: int | None) -> torch.Tensor:
        if constant is None:
            return self.half(one) * self.half(two)
        return one.detach() * two if constant == 0 else one * two.detach()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        attn = self.rule == "attn"
        for block in range(2):

            def part(name: str, block: int = block) -> nn.Module:
                return getattr(self, f"{name}_{block}")

            seen = self.norm(tokens, part("norm"), (-1,)) * part("norm").weight + part("norm").bias
            q, k, v = part("qkv")(seen).unflatten(-1, (3, 2, 6)).permute(2, 0, 3, 1, 4)
            scores = (self.half(q) if attn else q) @ (self.half(k) if attn else k).transpose(-2, -1) * 6**-0.5
            weights = scores.softmax(-1)
            mixed = self.half(weights) @ self.half(v) if attn else weights.detach() @ v
            tokens = tokens + part("proj")(mixed.transpose(1, 2).flatten(2)) * self.scale
            seen = self.norm(tokens, part("norm2"), (-1,)) * part("norm2").weight + part("norm2").bias
            opened = self.gate(part("one")(seen), F.silu)
            hidden = self.gate(self.times(opened, part("two")(seen), 0 if self.rule == "cp" else None), F.gelu)
            hidden = part("down")(hidden)
            share = self.gate(part("squeeze")(hidden.mean(1, keepdim=True)), torch.sigmoid)
            hidden = self.times(hidden, share, None if attn else 1)
            tokens = tokens + hidden
        by_group = self.norm(tokens.transpose(1, 2).unflatten(1, (3, 4)), self.last, (2, 3)).flatten(1, 2)
        return self.head((by_group * self.last.weight[:, None] + self.last.bias[:, None]).mean(2))


def filled(module: nn.Module, *, double: bool = True) -> nn.Module:
    fill_random(module)
    return (module.double() if double else module).eval()


def toy_map(module: nn.Module, rule: str, x: torch.Tensor) -> np.ndarray:
    return vizlib.explain(vizlib.wrap(filled(module), input_size=16), x, "balanced", 2, gradient=rule).input_map


@pytest.mark.parametrize("rule", RULES)
def test_equals_a_network_with_its_constants_detached(rule: str) -> None:
    x = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    by_hand, given = filled(Detached(rule)), x[None].clone().requires_grad_()
    answer = by_hand(given)
    assert torch.allclose(answer, filled(Toy())(x[None]), atol=1e-12)
    (slope,) = torch.autograd.grad(answer[0, 2], given)
    expected = (given * slope).sum(1)[0].detach().numpy()
    plain = toy_map(Toy(), "plain", x)
    for writing in (
        Toy(), Toy("written out"), Toy("einsum"), Toy(parts=True), Toy(over=True), Toy("written out", parts=True, over=True),
    ):  # fmt: skip
        found = toy_map(writing, rule, x)
        assert np.abs(found - expected).max() < 1e-9 * max(1, np.abs(expected).max())
        assert np.abs(found - plain).max() > 1e-3 * np.abs(expected).max()


def without_constants(name: str) -> nn.Module:
    """A family in float64 without anything that is added: no bias, no position, no learned token."""
    module = zoo.sized(name, zoo.SIZES.get(name, (32, 32))) if name in zoo.FAMILIES else zoo.ALL[name]()
    fill_random(module)
    added = ("bias", "pos_embed", "pos_embed1", "pos_embed2", "pos_embed3", "running_mean", "token", "_emb")
    with torch.no_grad():
        for path, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.is_floating_point() and path.endswith(added):
                tensor.zero_()
    return module.double().eval()


@pytest.mark.parametrize("name", zoo.ALL)
@pytest.mark.parametrize("rule", ["libra", "cp"])
def test_the_map_adds_up_to_the_score_where_nothing_is_added(name: str, rule: str) -> None:
    module = without_constants(name)
    model = vizlib.wrap(module, input_size=zoo.model(name).transform.size)
    explanation = vizlib.explain(model, zoo.inputs(name)[0].double(), "balanced", 1, gradient=rule)
    score = explanation.facts["score"]
    assert abs(score) > 1e-6
    assert explanation.input_map.sum() == pytest.approx(score, rel=1e-9)
    for stage, total in explanation.facts.items():
        if stage.startswith("sum after"):
            assert total == pytest.approx(score, rel=1e-6), stage


@pytest.mark.parametrize("name", zoo.ALL)
@pytest.mark.parametrize("rule", RULES)
def test_what_goes_forward_is_the_same_to_the_bit(name: str, rule: str) -> None:
    model, x = zoo.model(name), zoo.inputs(name, 2)
    with torch.no_grad():
        plain = model.module(x)
    (first, _) = vizlib.explain(model, x, "balanced", 1, gradient=rule)
    assert np.array_equal(first.logits, plain[0].numpy())


@pytest.mark.parametrize("rule", RULES)
def test_attention_that_is_written_out_gives_the_map_of_fused_attention(rule: str) -> None:
    x = zoo.inputs("token")
    for method in ("balanced", "relevance", "legrad", "gradient_rollout", "grad_cam"):
        fused, written = (vizlib.explain(zoo.model(name), x, method, 1, gradient=rule)[0] for name in ("token", "written_out"))
        assert np.abs(fused.input_map - written.input_map).max() < 1e-5 * np.abs(fused.input_map).max()


class Multihead(nn.Module):
    def __init__(self, *, closed: bool) -> None:
        super().__init__()
        self.closed = closed
        self.embed, self.attention, self.head = nn.Conv2d(3, 8, 8, 8), nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        if self.closed:
            return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1))
        part = self.attention
        q, k, v = F.linear(tokens, part.in_proj_weight, part.in_proj_bias).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        return self.head(part.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)).mean(1))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", ["balanced", "grad_cam"])
def test_torchs_own_multi_head_attention_is_opened(rule: str, method: str) -> None:
    x = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(2))
    layer = {"layer": "embed"} if method == "grad_cam" else {}
    maps = [
        vizlib.explain(
            vizlib.wrap(filled(Multihead(closed=closed), double=False), input_size=32), x, method, 1, gradient=rule, **layer
        ).input_map
        for closed in (True, False)
    ]
    assert np.abs(maps[0] - maps[1]).max() <= 1e-6 * np.abs(maps[0]).max()


@pytest.mark.parametrize(("index", "method"), list(enumerate(WITH_RULES)), ids=WITH_RULES)
@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_every_method_takes_every_rule_on_every_family(index: int, method: str, name: str) -> None:
    model, x, rule = zoo.model(name), zoo.inputs(name), RULES[(index + zoo.FAMILIES.index(name)) % 3]
    if method not in model.card.methods:
        pytest.skip("this family does not have it")
    steps = {"max_gap": 1.0} if method == "integrated_gradients" else {}
    found, plain = (vizlib.explain(model, x, method, 1, **zoo.few(method, gradient=kind, **steps))[0] for kind in (rule, "plain"))
    assert np.isfinite(found.input_map).all()
    assert found.options["gradient"] == rule
    if name == "resnet":  # no norm but frozen ones, no gate but ReLUs: its gradient balances as it is
        assert np.abs(found.input_map - plain.input_map).max() <= 1e-5 * np.abs(plain.input_map).max()


def test_threads_with_different_rules_do_not_meet() -> None:
    model, x = zoo.model("swin"), zoo.inputs("swin")[0]
    asked = [("plain", "libra", "cp", "attn")[index % 4] for index in range(24)]
    alone = {rule: vizlib.explain(model, x, "balanced", 1, gradient=rule).input_map for rule in set(asked)}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda rule: vizlib.explain(model, x, "balanced", 1, gradient=rule).input_map, asked))
    assert all(np.array_equal(alone[rule], found) for rule, found in zip(asked, together, strict=True))


@pytest.mark.parametrize(
    "function", [F.gelu, F.silu, F.mish, F.hardswish, F.elu, torch.sigmoid, torch.tanh, F.softplus, torch.square, F.softsign]
)
def test_a_gate_is_finite_and_right_where_its_input_is_zero(function) -> None:
    x = torch.tensor([0.0, 1e-9, -2.0, 3.0], dtype=torch.float64, requires_grad=True)
    with BalancedGradient("libra"):
        y = function(x * 1)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(x * slope, y - function(torch.zeros(4, dtype=torch.float64)), atol=1e-12)
    (plain,) = torch.autograd.grad(function(x)[:2].sum(), x)
    assert torch.allclose(slope[:2], plain[:2], atol=1e-6)


@pytest.mark.parametrize("name", ["rms", "instance", "live batch", "normalize", "local"])
def test_other_norms_are_gates_of_their_input(name: str) -> None:
    norms = {
        "rms": lambda x: F.rms_norm(x, (6,), torch.linspace(1, 2, 6).double()),
        "instance": lambda x: F.instance_norm(x, weight=torch.ones(4).double()),
        "live batch": lambda x: F.batch_norm(x, None, None, torch.linspace(1, 2, 4).double(), training=True),
        "normalize": lambda x: F.normalize(x, dim=1),
        "local": lambda x: F.local_response_norm(x, 3),
    }
    x = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with BalancedGradient("libra"):
        y = norms[name](x)
    assert torch.equal(y.detach(), norms[name](x).detach())
    (slope,) = torch.autograd.grad((y * weights).sum(), x)
    assert (x * slope).sum().item() == pytest.approx((y * weights).sum().item(), rel=1e-9)


class Scripted(nn.Module):
    def __init__(self, activation) -> None:
        super().__init__()
        self.stem, self.activation, self.head = nn.Conv2d(3, 4, 8, 8), activation, nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.activation(self.stem(x)).mean((2, 3)))


def test_a_function_out_of_sight_is_refused_by_name() -> None:
    hidden = vizlib.wrap(filled(Scripted(torch.jit.script(nn.GELU())), double=False), input_size=32)
    for method in ("balanced", "saliency"):
        with pytest.raises(vizlib.MethodError, match="out of sight"):
            vizlib.explain(hidden, torch.randn(3, 32, 32), method, 1, gradient="libra")
    ends = vizlib.wrap(nn.Sequential(filled(Scripted(nn.GELU()), double=False), nn.Softmax(-1)), input_size=32)
    with pytest.raises(vizlib.MethodError, match="softmax"):
        vizlib.explain(ends, torch.randn(3, 32, 32), "balanced", 1)
    assert vizlib.explain(ends, torch.randn(3, 32, 32), "balanced", 1, gradient="plain").input_map.any()


def test_noise_and_steps_go_by_the_rule_too() -> None:
    model, x = zoo.model("token"), zoo.inputs("token")[0]
    smooth = [
        vizlib.explain(model, x, "saliency", 1, smoothing="mean", noise=1e-7, noise_samples=2, gradient=rule) for rule in ("libra", "plain")
    ]
    sharp = vizlib.explain(model, x, "saliency", 1, gradient="libra")
    assert np.abs(smooth[0].input_map - sharp.input_map).max() < 1e-3 * sharp.input_map.max()
    assert np.abs(smooth[1].input_map - sharp.input_map).max() > 1e-2 * sharp.input_map.max()


def test_parameters_that_require_gradients_are_told_from_the_image() -> None:
    frozen = copy.deepcopy(zoo.model("registers").module).requires_grad_(requires_grad=False)
    x = zoo.inputs("registers")[0]
    maps = [
        vizlib.explain(vizlib.wrap(module, input_size=32), x, "balanced", 1).input_map for module in (frozen, zoo.model("registers").module)
    ]
    assert np.array_equal(*maps)


def test_the_cards_name_the_claim_of_a_patent() -> None:
    for name in WITH_RULES:
        (option,) = [option for option in METHODS[name].options if option.name == "gradient"]
        assert "patent" in option.help
        assert option.default == ("libra" if name in ("balanced", "hires_cam") else "plain")
