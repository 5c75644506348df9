from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import streamlit as st
from app_helpers import ROOT, settled
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from vizlib.ui.core import job_slots, model_loading, model_service
from vizlib.ui.core.model_service import service
from vizlib.ui.core.workers import processes
from vizlib.ui.sections.trust import BADGES_VARIABLE
from vizlib.zoo import packaged_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


os.environ.setdefault(processes.ENGINE_VARIABLE, "checked")  # all that is handed over goes through bytes, as between processes


manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)
"""Every AppTest has a runtime of its own, which reads the metadata of every installed package: half a second each time."""


@pytest.fixture(autouse=True)
def _without_packaged_models(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app as on a machine without packages of weights, where badges are measured when asked for, except in tests of these."""
    monkeypatch.setenv(BADGES_VARIABLE, "ask")
    service().dispatcher._present.clear()  # the browser of a test before never went
    if "packaged" not in request.fixturenames:
        monkeypatch.setattr(packaged_weights.PackagedWeights, "find", lambda self: None)


_made: set[str] = set()


@pytest.fixture(autouse=True)
def _files_made_where_there_is_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A button's file is made, the first time it is drawn, on a thread without a session, as Streamlit makes it on a click."""
    draw = st.download_button

    def drawn(label: str, data: Any, *given: Any, key: str, disabled: bool = False, **options: Any) -> bool:
        if callable(data) and not disabled and key not in _made:
            with ThreadPoolExecutor(1) as thread:
                assert thread.submit(data).result(), key
            _made.add(key)
        return draw(label, data, *given, key=key, disabled=disabled, **options)

    monkeypatch.setattr(st, "download_button", drawn)


@pytest.fixture
def packaged() -> None:
    """The weights of EfficientNet-Lite0, where their package is installed."""
    if packaged_weights.PACKAGED["tf_efficientnet_lite0"].find() is None:
        pytest.skip("the package with EfficientNet-Lite0's weights is not installed")


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """The app on a page, opened with an address; a run waits for the answers it needs, and what comes after them is drawn as well."""
    monkeypatch.setattr(job_slots, "PATIENCE", 300.0)

    def start(page: str | None = None, **address: str) -> AppTest:
        at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
        for name, value in address.items():
            at.query_params[name.replace("__", ".")] = value
        if page:
            at.switch_page(page)
        at.run()
        return settled(at)

    return start


@pytest.fixture
def explore(visit: Callable[..., AppTest]) -> Callable[..., AppTest]:
    return visit


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[..., Any]], None]]:
    """Say how models are loaded; what is loaded so leaves the engine with the test."""
    before = set(model_service.service()._loaded)
    yield lambda load: monkeypatch.setattr(model_loading, "load_card", load)
    for name in model_service.service()._loaded - before:
        model_service.service()._loaded.discard(name)
        model_service.service().unload(name)
