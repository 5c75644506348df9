"""What the page Audit draws of an audit: sentences, numbers, the gallery and table, where maps lie, heads, clusters, files."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.auditing import report
from vizlib.figures.numbers import counted
from vizlib.ui.components.audit_gallery import audit_gallery, pack_audit_gallery
from vizlib.ui.core import formatting
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.contents import heading
from vizlib.ui.core.url_state import resend
from vizlib.ui.pages.audit.explore_link import open_in_explore
from vizlib.ui.pages.audit.sources import FolderSource, PictureSource, pick_source
from vizlib.ui.widgets.downloads import download_row
from vizlib.ui.widgets.snippet import draw_snippet

if TYPE_CHECKING:
    from vizlib.auditing.report.html_parts import Section
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.audit.audit_work import AuditView
    from vizlib.ui.pages.audit.sources import Source

_KEY = "audit.gallery"
_SECTIONS = 8  # below the gallery, at most
_SCROLLED = ".audit-part .maps{max-height:26rem;overflow-y:auto}"  # or a thousand classes would push the rest away
_OPEN = 8  # sentences that are read without a click


def draw_page(url_state: UrlState) -> None:
    """Every section, as far as its numbers are there."""
    source = pick_source(url_state)
    view, take = component_state(
        url_state,
        _KEY,
        {"falling": ("", "yes", "no")},
        dict.fromkeys(("preset", "by", "find", "model", "method"), ("", _short)),
    )
    tabs = [url_state.declare(f"tab{number}", 0, int) for number in range(_SECTIONS)]
    audit = source.view_or_status()
    if audit is None:
        return
    _draw_head(audit)
    _draw_gallery(audit, source, view, take)
    for section, tab in zip(audit.sections, tabs, strict=False):
        _draw_section(section, tab)
    _draw_files(audit, source)


def _short(text: str) -> str:
    if len(text) > 80:
        raise ValueError(text)
    return text


def _draw_head(audit: AuditView) -> None:
    if not audit.complete:
        st.warning("This audit has not come to its end: this is what is there so far.", icon=":material/hourglass_top:")
    if audit.failed:
        with st.expander(f"{counted(audit.failed, 'row')} without a map, and why", icon=":material/broken_image:"):
            lines = [f"- **{formatting.plain(name)}**: {formatting.plain(why)}" for name, why in audit.failures]
            more = audit.failed - len(lines)
            st.markdown("\n".join([*lines, *([f"- and {more:,} more, in the rows"] if more else [])]))
    heading("What was found", sub=True)
    sentences = [f"- {formatting.plain(sentence)}" for sentence in audit.findings]
    st.markdown("\n".join(sentences[:_OPEN]) or "Nothing that can be counted: there is no map.")
    if len(sentences) > _OPEN:
        with st.expander(f"{len(sentences) - _OPEN} more"):
            st.markdown("\n".join(sentences[_OPEN:]))
    _draw_html(audit.numbers, audit.numbers.tabs[0][1])


def _draw_gallery(audit: AuditView, source: Source, view: dict[str, Any], take: Any) -> None:
    heading("Picture by picture", sub=True)
    state = st.session_state
    sent = state.setdefault("audit.sent", {"token": None, "view": None, "message": b""})

    def taken() -> None:
        take()
        sent["view"] = {name: state[f"audit.{name}"] for name in view}  # the browser has it already

    token = id(audit)
    if sent["token"] != token or sent["view"] != view:
        opens = "Open in Explore" if isinstance(source, PictureSource) or source.data else ""
        sent.update(token=token, view=dict(view), message=pack_audit_gallery(audit.gallery, view, opens))
    audit_gallery(sent["message"], key=_KEY, on_view=here(taken), on_open=here(partial(_remember, audit)))
    wanted = state.pop("audit.wanted", None)
    if wanted is not None:
        open_in_explore(source, *wanted)
    st.caption(formatting.plain(audit.rows))


def _remember(audit: AuditView) -> None:
    """Which row was opened: the page goes there in its run, since a callback cannot."""
    place = st.session_state[_KEY].open
    gallery = audit.gallery
    if isinstance(place, int) and 0 <= place < len(gallery["model"]):
        path = gallery["values"]["path"]
        st.session_state["audit.wanted"] = (
            gallery["values"]["picture"][place],
            path["words"][path["index"][place]],
            audit.names[0][gallery["model"][place]],
            audit.names[1][gallery["method"][place]],
        )


def _draw_section(section: Section, key: str) -> None:
    heading(section.title, sub=True)
    count, state = len(section.tabs), st.session_state
    if not 0 <= state[key] < count:
        state[key] = 0
    if count > 1:
        st.segmented_control(
            section.title, list(range(count)), key=resend(key), required=True, label_visibility="collapsed",
            format_func=lambda place: formatting.plain(section.tabs[place][0]), wrap=True,
        )  # fmt: skip
    _draw_html(section, section.tabs[state[key]][1] if count else "")


def _draw_html(section: Section, body: str) -> None:
    """A section's words and its body, in the colours of the page."""
    st.caption(formatting.plain(section.hint))
    if body:
        st.html(f"<style>{_style()}{_SCROLLED}</style><div class='audit-part'>{body}</div>")
    if section.exactly:
        source = f" [{formatting.plain(section.paper)}]({section.link})" if section.link else ""
        st.caption(formatting.plain(section.exactly) + source)


@cache
def _style() -> str:
    return (Path(report.__file__).parent / "sections.css").read_text(encoding="utf-8")


def _draw_files(audit: AuditView, source: Source) -> None:
    heading("Take it away", sub=True)
    files: list[Any] = [("html", audit.html, "The report: one file that needs nothing else")]
    if audit.archive:
        files.append(("zip", audit.archive, "The audit's folder: rows in Parquet, maps in NPZ, the report; vizlib.Audit.open reads it"))
    download_row("audit", "audit", *files)
    if audit.file_names:
        st.caption(formatting.plain(audit.file_names))
    folder = source.folder if isinstance(source, FolderSource) else "audit"
    models, methods = audit.names
    draw_snippet(
        f"""import vizlib
from vizlib.auditing.report.report_html import write_report

audit = vizlib.Audit.open({folder!r})
rows = audit.rows()  # a pandas data frame
maps = dict(audit.maps({models[0]!r}, {methods[0]!r}))  # by the index of the picture
write_report(audit, "report.html", data="photos")
""",
        command=source.code,
    )
