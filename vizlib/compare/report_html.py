"""A comparison as one HTML file that needs nothing else: charts, pictures and the words that they need."""

from __future__ import annotations

from itertools import combinations_with_replacement
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.claims import Verdict
from vizlib.compare import pictures, text
from vizlib.compare.charts import charts, cka_charts
from vizlib.compare.findings import findings
from vizlib.figures import html_page as pages
from vizlib.figures.html_page import escaped as _escaped
from vizlib.figures.html_page import png_address as _png
from vizlib.figures.numbers import counted, of_pictures
from vizlib.files import write_whole

if TYPE_CHECKING:
    import os

    from vizlib.claims import Claim
    from vizlib.compare.result import Comparison
    from vizlib.compare.text import ChartText

_HERE = Path(__file__).parent


def write_html(comparison: Comparison, path: str | os.PathLike[str]) -> Path:
    """Write the whole comparison as one HTML file that needs nothing else; its path. VizlibError where it cannot be written."""
    return write_whole(path, html_page(comparison))


def html_page(comparison: Comparison) -> str:
    """The whole page as HTML: styles, scripts, charts and pictures are in it, so that it opens without a network."""
    from plotly.offline import get_plotlyjs

    names = " and ".join(model.display_name for model in comparison.models)
    drawn = charts(comparison)
    pairs = pictures.correspondence_pairs(comparison)
    data = {
        "charts": {name: chart.figure for name, chart in drawn.items()},
        "cka": cka_charts(comparison),
        "layers": pictures.thumbnails(comparison),
        "pairs": pairs,
    }
    body = [_head(comparison), _findings(comparison), _cka(comparison)]
    for name, chart in drawn.items():
        beside = _fields(comparison) if name == "distance" else ""
        body.append(_section(chart.text, f'<div class="chart" id="chart-{name}"></div>{beside}{_notes(chart.missing)}'))
    body += [_correspondence(comparison, pairs), _mosaics(comparison), _differences(comparison), _about(comparison)]
    css, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    return pages.html_page(
        f"{names} compared", "".join(body), css=css, data=data, scripts=[f"<script>{script}</script>"], head=get_plotlyjs()
    )


def _head(comparison: Comparison) -> str:
    rows = "".join(
        f"<tr><th>{_escaped(model.display_name)}</th><td>{_escaped(model.title)}</td><td>{_escaped(model.name)}</td>"
        f"<td>{_escaped(model.family)}</td>"
        f"<td>{model.parameters / 1e6:.2f} M</td><td>{model.size[0]} x {model.size[1]}</td><td>{len(model.layers)}</td></tr>"
        for model in comparison.models
    )
    count = len(comparison.images)
    skipped = "".join(f"<li><b>{_escaped(name)}</b>: {_escaped(why)}</li>" for name, why in comparison.skipped)
    left_out = (
        f'<details class="note" open><summary>{len(comparison.skipped)} left out</summary><ul>{skipped}</ul></details>' if skipped else ""
    )
    return (
        f"<header><h1>{' against '.join(_escaped(model.display_name) for model in comparison.models)}</h1>"
        f"<p>Over {counted(count, 'picture')}, measured in {comparison.seconds:.0f} s.</p></header>"
        f"<table><thead><tr><th>model</th><th></th><th>in files</th><th>family</th><th>parameters</th><th>input</th>"
        "<th>layers</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{left_out}" + _notes(list(comparison.missing.values()))
    )


def _findings(comparison: Comparison) -> str:
    items = []
    for finding in findings(comparison):
        verdict = ""
        if finding.claim:
            verdict = _claim(finding.claim)
        items.append(f"<li>{_escaped(finding.text)}{verdict}</li>")
    return f'<section><h2>What was found</h2><ul class="findings">{"".join(items)}</ul></section>'


def _claim(claim: Claim) -> str:
    assert claim.verdict is not None  # noqa: S101  what a comparison claims was measured
    kind = {Verdict.SO: "agrees", Verdict.NOT_SO: "differs", Verdict.CANNOT_TELL: "open"}[claim.verdict]
    sources = "; ".join(map(_linked, claim.sources))
    return (
        f'<span class="claim {kind}">{_escaped(claim.statement)} {sources}<br>Would be seen: {_escaped(claim.expected)}<br>'
        f"Measured here: {_escaped(claim.measured)} <b>{_escaped(claim.verdict)}</b></span>"
    )


def _linked(reference: str) -> str:
    words, _, address = reference.rpartition(", ")
    return f'<a href="{_escaped(address)}">{_escaped(words)}</a>'


