"""The frame of the app: its pages, the sidebar and how every page opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
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
_PAGE = "shell.page"


def pages() -> list[StreamlitPage]:
    """The pages that exist, the first one at the root of the address."""
    return [
        st.Page("pages/explore.py", title="Explore", icon=":material/visibility:", url_path="explore", default=True),
        st.Page("pages/attention.py", title="Attention", icon=":material/ads_click:", url_path="attention"),
        st.Page("pages/seq2seq.py", title="How it began", icon=":material/history_edu:", url_path="seq2seq"),
        st.Page("pages/t2t.py", title="T2T-ViT", icon=":material/grid_view:", url_path="t2t"),
        st.Page("pages/pvt.py", title="PVT", icon=":material/change_history:", url_path="pvt"),
        st.Page("pages/cvt.py", title="CvT", icon=":material/blur_on:", url_path="cvt"),
        st.Page("pages/compact.py", title="Compact", icon=":material/compress:", url_path="compact"),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare:", url_path="compare"),
        st.Page("pages/biases.py", title="Assumptions", icon=":material/science:", url_path="biases"),
        st.Page("pages/attribution.py", title="Why this answer", icon=":material/verified:", url_path="attribution"),
        st.Page("pages/models.py", title="Models", icon=":material/leaderboard:", url_path="models"),
    ]


def run() -> None:
    """Draw the frame and run the page that the address names; the whole of app.py."""
    st.set_page_config(page_title="vizlib", page_icon=ICON, layout="wide", initial_sidebar_state=230)
    page = st.navigation(pages())
    st.logo(LOGO)
    with st.sidebar:
        st.caption("See how a vision model sees. Everything runs where this app runs; a picture you add stays in its memory.")
    st.session_state[_FRAMED] = True
    page.run()


def open_page(name: str, title: str, sentence: str) -> bool:
    """Begin a page: its heading and the one sentence that says what to look at. Whether the visitor came here from another page.

    On a fresh server a link to a page runs the page without app.py around it; the page then asks for the frame itself.
    """
    if not st.session_state.pop(_FRAMED, False):
        st.set_page_config(page_icon=ICON)  # else the browser fetches the page's icon from the internet
        st.navigation(pages(), position="hidden")
        st.rerun()
    st.title(title, anchor=False)
    st.markdown(sentence)
    came = st.session_state.get(_PAGE) != name
    st.session_state[_PAGE] = name
    return came
