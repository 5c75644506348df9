"""The models of the other tests, against brute force."""

from __future__ import annotations

import brute_force as brute
import pytest
import torch
import zoo_cases as zoo

import vizlib

BY_GRADIENT = {"relevance": brute.relevance, "gradient_rollout": brute.gradient_rollout}


def _described(name: str) -> tuple[torch.Tensor, brute.Chain]:
    """The read-out's row and the chain of one of the small models."""
    if name in ("token", "registers"):
        prefix = {"token": 1, "registers": 5}[name]
        return torch.eye(1, 16 + prefix, dtype=torch.float64), brute.plain_chain(3, prefix, (32, 32), (8, 8))
    height, width = zoo.model(name).transform.size
    fine, coarse = (height // 4, width // 4), (height // 8, width // 8)
    blocks = [block for stage in zoo.model(name).module.layers for block in stage.blocks]
    first, second, third, fourth = (
        brute.Attention(number, brute.in_windows(fine if number < 2 else coarse, block.window_size, block.shift_size))
        for number, block in enumerate(blocks)
    )
    merged, patches = brute.Fixed(brute.convolution(fine, coarse, (2, 2), (2, 2))), brute.Fixed(brute.patches((height, width), (4, 4)))
    cells = coarse[0] * coarse[1]
    return torch.full((1, cells), 1 / cells, dtype=torch.float64), [fourth, third, merged, second, first, patches]


@pytest.mark.parametrize("name", ["token", "registers", "swin", "swin_padded", "swin_v2"])
def test_maps_equal_whole_matrices_made_of_the_modules_own_softmaxes(name: str) -> None:
    model, x = zoo.model(name, torch.float64), zoo.inputs(name).double()
    row, chain = _described(name)
    caught = brute.catch(model.module, x, lambda logits: logits[:, 2].sum())
    assert brute.relative_error(vizlib.explain(model, x[0]).input_map, brute.rollout(caught, row, chain)) < 1e-9
    last = brute.raw_attention(caught, row, chain, len(caught.weights) - 1)
    assert brute.relative_error(vizlib.explain(model, x[0], "attention").input_map, last) < 1e-9
    for method, by_brute_force in BY_GRADIENT.items():
        error = brute.relative_error(vizlib.explain(model, x[0], method, target=2).input_map, by_brute_force(caught, row, chain))
        assert error < 1e-9, method


def test_legrad_equals_gradients_of_each_blocks_own_answer() -> None:
    model, x = zoo.model("registers", torch.float64), zoo.inputs("registers").double()
    paths = [f"blocks.{index}" for index in range(3)]
    caught, module = brute.catch(model.module, x, states=paths), model.module
    keys = brute.legrad(caught, paths, lambda pooled: module.head(pooled)[:, 2].sum(), lambda tokens: module.norm(tokens.mean(1)))
    expected = keys @ brute.without_prefix(16, 5) @ brute.patches((32, 32), (8, 8))
    assert brute.relative_error(vizlib.explain(model, x[0], "legrad", target=2).input_map, expected) < 1e-9
