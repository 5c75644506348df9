from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
import zoo_cases

import vizlib
from vizlib.analysis.attention import head_statistics
from vizlib.passes.forward import traces
from vizlib.tracing.attention_site import AttentionSite
from vizlib.tracing.token_grid import Grid


def explicit(site, size):
    """The same numbers one query and one key at a time."""
    weights = site.weights().double().numpy()
    queries, keys = site.query_grid, site.key_grid
    found = {name: np.zeros(site.heads) for name in ("entropy", "distance", "diagonal")} | {"learned": np.zeros((site.heads, keys.prefix))}

    def centre(grid, cell):
        return (cell // grid.width + 0.5) * size[0] / grid.height, (cell % grid.width + 0.5) * size[1] / grid.width

    for head in range(site.heads):
        for query in range(queries.cells):
            row = weights[head, queries.prefix + query]
            found["entropy"][head] += sum(-p * math.log2(p) for p in row if p > 0) / queries.cells
            found["learned"][head] += row[: keys.prefix] / queries.cells
            y, x = centre(queries, query)
            far = mass = 0.0
            for key in range(keys.cells):
                other = centre(keys, key)
                far += row[keys.prefix + key] * math.hypot(y - other[0], x - other[1])
                mass += row[keys.prefix + key]
            found["distance"][head] += far / mass / queries.cells
            own = int(y / size[0] * keys.height) * keys.width + int(x / size[1] * keys.width)
            found["diagonal"][head] += row[keys.prefix + own] / queries.cells
    return found


@pytest.mark.parametrize("name", ["token", "registers", "wide", "mean_without_token", "t2t_performer", "pvt", "cvt", "cct"])
def test_statistics_are_what_two_loops_give(name):
    model = zoo_cases.model(name)
    trace = traces(model, zoo_cases.inputs(name))[0]
    size = model.transform.size
    for site in trace.attention[-2:]:
        found, true = head_statistics.head_statistics(site, size), explicit(site, size)
        for measure, values in true.items():
            assert np.allclose(getattr(found, measure), values, atol=1e-5), measure


def site_of(weights: np.ndarray, queries: Grid, keys: Grid) -> AttentionSite:
    """A site with these very weights (heads, N, M)."""
    scores = torch.from_numpy(np.log(np.maximum(weights, 1e-300)))[None]
    count = queries.tokens
    q = torch.eye(count, dtype=torch.float64).expand(1, len(weights), count, count)
    return AttentionSite("made", 0, 0, queries, keys, q, scores.transpose(-2, -1), 1.0)


def test_hand_worked_heads():
    grid = Grid(2, 2, 1)
    uniform = np.full((5, 5), 0.2)
    itself = np.eye(5)
    classy = np.zeros((5, 5))
    classy[:, 0] = 1
    right = np.zeros((5, 5))
    right[:, [2, 4]] = 0.5  # the two cells of the right column
    found = head_statistics.head_statistics(site_of(np.stack([uniform, itself, classy, right]), grid, grid), (20, 40))
    assert np.allclose(found.entropy, [math.log2(5), 0, 0, 1], atol=1e-9)
    assert np.allclose(found.learned[:, 0], [0.2, 0, 1, 0], atol=1e-9)
    assert np.allclose(found.diagonal, [0.2, 1, 0, 0.25], atol=1e-9)
    far = (0 + 10 + 20 + math.hypot(10, 20)) / 4
    assert np.allclose(found.distance[[0, 1]], [far, 0], atol=1e-9)
    # from the left column 20 across or the diagonal, from the right column 0 or 10 down
    assert found.distance[3] == pytest.approx((20 + math.hypot(10, 20) + 0 + 10) / 4)


def test_a_read_out_has_entropy_and_nothing_that_needs_a_place():
    site = site_of(np.full((1, 1, 4), 0.25), Grid(0, 0, 1), Grid(2, 2))
    found = head_statistics.head_statistics(site, (8, 8))
    assert found.entropy[0] == pytest.approx(2)
    assert np.isnan(found.distance[0])
    assert np.isnan(found.diagonal[0])


def test_blocks_do_not_change_the_numbers(monkeypatch):
    model = zoo_cases.model("registers")
    site = traces(model, zoo_cases.inputs("registers"))[0].attention[1]
    whole = head_statistics.head_statistics(site, (32, 32))
    monkeypatch.setattr(head_statistics, "_BLOCK", 1)
    parts = head_statistics.head_statistics(site, (32, 32))
    for measure in ("entropy", "distance", "learned", "diagonal"):
        assert np.allclose(getattr(whole, measure), getattr(parts, measure), atol=1e-12)


def test_memory_is_linear_in_the_tokens():
    grid = Grid(64, 64)
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 2, grid.tokens, 8, generator=generator) for _ in range(2))
    tracemalloc.start()
    head_statistics.head_statistics(AttentionSite("large", 0, 0, grid, grid, q, k, 0.3), (512, 512))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * 2 * grid.tokens**2 * 8


