"""vizlib.analysis.attention.sequence_pooling against a case worked by hand, autograd and the module's own logits."""

from __future__ import annotations

import math

import pytest
import torch

import vizlib
from vizlib.analysis.attention.sequence_pooling import pooled_shares
from vizlib.errors import VizlibError


def test_two_tokens_by_hand():
    # Scores 0 and log 3: the weights are 1/4 and 3/4.
    made = pooled_shares(
        torch.tensor([[0.0, 2.0], [1.0, 4.0]], dtype=torch.float64),
        torch.tensor([math.log(3), 0.0], dtype=torch.float64),
        0.7,
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]]),
        torch.tensor([0.0, 1.0, 0.0]),
    )
    assert made.weights.tolist() == pytest.approx([0.25, 0.75])
    assert made.parts.flatten().tolist() == pytest.approx([0, 0.5, -0.5, 0.75, 3, -2.25])
    assert made.logits.tolist() == pytest.approx([0.75, 4.5, -2.75])


def test_parts_are_gradients_times_tokens_at_frozen_weights():
    generator = torch.Generator().manual_seed(0)
    tokens, score, weight = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((7, 5), (5,), (3, 5)))
    made = pooled_shares(tokens, score, 0.0, weight)
    for index in range(3):
        free = tokens.clone().requires_grad_()
        ((made.weights @ free) @ weight[index]).backward()
        assert torch.allclose((free.grad * tokens).sum(1), made.parts[:, index], atol=1e-14)


@pytest.mark.parametrize("name", ["cct_tiny50", "compact_vit_tiny50"])
def test_the_parts_of_a_model_sum_to_its_logits(name):
    model = vizlib.load(name, checkpoint="random")
    head = model.module.classifier
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    trace = vizlib.trace(model, x[0])
    last = trace.tokens[f"classifier.blocks.{len(head.blocks) - 1}"]
    with torch.no_grad():
        made = pooled_shares(head.norm(last), head.attention_pool.weight[0], head.attention_pool.bias, head.fc.weight, head.fc.bias)
    assert torch.allclose(made.logits, trace.logits.double(), atol=2e-6)
    assert torch.allclose(made.weights, trace.readout, atol=1e-7)


def test_even_weights_are_all_tokens():
    made = pooled_shares(torch.ones(9, 4), torch.zeros(4), 3.0, torch.ones(2, 4))
    assert made.weights.tolist() == pytest.approx([1 / 9] * 9)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(VizlibError, match="do not belong together"):
        pooled_shares(torch.ones(9, 4), torch.zeros(3), 0.0, torch.ones(2, 4))
