"""Where the colours of a map end: robust against single places, anchored where a map is flat, the same for pages and files."""

import numpy as np
import pytest
from skimage import data

import vizlib
from vizlib.figures.map_scale import colours_end, even_share, share_above, upper_end
from vizlib.figures.overlay import overlay, signed_overlay
from vizlib.geometry import Transform
from vizlib.ui.core.pictures import Picture
from vizlib.ui.pages.attention.selected_token import token_rollout_png
from vizlib.ui.pages.attention.token_work import TokenRollout


def test_one_artefact_among_many_places_is_saturated():
    values = np.full(256, 1.0)
    values[:100] = np.linspace(1, 5, 100)
    values[7] = 90.0  # one token of 16 x 16
    assert upper_end(values, 1.0) == pytest.approx(np.sort(values)[-3], rel=0.02)


def test_one_cell_of_a_coarse_grid_is_no_artefact():
    assert upper_end(np.repeat([1.0] * 63 + [7.0], 64)) == 7.0


def test_a_flat_map_looks_flat():
    values = np.linspace(0.95, 1.05, 400)
    assert upper_end(values, 1.0) == 2.0


def test_where_nearly_all_is_zero_the_largest_value_is_the_end():
    values = np.zeros(1000)
    values[3] = 4.0
    assert upper_end(values) == 4.0
    assert upper_end(np.zeros(5)) == 0.0
    assert upper_end(np.zeros(0)) == 0.0


def test_of_evidence_for_and_against_the_magnitude_counts():
    assert upper_end(np.concatenate([np.full(500, -3.0), np.full(500, 1.0)])) == 3.0


def test_a_shares_even_part():
    assert even_share(np.full((2, 5), 0.08), 0.2) == pytest.approx(0.1)
    assert even_share(np.zeros((2, 2)), None) is None


@pytest.mark.parametrize(("method", "signed"), [("relevance", False), ("input_x_gradient", True)])
def test_files_end_where_pages_end(method, signed):
    explanation = vizlib.explain(vizlib.load("vit_tiny50"), data.coffee(), method)
    inside = explanation.input_map[explanation.geometry.content]
    if signed:
        expected = signed_overlay(explanation.image, explanation.map, reach=float(np.quantile(np.abs(inside), 0.99)))
    else:
        end = max(float(np.quantile(inside, 0.99)), 2 * float(explanation.input_map.sum()) / explanation.input_map.size)
        expected = overlay(explanation.image, explanation.map, high=end)
    assert np.array_equal(explanation.picture(), expected)


def test_the_share_above_the_end_counts_magnitudes_and_not_the_end_itself() -> None:
    assert share_above(np.array([-3.0, 1.0, 2.0, 5.0]), 2.0) == 0.5
    assert share_above(np.array([2.0, 2.0]), 2.0) == 0.0
    assert share_above(np.zeros(0), 1.0) == 0.0


def test_a_tokens_rollout_ends_in_its_file_where_maps_end() -> None:
    """One artefact patch holds a tenth of the walk, and padding is no part of the picture."""
    rng = np.random.default_rng(0)
    picture = Picture("of:a test", "Test", rng.integers(0, 255, (40, 80, 3), np.uint8), "")
    geometry = Transform(size=(32, 32)).geometry((40, 80), "pad")
    values = rng.random((32, 32))
    values *= 0.8 / values.sum()
    values[16, 4] += 0.1
    walk = TokenRollout(b"", values, 0.1, np.zeros((1, 1)))
    end = float(np.quantile(values[geometry.content], 0.99))
    assert colours_end(values, geometry.content, 0.1) == pytest.approx(max(end, 2 / 1024))
    expected = overlay(picture.pixels, geometry.map_to_image(values), high=max(end, 2 / 1024))
    assert np.array_equal(vizlib.read_image(token_rollout_png(walk, picture, geometry)), expected)
