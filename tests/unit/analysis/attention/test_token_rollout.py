from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import zoo_cases
from PIL import Image

import vizlib
from vizlib.analysis.attention.token_rollout import rollout, rollout_from
from vizlib.catalog.methods import METHODS
from vizlib.explainers.methods.attention.rollout import explain
from vizlib.figures.rollout_film import film_frames, gif, stages_on_input
from vizlib.passes.forward import run

FAMILIES = ["token", "registers", "t2t_performer", "t2t_transformer", "pvt", "pvt_v2", "cvt", "cct"]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_layer_has_walks_down_to_the_pixels(name):
    model, x = zoo_cases.model(name), zoo_cases.inputs(name)
    for index, site in enumerate(run(model, x).lineage().sites):
        found = rollout_from(model, x, index, site.query_grid.tokens - 1)
        assert float(found.input_map.sum()) + found.sink == pytest.approx(1, abs=1e-9)
        assert float(found.input_map.min()) >= 0


@pytest.mark.parametrize("name", ["token", "t2t_performer", "pvt", "cvt", "cct"])
def test_from_the_last_layer_it_is_the_rollout_of_that_token(name):
    model, x = zoo_cases.model(name), zoo_cases.inputs(name)
    last = len(run(model, x).lineage().sites) - 1
    for token in (0, 2):
        (expected,) = explain(model, x, lambda logits: [], METHODS["rollout"].resolve({"token": token}))[1]
        assert torch.allclose(rollout_from(model, x, last, token).input_map, expected.input_map, atol=1e-12)


def test_from_the_middle_it_is_the_explicit_product():
    model, x = zoo_cases.model("registers"), zoo_cases.inputs("registers")
    sites = run(model, x).lineage().sites
    row = torch.eye(sites[0].query_grid.tokens, dtype=torch.float64)[7]
    for site in (sites[1], sites[0]):
        row = 0.5 * row + 0.5 * row @ site.weights().double().mean(0)
    found = rollout_from(model, x, 1, 7)
    cells = found.input_map.reshape(4, 8, 4, 8).sum((1, 3)).flatten()
    assert torch.allclose(cells, row[5:], atol=1e-7)
    assert found.sink == pytest.approx(float(row[:5].sum()), abs=1e-7)


def test_of_the_answer():
    model, x = zoo_cases.model("cct"), zoo_cases.inputs("cct")
    (expected,) = explain(model, x, lambda logits: [], METHODS["rollout"].resolve({}))[1]
    assert torch.allclose(rollout(model, x).input_map, expected.input_map, atol=1e-12)


@pytest.mark.parametrize(("site", "token", "words"), [(9, 0, "attentions 0 to 2"), (0, 17, "queries 0 to 16")])
def test_what_is_not_there(site, token, words):
    with pytest.raises(vizlib.MethodError, match=words):
        rollout_from(zoo_cases.model("token"), zoo_cases.inputs("token"), site, token)


def test_the_strip_keeps_the_mass_and_the_film_has_every_frame():
    model = zoo_cases.model("t2t_transformer")
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    explanation = vizlib.explain(model, image)
    maps = stages_on_input(explanation)
    assert [one.shape for one in maps] == [(32, 32)] * (len(explanation.stages) + 1)
    for one, stage in zip(maps, explanation.stages, strict=False):
        assert one.sum() == pytest.approx(stage.sum(), rel=1e-9)
        # each cell is even, and holds what the stage says
        side = 32 // stage.shape[0]
        assert np.allclose(one.reshape(stage.shape[0], side, stage.shape[1], side).sum((1, 3)), stage, rtol=1e-6)
    frames = film_frames(explanation, longest=30)
    assert {frame.shape for frame in frames} == {(20, 30, 3)}
    film = Image.open(io.BytesIO(gif(frames)))
    assert film.format == "GIF"
    assert film.n_frames == len(frames)
