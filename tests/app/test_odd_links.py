"""No value of any part of any page's link ends the page."""

from __future__ import annotations

import pytest

from vizlib.ui.core import url_state
from vizlib.ui.core.url_state import UrlState

ODD = [
    "inf", "-inf", "nan", "1e400", "-1", "0", "1e9", "9" * 30, "9" * 5000, "", " ", "0x10", "١", "1_0", "None", "[]",
    "a" * 5000, "\x00", "½", "²",
    "-0", "1e-400", "1.5", "99", "1,2", ",", ",,", "1-2", "1.1,2.2", "-1.-1", "0.0",
    "9" * 30 + "." + "9" * 30, "x" * 10 + "," * 10, "1/2", "0-0",
]  # fmt: skip
PAGES = ["explore", "attention", "attribution", "biases", "compare", "compact", "cvt", "models", "pvt", "seq2seq", "t2t"]


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
