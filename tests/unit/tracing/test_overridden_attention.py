"""Changed heads and cut keys under every kind of mask, against the attention written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vizlib.tracing.attention_overrides import AttentionOverride, _edited

GENERATOR = torch.Generator().manual_seed(5)
Q, K, V = (torch.randn(2, 3, 6, 4, generator=GENERATOR, dtype=torch.float64) for _ in range(3))
BOOL = torch.rand(6, 6, generator=GENERATOR) > 0.4
BOOL[range(6), range(6)] = True
MASKS = {
    "none": (None, False),
    "causal": (None, True),
    "bool": (BOOL, False),
    "bool by image": (BOOL.expand(2, 1, 6, 6), False),
    "numbers": (torch.randn(3, 6, 6, generator=GENERATOR, dtype=torch.float64).masked_fill(~BOOL, float("-inf")), False),
}
EDITS = {
    "cut": AttentionOverride(cut=(1, 4)),
    "uniform": AttentionOverride(heads={0: "uniform", 2: "uniform"}, total=3),
    "uniform and cut": AttentionOverride(heads={1: "uniform"}, cut=(2,), total=3),
    "mean": AttentionOverride(heads={1: "mean"}, total=3),
    "zero": AttentionOverride(heads={0: "zero"}, total=3),
    "nothing": AttentionOverride(heads={}, total=3),
}


def written_out(edit: AttentionOverride, mask: torch.Tensor | None, *, causal: bool) -> torch.Tensor:
    bias = torch.zeros(2, 3, 6, 6, dtype=torch.float64)
    if causal:
        bias = bias.masked_fill(torch.ones(6, 6).triu(1).bool(), float("-inf"))
    if mask is not None:
        bias = bias.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else bias + mask
    scores = Q @ K.transpose(-2, -1) / 2 + bias
    for head in edit.which("uniform"):
        scores[:, head] = torch.where(torch.isfinite(bias[:, head]), 0.0, float("-inf"))
    scores[..., list(edit.cut)] = float("-inf")
    y = scores.softmax(-1) @ V
    for head in edit.which("mean"):
        y[:, head] = y[:, head].mean(1)[:, None]
    for head in edit.which("zero"):
        y[:, head] = 0
    return y


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("mask", MASKS)
def test_a_changed_attention_is_the_one_written_out(edit: str, mask: str) -> None:
    given, causal = MASKS[mask]
    expected = written_out(EDITS[edit], given, causal=causal)
    alone = ~torch.isfinite(expected)  # a query that no key is left for
    ours = _edited(EDITS[edit], Q, K, V, given, 0.0, causal)
    assert torch.equal(torch.isfinite(ours), ~alone) or not alone.any()
    assert torch.allclose(ours[~alone], expected[~alone], atol=1e-12)


def test_an_edit_of_nothing_is_torchs_own() -> None:
    assert torch.equal(
        _edited(EDITS["nothing"], Q, K, V, None, 0.0, is_causal=True), F.scaled_dot_product_attention(Q, K, V, is_causal=True)
    )
