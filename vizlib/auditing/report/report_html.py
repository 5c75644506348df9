"""An audit as one HTML file that needs nothing else: headline numbers, gallery and table, mean maps, confusion, heads, clusters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.auditing.overview.api import overview
from vizlib.auditing.report.charts import interval_bar
from vizlib.auditing.report.findings import findings
from vizlib.auditing.report.html_parts import Section, share_cell, table_html
from vizlib.auditing.report.layer_section import lens_section, probe_section
from vizlib.auditing.report.map_sections import class_section, confusion_section, head_section
from vizlib.auditing.report.names import method_title, shown_names
from vizlib.auditing.report.report_data import gallery_data
from vizlib.auditing.report.score_section import score_section
from vizlib.auditing.report.series_section import series_section
from vizlib.auditing.report.strategies import MEMBERS, strategies
from vizlib.auditing.report.strategy_section import strategy_section
from vizlib.auditing.report.thumbnails import thumbnails
from vizlib.figures.html_page import escaped, html_page
from vizlib.figures.numbers import counted, listed, points
from vizlib.files import write_whole
from vizlib.model_report.accuracy import BY_WORDS, SORTED_ORDER

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from vizlib.auditing.overview.api import Overview
    from vizlib.auditing.report.strategies import Strategies
    from vizlib.auditing.result import Audit

REPORT = "report.html"
_HERE = Path(__file__).parent
_IMPORT = re.compile(r"^import .*\n", re.MULTILINE)


def write_report(
    audit: Audit, path: str | os.PathLike[str] | None = None, *, data: Any = None, models: Any = None, clusters: bool = True
) -> Path:
    """Write ``audit`` as one HTML file, at ``path`` or as report.html in its folder; the path.

    With ``data``, what was audited, the rows that it shows carry small pictures; without, their maps alone. With ``data`` and ``models``,
    those of the audit in its order, clusters of strategies are ranked by the accuracy that falls without their place, about six passes
    for each of at most 24 members. Maps of one chunk are in memory at a time, and those of 20,000 pictures for the clusters.
    AuditError for other data or models than the audit's; VizlibError where the file cannot be written.
    """
    view, found, pictures = report_contents(audit, data=data, models=models, clusters=clusters)
    return write_whole(path or audit.folder / REPORT, report_page(view, found, pictures, with_data=data is not None))


def report_contents(audit: Audit, *, data: Any, models: Any, clusters: bool) -> tuple[Overview, list[Strategies], dict[int, str]]:
    """What a report is made from: the audit as a whole, its clusters, and the small pictures that both show, by number."""
    view = overview(audit)
    found = strategies(audit, view, data=data, models=models) if clusters else []
    members = [number for each in found for cluster in each.shown for number in cluster.members[:MEMBERS]]
    pictures = {} if data is None else thumbnails(audit, data, [*(key[0] for key in view.pictured), *members])
    return view, found, pictures


def report_sections(view: Overview, found: Sequence[Strategies], pictures: Mapping[int, str]) -> list[Section]:
    """The sections below the gallery, as far as there is something to show."""
    sections = [
        series_section(view), score_section(view), class_section(view), confusion_section(view), head_section(view), lens_section(view),
        probe_section(view), strategy_section(view, found, pictures),
    ]  # fmt: skip
    return [section for section in sections if section is not None]


def report_page(view: Overview, found: Sequence[Strategies], pictures: Mapping[int, str], *, with_data: bool) -> str:
    """The whole page as text."""
    sections = [numbers_section(view), _gallery(view, with_data=with_data), *report_sections(view, found, pictures)]
    body = "".join([_head(view), _findings(view), *(section.html() for section in sections), _about(view)])
    css = "".join(_file(name) for name in ("sections.css", "report.css", "gallery.css"))
    gallery = _file("gallery.js")
    script = _IMPORT.sub("", _file("report.js"))  # which stands behind what it imports
    models = listed(list(shown_names(view.facts).models.values()))
    return html_page(
        f"{models} over {view.facts['pictures']:,} pictures", body, css=css, data=gallery_data(view, pictures),
        scripts=[f'<script type="module">{gallery}\n{script}</script>'],
    )  # fmt: skip


def _head(view: Overview) -> str:
    facts, shown = view.facts, shown_names(view.facts)
    methods = ", ".join(
        (name if shown.methods[name := method["name"]] == name else method_title(method["method"])) + _options(method["options"])
        for method in facts["methods"]
    )
    explained = {"prediction": "the model's own answer", "label": "the label"}.get(facts["target"], facts["target"])
    torn = ""
    if view.totals.failed:
        lines = "".join(f"<li><b>{escaped(path)}</b>: {escaped(why)}</li>" for path, why in failures(view))
        more = view.totals.failed - len(view.totals.failures)
        rest = f"<p class='exactly'>and {more:,} more, in the rows</p>" if more else ""
        summary = f"<summary>{counted(view.totals.failed, 'row')} without a map, and why</summary>"
        torn = f"<details class='note'>{summary}<ul>{lines}</ul>{rest}</details>"
    unfinished = "" if view.complete else "<p class='note'>This audit has not come to its end: it says what is there so far.</p>"
    models = f"{listed(list(shown.models.values()))} look{'s' if len(view.models) == 1 else ''}"
    return (
        f"<header><h1>What {escaped(models)} at</h1>"
        f"<p>{counted(facts['pictures'], 'picture')}, explained by {escaped(methods)}. A map is of {escaped(explained)}.</p>"
        f"{unfinished}{torn}</header>"
    )


def failures(view: Overview) -> list[tuple[str, str]]:
    """The name of each picture without a map, and why, by which model and method."""
    shown = shown_names(view.facts)
    return [
        (path, f"{', '.join([shown.models[model], *([shown.methods[method]] if method else [])])}: {shown.told(why)}")
        for path, model, method, why in view.totals.failures
    ]


def file_names(view: Overview) -> str:
    """Which models and methods have another name in the files than here; empty for none."""
    pairs = shown_names(view.facts).in_files
    return f"{listed(pairs)} in the files." if pairs else ""


def _options(options: dict[str, Any]) -> str:
    told = ", ".join(f"{name} {value}" for name, value in options.items() if value not in (None, ""))
    return f" ({told})" if told else ""


def _findings(view: Overview) -> str:
    items = "".join(f"<li>{escaped(sentence)}</li>" for sentence in findings(view))
    return f"<section><h2>What was found</h2><ul class='findings'>{items}</ul></section>" if items else ""


def numbers_section(view: Overview) -> Section:
    """The headline numbers with their intervals."""
    boxed, shown = any(summary.mean("region_gain") is not None for summary in view.summaries), shown_names(view.facts)
    heads = [
        "model",
        "method",
        "maps",
        "right",
        "evenness",
        *(["on the object beyond an even map", "highest pixel on it"] if boxed else []),
    ]
    rows = []
    for summary in view.summaries:
        names = escaped(shown.models[summary.model]), escaped(shown.methods[summary.method])
        cells = [*names, f"{summary.pictures:,}", _share(summary, "right")]
        evenness = summary.mean("evenness")
        cells.append("" if evenness is None else f"{evenness:.3f}{_ends(summary.interval('evenness'))}")
        if boxed:
            cells += [
                _gain(summary.mean("region_gain"), summary.interval("region_gain")),
                _share(summary, "pointing", summary.mean("region_area")),
            ]
        rows.append(cells)
    kinds = ["Wilson's for shares of pictures"] * view.totals.labelled + ["Student's for means"]
    words = f"Intervals are of 95 %: {', '.join(kinds)}. Evenness is a map's entropy over an even map's: 1 singles nothing out. "
    words += (
        "The dashed line is what an even map has, or a pixel drawn at random."
        if boxed
        else "No picture has a box or a mask, so that nothing is said of how much of the maps lies on objects."
    )
    colours = [shown.colours.get(summary.model, "") for summary in view.summaries]
    return Section("In numbers", words, (("", table_html(heads, rows, colours)),))


def _share(summary: Any, name: str, reference: float | None = None) -> str:
    value, interval = summary.mean(name), summary.interval(name)
    return share_cell(None if value is None or interval is None else (value, *interval), reference)


def _gain(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "<span class='exactly'>no box</span>"
    known: tuple[float, ...] = interval if np.isfinite(interval[0]) else ()
    line = interval_bar(value, *interval, low=-0.5, high=0.5, reference=0.0)
    gain, _, ends = points(value, *known, digits=1).partition(" (")
    return f"{line} <b>{gain}</b> <span class='exactly'>({ends or 'one picture)'}</span>"


def _ends(interval: tuple[float, float] | None) -> str:
    """The ends of a mean's interval as they stand behind it."""
    if interval is None or not np.isfinite(interval[0]):
        return ""
    return f" <span class='exactly'>{interval[0]:.3f} to {interval[1]:.3f}</span>"


