from __future__ import annotations

import pytest
import torch

import vizlib
from vizlib.analysis.perturbation.patch_shuffle import random_order, shift, shifted, shuffle_patches, shuffled, without_positions
from vizlib.errors import MethodError


def x(seed=0, size=(64, 64)):
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(seed))


def random(name):
    return vizlib.load(name, checkpoint="random")


def test_patches_by_hand():
    picture = torch.arange(16).reshape(4, 4)
    moved = shuffle_patches(picture, (2, 2), torch.tensor([3, 0, 1, 2]))
    assert moved.tolist() == [[10, 11, 0, 1], [14, 15, 4, 5], [2, 3, 8, 9], [6, 7, 12, 13]]
    assert torch.equal(shuffle_patches(moved, (2, 2), torch.tensor([3, 0, 1, 2]).argsort()), picture)


def test_patches_that_are_not_square():
    picture = torch.arange(12).reshape(2, 6)
    assert shuffle_patches(picture, (1, 3), torch.tensor([1, 3, 0, 2])).tolist() == [[3, 4, 5, 9, 10, 11], [0, 1, 2, 6, 7, 8]]
    with pytest.raises(MethodError, match="do not fill"):
        shuffle_patches(picture, (2, 4), torch.tensor([0]))
    with pytest.raises(MethodError, match="each of 0 to 3"):
        shuffle_patches(picture, (1, 3), torch.tensor([0, 0, 1, 2]))


def test_orders_move_something_and_leave_the_generator():
    state = torch.get_rng_state()
    for cells in (1, 2, 3, 16):
        for seed in range(20):
            order = random_order(cells, seed)
            assert sorted(order.tolist()) == list(range(cells))
            assert cells == 1 or order.tolist() != list(range(cells))
    assert torch.equal(state, torch.get_rng_state())


def test_a_shift_loses_nothing():
    picture = torch.arange(6).reshape(2, 3)
    assert shift(picture, 1, 1).tolist() == [[5, 3, 4], [2, 0, 1]]
    assert torch.equal(shift(shift(picture, 1, 2), -1, -2), picture)


def test_a_transformer_without_positions_sees_a_bag_of_patches():
    model = random("vit_tiny50")
    blind = without_positions(model)
    for change in (shuffled(blind, x(), 8)[0], shifted(blind, x(), [(8, 16)])[0]):
        assert change.distance < 1e-6
        assert change.logit < 1e-4
        assert change.same_answer
        assert change.tokens == pytest.approx(1, abs=1e-6)
    # With its table, or with patches that cut its own, it sees the difference.
    assert shuffled(model, x(), 8)[0].logit > 1e-2
    assert shuffled(blind, x(), 4)[0].logit > 1e-2
    assert shuffled(blind, x(), 4)[0].tokens is None


def test_convolutions_see_neighbours_without_a_table():
    model = random("cvt_tiny50")
    change = shuffled(model, x(), 16)[0]
    assert change.logit > 1e-2
    assert change.tokens is not None
    assert change.tokens < 0.999
    with pytest.raises(MethodError, match="no table"):
        without_positions(model)


def test_leaving_the_table_out_is_setting_it_to_zero():
    for name, tables in (("vit_tiny50", ["pos_embed"]), ("pvt_tiny50", [f"pos_embed{s}" for s in range(1, 5)])):
        model = random(name)
        before = {key: value.clone() for key, value in model.module.state_dict().items()}
        blind = without_positions(model)
        by_hand = random(name)
        for table in tables:
            getattr(by_hand.module, table).zero_()
        assert torch.equal(blind(x()), by_hand(x()))
        assert all(torch.equal(value, before[key]) for key, value in model.module.state_dict().items())
        shared = dict(blind.module.named_parameters())
        assert all(shared[key] is value for key, value in model.module.named_parameters() if key not in tables)


def test_no_move_is_no_change():
    change = shifted(random("cvt_tiny50"), x(), [(0, 0), (64, 0), (0, -64)])
    assert [one.distance for one in change] == pytest.approx([0, 0, 0], abs=1e-6)
    assert [one.tokens for one in change] == pytest.approx([1, 1, 1], abs=1e-6)


def test_distances_by_hand():
    model = random("vit_tiny50")
    (change,) = shifted(model, x(), [(3, 5)])
    before, after = model(x())[0].double(), model(x().roll((3, 5), (2, 3)))[0].double()
    assert change.distance == pytest.approx(float((before.softmax(0) - after.softmax(0)).clamp_min(0).sum()), abs=1e-6)
    assert change.logit == pytest.approx(float((before - after).abs().max()), abs=1e-5)
    assert change.tokens is None
    assert len(shuffled(model, x(), 32, seeds=(1, 2, 3))) == 3
