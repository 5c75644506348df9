"""The toys in whole numbers, their grids found again by torch's own operations, and every formula by reading it."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from vizlib.analysis.toys.depthwise_kernel import depthwise_kernel
from vizlib.analysis.toys.number_sheet import NumberSheet, Place, written
from vizlib.analysis.toys.sequence_pool import BASE, sequence_pool
from vizlib.analysis.toys.soft_split import soft_split
from vizlib.analysis.toys.spatial_reduction import spatial_reduction
from vizlib.ui.components.toy_numbers import pack_sheet
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.sections import toy

TOYS = [soft_split, spatial_reduction, depthwise_kernel, sequence_pool]


def tensors(sheet: NumberSheet) -> list[torch.Tensor]:
    return [torch.tensor([[float(value) for value in row] for row in grid.values], dtype=torch.float64) for grid in sheet.grids]


def test_the_soft_split_is_torchs_unfold() -> None:
    picture, tokens, copies, weights, projected = tensors(soft_split())
    unfolded = F.unfold(picture[None, None], 3, padding=1, stride=2)
    assert torch.equal(tokens, unfolded[0].T)
    ones = torch.ones_like(picture)[None, None]
    assert torch.equal(copies, F.fold(F.unfold(ones, 3, padding=1, stride=2), (5, 5), 3, padding=1, stride=2)[0, 0])
    assert torch.equal(projected, F.conv2d(picture[None, None], weights[None, None], padding=1, stride=2)[0, 0])


def test_the_reduction_is_a_convolution_that_steps_by_its_own_size() -> None:
    tokens, weights, keys, scores = tensors(spatial_reduction())
    assert torch.equal(keys, F.conv2d(tokens[None, None], weights[None, None], stride=2)[0, 0])
    assert torch.equal(scores, tokens.reshape(16, 1) @ keys.reshape(1, 4))


def test_the_kernel_is_a_convolution_of_one_channel() -> None:
    channel, kernel, every, second, weight, queries, keys = tensors(depthwise_kernel())
    assert torch.equal(every, F.conv2d(channel[None, None], kernel[None, None], padding=1)[0, 0])
    assert torch.equal(second, F.conv2d(channel[None, None], kernel[None, None], padding=1, stride=2)[0, 0])
    assert torch.equal(queries, weight.item() * every)
    assert torch.equal(keys, weight.item() * second)


def test_the_pool_is_a_softmax_to_the_base_of_two() -> None:
    tokens, weights, scores, powers, total, shares, pooled = tensors(sequence_pool())
    assert torch.equal(scores, tokens @ weights.T)
    assert total.item() == powers.sum()
    softmax = torch.softmax(scores * torch.tensor(float(BASE)).double().log(), 0)
    torch.testing.assert_close(shares, softmax, rtol=0, atol=1e-12)
    torch.testing.assert_close(pooled, softmax.T @ tokens, rtol=0, atol=1e-12)


@pytest.mark.parametrize("work", TOYS, ids=lambda work: work.__name__)
def test_every_formula_says_its_number_when_it_is_read_as_a_sum(work) -> None:
    sheet = work()
    sums = 0
    header, _ = unpack(pack_sheet(sheet, Place(0, 0)))
    for index, (grid, packed) in enumerate(zip(sheet.grids, header["grids"], strict=True)):
        for cell, (number, parts) in enumerate(zip(grid.numbers, packed["formulas"], strict=True)):
            assert packed["numbers"][cell] == written(number.value)
            for text, *place in (part for part in parts if isinstance(part, list)):
                assert place[0] < index
                assert text == header["grids"][place[0]]["numbers"][place[1]]
            said = "".join(part if isinstance(part, str) else part[0] for part in parts)
            if number.terms:
                left, right = said.split(" = ")
                assert read(left) == read(right) == number.value
                sums += 1
            else:
                assert said == f"{written(number.value)}: {number.origin}"
    assert sums > 10


def read(text: str) -> Fraction:
    """The value of a sum as it is written."""
    for word, sign in (("\N{MINUS SIGN}", "-"), ("×", "*"), ("÷", "/"), (" to the power of ", "**")):
        text = text.replace(word, sign)
    assert re.fullmatch(r"[\d.\s()*/+-]+", text)
    return Fraction(eval(re.sub(r"(?<![\d.])(\d+(?:\.\d+)?)", r"Fraction('\1')", text)))  # noqa: S307  digits and signs alone


@pytest.mark.parametrize(
    ("value", "text"),
    [(Fraction(7), "7"), (Fraction(-1, 4), "\N{MINUS SIGN}0.25"), (Fraction(5, 2), "2.5"), (Fraction(-2, 3), "\N{MINUS SIGN}2/3")],
)
def test_numbers_are_written_whole_or_exact(value: Fraction, text: str) -> None:
    assert written(value) == text


def test_the_words_of_the_toys_count_what_is_drawn() -> None:
    assert "25 numbers become 9 tokens of 9" in toy.soft_split_words(soft_split())
    assert "up to **4 times**" in toy.soft_split_words(soft_split())
    assert "**4 keys for 16 tokens**, and 64 scores in place of 256" in toy.spatial_reduction_words(spatial_reduction())
    assert "16 queries, and with a step of two **4 keys**" in toy.depthwise_kernel_words(depthwise_kernel())
    assert "Token 1 gets **50\u00a0%**" in toy.sequence_pool_words(sequence_pool())
