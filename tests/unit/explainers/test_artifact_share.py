"""Artifact tokens of a rollout: found by share and by norm, left out of pictures and, where asked for, of the walk; planted ones."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
import zoo_cases

import vizlib
from vizlib.explainers.parts.artifact_tokens import norm_artifacts, odd_by_share, robust_scores, start_without, united
from vizlib.figures.rollout_film import film_frames, stages_on_input
from vizlib.passes.forward import run, traces

CELL = 27  # of 8 x 8: row 4, column 4


def photograph(seed):
    return np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)


def test_a_cell_is_odd_that_holds_eight_times_its_share_and_stands_alone():
    shares = torch.full((4, 8, 8), 1.0, dtype=torch.float64)
    shares[0, 2, 5] = 20  # alone
    shares[1, 2, 5] = shares[1, 2, 6] = 20  # an object of two patches
    shares[2, 2, 5] = 6  # too little
    shares[3, 0, 0] = 30  # in the corner
    assert torch.nonzero(odd_by_share(shares)).tolist() == [[0, 2, 5], [3, 0, 0]]
    even = shares[0].sum() / 64
    assert not odd_by_share(shares[:1], share=float(20 / even) + 1e-6).any()
    assert odd_by_share(shares[:1], share=float(20 / even) - 1e-6).sum() == 1
    assert odd_by_share(shares[1:2], isolation=1.0).sum() == 2
    assert not odd_by_share(torch.zeros(1, 8, 8)).any()


def test_scores_of_a_layer_are_distances_from_the_middle_in_spreads():
    values = torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0])
    assert torch.allclose(robust_scores(values), (values.double() - 3) / 1.4826)  # the median distance from 3 is 1
    even = torch.tensor([5.0, 5.0, 5.0, 5.0, 5.02])  # no spread at all: a thousandth of the middle counts as one
    assert torch.allclose(robust_scores(even), (even.double() - 5) / (1.4826 * 0.005))
    assert not robust_scores(torch.zeros(5)).any()


def test_cells_that_either_search_found_are_odd():
    first, second = torch.zeros(2, 4, dtype=torch.bool), torch.zeros(2, 4, dtype=torch.bool)
    first[0, 1] = second[0, 1] = second[1, 3] = True
    both = united({(2, 2): first}, {}, {(2, 2): second, (1, 4): first})
    assert torch.nonzero(both[2, 2]).tolist() == [[0, 1], [1, 3]]
    assert torch.equal(both[1, 4], first)


def planted(image):
    """The bundled ViT with queries in its first block that all look for one patch of this picture."""
    model = vizlib.load("vit_tiny50")
    block = model.module.blocks[0]
    kept = []
    handle = block.norm1.register_forward_hook(lambda _, inputs, output: kept.append(output))
    model(model.prepare(image))
    handle.remove()
    width = block.attn.qkv.weight.shape[1]
    keys = torch.nn.functional.linear(kept[0][0], block.attn.qkv.weight[width : 2 * width])[1:]
    by_head = keys.unflatten(1, (block.attn.num_heads, -1)).transpose(0, 1).double()
    only = torch.eye(64, dtype=torch.float64)[CELL].expand(len(by_head), -1)[..., None]
    queries = torch.linalg.lstsq(by_head, only).solution.flatten()  # 1 with this patch's key, 0 with all others
    with torch.no_grad():
        block.attn.qkv.bias[:width] += 400 * queries.float()
    return model


@pytest.fixture(scope="module")
def pictures():
    return photograph(0), photograph(1)


@pytest.fixture(scope="module")
def model(pictures):
    return planted(pictures[0])


def in_cell(values):
    row, column = divmod(CELL, 8)
    return float(np.asarray(values)[8 * row : 8 * row + 8, 8 * column : 8 * column + 8].sum())


def test_pictures_leave_a_planted_one_out_and_arrays_never(model, pictures):
    explanation = vizlib.explain(model, pictures[0], "rollout")
    assert in_cell(explanation.input_map) * 64 > 8
    assert in_cell(explanation.drawn) == 0
    assert explanation.input_map.sum() + explanation.sink == pytest.approx(1, abs=1e-9)
    (note,) = explanation.notes
    assert "row 4, column 4 of 8 x 8" in note
    assert "arrays keep it" in note
    with np.load(io.BytesIO(explanation.npz())) as arrays:
        assert in_cell(arrays["input_map"]) == in_cell(explanation.input_map)
    place = np.s_[8 * 3 : 8 * 4, 8 * 3 : 8 * 4]
    whole = vizlib.explain(model, pictures[0], "rollout", show="prior")
    assert whole.drawn is whole.input_map
    assert explanation.picture(1.0)[place].mean() < 0.7 * explanation.picture(1.0).mean()  # viridis is dark where there is nothing


def test_films_leave_it_out_at_every_step_too(model, pictures):
    explanation = vizlib.explain(model, pictures[0], "rollout")
    assert len(explanation.drawn_stages) == len(explanation.stages) > 0
    assert in_cell(stages_on_input(replace(explanation, without_artifacts=None))[0]) * 64 > 8
    assert [in_cell(values) for values in stages_on_input(explanation)] == [0] * (1 + len(explanation.stages))
    without = vizlib.explain(model, pictures[0], "rollout", artifact_tokens="share")
    frames = zip(film_frames(explanation), film_frames(without), strict=True)
    assert all(np.array_equal(own, expected) for own, expected in frames)


def test_the_option_takes_it_out_of_the_walk(model, pictures):
    explanation = vizlib.explain(model, pictures[0], "rollout")
    without = vizlib.explain(model, pictures[0], "rollout", artifact_tokens="share")
    np.testing.assert_array_equal(without.input_map, explanation.drawn)
    assert without.input_map.sum() + without.sink == pytest.approx(1, abs=1e-9)
    assert without.sink == pytest.approx(explanation.drawn_sink, abs=1e-9)
    assert "left out here" in without.notes[0]
    assert without.drawn is without.input_map


def test_the_token_that_is_asked_for_is_no_artifact(pictures):
    explanation = vizlib.explain(vizlib.load("vit_tiny50"), pictures[0], "rollout", token=1 + CELL, residual_weight=0.9)
    assert in_cell(explanation.input_map) * 64 > 8
    assert explanation.notes == ()


def test_each_picture_of_a_list_has_its_own(model, pictures):
    together = vizlib.explain(model, list(pictures), "rollout", artifact_tokens="share")
    for explanation, picture in zip(together, pictures, strict=True):
        alone = vizlib.explain(model, picture, "rollout", artifact_tokens="share")
        np.testing.assert_allclose(explanation.input_map, alone.input_map, atol=1e-7)
        assert explanation.notes == alone.notes


def test_a_model_without_any_is_as_it_was(pictures):
    explanation = vizlib.explain(vizlib.load("vit_tiny50"), pictures[0], "rollout")
    assert explanation.notes == ()
    assert explanation.drawn is explanation.input_map


@pytest.mark.parametrize("name", ["token", "registers", "mean", "t2t_performer"])
def test_hidden_keys_are_the_explicit_product_without_those_columns(name):
    forward = run(zoo_cases.model(name), torch.cat([zoo_cases.inputs(name), zoo_cases.inputs(name).flip(-1)]))
    site = forward.lineage().sites[-1]
    rows = torch.rand(2, 1, site.query_grid.tokens, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    hidden = torch.zeros(2, site.key_grid.tokens, dtype=torch.bool)
    hidden[0, 2], hidden[1, [3, 5]] = True, True
    pulled = site.pull(rows, None, hidden)
    for image in range(2):
        weights = site.image(image).weights().double().mean(0)
        weights[:, hidden[image]] = 0
        expected = rows[image] @ (weights / weights.sum(-1, keepdim=True))
        torch.testing.assert_close(pulled[image], expected, atol=1e-6, rtol=0)
        assert pulled[image][:, hidden[image]].abs().max() == 0


def test_norms_that_stand_out_are_found_in_their_picture():
    x = torch.cat([zoo_cases.inputs("registers"), zoo_cases.inputs("registers").flip(-1)])
    first, second = traces(zoo_cases.model("registers"), x)
    second.features["blocks.1"] = second.features["blocks.1"].clone()
    second.features["blocks.1"][:, 2, 1] *= 80
    odd = norm_artifacts([first, second])
    assert torch.nonzero(odd[4, 4]).tolist() == [[1, 9]]
    assert norm_artifacts([first, second], threshold=1e9) == {}


def test_a_readout_that_counts_them_loses_them():
    forward = run(zoo_cases.model("mean"), zoo_cases.inputs("mean"))
    lineage = forward.lineage()
    grid = next(step.target for step in lineage.steps if step.target.cells)
    odd = {grid.shape: torch.zeros(1, grid.cells, dtype=torch.bool)}
    odd[grid.shape][0, 4] = True
    rows = start_without(lineage.readout[:, None], lineage.steps, odd)
    assert rows[0, 0, grid.prefix + 4] == 0
    assert float(rows.sum()) == pytest.approx(float(lineage.readout.sum()))
    odd[grid.shape][:] = True
    with pytest.raises(vizlib.MethodError, match="read from stands out"):
        start_without(lineage.readout[:, None], lineage.steps, odd)