def _cka(comparison: Comparison) -> str:
    if not comparison.cka:
        return _section(text.CKA, _notes([comparison.missing["cka"]]))
    choices = "".join(
        f'<button type="button" data-cka="{reading}/{kernel}">{text.READINGS[reading]}, {kernel}</button>'
        for reading, kernel in comparison.cka
    )
    pairs = combinations_with_replacement(range(len(comparison.models)), 2)
    plots = "".join(
        f'<div class="cka" id="cka-{first}-{second}"></div>' for first, second in sorted(pairs, key=lambda pair: pair[0] == pair[1])
    )
    clicked = '<div id="clicked" class="row"><p>Click a cell to see its two layers, each in its own three principal components.</p></div>'
    batches = next(iter(comparison.cka.values())).batches
    body = f'<div class="choices">{choices}</div><div class="grid">{plots}</div>{clicked if comparison.shown else ""}'
    readings = dict.fromkeys(reading for reading, _ in comparison.cka)
    notes = [text.minibatches(batches), *(text.by_chance(reading, len(comparison.images), batches) for reading in readings)]
    return _section(text.CKA, f'{body}<p class="exactly">{" ".join(filter(None, notes))}</p>')


def _correspondence(comparison: Comparison, pairs: list[dict[str, Any]]) -> str:
    if not pairs:
        return ""
    choices = "".join(f'<button type="button" data-pair="{number}">{_escaped(pair["title"])}</button>' for number, pair in enumerate(pairs))
    canvases = "".join(
        f'<figure><canvas class="place" data-side="{side}" width="288" height="288" tabindex="0"></canvas>'
        f'<figcaption>{_escaped(model.display_name)} <span data-layer="{side}"></span></figcaption></figure>'
        for side, model in enumerate(comparison.models[:2])
    )
    return _section(text.CORRESPONDENCE, f'<div class="choices">{choices}</div><div class="row">{canvases}</div>')


def _fields(comparison: Comparison) -> str:
    rows = "".join(
        f"<tr><th>{_escaped(row.title)}</th>"
        + "".join(f'<td><img class="cells" alt="" src="{_png(image)}"><br>{_escaped(caption)}</td>' for caption, image in row.images)
        + "</tr>"
        for row in pictures.receptive_field_rows(comparison)
    )
    return f"<div class='wide'><table><tbody>{rows}</tbody></table></div>" if rows else ""


def _mosaics(comparison: Comparison) -> str:
    body = []
    for strip in pictures.layer_strips(comparison):
        rows = "".join(
            f"<tr><th>{_escaped(pair.title)}</th>"
            + "".join(
                f'<td><img class="cells" alt="{_escaped(caption)}" title="{_escaped(caption)}" src="{_png(image)}"></td>'
                for caption, image in pair.images
            )
            + "</tr>"
            for pair in strip.pairs
        )
        heads = "".join(f"<th>{_escaped(column)}</th>" for column in strip.columns)
        body.append(
            f'<h3><img class="photo" alt="" src="{_png(strip.picture)}"> {_escaped(strip.name)}</h3>'
            f"<div class='wide'><table><thead><tr><th>layers at one depth</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        )
    return f"<section><h2>Layer beside layer</h2><p>{_escaped(pictures.STRIP_WORDS)}</p>{''.join(body)}</section>" if body else ""


def _differences(comparison: Comparison) -> str:
    body = []
    for row in pictures.difference_rows(comparison):
        figures = "".join(
            f'<figure><img alt="" src="{_png(image)}"><figcaption>{_escaped(caption)}</figcaption></figure>'
            for caption, image in row.images
        )
        warnings = _notes(list(row.warnings))
        note = f"<p class='exactly'>{_escaped(row.note)}</p>"
        body.append(f"<h3>{_escaped(row.title)}</h3>{warnings}<div class='row'>{figures}</div>{note}")
    why = [reason for measure, reason in comparison.missing.items() if measure.startswith("classes")]
    return _section(text.DIFFERENCE, "".join(body) + _notes(why)) if body or why else ""


def _about(comparison: Comparison) -> str:
    missing = [f"{model.display_name}, {measure}: {why}" for model in comparison.models for measure, why in model.missing.items()]
    facts = {**comparison.settings, **comparison.facts}
    settings = ", ".join(f"{name}: {' and '.join(value) if isinstance(value, list) else value}" for name, value in facts.items())
    files = "".join(f"<li>{_escaped(name)}</li>" for name in comparison.images)
    pictures = of_pictures(len(comparison.images), len(comparison.images)).capitalize()
    return (
        f"<section><h2>How this was made</h2><p>{_escaped(settings)}</p>{_notes(missing)}"
        f"<details><summary>{pictures}</summary><ol>{files}</ol></details></section>"
    )


def _section(about: ChartText, body: str) -> str:
    return (
        f"<section><h2>{_escaped(about.title)}</h2><p>{_escaped(about.hint)}</p>{body}"
        f'<p class="exactly">{_escaped(about.exactly)} <a href="{about.link}">{_escaped(about.paper)}</a></p></section>'
    )


def _notes(reasons: list[str]) -> str:
    return "".join(f'<p class="note">{_escaped(reason)}</p>' for reason in reasons)
