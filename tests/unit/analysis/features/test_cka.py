"""CKA against the written-out formulas of HSIC, with centring matrices and sums over indices, and against known answers."""

from __future__ import annotations

import re
from itertools import permutations

import numpy as np
import pytest
import torch

from vizlib.analysis.features.cka import StreamedCKA, centred, gram, hsic, median_distance
from vizlib.compare.text import by_chance
from vizlib.errors import MethodError


def rows(count, width, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(width, seed=0):
    return torch.linalg.qr(rows(width, width, seed))[0]


def unbiased(first, second):
    """HSIC_1 as Song et al. (2012), equation 5, write it."""
    n = len(first)
    k, l = (one.numpy() * (1 - np.eye(n)) for one in (first, second))  # noqa: E741  as in the paper
    one = np.ones(n)
    return (np.trace(k @ l) + one @ k @ one * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3))


def streamed(batches, kernel="linear"):
    stream = StreamedCKA(kernel)
    for batch in batches:
        stream.add(batch)
    return stream


def test_kernels_by_loops():
    x = rows(6, 3)
    far = [[float(((a - b) ** 2).sum()) for b in x] for a in x]
    middle = float(np.median([far[i][j] ** 0.5 for i in range(6) for j in range(i + 1, 6)]))
    assert median_distance(x[:4]) > 0
    assert median_distance(x) == pytest.approx(middle)
    assert np.allclose(gram(x, "rbf"), np.exp(-np.array(far) / (2 * middle**2)))
    assert np.allclose(gram(x, "rbf", 2.0), np.exp(-np.array(far) / 8))
    middle_row = x - x.mean(0)
    assert np.allclose(gram(x, "linear"), [[float(a @ b) for b in middle_row] for a in middle_row])
    assert median_distance(torch.ones(5, 2)) == 1
    with pytest.raises(MethodError, match="no 'cosine'"):
        gram(x, "cosine")


@pytest.mark.parametrize("count", [4, 5, 9])
def test_hsic_is_the_papers_formula(count):
    for kernel in ("linear", "rbf"):
        k, l = gram(rows(count, 3), kernel), gram(rows(count, 5, 1), kernel)  # noqa: E741
        assert hsic(k, l) == pytest.approx(unbiased(k, l))


def test_hsic_is_the_mean_over_different_indices():
    # The U-statistic itself: sums over i, j, q, r that all differ.
    k, l = gram(rows(6, 2), "rbf").numpy(), gram(rows(6, 2, 1), "rbf").numpy()  # noqa: E741
    four = [(k[i, j] * l[i, j] + k[i, j] * l[q, r] - 2 * k[i, j] * l[i, q]) for i, j, q, r in permutations(range(6), 4)]
    assert hsic(torch.from_numpy(k), torch.from_numpy(l)) == pytest.approx(np.mean(four))


def test_in_the_limit_it_is_the_biased_one_with_centring_matrices():
    x, y = rows(400, 4), rows(400, 4) @ rows(4, 3, 1) + 0.5 * rows(400, 3, 2)
    middle = np.eye(400) - 1 / 400
    k, l = (middle @ gram(one, "linear").numpy() @ middle for one in (x, y))  # noqa: E741
    biased = np.sum(k * l) / np.sqrt(np.sum(k * k) * np.sum(l * l))
    assert streamed([[x, y]]).result().value[0, 1] == pytest.approx(biased, abs=0.02)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_rotations_and_scales_change_nothing(kernel):
    x, y = rows(24, 5), rows(24, 7, 1)
    whole = streamed([[x, y, 3 * x @ rotation(5) + 7, x]], kernel).result().value
    assert whole.diagonal() == pytest.approx([1] * 4)
    assert whole[0, 2] == pytest.approx(1)
    assert whole[1, 2] == pytest.approx(whole[1, 0])
    assert np.allclose(whole, whole.T)
    stretched = streamed([[x, x * torch.tensor([10.0, 1, 1, 1, 1])]], kernel).result().value
    assert stretched[0, 1] < 0.95


def test_what_is_independent_has_zero_on_average():
    found = [hsic(gram(rows(5, 3, seed), "linear"), gram(rows(5, 3, seed + 10_000), "linear")) for seed in range(600)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    # The plug-in estimate, which most code computes, does not.
    middle = np.eye(5) - 1 / 5
    biased = []
    for seed in range(100):
        k, l = (middle @ gram(rows(5, 3, s), "linear").numpy() @ middle for s in (seed, seed + 10_000))  # noqa: E741
        biased.append(np.sum(k * l) / 16)
    assert np.mean(biased) > 3 * np.std(biased) / 10


def test_minibatches_are_summed_before_the_ratio():
    batches = [[rows(8, 3, seed), rows(8, 3, seed) @ rows(3, 4, 99) + rows(8, 4, seed + 50)] for seed in range(5)]
    found = streamed(batches).result()
    sums = np.zeros((2, 2))
    for batch in batches:
        kernels = [gram(one, "linear") for one in batch]
        sums += [[unbiased(k, l) for l in kernels] for k in kernels]  # noqa: E741
    assert found.value[0, 1] == pytest.approx(sums[0, 1] / np.sqrt(sums[0, 0] * sums[1, 1]))
    assert found.batches == 5
    assert found.low[0, 1] <= found.value[0, 1] <= found.high[0, 1]
    assert found.low[0, 0] == pytest.approx(1)


@pytest.mark.parametrize(("count", "size"), [(1, 4), (2, 4), (1, 8), (3, 6)])
def test_what_chance_gives_is_what_layers_with_nothing_in_common_have(count, size):
    found = [
        streamed([[rows(size, 60, 1000 * trial + part), rows(size, 60, 1000 * trial + part + 500)] for part in range(count)]).result(2)
        for trial in range(300)
    ]
    said = re.search("0 \u00b1 (0\\.[0-9]+) by chance", by_chance("pooled", count * size, count))
    assert float(said[1]) == pytest.approx(np.std([one.value[0, 1] for one in found]), rel=0.15)
    assert by_chance("tokens", count * size, count) == ""
    assert by_chance("pooled", 4000, 500) == ""


def test_the_interval_covers_the_limit():
    mixing = rows(3, 4, 99)
    limit = streamed([[(x := rows(1500, 3, 7)), x @ mixing + rows(1500, 4, 8)]]).result().value[0, 1]
    inside = 0
    for trial in range(20):
        batches = [[(x := rows(16, 3, 1000 * trial + seed)), x @ mixing + rows(16, 4, 1000 * trial + seed + 500)] for seed in range(12)]
        found = streamed(batches).result(resamples=300)
        inside += bool(found.low[0, 1] <= limit <= found.high[0, 1])
    assert inside >= 15


def test_the_bandwidth_is_that_of_the_first_minibatch():
    stream = streamed([[rows(6, 2)], [100 * rows(6, 2, 1)]], "rbf")
    assert stream.bandwidths == [median_distance(rows(6, 2))]


def test_what_cannot_be_measured():
    with pytest.raises(MethodError, match="at least 4 rows; this one has 3"):
        centred(torch.eye(3))
    with pytest.raises(MethodError, match="at least 4 images"):
        StreamedCKA("linear").result()
    alone = streamed([[rows(6, 2), torch.ones(6, 3)]]).result()
    assert alone.low is None
    assert np.isnan(alone.value[0, 1])
