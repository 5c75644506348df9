"""Maps against boxes: the measures on cases worked by hand, the references, and the order in which images are explained."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_data import NAMES

import vizlib
from vizlib.datasets.tiny_imagenet import ImageSet
from vizlib.errors import TrainingError
from vizlib.evaluation.pointing_game import box_masks, centred_gaussian, mass_in_box, pointing
from vizlib.model_report.localisation import BoxTruth, explain_validation_set, fit_sigma
from vizlib.stats import RESAMPLES, bootstrap_weights, middle_95

BOX = torch.tensor([[1, 0, 2, 1]])  # columns 1 and 2, rows 0 and 1


def image_set(images: int = 9, seed: int = 0) -> ImageSet:
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.integers(0, 64, (images, 2, 2)), axis=1)
    boxes = np.concatenate([corners[:, 0], corners[:, 1]], 1)
    pixels = rng.integers(0, 256, (images, 3, 64, 64), dtype=np.uint8)
    return ImageSet(pixels, rng.integers(0, 2, images), boxes, NAMES)


class TestMeasures:
    def test_a_box_is_inclusive(self) -> None:
        expected = torch.tensor([[[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]], dtype=torch.bool)
        assert torch.equal(box_masks(BOX, (3, 4)), expected)
        assert box_masks(torch.tensor([[0, 0, 3, 2]]), (3, 4)).all()

    def test_mass_by_hand(self) -> None:
        masks = box_masks(BOX, (3, 4)).expand(3, 3, 4)
        maps = torch.zeros(3, 3, 4)
        maps[0, 0, 1], maps[0, 2, 3] = 3, 1  # three quarters inside
        maps[1, 1, 2], maps[1, 0, 0], maps[1, 2, 0] = 1, 1, -5  # what speaks against the class is no mass
        expected = torch.tensor([0.75, 0.5, 4 / 12], dtype=torch.float64)  # the third map says nothing
        torch.testing.assert_close(mass_in_box(maps, masks), expected)

    def test_pointing_by_hand(self) -> None:
        masks = box_masks(BOX, (3, 4)).expand(4, 3, 4)
        maps = torch.zeros(4, 3, 4, dtype=torch.float64)
        maps[0, 1, 1] = 2
        maps[1, 2, 2] = 2
        maps[2, 0, 1], maps[2, 2, 2], maps[2, 2, 3] = 0.3, 0.1 + 0.2, 0.2  # two are highest, but for rounding
        torch.testing.assert_close(pointing(maps, masks), torch.tensor([1, 0, 0.5, 4 / 12], dtype=torch.float64))

    def test_neither_depends_on_the_size_of_a_map(self) -> None:
        generator = torch.Generator().manual_seed(0)
        maps, masks = torch.rand(5, 8, 8, generator=generator), box_masks(torch.tensor([[1, 2, 5, 6]]), (8, 8)).expand(5, 8, 8)
        for measure in (mass_in_box, pointing):
            torch.testing.assert_close(measure(maps * 1e-20, masks), measure(maps, masks))

    def test_random_maps_hold_the_boxs_share_in_the_mean(self) -> None:
        masks = box_masks(torch.tensor([[2, 1, 6, 7]]), (10, 10)).expand(4000, 10, 10)
        maps = torch.rand(4000, 10, 10, generator=torch.Generator().manual_seed(0))
        assert float(mass_in_box(maps, masks).mean()) == pytest.approx(0.35, abs=0.002)
        assert float(pointing(maps, masks).mean()) == pytest.approx(0.35, abs=0.03)


class TestReferences:
    def test_the_gaussian_by_the_formula(self) -> None:
        gaussian = centred_gaussian(0.2, (4, 6))
        plain = [[math.exp(-(((r - 1.5) / 4) ** 2 + ((c - 2.5) / 6) ** 2) / (2 * 0.2**2)) for c in range(6)] for r in range(4)]
        expected = torch.tensor(plain, dtype=torch.float64)
        torch.testing.assert_close(gaussian, expected / expected.sum())
        torch.testing.assert_close(gaussian, gaussian.flip(0, 1))

    @pytest.mark.parametrize("sigma", [0.1, 0.22])
    def test_the_sigma_that_made_the_pixels_is_found(self, sigma: float) -> None:
        pixels = torch.multinomial(
            centred_gaussian(sigma, (64, 64)).flatten(), 20_000, replacement=True, generator=torch.Generator().manual_seed(0)
        )
        masks = torch.nn.functional.one_hot(pixels[:4000], 4096).bool().unflatten(1, (64, 64))
        assert fit_sigma(masks) == pytest.approx(sigma, abs=0.005)

    def test_every_image_counts_the_same_in_the_fit(self) -> None:
        point, whole = box_masks(torch.tensor([[31, 31, 32, 32]]), (64, 64)), torch.ones(1, 64, 64, dtype=torch.bool)
        few, many = fit_sigma(torch.cat([point] * 9 + [whole])), fit_sigma(torch.cat([point] + [whole] * 9))
        assert few < 0.12
        assert many > 0.3

    def test_the_bootstrap_agrees_with_the_normal_law(self) -> None:
        values = torch.randn(800, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        weights = torch.from_numpy(bootstrap_weights(800))
        torch.testing.assert_close(weights.sum(1), torch.ones(RESAMPLES, dtype=torch.float64))
        low, high = middle_95((weights @ values).numpy())
        spread = 1.96 * float(values.std()) / math.sqrt(800)
        assert low == pytest.approx(float(values.mean()) - spread, abs=0.1 * spread)
        assert high == pytest.approx(float(values.mean()) + spread, abs=0.1 * spread)
        assert np.array_equal(weights, bootstrap_weights(800))


class TestTruth:
    def test_what_beats_the_gaussian(self) -> None:
        val = image_set(300)
        truth = BoxTruth(val, 0.3)
        scores = {
            "boxes": truth.score(truth.masks.double()),
            "gaussian": truth.score(truth.gaussian),
            "random": truth.score(torch.rand(300, 64, 64, generator=torch.Generator().manual_seed(1))),
            "silent": truth.score(torch.zeros(300, 64, 64)),
        }
        assert scores["boxes"]["all"]["mass"] == pytest.approx([1, 1, 1])
        assert scores["boxes"]["small"]["beats_gaussian"] == {"mass": True, "pointing": True}
        for name in ("gaussian", "random", "silent"):
            assert scores[name]["all"]["beats_gaussian"] == {"mass": False, "pointing": False}
        assert scores["gaussian"]["all"]["over_gaussian"]["mass"] == [0.0, 0.0, 0.0]
        assert scores["random"]["all"]["ratio"][0] == pytest.approx(1, abs=0.01)
        assert [scores[name]["silent"] for name in ("random", "silent")] == [0, 300]
        assert scores["silent"]["all"]["ratio"] == pytest.approx([1, 1, 1])

    def test_references_and_small_boxes(self) -> None:
        val = image_set(200)
        truth = BoxTruth(val, 0.3)
        references = truth.references()
        areas = (val.boxes[:, 2] - val.boxes[:, 0] + 1) * (val.boxes[:, 3] - val.boxes[:, 1] + 1) / 4096
        assert references["random"]["all"]["mass"][0] == pytest.approx(areas.mean())
        assert references["random"]["small"]["images"] == int((areas < 0.5).sum())
        assert references["random"]["small"]["area"] == pytest.approx(areas[areas < 0.5].mean())
        middle = [
            np.mean([x0 <= column <= x1 and y0 <= row <= y1 for row in (31, 32) for column in (31, 32)]) for x0, y0, x1, y1 in val.boxes
        ]
        assert references["centre"]["all"]["mass"][0] == pytest.approx(np.mean(middle))
        assert references["gaussian"]["all"]["pointing"][0] == pytest.approx(np.mean(middle))

    def test_no_small_box_at_all(self) -> None:
        val = image_set(3)
        val.boxes[:] = [0, 0, 63, 63]
        truth = BoxTruth(val, 0.3)
        assert set(truth.references()["gaussian"]) == {"all"}
        assert truth.score(torch.rand(3, 64, 64))["all"]["mass"] == pytest.approx([1, 1, 1])


class TestExplainingASet:
    @pytest.mark.parametrize("method", ["rollout", "relevance"])
    def test_maps_are_those_of_each_image_for_its_own_class(self, method: str) -> None:
        model = vizlib.load("vit_tiny50", checkpoint="random", num_classes=2, labels=NAMES)
        val = image_set()
        reported: list[int] = []
        maps = explain_validation_set(model, method, val, workers=2, report=reported.append)
        assert sum(reported) == len(val)
        assert torch.equal(maps, explain_validation_set(model, method, val))
        for row, (image, label) in enumerate(zip(val.images, val.labels, strict=True)):
            alone = vizlib.explain(model, image.transpose(1, 2, 0), method, target=int(label)).input_map
            np.testing.assert_allclose(maps[row], alone, rtol=1e-3, atol=1e-9)

    def test_a_model_that_resizes_is_refused(self) -> None:
        model = vizlib.load("vit_tiny50", checkpoint="random", num_classes=2, labels=NAMES, image_size=32)
        with pytest.raises(TrainingError, match="pixel for pixel"):
            explain_validation_set(model, "rollout", image_set(2))
