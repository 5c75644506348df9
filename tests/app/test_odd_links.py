"""No value of any part of any page's link ends the page."""

from __future__ import annotations

import pytest
from app_helpers import ROOT, settled
from streamlit.testing.v1 import AppTest

from vizlib.ui.core import job_slots, url_state
from vizlib.ui.core.model_service import service
from vizlib.ui.core.url_state import UrlState
from vizlib.ui.pages.attention.panels import PANELS

ODD = [
    "inf", "-inf", "nan", "1e400", "-1", "0", "1e9", "9" * 30, "9" * 5000, "", " ", "0x10", "١", "1_0", "None", "[]",
    "a" * 5000, "\x00", "½", "²",
    "-0", "1e-400", "1.5", "99", "1,2", ",", ",,", "1-2", "1.1,2.2", "-1.-1", "0.0",
    "9" * 30 + "." + "9" * 30, "x" * 10 + "," * 10, "1/2", "0-0",
]  # fmt: skip
PAGES = ["explore", "attention", "attribution", "audit", "biases", "compare", "compact", "cvt", "learn", "models", "pvt", "seq2seq", "t2t"]


@pytest.fixture
def declared(monkeypatch):
    """The parts that pages declare: each name with its reader."""
    parts: dict[str, object] = {}
    declare = UrlState.declare

    def note(self, name, default, read=str, write=str, *, linked=True):
        if linked:
            parts[name] = read
        return declare(self, name, default, read, write, linked=linked)

    monkeypatch.setattr(url_state.UrlState, "declare", note)
    return parts


@pytest.mark.parametrize("page", PAGES)
def test_a_page_lives_with_odd_values_in_all_parts_of_its_link(visit, declared, page):
    at = visit(None if page == "explore" else f"pages/{page}.py")
    accepted = {}
    for name, read in declared.items():
        for text in ODD:
            try:
                read(text)
            except ValueError:
                continue
            accepted.setdefault(name, []).append(text)
    assert declared
    # What a reader takes goes through the page, in every part at once.
    taken = {name: texts for name, texts in accepted.items() if name not in ("models", "model")}
    odd = {name: texts[-(place % 2)] for place, (name, texts) in enumerate(taken.items())}
    at = visit(None if page == "explore" else f"pages/{page}.py", **{name.replace(".", "__"): text for name, text in odd.items()})
    assert not at.exception, odd


@pytest.mark.parametrize(
    ("page", "panel"), [*((page, None) for page in PAGES if page != "attention"), *(("attention", panel) for panel in PANELS)]
)
def test_a_page_declares_all_parts_of_its_link_before_its_model_is_there(declared, monkeypatch, page, panel):
    for name in list(service()._loaded):
        service()._loaded.discard(name)
        service().unload(name)
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
    if panel:
        at.query_params["panel"] = panel
    if page != "explore":
        at.switch_page(f"pages/{page}.py")
    with monkeypatch.context() as context:
        context.setattr(job_slots, "PATIENCE", 0.0)
        at.run()
    at_once = set(declared)
    settled(at)
    monkeypatch.setattr(job_slots, "PATIENCE", 300.0)
    at.run()
    assert set(declared) == at_once


def test_what_a_visitor_changed_stays_where_the_run_that_read_the_link_was_cut_short():
    at = AppTest.from_string(
        """
        import streamlit as st
        from vizlib.ui.core.url_state import UrlState
        state = UrlState("page", arrived=False)
        st.text_input("first", key=state.declare("first", "own"))
        if st.session_state.get("cut", True):
            st.stop()
        st.text(st.session_state[state.declare("second", "own")])
        state.write()
        """
    )
    at.query_params["first"] = at.query_params["second"] = "linked"
    at.run()
    assert at.text_input[0].value == "linked"
    at.text_input[0].set_value("typed").run()
    assert at.text_input[0].value == "typed"
    at.session_state["cut"] = False
    at.run()
    assert (at.text_input[0].value, at.text[0].value) == ("typed", "linked")
    assert dict(at.query_params) == {"first": "typed", "second": "linked"}


def test_what_a_page_chose_stays_where_the_run_that_came_from_another_page_was_cut_short():
    at = AppTest.from_string(
        """
        import streamlit as st
        from vizlib.ui.core.url_state import UrlState
        first_run = "runs" not in st.session_state
        st.session_state["runs"] = True
        state = UrlState("page", arrived=first_run)
        key = state.declare("first", "own")
        if first_run:
            st.session_state[key] = "chosen"
        st.text_input("first", key=key)
        if first_run:
            st.rerun()
        state.write()
        """
    )
    at.run()
    assert at.text_input[0].value == "chosen"
    assert dict(at.query_params) == {"first": "chosen"}


def test_what_a_link_asks_and_a_page_does_not_offer_is_said(visit, monkeypatch):
    said = []
    monkeypatch.setattr("streamlit.toast", lambda text, icon: said.append(text))
    parts = {"models": "vit_tiny50", "vit_tiny50__method": "rollout", "vit_tiny50__residual_weight": "<b>7"}
    at = visit(**parts)
    assert not at.exception
    assert len(said) == 1
    assert said[0].replace("\\_", "_").startswith("The link asks for vit_tiny50.residual_weight=\\<b>7, which this page does not offer")
    visit(**parts | {"vit_tiny50__residual_weight": "0.5"})
    assert len(said) == 1
