"""The claims on the pages, each with made-up numbers on both sides and between."""

from __future__ import annotations

import pytest

from vizlib.claims import Verdict
from vizlib.ui.pages.compact.claims import equivariance_claim
from vizlib.ui.pages.t2t.claims import Counts, figure_2_claims

SO, NOT_SO, OPEN = Verdict.SO, Verdict.NOT_SO, Verdict.CANNOT_TELL


def counts(low_level, channels, broken=0, total=1000):
    return Counts("Net", "layer 1", low_level, channels, broken, total)


@pytest.mark.parametrize(
    ("resnet", "vit", "t2t", "verdicts"),
    [
        (counts(30, 32), counts(2, 192, 50), counts(150, 192), (SO, SO, SO, SO)),
        (counts(4, 32), counts(120, 192, 0), counts(20, 192), (NOT_SO, NOT_SO, NOT_SO, NOT_SO)),
        (counts(2, 32), counts(10, 192, 10), counts(11, 192), (OPEN, OPEN, OPEN, OPEN)),
    ],
)
def test_figure_2(resnet, vit, t2t, verdicts):
    claims = figure_2_claims(resnet, vit, t2t)
    assert tuple(claim.verdict for claim in claims) == verdicts
    assert f"{resnet.low_level} of {resnet.channels}" in claims[0].measured
    assert f"{vit.broken} of {vit.all}" in claims[3].measured


@pytest.mark.parametrize(("compact", "plain", "verdict"), [(0.3, 0.9, SO), (0.9, 0.3, NOT_SO), (0.5, 0.51, OPEN)])
def test_equivariance_of_tokens(compact, plain, verdict):
    claim = equivariance_claim(compact, plain)
    assert claim.verdict is verdict
    assert f"CCT {compact:.2f}, ViT {plain:.2f}" in claim.measured
