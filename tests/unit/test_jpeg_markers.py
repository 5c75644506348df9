"""JPEGs that paint over the same picture again and again are refused before they are decoded."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from vizlib.errors import ImageError
from vizlib.images import read_image, read_with_scaling


def progressive(scans: int, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan is there so often that it has so many."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * (scans - data.count(b"\xff\xda")) + b"\xff\xd9"


@pytest.mark.parametrize(("scans", "read"), [(10, True), (100, True), (101, False), (50_000, False)])
def test_scans_are_limited(scans: int, read: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = progressive(scans)
    if read:
        assert read_image(data).shape == (64, 64, 3)
    else:
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_, **__: pytest.fail("the picture was decoded"))
        with pytest.raises(ImageError, match="more passes over the picture"):
            read_image(data)


def test_large_pictures_have_fewer() -> None:
    data = bytearray(progressive(60))
    frame = data.find(b"\xff\xc2")
    data[frame + 5 : frame + 9] = bytes((6000 >> 8, 6000 & 255)) * 2
    with pytest.raises(ImageError, match="more passes"):
        read_image(bytes(data))


def test_the_number_of_pixels_may_be_set() -> None:
    data = progressive(10)
    assert read_with_scaling(data, 64 * 64)[0].shape == (64, 64, 3)
    with pytest.raises(ImageError, match=r"has 64 x 64 pixels, more than 0.001 megapixels: make it smaller, for instance 10 pixels"):
        read_with_scaling(data, 1000)