def test_matrices_hold_nothing_where_there_is_nothing():
    model = zoo_cases.model("pvt")
    trace = traces(model, zoo_cases.inputs("pvt"))[0]
    found = [head_statistics.head_statistics(site, model.transform.size) for site in trace.attention]
    table = head_statistics.matrix(found, "entropy")
    assert table.shape == (5, 3)
    assert np.isfinite(table).tolist() == [[True, False, False], [True, True, False], [True, True, False], [True] * 3, [True] * 3]
    learned = head_statistics.matrix(found, "learned")
    assert np.isnan(learned[:3]).all()
    assert np.isfinite(learned[3:]).all()
    with pytest.raises(vizlib.MethodError, match="entropy, distance, learned, diagonal"):
        head_statistics.matrix(found, "speed")


@pytest.mark.parametrize("name", ["token", "pvt", "cvt", "t2t_performer"])
@pytest.mark.parametrize("head", [None, 0])
def test_one_row_is_a_row_or_a_column_of_the_matrix(name, head):
    model = zoo_cases.model(name)
    site = traces(model, zoo_cases.inputs(name))[0].attention[0]
    weights = site.weights().double().numpy()
    fused = weights.mean(0) if head is None else weights[head]
    forward = head_statistics.attention_row(site, 3, (32, 32), head)
    assert np.allclose(forward.weights, fused[3], atol=1e-7)
    assert forward.entropy == pytest.approx(float(-(fused[3] * np.log2(fused[3])).sum()), abs=1e-5)
    backward = head_statistics.attention_row(site, 2, (32, 32), head, reverse=True)
    assert np.allclose(backward.weights, fused[:, 2], atol=1e-7)
    assert backward.entropy is None
    assert backward.grid == site.query_grid
    y, x, share = forward.top(3)[0]
    assert share == forward.weights[forward.grid.prefix :].max()
    assert forward.weights[forward.grid.prefix + y * forward.grid.width + x] == share
    assert [one[2] for one in forward.top(4)] == sorted((one[2] for one in forward.top(4)), reverse=True)


def test_one_row_measures_its_distance():
    grid = Grid(2, 2, 1)
    row = head_statistics.attention_row(site_of(np.full((1, 5, 5), 0.2), grid, grid), 1, (20, 40))
    assert row.distance == pytest.approx((0 + 10 + 20 + math.hypot(10, 20)) / 4)
    assert np.isnan(head_statistics.attention_row(site_of(np.full((1, 5, 5), 0.2), grid, grid), 0, (20, 40)).distance)
    assert row.learned == pytest.approx([0.2])


def test_a_token_or_head_that_is_not_there():
    model = zoo_cases.model("token")
    site = traces(model, zoo_cases.inputs("token"))[0].attention[0]
    with pytest.raises(vizlib.MethodError, match="tokens 0 to 16"):
        head_statistics.attention_row(site, 17, (32, 32))
    with pytest.raises(vizlib.MethodError, match="heads 0 to 2"):
        head_statistics.attention_row(site, 0, (32, 32), 3)
