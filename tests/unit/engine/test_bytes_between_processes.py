"""Work and results as bytes."""

from __future__ import annotations

from functools import partial

import engine_work as work
import numpy as np
import pytest
import torch

from vizlib.engine.handover import MissingBlobError, pack, unpack

PHOTO = work.Photo("photo", np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))


def test_a_picture_is_named_and_not_copied():
    data, named = pack(partial(work.mean_of, PHOTO))
    assert len(data) < 1000
    assert named == {"photo": PHOTO}
    assert unpack(data, named).args[0] is PHOTO
    with pytest.raises(MissingBlobError) as missing:
        unpack(data, {})
    assert missing.value.keys == ("photo",)


def test_the_array_of_a_picture_is_named_too_wherever_it_stands():
    before = work.Mapped(PHOTO.pixels, np.ones(3))
    data, named = pack(partial(work.count_to, before, photo=PHOTO))
    assert len(data) < 1000
    assert unpack(data, named).args[0].image is PHOTO.pixels
    data, named = pack(before, [PHOTO])
    assert len(data) < 1000
    assert unpack(data, named).image is PHOTO.pixels


def test_an_equal_array_that_is_another_is_copied():
    data, named = pack(work.Mapped(PHOTO.pixels.copy(), np.ones(3)), [PHOTO])
    assert len(data) > PHOTO.pixels.nbytes
    assert not named


def test_a_light_reader_refuses_a_tensor():
    data, _ = pack({"map": torch.zeros(2)})
    assert torch.equal(unpack(data, {})["map"], torch.zeros(2))
    with pytest.raises(TypeError, match="arrays and plain records"):
        unpack(data, {}, light=True)
