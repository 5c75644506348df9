"""Class activation maps against their formulas taken place by place, against torchcam and grad-cam where they are installed."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import zoo_cases as zoo
from torch import nn
from traced_checks import filled

import vizlib

CAMS = ("grad_cam", "layer_cam", "hires_cam", "grad_cam_plus_plus", "eigen_cam")
PLAIN = {"hires_cam": {"gradient": "plain"}}
X = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


class Strided(nn.Module):
    """Two maps; the answer reads the second by its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 6, 4, 4), nn.Conv2d(6, 5, 3, padding=1), nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(x).tanh()).tanh().square().mean((2, 3)))


def by_hand(method: str, values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """The map (rows, columns) of values and slopes (C, rows, columns), in loops."""
    channels, rows, columns = values.shape
    found = np.zeros((rows, columns))
    if method == "eigen_cam":
        flat = values.reshape(channels, -1).T
        _, vectors = np.linalg.eigh(flat.T @ flat)
        found = (flat @ vectors[:, -1]).reshape(rows, columns)
        found = found if found.sum() > 0 else -found
    for channel in range(channels if method != "eigen_cam" else 0):
        a, g = values[channel], slopes[channel]
        weight = g.mean()
        if method == "grad_cam_plus_plus":
            weight = sum(
                g[i, j] ** 2 / (2 * g[i, j] ** 2 + a.sum() * g[i, j] ** 3) * max(g[i, j], 0) if g[i, j] else 0
                for i in range(rows)
                for j in range(columns)
            )
        for i in range(rows):
            for j in range(columns):
                at_place = {"layer_cam": max(g[i, j], 0), "hires_cam": g[i, j]}.get(method, weight)
                found[i, j] += at_place * a[i, j]
    return np.maximum(found, 0)


@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize("layer", ["", "first", "second"])
def test_each_is_its_formula(method: str, layer: str) -> None:
    module = filled(Strided())
    kept: list[torch.Tensor] = []
    handle = module.get_submodule(layer or "second").register_forward_hook(lambda part, inputs, output: kept.append(output))
    logits = module(X)
    handle.remove()
    (slopes,) = torch.autograd.grad(logits[:, 1].sum(), kept)
    model = vizlib.wrap(module, input_size=32)
    for index, explanation in enumerate(vizlib.explain(model, X, method, target=[1, 1], layer=layer, **PLAIN.get(method, {}))):
        cells = by_hand(method, kept[0][index].detach().numpy(), slopes[index].numpy())
        assert cells.max() > 0
        at_centres = nn.functional.interpolate(torch.from_numpy(cells)[None, None], size=(32, 32), mode="bilinear")[0, 0].numpy()
        assert np.abs(explanation.input_map - at_centres).max() < 1e-9 * cells.max()


def test_hires_cam_adds_up_to_the_score_where_a_linear_head_reads_the_mean() -> None:
    module = filled(nn.Sequential(nn.Conv2d(3, 6, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4, bias=False)))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_()
    model = vizlib.wrap(module, input_size=32)
    explanation = vizlib.explain(model, X[0].abs(), "hires_cam", target=1, layer="0")
    assert explanation.input_map[4::8, 4::8].max() > 0
    assert explanation.input_map.mean() * 16 == pytest.approx(explanation.logits[1], rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["token", "t2t_performer", "cvt", "swin"])
def test_plain_hires_cam_of_tokens_that_are_normed_is_zero_and_says_so_and_the_default_is_not(name: str, dtype: torch.dtype) -> None:
    plain, default = (
        vizlib.explain(zoo.model(name, dtype), zoo.inputs(name)[0], "hires_cam", 1, **options) for options in ({"gradient": "plain"}, {})
    )
    assert default.input_map.max() > 1e-3
    assert not plain.input_map.any()  # and not what rounding leaves of it
    assert any("map is zero" in note for note in plain.notes)


def test_eigen_cam_needs_no_class() -> None:
    module = filled(timm.create_model("resnet10t", num_classes=0))
    explanation = vizlib.explain(vizlib.wrap(module, input_size=32), X[0], "eigen_cam")
    assert explanation.input_map.max() > 0
    classified = zoo.model("token")
    maps = [vizlib.explain(classified, zoo.inputs("token")[0], "eigen_cam", target=target).input_map for target in (0, 3)]
    assert np.array_equal(*maps)


def test_the_tokens_below_the_last_block_are_read_without_a_graph_below_them() -> None:
    model, x = zoo.model("token"), zoo.inputs("token")[0]
    explanation = vizlib.explain(model, x, "grad_cam", target=1)
    states: list[torch.Tensor] = []
    handle = model.module.blocks[-1].register_forward_pre_hook(lambda part, inputs: states.append(inputs[0]))
    logits = model.module(x[None].clone().requires_grad_())
    handle.remove()
    (slope,) = torch.autograd.grad(logits[0, 1], states)
    cells = torch.einsum("nc,c->n", states[0][0, 1:].double(), slope[0, 1:].double().mean(0)).clamp_min(0).detach().unflatten(0, (4, 4))
    resized = nn.functional.interpolate(cells[None, None], size=(32, 32), mode="bilinear")[0, 0].numpy()
    assert np.abs(explanation.input_map - resized).max() < 1e-6 * resized.max()


PEERS = {"grad_cam": "GradCAM", "layer_cam": "LayerCAM", "hires_cam": "HiResCAM", "grad_cam_plus_plus": "GradCAMPlusPlus"}


@pytest.mark.parametrize("method", PEERS)
def test_each_is_that_of_grad_cam(method: str) -> None:
    peer = pytest.importorskip("pytorch_grad_cam", reason="grad-cam is not installed")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    module = filled(Strided()).float()
    raw = getattr(peer, PEERS[method])(model=module, target_layers=[module.first])
    theirs = raw(input_tensor=X[:1].float(), targets=[targets.ClassifierOutputTarget(1)])[0]
    ours = vizlib.explain(
        vizlib.wrap(filled(Strided()).float(), input_size=32), X[0].float(), method, 1, layer="first", **PLAIN.get(method, {})
    ).input_map
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99  # theirs is scaled to 0 to 1 before it is resized


@pytest.mark.parametrize(("method", "name"), [("grad_cam", "GradCAM"), ("layer_cam", "LayerCAM")])
def test_each_is_that_of_torchcam(method: str, name: str) -> None:
    methods = pytest.importorskip("torchcam.methods", reason="torchcam is not installed")
    module = filled(Strided()).float()
    with getattr(methods, name)(module, target_layer="first", input_shape=(3, 32, 32)) as extractor:
        scores = module(X[:1].float())
        (theirs,) = extractor(1, scores)
    ours = vizlib.explain(
        vizlib.wrap(filled(Strided()).float(), input_size=32), X[0].float(), method, 1, layer="first", **PLAIN.get(method, {})
    ).input_map
    theirs = nn.functional.interpolate(theirs[None], size=(32, 32), mode="bilinear")[0, 0].numpy()
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99
