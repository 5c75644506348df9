from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from app_helpers import ROOT
from streamlit.testing.v1 import AppTest

from vizlib.ui import column

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def explore(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """The app on the Explore page, run once with an address; a run waits for all answers."""
    monkeypatch.setattr(column, "PATIENCE", 300.0)

    def start(page: str | None = None, **address: str) -> AppTest:
        at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
        for name, value in address.items():
            at.query_params[name.replace("__", ".")] = value
        if page:
            at.switch_page(page)
        at.run()
        assert not at.exception
        return at

    return start