def _gallery(view: Overview, *, with_data: bool) -> Section:
    return Section(
        "Picture by picture",
        "Choose what comes first, or sort by any column. A click on a picture or a row shows all that is known of it.",
        (("", '<div class="gallery" id="gallery"></div>'),),
        rows_words(view, with_data=with_data),
    )


def rows_words(view: Overview, *, with_data: bool) -> str:
    """Which rows the table has, and which of them come with a map."""
    rows = counted(view.totals.rows, "row")
    with_map = " with a map" if view.totals.failed else ""
    numbers = f"The table has all {rows}{with_map}." if view.totals.rows > 1 else f"The table has {rows}{with_map}."
    if view.stride > 1:
        numbers = (
            f"The table has {len(view.table):,} of {rows}: one picture in {view.stride}, and all that are shown with a map. The others are "
            "in the audit's Parquet files."
        )
    maps = (
        f"Maps are here for {len(view.pictured):,} of them: of each model and method the first {view.each} of every preset, and "
        f"{view.each} spread evenly."
    )
    if len(view.pictured) == view.totals.rows:
        maps = "Each is shown with its map." if view.totals.rows else "There is no map."
    without = "" if with_data else " The pictures themselves were not given to the report (data=), so that it shows the maps alone."
    scale = (
        "Maps run from nothing to their own largest cell; in maps with evidence against what is explained, that is blue and evidence for "
        "it red."
    )
    return f"{numbers} {maps}{without} {scale}"


def _about(view: Overview) -> str:
    facts, shown = view.facts, shown_names(view.facts)
    made = ", ".join(f"{name} {number}" for name, number in facts["made_with"].items())
    lines = [
        f"Fit: {facts['fit'] or 'each model’s own'}. Made with {made}.",
        *(f"{shown.models[model['name']]}: weights {model['weights'][:16]}.{_matched(model['matched'])}" for model in facts["models"]),
        *filter(None, [file_names(view)]),
    ]
    code = (
        "import vizlib\nfrom vizlib.auditing.report.report_html import write_report\n\n"
        'audit = vizlib.Audit.open("FOLDER")\nrows = audit.rows()  # a pandas data frame: every number of every row\n'
        f'maps = dict(audit.maps("{view.models[0]}", "{view.methods[0]}"))  # by the index of the picture\n'
        'write_report(audit, "report.html", data="DATA")'
    )
    return f"<section><h2>How this was made</h2>{''.join(f'<p>{escaped(line)}</p>' for line in lines)}<pre>{escaped(code)}</pre></section>"


def _matched(how: str) -> str:
    return f" Classes of the data and of the model were matched by {how}." if how in (*BY_WORDS, SORTED_ORDER) else ""


def _file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
