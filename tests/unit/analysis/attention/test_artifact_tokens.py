from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo_cases

import vizlib
from vizlib.analysis.attention import artifact_tokens
from vizlib.explainers.methods.attention.rollout import explain
from vizlib.passes.forward import run, traces


def test_scores_are_robust_and_hand_worked():
    values = torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0])
    scores = artifact_tokens.robust_scores(values)
    assert scores.tolist() == pytest.approx([-2 / 1.4826, -1 / 1.4826, 0, 1 / 1.4826, 97 / 1.4826])
    # the outlier's size does not move the others, as it would with mean and deviation
    values[-1] = 1e6
    assert torch.allclose(artifact_tokens.robust_scores(values)[:4], scores[:4])
    level = artifact_tokens.robust_scores(torch.tensor([5.0, 5.0, 5.0, 9.0]))
    assert level[0] == 0
    assert level[3] > 100


def test_a_planted_token_is_found_where_it_is(monkeypatch):
    model = zoo_cases.model("registers")
    trace = traces(model, zoo_cases.inputs("registers"))[0]
    assert [layer.name for layer in artifact_tokens.norms(trace)] == ["blocks.0", "blocks.1", "blocks.2"]
    trace.features["blocks.1"] = trace.features["blocks.1"].clone()
    trace.features["blocks.1"][:, 2, 1] *= 80
    layers = artifact_tokens.norms(trace)
    assert layers[1].norms[2, 1] == pytest.approx(float(trace.features["blocks.1"][:, 2, 1].norm()), rel=1e-6)
    assert layers[1].odd().tolist() == [2 * 4 + 1]
    assert artifact_tokens.artifact_cells(layers) == {(4, 4): [9]}
    assert artifact_tokens.artifact_cells(layers, threshold=1e9) == {}


@pytest.mark.parametrize("name", ["t2t_performer", "pvt", "cvt", "cct", "pvt_v2"])
def test_every_grid_is_looked_at(name):
    model = zoo_cases.model(name)
    trace = traces(model, zoo_cases.inputs(name))[0]
    assert {tuple(layer.norms.shape) for layer in artifact_tokens.norms(trace)} == {site.query_grid.shape for site in trace.attention}


@pytest.mark.parametrize("name", ["token", "registers", "mean", "cct", "t2t_transformer", "pvt"])
def test_leaving_out_is_the_explicit_product_without_those_columns(name):
    model = zoo_cases.model(name)
    x = zoo_cases.inputs(name)
    done = run(model, x)
    lineage = done.lineage()
    grid = lineage.sites[-1].key_grid
    odd = {grid.shape: [1, 2]}
    found = artifact_tokens.rollout_without(model, x, odd)
    assert float(found.input_map.sum()) + found.sink == pytest.approx(1, abs=1e-9)
    keys = [grid.prefix + cell for cell in (1, 2)]
    row = lineage.readout.clone()
    row[:, keys] = 0
    row = row / row.sum()
    last = lineage.sites[-1]
    weights = last.weights().double().mean(0)
    weights[:, keys] = 0
    expected = 0.5 * row + 0.5 * row @ (weights / weights.sum(-1, keepdim=True))
    rule = artifact_tokens._Without(0.5, odd)
    step = lineage.steps[0]
    moved = 0.5 * row[None] + 0.5 * rule.attend(step, row[None])
    assert torch.allclose(moved[0], expected, atol=1e-9)
    assert moved[0][0, keys].abs().max() == 0


def test_leaving_out_nothing_is_the_rollout():
    model = zoo_cases.model("distilled")
    x = zoo_cases.inputs("distilled")
    (plain,) = explain(model, x, lambda logits: [], vizlib.methods()[0].resolve({}))[1]
    assert torch.allclose(artifact_tokens.rollout_without(model, x, {}).input_map, plain.input_map, atol=1e-12)


def test_a_left_out_patch_gets_nothing():
    model = zoo_cases.model("token")
    found = artifact_tokens.rollout_without(model, zoo_cases.inputs("token"), {(4, 4): [5]}).input_map.numpy()
    assert found[8:16, 8:16].sum() == 0
    assert (np.delete(found.reshape(4, 8, 4, 8).sum((1, 3)).ravel(), 5) > 0).all()


def test_nothing_left_is_refused():
    with pytest.raises(vizlib.MethodError, match="raise the threshold"):
        artifact_tokens.rollout_without(zoo_cases.model("mean_without_token"), zoo_cases.inputs("mean_without_token"), {(4, 4): range(16)})
