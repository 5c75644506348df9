"""The frame of the app: its pages, the sidebar and how every page opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from vizlib.catalog import glossary
from vizlib.ui.core import job_slots, kept_answers, shared_imports
from vizlib.ui.core.callbacks import PAGE, current_page
from vizlib.ui.core.contents import begin_contents
from vizlib.ui.core.words import begin_words, draw_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.navigation.page import StreamlitPage

# The colours of viridis on a grid of patches: what the app draws, at the size of an icon.
_PATCHES = (
    '<rect x="1" y="2" width="9" height="9" rx="2" fill="#440154"/><rect x="12" y="2" width="9" height="9" rx="2" fill="#3e4a89"/>'
    '<rect x="23" y="2" width="9" height="9" rx="2" fill="#440154"/><rect x="1" y="13" width="9" height="9" rx="2" fill="#26828e"/>'
    '<rect x="12" y="13" width="9" height="9" rx="2" fill="#fde725"/><rect x="23" y="13" width="9" height="9" rx="2" fill="#35b779"/>'
    '<rect x="1" y="24" width="9" height="9" rx="2" fill="#482878"/><rect x="12" y="24" width="9" height="9" rx="2" fill="#1f9e89"/>'
    '<rect x="23" y="24" width="9" height="9" rx="2" fill="#3e4a89"/>'
)
ICON = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 1 33 33" width="33" height="33">{_PATCHES}</svg>'
LOGO = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 132 34" width="132" height="34">{_PATCHES}'
    '<text x="42" y="25" font-family="system-ui, sans-serif" font-size="23" font-weight="650" fill="#3a8794">vizlib</text></svg>'
)
_FRAMED = "shell.framed"


# A page's one name, in its module and its address: its title, and its icon. Explore, the first one, is at the root of the address.
PAGES = {
    "explore": ("Explore", ":material/visibility:"),
    "learn": ("Learn", ":material/school:"),
    "attention": ("Attention", ":material/ads_click:"),
    "seq2seq": ("Seq2seq", ":material/history_edu:"),
    "t2t": ("T2T-ViT", ":material/grid_view:"),
    "pvt": ("PVT", ":material/change_history:"),
    "cvt": ("CvT", ":material/blur_on:"),
    "compact": ("Compact", ":material/compress:"),
    "compare": ("Compare", ":material/compare:"),
    "biases": ("Biases", ":material/science:"),
    "attribution": ("Attribution", ":material/verified:"),
    "audit": ("Audit", ":material/fact_check:"),
    "models": ("Models", ":material/leaderboard:"),
}


def pages() -> list[StreamlitPage]:
    """The pages that exist, and one that nobody sees: Streamlit gives the first page no address of its own, and a link may name it."""
    first, *others = PAGES
    root = st.Page(f"pages/{first}.py", title=PAGES[first][0], icon=PAGES[first][1], url_path="", default=True)

    def to_root() -> None:
        st.switch_page(root, query_params=dict(st.query_params))

    alias = st.Page(to_root, title=root.title, icon=root.icon, url_path=first, visibility="hidden")
    return [root, *(st.Page(f"pages/{name}.py", title=PAGES[name][0], icon=PAGES[name][1], url_path=name) for name in others), alias]


def run(draw_frame: Callable[[str], None]) -> None:
    """Draw the frame, with what ``draw_frame`` adds to it for the page's title, and run the page that the address names."""
    # Before all else: a browser that has drawn the sidebar keeps its width. The icon before the pages are told, else it fetches theirs
    # from the internet.
    _configure()
    kept_answers.keep_answers()
    shared_imports.begin()
    page = st.navigation(pages(), expanded=True)
    _configure(f"{page.title} · vizlib")
    st.logo(LOGO)
    with st.sidebar:
        st.caption("See how a vision model sees. Everything runs where this app runs; a picture you add stays in its memory.")
    draw_frame(page.title)
    st.session_state[_FRAMED] = True
    page.run()


def _configure(title: str | None = None) -> None:
    # All of it every time: where two of these reach a browser apart, the second would set back what it leaves out.
    st.set_page_config(title, ICON, "wide", 230)


def open_page(name: str, headline: str, sentence: str) -> bool:
    """Begin a page: its title with its words, a headline, and the sentence that says what to look at.

    Whether the visitor came here from another page. On a fresh server a link to a page runs the page without app.py around it; the page
    then asks for the frame itself.
    """
    if not st.session_state.pop(_FRAMED, False):
        _configure()
        st.navigation(pages(), position="hidden")
        st.rerun()
    begin_contents()
    begin_words(name)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.title(PAGES[name][0], anchor=False, width="content")
        with st.popover("Words", icon=":material/dictionary:", type="tertiary", help="What the words of this page mean"):
            st.markdown(glossary.listed(name))
        if name == next(iter(PAGES)):
            st.page_link("pages/learn.py", label="New to this? Ten steps: predict, then look", icon=":material/school:")
    draw_text(f"**{headline}** {sentence}")
    shared_imports.wait()
    arrived = current_page() != name
    st.session_state[PAGE] = name
    if arrived:
        job_slots.leave_page()
    return arrived
