"""Callbacks that fire after their page has gone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import streamlit as st

from vizlib.ui.core import callbacks
from vizlib.ui.core.callbacks import PAGE, here

UI = Path(callbacks.__file__).parents[1]


@pytest.fixture
def session(monkeypatch):
    state = {PAGE: "biases"}
    monkeypatch.setattr(st, "session_state", state)
    return state


def test_a_callback_of_a_page_that_is_gone_does_nothing(session):
    called = []
    callback = here(called.append)
    callback(1)
    session[PAGE] = "explore"
    callback(2)
    session[PAGE] = "biases"
    callback(3)
    assert called == [1, 3]


def test_a_value_that_left_with_its_widget_is_nothing_to_do_and_any_other_fault_is_one(session):
    from streamlit.runtime.state.session_state import _missing_key_error_message

    def read():
        raise KeyError(_missing_key_error_message("biases.claim"))

    def fault():
        return {}["biases.claim"]

    here(read)()
    with pytest.raises(KeyError):
        here(fault)()


def test_every_callback_of_the_app_is_one_of_these():
    bare = []
    for file in UI.rglob("*.py"):
        if "components" in file.parts:  # they hand on what pages give
            continue
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or "cache_resource" in ast.unparse(call.func):
                continue
            for given in call.keywords:
                if (given.arg or "").startswith("on_") and not isinstance(given.value, ast.Constant):
                    text = ast.unparse(given.value)
                    if not text.startswith(("here(", "anywhere(")):
                        bare.append(f"{file.name}:{given.value.lineno} {given.arg}={text}")
    assert not bare
