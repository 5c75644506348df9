"""Whether the checks see what changed: against models changed by hand, and on maps that cannot change."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import zoo_cases as zoo
from scipy.stats import spearmanr
from torch import nn

import vizlib
from vizlib.evaluation.checks import OTHERS
from vizlib.evaluation.control_maps import centred_gaussian_map
from vizlib.evaluation.sanity_checks import CHECKS, _Bounds, _other_targets, _reason, cascade, sanity_checks
from vizlib.evaluation.weight_randomization import blocks, head_of, randomized, weighted_modules_top_down
from vizlib.figures.numbers import decimal
from vizlib.zoo.bundled_models import NAMES as BUNDLED
from vizlib.zoo.weights import fill_random

HEADS = {"cct": ["classifier.fc"], "compact_vit": ["classifier.fc"], "vit_lite": ["classifier.fc"], "distilled": ["head_dist", "head"]}
HEADS |= {key: ["head.fc"] for key in ("swin", "swin_padded", "swin_v2")} | {"resnet": ["fc"]}


@pytest.mark.parametrize(
    ("similarity", "bounds", "said"),
    [
        (0.4481, (0.9, 0.1, 0.3), "it is another map: similarity 0.448, below 0.450."),  # not 0.45, below 0.45
        (-0.2, (0.9, 0.1, 0.3), "it is another map: similarity \u22120.20, below 0.45."),
        (0.3, (0.4, 0.1, 0.25), "it does not change enough: similarity 0.30, where a change is below 0.25."),
        (0.3, (-0.1, 0.1, 0.25), "Even a little noise makes it another map (similarity \u22120.10), so this check says nothing."),
        (0.3, (0.85, 0.9, 0.95), "less alike (similarity 0.85) than being mirrored or moved does (0.90 on average), so this check says"),
    ],
)
def test_a_reason_is_true_of_its_numbers(similarity: float, bounds: tuple[float, float, float], said: str) -> None:
    found = vizlib.explain(zoo.model("token"), zoo.inputs("token")[0], "saliency")
    assert said in _reason(CHECKS["cascade"], similarity, _Bounds(*bounds), found, flat=False)


def unlikely(found: vizlib.Explanation, taken: set[int]) -> list[int]:
    """The classes of which a check makes the map again: a draw from the less probable half of those that are not explained."""
    falling = [index for index in np.argsort(-found.logits, kind="stable").tolist() if index not in taken]
    half = falling[len(falling) // 2 :]
    return [half[place] for place in np.random.default_rng(0).permutation(len(half))][:4]


def changed_by_hand(name: str, owners: list[str] | None, seed: int) -> vizlib.Model:
    """The model with the parts of these paths (None: all) filled anew, in a module of its own."""
    module, fresh = copy.deepcopy(zoo.model(name).module), copy.deepcopy(zoo.model(name).module)
    fill_random(fresh, seed)
    keys = [key for key in module.state_dict() if owners is None or key.rpartition(".")[0] in owners]
    module.load_state_dict({key: fresh.state_dict()[key] for key in keys}, strict=False)
    return vizlib.wrap(module, input_size=zoo.model(name).transform.size)


@pytest.mark.parametrize("name", zoo.ALL)
def test_the_head_is_found_and_everything_is_drawn_anew(name: str) -> None:
    model, x = zoo.model(name), zoo.inputs(name)
    falling = weighted_modules_top_down(model, x)
    head = head_of(model, falling)
    assert head == HEADS.get(name, ["head"])
    owned = [key.rpartition(".")[0] for key, _ in model.module.named_parameters()]
    assert sorted(falling) == sorted(set(owned))
    before = {key: tensor.clone() for key, tensor in model.module.state_dict().items()}
    with torch.no_grad():
        for owners in (head, falling):
            new = randomized(model, owners, 1)
            assert torch.equal(new(x), changed_by_hand(name, owners if owners == head else None, 1)(x))
            assert not torch.equal(new(x), model(x))
    assert all(torch.equal(before[key], tensor) for key, tensor in model.module.state_dict().items())
    shared = {id(tensor) for tensor in model.module.parameters()} & {id(tensor) for tensor in randomized(model, head).module.parameters()}
    assert len(shared) == sum(path not in head for path in owned)
    assert new.adapter.module is new.module


def test_a_cascade_goes_down_block_by_block() -> None:
    falling = weighted_modules_top_down(zoo.model("token"), zoo.inputs("token"))
    assert [name for name, _ in blocks(falling)] == ["head", "norm", "blocks.2", "blocks.1", "blocks.0", "patch_embed", "embedding"]
    assert [path for _, paths in blocks(falling) for path in paths] == falling


@pytest.mark.parametrize("name", BUNDLED)
def test_every_step_of_a_cascade_has_a_name_of_its_own_that_is_no_part_above_it(name: str) -> None:
    model = vizlib.load(name)
    falling = weighted_modules_top_down(model, torch.zeros(1, 3, *model.card.input_size))
    head = head_of(model, falling)
    groups = blocks(falling[len(head) :])
    names = [group for group, _ in groups]
    assert len(set(names)) == len(names)
    assert [path for _, paths in groups for path in paths] == falling[len(head) :]
    for group, paths in groups:
        assert group == "embedding" or any(path.startswith(group) for path in paths)
        # A step down to "classifier" or to "stage2" would be said to hold what lies above it.
        assert not any(path.startswith(f"{group}.") for path in falling if path not in paths)


def test_weights_that_are_shared_stay_shared() -> None:
    class Tied(nn.Module):
        num_classes = 3

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Linear(3, 3)
            self.second.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.second(self.first(x).relu()).mean((2, 3)))

    model = vizlib.wrap(Tied().eval(), input_size=(8, 8))
    new = randomized(model, weighted_modules_top_down(model, torch.rand(1, 3, 8, 8))).module
    assert new.first.weight is new.second.weight
    assert new.first.weight is not model.module.first.weight


@pytest.mark.parametrize(
    ("name", "method"), [("resnet", "input_x_gradient"), ("resnet", "saliency"), ("token", "relevance"), ("cct", "legrad")]
)
def test_the_similarities_are_those_of_maps_made_by_hand(name: str, method: str) -> None:
    model, x = zoo.model(name), zoo.inputs(name)
    found = vizlib.explain(model, x[0], method)
    checks = sanity_checks(model, x, found)
    assert list(checks) == ["head", "cascade", "class"]

    def alike(other: vizlib.Explanation) -> float:
        return float(np.nan_to_num(spearmanr(found.input_map.ravel(), other.input_map.ravel()).statistic))

    for check, owners in (("head", head_of(model, weighted_modules_top_down(model, x))), ("cascade", None)):
        maps = [vizlib.explain(changed_by_hand(name, owners, seed), x[0], method, found.target) for seed in (1, 2)]
        assert checks[check].similarity == pytest.approx(np.mean([abs(alike(one)) for one in maps]), abs=1e-3)
        np.testing.assert_allclose(checks[check].map, maps[0].input_map, atol=1e-5 * np.abs(maps[0].input_map).max())
    others = [vizlib.explain(model, x[0], method, other) for other in unlikely(found, {found.target})]
    assert checks["class"].similarity == pytest.approx(np.mean([alike(other) for other in others]), abs=1e-3)
    np.testing.assert_allclose(checks["class"].map, others[0].input_map, atol=1e-5 * np.abs(others[0].input_map).max())
    for key, check in checks.items():
        assert (check.name, check.definition) == (key, CHECKS[key].definition)
        assert decimal(check.similarity) in check.reason or "noise" in check.reason


def test_a_map_that_does_not_look_at_the_class_says_so() -> None:
    checks = sanity_checks(zoo.model("token"), zoo.inputs("token"), vizlib.explain(zoo.model("token"), zoo.inputs("token")[0], "rollout"))
    for name in ("head", "class"):
        assert checks[name].similarity == 1
        assert not checks[name].passed
        assert "by design" in checks[name].reason


def test_guided_backprop_fails_where_gradients_do_not() -> None:
    """The finding of Adebayo et al. (2018) and Nie et al. (2018), on the bundled ResNet: it hardly looks at the classifier."""
    from skimage import data

    model, cat = vizlib.load("resnet_tiny50"), data.chelsea()
    guided, plain = (sanity_checks(model, cat, vizlib.explain(model, cat, method)) for method in ("guided_backprop", "input_x_gradient"))
    assert guided["head"].similarity > 0.9
    assert not guided["head"].passed
    assert not guided["class"].passed
    assert [check.passed for check in plain.values()] == [True, True, True]


def test_a_map_that_never_changes_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet")
    found = vizlib.explain(model, x[0], "saliency")
    # Its mirror images are the same map, so that chance alone would excuse everything short of an exact copy.
    fixed = replace(found, input_map=centred_gaussian_map(found.input_map.shape).numpy())
    nearly = fixed.input_map + 1e-3 * np.random.default_rng(0).random((32, 32))
    monkeypatch.setattr("vizlib.evaluation.sanity_checks.reexplain", lambda model, x, *rest: [nearly] * len(x))
    checks = sanity_checks(model, x, fixed)
    assert [check.passed for check in checks.values()] == [False, False, False]
    assert [check.similarity for check in checks.values()] == pytest.approx([1, 1, 1], abs=0.01)
    flat = replace(found, input_map=np.ones_like(found.input_map))
    assert all(not check.passed and "same everywhere" in check.reason for check in sanity_checks(model, x, flat).values())


def test_a_map_that_noise_turns_into_another_proves_nothing_by_changing() -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet")
    found = vizlib.explain(model, x[0], "integrated_gradients")
    shuffled = replace(found, input_map=np.random.default_rng(0).permutation(found.input_map.ravel()).reshape(32, 32))
    for check in sanity_checks(model, x, shuffled).values():
        assert abs(check.similarity) < 0.1
        assert not check.passed
        assert "noise" in check.reason


def test_a_difference_is_asked_the_other_way_round() -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet")
    signed = sanity_checks(model, x, vizlib.explain(model, x[0], "input_x_gradient", (1, 4)))["class"]
    assert signed.similarity == pytest.approx(-1)
    assert signed.passed
    # A size of gradients is the same both ways, so that other classes stand in the first one's place.
    found = vizlib.explain(model, x[0], "saliency", (1, 4))
    maps = [vizlib.explain(model, x[0], "saliency", (third, 4)).input_map for third in unlikely(found, {1, 4})]
    expected = np.mean([spearmanr(found.input_map.ravel(), values.ravel()).statistic for values in maps])
    assert sanity_checks(model, x, found)["class"].similarity == pytest.approx(expected, abs=1e-3)


def test_the_class_check_asks_for_classes_that_the_picture_does_not_show() -> None:
    """Of a thousand classes the most probable others are other words for the same thing, and an equal map is right for them."""
    logits = np.random.default_rng(5).normal(size=1000)
    picture = vizlib.explain(zoo.model("resnet"), zoo.inputs("resnet")[0], "saliency")
    order = np.argsort(-logits)
    targets = _other_targets(replace(picture, logits=logits, target=int(order[0])))
    assert targets == _other_targets(replace(picture, logits=logits, target=int(order[0])))
    assert len(set(targets)) == OTHERS
    ranks = [int(np.flatnonzero(order == target)[0]) for target in targets]
    assert min(ranks) >= 500
    for few, count in ((2, 1), (3, 1), (6, 3), (1, 0)):
        assert len(_other_targets(replace(picture, logits=logits[:few], target=int(np.argmax(logits[:few]))))) == count


def test_the_cascade_ends_where_nothing_is_left() -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet")
    found = vizlib.explain(model, x[0], "input_x_gradient")
    rows = cascade(model, x, found)
    checks = sanity_checks(model, x, found)
    assert [name for name, _, _ in rows] == ["head", "layer4.0", "layer3.0", "layer2.0", "layer1.0", "bn1", "conv1"]
    assert np.array_equal(rows[0][2], checks["head"].map)
    assert np.array_equal(rows[-1][2], checks["cascade"].map)
    owners = ["fc", *(key for key, _ in model.module.named_modules() if key.startswith(("layer4", "layer3")))]
    by_hand = vizlib.explain(changed_by_hand("resnet", owners, 1), x[0], "input_x_gradient", found.target)
    np.testing.assert_allclose(rows[2][2], by_hand.input_map, atol=1e-5 * np.abs(by_hand.input_map).max())
    assert rows[2][1] == pytest.approx(abs(spearmanr(found.input_map.ravel(), by_hand.input_map.ravel()).statistic), abs=1e-3)
    short = cascade(model, x, found, steps=3)
    assert len(short) == 3
    assert short[-1][0] == "conv1"
    with pytest.raises(vizlib.MethodError, match="at least two"):
        cascade(model, x, found, steps=1)


def test_nothing_of_the_model_or_the_process_changes() -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet")
    found = vizlib.explain(model, x[0], "guided_backprop")
    before = {key: tensor.clone() for key, tensor in model.module.state_dict().items()}
    state = torch.random.get_rng_state()
    first, again = (sanity_checks(model, x, found) for _ in range(2))
    assert all(torch.equal(before[key], tensor) for key, tensor in model.module.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.module.modules())
    assert all(parameter.grad is None for parameter in model.module.parameters())
    assert [check.similarity for check in first.values()] == [check.similarity for check in again.values()]


def test_half_precision_and_a_picture_of_another_shape() -> None:
    model = zoo.model("resnet", torch.bfloat16)
    picture = (np.random.default_rng(0).random((40, 60, 3)) * 255).astype(np.uint8)
    checks = sanity_checks(model, picture, vizlib.explain(model, picture, "saliency"))
    assert all(np.isfinite(check.similarity) for check in checks.values())
    assert randomized(model, ["fc"]).dtype == torch.bfloat16


def test_what_is_refused_and_what_a_model_without_a_head_has() -> None:
    model, x = zoo.model("resnet"), zoo.inputs("resnet")
    with pytest.raises(vizlib.MethodError, match="a function"):
        sanity_checks(model, x, vizlib.explain(model, x[0], "saliency", lambda logits: logits[:, 1]))
    with pytest.raises(vizlib.MethodError, match="not of VisionTransformer"):
        sanity_checks(zoo.model("token"), x, vizlib.explain(model, x[0], "saliency"))
    with pytest.raises(vizlib.MethodError, match="this image gives"):
        sanity_checks(model, x[:, :, :16], vizlib.explain(model, x[0], "saliency"))
    from timm.models.vision_transformer import VisionTransformer

    headless = VisionTransformer(**zoo.SMALL | {"num_classes": 0})
    fill_random(headless)
    bare = vizlib.wrap(headless.eval(), input_size=(32, 32))
    found = vizlib.explain(bare, x[0], "rollout")
    assert list(sanity_checks(bare, x, found)) == ["cascade"]
    assert cascade(bare, x, found)[0][0] != "head"
