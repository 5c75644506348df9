"""Where the files of the product lie that are no modules: the app, its pages and settings, weights and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parents[1]
INSTALLED: Final = _PACKAGE / "_product"  # where the wheel puts what stands at the top of a checkout


def product_root() -> Path:
    """The folder that holds app.py, pages, assets and .streamlit: inside an installed vizlib, else the checkout around it."""
    return INSTALLED if INSTALLED.is_dir() else _PACKAGE.parent
