"""transformers' plain vision transformers against brute force, with tiny configs."""

from __future__ import annotations

import copy
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import brute_force as brute
import pytest
import torch

import vizlib
from vizlib.zoo.weights import fill_random

if TYPE_CHECKING:
    from collections.abc import Callable

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SIZE, PATCH, DEPTH = (32, 32), (8, 8), 2
TINY: dict[str, Any] = {
    "hidden_size": 24, "num_hidden_layers": DEPTH, "num_attention_heads": 3, "intermediate_size": 32, "image_size": 32, "patch_size": 8,
}  # fmt: skip
PATCHES = {key: value for key, value in TINY.items() if key != "image_size"} | {"num_patches": 16}
TEXT = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "bos_token_id": 0, "eos_token_id": 1}


def built(name: str, config: str, ways: str = "sdpa", **facts: Any) -> torch.nn.Module:
    module = getattr(transformers, name)._from_config(getattr(transformers, config)(**facts), attn_implementation=ways)
    fill_random(module)
    return module.eval().double()


def first(tokens: torch.Tensor) -> torch.Tensor:
    return tokens[:, 0]


def token(prefix: int) -> torch.Tensor:
    return torch.eye(1, prefix + 16, dtype=torch.float64)


def mean(prefix: int) -> torch.Tensor:
    return torch.cat([torch.zeros(1, prefix), torch.full((1, 16), 1 / 16)], 1).double()


def tokens(count: int, prefix: int) -> torch.Tensor:
    return torch.cat([torch.full((1, count), 1 / count), torch.zeros(1, prefix + 16 - count)], 1).double()


def half(prefix: int) -> torch.Tensor:
    return (token(prefix) + mean(prefix)) / 2


class Case:
    """How one class is built, and what brute force needs to know of it."""

    def __init__(self, build: Callable[..., torch.nn.Module], blocks: str, prefix: int, row: torch.Tensor, answer: Any) -> None:
        self.build, self.prefix, self.row, self.answer = build, prefix, row, answer
        self.paths = [f"{blocks}.{index}" for index in range(DEPTH)]


def two(module: Any, states: torch.Tensor) -> torch.Tensor:
    """The answer of a DINOv2 whose class token and patches are the same state (B, C)."""
    return module.classifier(torch.cat([states, states], 1))


CASES = {
    "vit": Case(partial(built, "ViTForImageClassification", "ViTConfig", num_labels=7, **TINY), "vit.layers", 1, token(1),
                lambda m, s: m.classifier(m.vit.layernorm(s))),
    "deit": Case(partial(built, "DeiTForImageClassification", "DeiTConfig", num_labels=7, **TINY), "deit.layers", 2, token(2),
                 lambda m, s: m.classifier(m.deit.layernorm(s))),
    "deit with a teacher": Case(
        partial(built, "DeiTForImageClassificationWithTeacher", "DeiTConfig", num_labels=7, **TINY), "deit.layers", 2, tokens(2, 2),
        lambda m, s: (m.cls_classifier(m.deit.layernorm(s)) + m.distillation_classifier(m.deit.layernorm(s))) / 2,
    ),
    "beit": Case(partial(built, "BeitForImageClassification", "BeitConfig", num_labels=7, use_relative_position_bias=True, **TINY),
                 "beit.layers", 1, mean(1), lambda m, s: m.classifier(m.beit.pooler.layernorm(s))),
    "beit with a token": Case(
        partial(built, "BeitForImageClassification", "BeitConfig", num_labels=7, use_mean_pooling=False,
                use_shared_relative_position_bias=True, **TINY),
        "beit.layers", 1, token(1), lambda m, s: m.classifier(m.beit.layernorm(s)),
    ),
    "dinov2": Case(partial(built, "Dinov2ForImageClassification", "Dinov2Config", num_labels=7, **TINY), "dinov2.encoder.layer", 1, half(1),
                   lambda m, s: two(m, m.dinov2.layernorm(s))),
    "dinov2 with registers": Case(
        partial(built, "Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", num_labels=7, **TINY),
        "dinov2_with_registers.encoder.layer", 5, half(5), lambda m, s: two(m, m.dinov2_with_registers.layernorm(s)),
    ),
    "dinov3 without a head": Case(partial(built, "DINOv3ViTModel", "DINOv3ViTConfig", num_register_tokens=4, **TINY), "model.layer", 5,
                                  token(5), lambda m, s: m.norm(s)),
    "clip without a head": Case(partial(built, "CLIPVisionModelWithProjection", "CLIPVisionConfig", projection_dim=9, **TINY),
                                "vision_model.encoder.layers", 1, token(1),
                                lambda m, s: m.visual_projection(m.vision_model.post_layernorm(s))),
    "clip": Case(partial(built, "CLIPForImageClassification", "CLIPConfig", num_labels=7, vision_config=TINY, text_config=TEXT),
                 "vision_model.encoder.layers", 1, mean(1), lambda m, s: m.classifier(s)),
    "siglip": Case(partial(built, "SiglipForImageClassification", "SiglipConfig", num_labels=7, vision_config=TINY),
                   "vision_model.encoder.layers", 0, mean(0), lambda m, s: m.classifier(m.vision_model.post_layernorm(s))),
    "siglip 2": Case(partial(built, "Siglip2ForImageClassification", "Siglip2Config", num_labels=7, vision_config=PATCHES),
                     "vision_model.encoder.layers", 0, mean(0), lambda m, s: m.classifier(m.vision_model.post_layernorm(s))),
    "siglip without a head": Case(partial(built, "SiglipVisionModel", "SiglipVisionConfig", **TINY), "encoder.layers", 0, token(0), None),
    "siglip 2 without a head": Case(partial(built, "Siglip2VisionModel", "Siglip2VisionConfig", **PATCHES), "encoder.layers", 0, token(0),
                                    None),
}  # fmt: skip


