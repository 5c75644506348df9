"""Pictures small enough to audit in a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from audit_classes import CLASSES
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of four pictures, folders named by labels of the fifty, and one file that is no picture."""
    home = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    for name in CLASSES:
        (home / name).mkdir()
        for number in range(4):
            height, width = 40 + 8 * number, 56
            Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(home / name / f"{number}.png")
    (home / "goose" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return home
