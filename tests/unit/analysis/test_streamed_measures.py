"""What is measured of each layer, against explicit matrices, gratings, known networks and cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import zoo_cases
from torch import nn

import vizlib
from vizlib.analysis.attention import head_statistics
from vizlib.analysis.attention.head_spread import head_spread
from vizlib.analysis.features.channels import mark
from vizlib.analysis.features.dead_channels import ChannelSums
from vizlib.analysis.features.effective_rank import Moments, effective_rank, stable_rank
from vizlib.analysis.features.layers import read
from vizlib.analysis.features.residual_ratio import ResidualRatios
from vizlib.analysis.features.spectrum import amplitudes, relative_log, rings
from vizlib.analysis.features.token_similarity import token_similarity
from vizlib.analysis.receptive_field.effective_receptive_field import (
    ReceptiveField,
    architectural_receptive_fields,
    effective_receptive_fields,
)
from vizlib.errors import MethodError
from vizlib.passes.backward import gradients_on
from vizlib.passes.forward import run


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestSimilarity:
    def test_is_the_mean_of_the_matrix_of_cosines(self):
        states = noise(2, 7, 5)
        states[1, 3] = 0
        for image, found in zip(states, token_similarity(states), strict=True):
            cosines = F.cosine_similarity(image[:, None], image[None], dim=-1)
            assert found == pytest.approx(float((cosines.sum() - cosines.diagonal().sum()) / 42))

    def test_by_hand(self):
        states = torch.tensor([[[1.0, 0], [0, 2], [3, 0]], [[1, 1], [2, 2], [9, 9]]])
        assert token_similarity(states).tolist() == pytest.approx([1 / 3, 1])
        assert token_similarity(states[:, :1]).isnan().all()


class TestRank:
    def test_moments_are_those_of_all_rows_together(self):
        all_rows = noise(90, 6) * torch.tensor([5.0, 3, 1, 1, 0.1, 0]) + 1000
        moments = Moments()
        for part in all_rows.split(25):
            moments.add(part)
        expected = torch.linalg.svdvals(all_rows - all_rows.mean(0)) / math.sqrt(90)
        assert torch.allclose(moments.mean, all_rows.mean(0))
        assert torch.allclose(moments.spectrum(), expected, atol=1e-6)

    def test_ranks_by_hand(self):
        assert effective_rank(torch.ones(5)) == pytest.approx(5)
        assert effective_rank(torch.tensor([2.0, 0, 0])) == pytest.approx(1)
        assert effective_rank(torch.tensor([3.0, 1.0])) == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))
        assert stable_rank(torch.tensor([2.0, 1, 1])) == pytest.approx(1.5)
        assert effective_rank(torch.zeros(3)) == stable_rank(torch.zeros(3)) == 0


class TestSpectrum:
    @pytest.mark.parametrize("cycles", [1, 2, 4])
    def test_a_grating_is_at_its_frequency(self, cycles):
        places = torch.arange(8, dtype=torch.float64)
        wave = torch.cos(2 * math.pi * cycles * places / 8)
        for maps in (wave[None].expand(8, 8), wave[:, None].expand(8, 8)):
            found = amplitudes(maps[None, None])
            assert int(found.argmax()) == cycles
            assert found[[ring for ring in range(5) if ring != cycles]].abs().max() < 1e-12

    def test_relative_to_the_mean_by_hand(self):
        # 4 + cos(pi x) on 4 x 4: of 16 frequencies one is the mean, 16 / 4 its orthonormal amplitude times 4, one is the highest.
        maps = 4 + torch.tensor([1.0, -1, 1, -1], dtype=torch.float64)[None, None, None].expand(1, 1, 4, 4)
        assert rings((4, 4)).flatten().bincount().tolist() == [1, 8, 7]
        found = amplitudes(maps)
        assert found.tolist() == pytest.approx([16, 0, 4 / 7])
        relative = relative_log(found)
        assert relative[0] == 0
        assert relative[2] == pytest.approx(math.log(4 / 7 / 16))
        assert relative[1].isnan() or relative[1] < -30

    def test_smoothing_lowers_and_sharpening_raises_it(self):
        maps = noise(3, 4, 12, 12) + 1
        kernel = torch.full((4, 1, 3, 3), 1 / 9, dtype=torch.float64)
        smooth = F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="circular"), kernel, groups=4)
        plain, low, high = (relative_log(amplitudes(one))[-1] for one in (maps, smooth, 2 * maps - smooth))
        assert low < plain < high

    def test_oblong_and_single_cells(self):
        assert int((rings((4, 9)) == 0).sum()) == 1
        assert rings((4, 9)).max() == 2
        assert len(relative_log(amplitudes(noise(2, 3, 1, 1)))) == 1


class TestHeads:
    @pytest.mark.parametrize("name", ["token", "registers", "cct", "pvt", "cvt", "t2t_performer", "pool"])
    def test_a_batch_is_its_images_one_by_one(self, name):
        done = run(zoo_cases.model(name), zoo_cases.inputs(name, 3))
        for site in done.lineage().sites:
            found = head_spread(site, done.size)
            for image in range(3):
                one = head_statistics.head_statistics(site.image(image), done.size)
                assert np.allclose(found.entropy[image], one.entropy, atol=1e-5)
                assert np.allclose(found.distance[image], one.distance, atol=1e-4, equal_nan=True)

    @pytest.mark.parametrize("name", ["swin", "swin_padded"])
    def test_windows_are_read_as_the_whole_matrix(self, name):
        done = run(zoo_cases.model(name), zoo_cases.inputs(name, 2))
        for site in done.lineage().sites:
            found = head_spread(site, done.size)
            points = head_statistics.centres(site.layout.grid, done.size)
            gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
            for image in range(2):
                weights = site.image(image).weights().double().numpy()
                cells = weights[..., site.layout.keys.prefix :]
                far = ((cells * gaps).sum(-1) / cells.sum(-1)).mean(-1)
                assert np.allclose(found.distance[image], far, atol=1e-3)
                # Each place of the padding is a key of its own, and no query.
                rows = site.image(image).block_weights(slice(0, site.layout.windows), slice(None), None).double().numpy()
                asking = (site.layout.places >= 0).numpy()
                bits = head_statistics.entropy(rows).transpose(1, 0, 2)[:, asking].mean(-1)
                assert np.allclose(found.entropy[image], bits, atol=1e-4)


class Linear(nn.Module):
    """Convolutions alone, under the names of a ResNet."""

    def __init__(self, *kernels):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False) for kernel in kernels)
        self.head = nn.Linear(1, 3)
        self.feature_info = [{"module": f"layers.{index}"} for index in range(len(kernels))]
        self.num_classes = 3

    def forward(self, x):
        x = x.mean(1, keepdim=True)
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean((2, 3)))


class TestFields:
    def test_of_ones_it_is_the_triangle(self):
        module = Linear(3, 3)
        for layer in module.layers:
            nn.init.ones_(layer.weight)
        model = vizlib.wrap(module.eval(), input_size=(9, 9))
        first, second = effective_receptive_fields(model, torch.randn(2, 3, 9, 9))
        expected = np.zeros((9, 9))
        expected[3:6, 3:6] = 1 / 9
        assert np.allclose(first.weights, expected)
        triangle = np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]) ** 2
        assert np.allclose(second.weights[2:7, 2:7], triangle / triangle.sum())
        assert first.at == (4.5, 4.5)
        assert first.reach == pytest.approx((4 + 4 * math.sqrt(2)) / 9)

    def test_signs_average_to_the_jacobian(self):
        model, x = zoo_cases.model("resnet"), zoo_cases.inputs("resnet", 2)
        found = effective_receptive_fields(model, x, signs=200)[1]

        energy = torch.zeros(32, 32)
        with gradients_on():
            for one in x:
                reading = read(model, one[None], live=True)
                layer = reading.layers[1]
                state = reading.states[1][0, layer.grid[0] // 2 * layer.grid[1] + layer.grid[1] // 2]
                for value in state:
                    (gradient,) = torch.autograd.grad(value, reading.forward_pass.x, retain_graph=True)
                    energy += gradient[0].square().sum(0)
        exact = (energy / energy.sum()).numpy()
        assert np.abs(found.weights - exact).sum() < 0.25
        assert found.reach == pytest.approx(ReceptiveField(exact.astype(float), found.at).reach, rel=0.05)

    def test_the_operator_is_the_product_of_explicit_matrices(self):
        model = zoo_cases.model("resnet")
        fields = architectural_receptive_fields(model, (32, 32))
        assert [one.weights.sum() for one in fields] == pytest.approx([1] * len(fields))

        def matrix(side, kernel, stride, padding):
            """One axis of even windows: rows over what they cover inside."""
            count = (side + 2 * padding - kernel) // stride + 1
            made = np.zeros((count, side))
            for row in range(count):
                inside = [cell for cell in range(row * stride - padding, row * stride - padding + kernel) if 0 <= cell < side]
                made[row, inside] = 1 / len(inside)
            return made

        stem, pool = matrix(32, 7, 2, 3), matrix(16, 3, 2, 1)
        below = pool @ stem
        conv = matrix(8, 3, 1, 1)
        # layer1: half of two convolutions, half of nothing.
        row = 0.5 * np.outer((conv @ conv @ below)[4], (conv @ conv @ below)[4]) + 0.5 * np.outer(below[4], below[4])
        assert np.allclose(fields[0].weights, row)
        # layer2: its branch starts with stride 2, its skip is one convolution of kernel 1 and stride 2; each splits again below.
        branch, skip = matrix(4, 3, 1, 1) @ matrix(8, 3, 2, 1), matrix(8, 1, 2, 0)
        row = sum(
            0.25 * np.outer((upper @ lower @ below)[2], (upper @ lower @ below)[2])
            for upper in (branch, skip)
            for lower in (conv @ conv, np.eye(8))
        )
        assert np.allclose(fields[1].weights, row)

    def test_only_a_resnet_has_one(self):
        with pytest.raises(MethodError, match="is no ResNet"):
            architectural_receptive_fields(zoo_cases.model("token"), (32, 32))

    @pytest.mark.parametrize("name", ["resnet_tiny50", "resnet50"])
    def test_real_resnets(self, name):
        model = vizlib.load(name, checkpoint="random")
        fields = architectural_receptive_fields(model, (64, 64))
        assert all(one.weights.sum() == pytest.approx(1) for one in fields)
        assert all(below.reach < above.reach for below, above in zip(fields, fields[2:], strict=False))


class TestBranches:
    def test_a_resnets_are_those_of_its_blocks(self):
        model, x = zoo_cases.model("resnet"), zoo_cases.inputs("resnet", 2)
        branches = ResidualRatios.of(model)
        read(model, x, hooks=branches.hooks)
        found = branches.shares()
        assert list(found) == ["layer1.0", "layer2.0", "layer3.0", "layer4.0"]
        with torch.no_grad():
            module = model.module
            h = module.maxpool(module.act1(module.bn1(module.conv1(x))))
            for number, name in enumerate(found, 1):
                block = getattr(module, f"layer{number}")[0]
                skip = h if block.downsample is None else block.downsample(h)
                branch = block.bn2(block.conv2(block.act1(block.bn1(block.conv1(h)))))
                sizes = [one.double().norm(dim=1).flatten(1) for one in (skip, branch)]
                assert torch.allclose(found[name], sizes[0] / (sizes[0] + sizes[1]), atol=1e-5)
                h = block(h)

    def test_a_transformers_are_those_of_the_rollout(self):
        from vizlib.passes.forward import run_measured

        model, x = zoo_cases.model("token"), zoo_cases.inputs("token", 2)
        branches = ResidualRatios.of(model)
        read(model, x, hooks=branches.hooks)
        expected = run_measured(model, x, shares=True).recording.residual_shares
        assert {name: share.tolist() for name, share in branches.shares().items()} == {name: one.tolist() for name, one in expected.items()}


def test_channels_of_a_set_are_judged_as_those_of_one_image():
    maps = noise(12, 8, 8)
    maps[3], maps[5] = 0, maps[5] * 1e4
    sums = ChannelSums()
    sums.add(maps.flatten(1).T[None, :40])
    sums.add(maps.flatten(1).T[None, 40:])
    assert maps[5].abs().max() > 1e4  # what is read stays as it is
    dead, exploding = sums.verdicts()
    expected = mark(maps)
    assert torch.equal(dead, expected.dead)
    assert torch.equal(exploding, expected.exploding)
    assert dead.nonzero().flatten().tolist() == [3]
    assert exploding.nonzero().flatten().tolist() == [5]
    assert torch.allclose(sums.deviation(), expected.deviation)