def third(answer: torch.Tensor) -> torch.Tensor:
    """The target of every map here: the third class or feature."""
    return answer[:, 2]


def answer_of(output: Any) -> torch.Tensor:
    """The logits or features of a model output, as the library reads them."""
    return next(getattr(output, key) for key in ("logits", "image_embeds", "pooler_output") if getattr(output, key, None) is not None)


class AsPatches(torch.nn.Module):
    """SigLIP 2 for images, as its own processor cuts them; written out once more, for brute force."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> Any:
        rows = [x[:, :, y : y + 8, z : z + 8].permute(0, 2, 3, 1).flatten(1) for y in range(0, 32, 8) for z in range(0, 32, 8)]
        whole = torch.ones(len(x), 16, dtype=torch.long)
        return self.module(torch.stack(rows, 1), pixel_attention_mask=whole, spatial_shapes=torch.tensor([[4, 4]] * len(x)))


@cache
def case(name: str, ways: str) -> tuple[vizlib.Model, torch.Tensor, brute.Caught, brute.Chain]:
    module = CASES[name].build(ways=ways)
    x = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    runs, below = (AsPatches(module), "module.") if name.startswith("siglip 2") else (module, "")
    idle = isinstance(module, transformers.SiglipForImageClassification | transformers.Siglip2ForImageClassification)
    caught = brute.catch(runs, x, states=[below + path for path in CASES[name].paths])
    del caught.weights[DEPTH if idle else len(caught.weights) :]
    score = third(answer_of(caught.output)).sum()
    caught.slopes = list(torch.autograd.grad(score, caught.weights, retain_graph=True))
    caught.states = {path.removeprefix(below): state for path, state in caught.states.items()}
    chain = brute.plain_chain(DEPTH, CASES[name].prefix, SIZE, PATCH)
    if len(caught.weights) > DEPTH:
        chain = [brute.Attention(DEPTH, skip=False), *chain]
    return vizlib.wrap(module), x, caught, chain


def starting_row(name: str) -> torch.Tensor:
    return torch.ones(2, 1).double() if CASES[name].answer is None else CASES[name].row.expand(2, -1)


@pytest.mark.parametrize("ways", ["sdpa", "eager"])
@pytest.mark.parametrize("name", CASES)
def test_attention_maps_equal_brute_force(name: str, ways: str) -> None:
    model, x, caught, chain = case(name, ways)
    row = starting_row(name)
    expected = {
        "rollout": brute.rollout(caught, row, chain),
        "attention": brute.raw_attention(caught, row, chain, len(caught.weights) - 1),
        "relevance": brute.relevance(caught, row, chain),
        "gradient_rollout": brute.gradient_rollout(caught, row, chain),
    }
    for method, maps in expected.items():
        for explanation, pixel_map in zip(vizlib.explain(model, x, method, target=third), maps, strict=True):
            # The eager softmax of most of them runs in float32, whatever the module's precision.
            assert brute.relative_error(explanation.input_map, pixel_map) < (1e-9 if ways == "sdpa" else 1e-6), method


@pytest.mark.parametrize("name", CASES)
def test_maps_in_float32_are_near_those_by_brute_force(name: str) -> None:
    model, x, caught, chain = case(name, "sdpa")
    narrow = vizlib.wrap(copy.deepcopy(model.module).float())
    for method, by_brute_force in (("rollout", brute.rollout), ("relevance", brute.relevance)):
        maps = by_brute_force(caught, starting_row(name), chain)
        for explanation, pixel_map in zip(vizlib.explain(narrow, x.float(), method, target=third), maps, strict=True):
            assert brute.relative_error(explanation.input_map, pixel_map) < 1e-4, method


@pytest.mark.parametrize("name", CASES)
def test_legrad_equals_brute_force(name: str) -> None:
    model, x, caught, chain = case(name, "sdpa")
    module: Any = model.module
    if CASES[name].answer is not None:
        keys = brute.legrad(
            caught, CASES[name].paths, lambda states: third(CASES[name].answer(module, states)).sum(), lambda state: state.mean(1)
        )
    else:
        rows = []
        for path in CASES[name].paths:
            pooled = brute.catch(_Pool(module), caught.states[path].detach(), lambda features: third(features).sum())
            rows.append(pooled.slopes[0].clamp_min(0).mean((1, 2)))
        keys = torch.stack(rows).mean(0)
    expected = keys @ chain[-2].matrix @ chain[-1].matrix
    for explanation, pixel_map in zip(vizlib.explain(model, x, "legrad", target=third), expected, strict=True):
        assert brute.relative_error(explanation.input_map, pixel_map) < 1e-9


class _Resized(torch.nn.Module):
    """A module that fits its positions to the input, as its own forward offers it."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> Any:
        return self.module(x, interpolate_pos_encoding=True)


