"""The small data set that the tests of training share."""

from __future__ import annotations

import pytest
from tiny_data import folder_layout

from vizlib.datasets.tiny_imagenet import ImageSet, read_split


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageSet, ImageSet]:
    home = folder_layout(tmp_path_factory.mktemp("tiny"))
    return read_split(home, "train"), read_split(home, "val")
