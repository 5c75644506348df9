"""What the adapters of transformers know and refuse beside attention: feature maps, sizes, labels, subclasses, ways to run."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from averaging_network import rollout
from test_transformers_vits import TEXT, TINY, built
from torch.nn.attention.flex_attention import flex_attention
from vit_modules import filled

import vizlib
from vizlib.catalog.transformers_variants import FACTS
from vizlib.errors import MethodError, ModelError
from vizlib.model_report.family_table import transformers_model
from vizlib.tracing.recorder import Recording

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

WIDTHS: dict[str, Any] = {"num_labels": 7, "hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]}
CONVOLUTIONS = {
    "ResNetForImageClassification": lambda: transformers.ResNetConfig(embedding_size=8, layer_type="basic", **WIDTHS),
    "RegNetForImageClassification": lambda: transformers.RegNetConfig(embedding_size=8, groups_width=4, **WIDTHS),
    "ConvNextForImageClassification": lambda: transformers.ConvNextConfig(**WIDTHS),
    "ConvNextV2ForImageClassification": lambda: transformers.ConvNextV2Config(**WIDTHS),
}
vit = partial(built, "ViTForImageClassification", "ViTConfig", **TINY)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_grad_cam_is_that_of_the_last_stage(name: str) -> None:
    module = filled(getattr(transformers, name)(CONVOLUTIONS[name]()))
    model = vizlib.wrap(module, input_size=96)
    x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    kept: list[torch.Tensor] = []
    stages = next(part for path, part in module.named_modules() if path.endswith("encoder.stages"))
    handle = stages[-1].register_forward_hook(lambda _, __, output: kept.append(output))
    with torch.enable_grad():
        score = module(x.requires_grad_()).logits[0, 2]
    handle.remove()
    (slope,) = torch.autograd.grad(score, kept)
    weighted = torch.nn.functional.relu((slope.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True))
    expected = torch.nn.functional.interpolate(weighted, (96, 96), mode="bilinear")[0, 0].detach().numpy()
    seen = vizlib.explain(model, x.detach()[0], "grad_cam", target=2).input_map
    assert seen.shape == (96, 96)
    assert abs(seen - expected).max() < 1e-6 * max(expected.max(), 1e-12)
    assert model.adapter.stride() == (32, 32)
    assert "no attention" in model.card.unavailable["rollout"]
    if "ConvNext" in name:  # transformers has activations of its own
        assert "changes what passes a ReLU" in model.card.unavailable["guided_backprop"]
        assert {"deeplift", "guided_grad_cam"} <= set(model.card.unavailable)
    else:
        assert np.isfinite(vizlib.explain(model, x.detach()[0], "guided_backprop", target=2).input_map).all()


def test_an_input_of_another_size_is_refused_where_positions_are_fixed_and_followed_where_not() -> None:
    towers = built("CLIPForImageClassification", "CLIPConfig", num_labels=7, vision_config=TINY, text_config=TEXT)
    with pytest.raises(ModelError, match="built for 32 x 32"):
        vizlib.wrap(towers)(torch.rand(1, 3, 40, 48))
    model = vizlib.wrap(built("Dinov2ForImageClassification", "Dinov2Config", num_labels=7, **TINY))
    explanation = vizlib.explain(model, torch.rand(3, 40, 56, dtype=torch.float64))
    assert explanation.input_map.shape == (40, 56)
    assert abs(explanation.input_map.sum() + explanation.sink - 1) < 1e-9


def test_size_labels_and_probabilities_are_those_of_the_config() -> None:
    names = {0: "cat", 1: "dog"}
    model = vizlib.wrap(vit(num_labels=2, id2label=names, problem_type="multi_label_classification"))
    assert (model.transform.size, model.labels, model.activation) == ((32, 32), ("cat", "dog"), "sigmoid")
    assert vizlib.wrap(vit(num_labels=7)).labels is None


def test_a_subclass_that_runs_something_else_is_refused() -> None:
    class Averaged(transformers.ViTForImageClassification):
        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return self.classifier(self.vit(pixel_values).last_hidden_state.mean(1))

    model = vizlib.wrap(filled(Averaged(transformers.ViTConfig(num_labels=7, **TINY))))
    assert "Averaged.forward runs in place" in model.card.unavailable["rollout"]


def test_attention_out_of_sight_is_refused_on_the_card_and_when_it_is_set_later() -> None:
    module = vit(num_labels=7)
    model = vizlib.wrap(module)
    module.config._attn_implementation = "paged_attention"
    with pytest.raises(MethodError, match="set_attn_implementation"):
        model.adapter.lineage(Recording(), (32, 32))
    card = vizlib.wrap(module).card
    for method in ("rollout", "legrad", "leave_one_out"):
        assert "'paged_attention', which keeps no weights" in card.unavailable[method]
    assert "saliency" in card.methods


@pytest.mark.parametrize(
    "name", ["ViTForImageClassification", "CLIPForImageClassification", "SegformerForImageClassification", "ViTMSNForImageClassification"]
)
def test_maps_of_flex_attention_are_those_of_eager(name: str) -> None:
    module = filled(transformers_model(name, FACTS[name]))
    x = torch.randn(3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    asked = [("rollout", {}), ("relevance", {"target": 2}), ("saliency", {"target": 2})]
    module.set_attn_implementation("eager")
    model = vizlib.wrap(module, input_size=64)
    expected = [vizlib.explain(model, x, method, **options).input_map for method, options in asked]
    module.set_attn_implementation("flex_attention")
    flexible = vizlib.wrap(torch.nn.Sequential(torch.nn.Identity(), module) if name.startswith("ViTF") else module, input_size=64)
    assert {"rollout", "relevance"} <= set(flexible.card.methods)
    for (method, options), pixel_map in zip(asked, expected, strict=True):
        own = vizlib.explain(flexible, x, method, **options).input_map
        # Their eager attention takes its softmax in float32.
        assert float(abs(own - pixel_map).max()) < 1e-6 * float(pixel_map.max()), method
    assert torch.allclose(flexible(x[None]), model(x[None]))
    assert module.config._attn_implementation == "flex_attention"


class InFlex(torch.nn.Module):
    """A network of a person's own that calls torch's flex_attention."""

    def __init__(self) -> None:
        super().__init__()
        self.cut, self.qkv, self.head = torch.nn.Conv2d(3, 16, 16, 16), torch.nn.Linear(16, 48), torch.nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.cut(x).flatten(2).mT
        q, k, v = self.qkv(x).unflatten(-1, (3, 1, 16)).permute(2, 0, 3, 1, 4)
        return self.head((x + flex_attention(q, k, v)[:, 0]).mean(1))


def test_flex_attention_in_code_of_ones_own_is_refused_on_the_card() -> None:
    model = vizlib.wrap(InFlex().eval(), input_size=64)
    for method in ("rollout", "legrad", "leave_one_out"):
        assert "runs compiled, as torch's flex_attention does" in model.card.unavailable[method]
    with pytest.raises(MethodError, match="runs compiled"):
        vizlib.explain(model, torch.zeros(3, 64, 64), "rollout")


def test_towers_without_a_read_out_are_refused_and_their_parts_are_read_inside_others() -> None:
    tower = built("SiglipVisionModel", "SiglipVisionConfig", vision_use_head=False, **TINY)
    assert "no read-out" in vizlib.wrap(tower).card.unavailable["rollout"]

    class Probe(torch.nn.Module):
        def __init__(self, *, of_patches: bool = False) -> None:
            super().__init__()
            self.of_patches = of_patches
            self.backbone = built("Dinov2Model", "Dinov2Config", **TINY)
            self.head = torch.nn.Linear(24, 3).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen = self.backbone(x)
            return self.head(seen.last_hidden_state[:, 1:].mean(1) if self.of_patches else seen.pooler_output)

    probe = Probe()
    x = torch.rand(3, 32, 32, dtype=torch.float64)
    inside = vizlib.explain(vizlib.wrap(probe), x, "rollout").input_map
    alone = vizlib.explain(vizlib.wrap(probe.backbone), x, "rollout", target=lambda features: features[:, 0]).input_map
    assert abs(inside - alone).max() < 1e-12
    patches = Probe(of_patches=True)
    assert "reads last_hidden_state" in vizlib.wrap(patches, part="backbone").card.unavailable["rollout"]
    whole, expected = vizlib.explain(vizlib.wrap(patches), x, "rollout").input_map, rollout(patches, x[None])[0].numpy()
    assert abs(whole - expected).max() < 1e-9 * expected.max()


@pytest.mark.parametrize("kind", ["CLIP", "Siglip", "Siglip2"])
def test_of_a_model_of_pictures_and_texts_the_vision_tower_is_read(kind: str) -> None:
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 50}
    vision = {**{key: value for key, value in TINY.items() if key != "image_size"}, "num_patches": 16} if kind == "Siglip2" else TINY
    config = getattr(transformers, f"{kind}Config")(vision_config=vision, text_config={**text, "bos_token_id": 0, "eos_token_id": 1})
    both = filled(getattr(transformers, f"{kind}Model")(config))
    tower, alone = vizlib.wrap(both, part="vision_model"), vizlib.wrap(both.vision_model)
    x = torch.rand(3, 32, 32, dtype=torch.float64)

    def second(features: torch.Tensor) -> torch.Tensor:
        return features[:, 1]

    for method in ("rollout", "relevance", "saliency"):
        seen = vizlib.explain(tower, x, method, target=second).input_map
        assert seen.any()
        assert abs(seen - vizlib.explain(alone, x, method, target=second).input_map).max() == 0
    with pytest.raises(ModelError, match=r"takes a text beside the picture.*wrap\(module, part='vision_model'\)\.$"):
        vizlib.wrap(both)
    with pytest.raises(ModelError, match=r"text_model of .* takes input_ids and no picture"):
        vizlib.wrap(both, part="text_model")


def test_one_table_beside_no_other_tensor_is_the_answer() -> None:
    class Recorded(torch.nn.Module):
        def __init__(self, *names: str) -> None:
            super().__init__()
            self.conv, self.names = torch.nn.Conv2d(3, 5, 4), names

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor | None]:
            return dict.fromkeys(self.names, self.conv(x).mean((2, 3))) | {"nothing": None}

    x = torch.rand(2, 3, 8, 8)
    assert vizlib.wrap(filled(Recorded("last"), torch.float32))(x).shape == (2, 5)
    with pytest.raises(ModelError, match="name the part to read"):
        vizlib.wrap(filled(Recorded("first", "last"), torch.float32))(x)


def test_a_bias_that_is_kept_with_its_graph_does_no_harm() -> None:
    widths = {"hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 3, 4], "depths": [1, 1, 1], "key_dim": [8, 8, 8]}
    module = filled(transformers.LevitForImageClassification(transformers.LevitConfig(num_labels=7, image_size=64, **widths)))
    model, x = vizlib.wrap(module, input_size=64), torch.rand(1, 3, 64, 64, dtype=torch.float64)
    before = vizlib.explain(model, x[0]).input_map
    module.train().eval()
    module(x)  # keeps its biases with what they were made of
    assert abs(vizlib.explain(model, x[0]).input_map - before).max() == 0


def test_transformers_is_never_imported_by_the_library() -> None:
    code = (
        "import sys, torch, vizlib; model = vizlib.wrap(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten()), input_size=8); "
        "sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", ["ConvNext", "MobileViT"])
def test_the_size_in_a_config_prepares_pictures_whoever_reads_the_model(name: str) -> None:
    small = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]} if name == "ConvNext" else {}
    config = getattr(transformers, f"{name}Config")(image_size=64, num_labels=4, **small)
    model = vizlib.wrap(getattr(transformers, f"{name}ForImageClassification")(config).eval())
    picture = torch.randint(0, 256, (70, 90, 3), dtype=torch.uint8).numpy()
    assert model.prepare(picture).shape == (1, 3, 64, 64)
    assert vizlib.explain(model, picture, "grad_cam").input_map.shape == (64, 64)