@pytest.mark.parametrize("name", ["vit", "deit", "beit", "clip without a head", "siglip"])
def test_maps_of_another_size_than_the_configs_equal_brute_force(name: str) -> None:
    module, size = CASES[name].build(), (48, 24)
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    caught = brute.catch(_Resized(module), x)
    del caught.weights[DEPTH:]
    caught.slopes = list(torch.autograd.grad(third(answer_of(caught.output)).sum(), caught.weights))
    prefix = CASES[name].prefix
    row = (
        torch.eye(1, prefix + 18, dtype=torch.float64)
        if CASES[name].row[0, 0] == 1
        else torch.cat([torch.zeros(prefix), torch.ones(18)]).double()[None] / 18
    )
    chain = brute.plain_chain(DEPTH, prefix, size, PATCH)
    model = vizlib.wrap(module)
    assert torch.equal(model(x), answer_of(_Resized(module)(x)))
    for method, by_brute_force in (("rollout", brute.rollout), ("relevance", brute.relevance)):
        maps = by_brute_force(caught, row.double().expand(2, -1), chain)
        for explanation, pixel_map in zip(vizlib.explain(model, x, method, target=third), maps, strict=True):
            assert brute.relative_error(explanation.input_map, pixel_map) < 1e-9, method


class _Pool(torch.nn.Module):
    """A SigLIP tower from the tokens of any block on."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.norm, self.head = tower.post_layernorm, tower.head

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(tokens))


@pytest.mark.parametrize("name", ["vit", "beit", "dinov2 with registers", "dinov3 without a head", "clip", "siglip 2 without a head"])
def test_measured_residuals_are_the_norms_of_what_is_added(name: str) -> None:
    model, x, caught, chain = case(name, "sdpa")
    norms = ("layernorm_after", "norm2", "layer_norm2")  # what a block gives its MLP, attention's residual added
    given: dict[str, torch.Tensor] = {}
    module = copy.deepcopy(model.module)
    for path in CASES[name].paths:
        block = module.get_submodule(path)
        block.register_forward_pre_hook(lambda _, inputs, path=path: given.update({path: inputs[0]}))
        after = next(getattr(block, norm) for norm in norms if hasattr(block, norm))
        after.register_forward_pre_hook(lambda _, inputs, path=path: given.update({f"{path}+": inputs[0]}))
    with torch.no_grad():
        model.adapter.call(module, x)
    row = starting_row(name).double()[:, None]
    for link in chain:
        if isinstance(link, brute.Fixed):
            row = row @ link.matrix
            continue
        weights = caught.weights[link.number].detach().mean(1)
        if not link.skip:
            row = row @ weights
            continue
        path = CASES[name].paths[link.number]
        skip, added = given[path].norm(dim=-1), (given[f"{path}+"] - given[path]).norm(dim=-1)
        kept = (skip / (skip + added))[:, None]
        row = row * kept + (row * (1 - kept)) @ weights
    for explanation, pixel_map in zip(vizlib.explain(model, x, target=third, residual_weight="norms"), row[:, 0], strict=True):
        assert brute.relative_error(explanation.input_map, pixel_map) < 1e-9
