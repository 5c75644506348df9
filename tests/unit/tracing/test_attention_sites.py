"""One image's site out of a batch, a mask without weights, hidden keys of a Performer, and einsums that are attention's."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from vizlib.tracing.attention_site import AttentionSite, PerformerSite
from vizlib.tracing.products import einsum_product
from vizlib.tracing.token_grid import Grid
from vizlib.tracing.windowed_attention import Layout, WindowedSite

GENERATOR = torch.Generator().manual_seed(6)
KEPT = ("q", "k", "v", "output", "gradient", "factor", "bias", "lost")


def drawn(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=GENERATOR, dtype=torch.float64)


def whole(kind: type[AttentionSite], bias: torch.Tensor | None, **more: object) -> AttentionSite:
    grid = Grid(2, 3)
    kept = {name: drawn(3, 2, 6, 4) for name in ("v", "output", "gradient", "factor")}
    return kind("site", 0, 0, grid, grid, drawn(3, 2, 6, 4), drawn(3, 2, 6, 4), 0.5, bias, **kept, **more)


@pytest.mark.parametrize("bias", ["none", "shared", "of each image", "of the keys"])
@pytest.mark.parametrize("kind", [AttentionSite, PerformerSite])
def test_an_images_site_keeps_its_row_of_all_that_the_batch_kept(kind: type[AttentionSite], bias: str) -> None:
    masks = {"none": None, "shared": drawn(1, 2, 6, 6), "of each image": drawn(3, 2, 6, 6), "of the keys": drawn(6)}
    more = {"lost": drawn(3, 6)} if kind is PerformerSite else {}
    batch = whole(kind, masks[bias], **more)
    for index in range(3):
        one = batch.image(index)
        for name in (each.name for each in fields(kind) if each.name in KEPT):
            of_all, of_one = getattr(batch, name), getattr(one, name)
            if of_all is None:
                assert of_one is None
            elif name == "bias" and bias != "of each image":
                assert torch.equal(of_one, of_all)
            else:
                assert torch.equal(of_one, of_all[index : index + 1]), name


def test_uniform_weights_are_even_over_the_keys_that_a_mask_allows() -> None:
    allowed = torch.rand(3, 2, 6, 6, generator=GENERATOR) > 0.4
    allowed[..., range(6), range(6)] = True
    rows = drawn(3, 2, 6)
    for mask in (allowed, allowed[:, :1], allowed[:1], allowed[0], allowed[0, 0], allowed[0, 0, :1], allowed[0, 0, 0]):
        bias = torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, float("-inf"))
        even = replace(whole(AttentionSite, bias), q=torch.zeros(3, 2, 6, 4, dtype=torch.float64))
        assert torch.allclose(even.pull_uniform(rows), even.pull(rows), atol=1e-14), mask.shape


def test_hidden_keys_of_a_performer_weigh_nothing() -> None:
    grid = Grid(2, 3)
    site = PerformerSite("p", 0, 0, grid, grid, drawn(2, 1, 6, 5), drawn(2, 1, 6, 5), 1.0)
    hidden = torch.zeros(2, 6, dtype=torch.bool)
    hidden[0, 1] = hidden[1, 4] = True
    matrix = (site.q[:, 0] @ site.k[:, 0].transpose(1, 2)).masked_fill(hidden[:, None], 0)
    rows = drawn(2, 3, 6)
    assert torch.allclose(site.pull(rows, hidden=hidden), rows @ (matrix / matrix.sum(-1, keepdim=True)), atol=1e-6)


EINSUMS = {
    "bhid,bhjd->bhij": "scores",
    "b h i d, b h j d -> b h i j": "scores",
    "bid,bjd->bij": "scores",
    "wbhid,wbhjd->wbhij": "scores",
    "bhij,bhjd->bhid": "applied",
    "b h i j, b h j d -> b h i d": "applied",
    "bhid,bhjd->bhji": None,  # turned
    "bhid,bhdj->bhij": "applied",
    "id,jd->ij": None,  # no images
    "abchid,abchjd->abchij": None,
    "bhid,bgjd->bhij": None,
    "bhid,bhjd->bgij": None,
    "bhid,hjd->bhij": None,
    "...id,...jd->...ij": None,
    "bhid,bhjd->bhi": None,
}


@pytest.mark.parametrize("equation", EINSUMS)
def test_an_einsum_is_attentions_only_where_its_letters_say_so(equation: str) -> None:
    left, right = torch.zeros(1), torch.ones(1)
    for operands in ((left, right), ([left, right],)):
        read = einsum_product(equation, operands)
        assert (read and read[0]) == EINSUMS[equation]
        assert read is None or (read[1] is left and read[2] is right)


def test_other_calls_of_einsum_are_none() -> None:
    assert einsum_product("bhid->bhid", (torch.zeros(1),)) is None
    assert einsum_product([0, 1], (torch.zeros(1), torch.zeros(1))) is None


@pytest.mark.parametrize("bias", ["none", "shared", "of each window"])
def test_an_images_windows_keep_their_rows(bias: str) -> None:
    layout = Layout.shifted(Grid(4, 4), (2, 2), (0, 0))
    assert layout.windows == 4
    masks = {"none": None, "shared": drawn(1, 2, 4, 4), "of each window": drawn(12, 2, 4, 4)}
    kept = {name: drawn(12, 2, 4, 3) for name in ("v", "output", "gradient", "factor")}
    batch = WindowedSite("w", 0, 0, Grid(4, 4), Grid(4, 4), drawn(12, 2, 4, 3), drawn(12, 2, 4, 3), 0.5, masks[bias], layout=layout, **kept)
    for index in range(3):
        one, rows = batch.image(index), slice(4 * index, 4 * index + 4)
        assert all(torch.equal(getattr(one, name), getattr(batch, name)[rows]) for name in ("q", "k", *kept))
        if bias == "none":
            assert one.bias is None
        else:
            assert torch.equal(one.bias, batch.bias if bias == "shared" else batch.bias[rows])
