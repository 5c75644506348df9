"""The sections of a report that go layer by layer: what each would answer, and what can be read off it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.auditing.report.findings import probe_title
from vizlib.auditing.report.html_parts import Section, coloured_part, share_cell, table_html
from vizlib.auditing.report.names import shown_names
from vizlib.figures.html_page import escaped
from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import counted, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.auditing.overview.api import Overview
    from vizlib.auditing.overview.layer_probes import ModelProbes
    from vizlib.auditing.overview.lens_means import LensMeans


def lens_section(view: Overview) -> Section | None:
    """The answers after every block; None where the audit was made without them."""
    if not view.lens:
        return None
    tabs = _tabs(view, [(each.model, each.missing, "" if each.missing else _lens_table(each)) for each in view.lens])
    return Section(
        "What each layer would answer",
        "The logit lens: the model's own head reads the tokens of every block. Look for the block from which on the answer stays.",
        tabs,
        "Bars are 95 % intervals: Wilson's for shares of pictures, Student's for the mean probability. “Final” is the model's answer in "
        "the end; the last block has it in every picture.",
        "https://arxiv.org/abs/2310.18969",
        "Vilas et al. 2023",
    )


def _tabs(view: Overview, parts: Sequence[tuple[str, str, str]]) -> tuple[tuple[str, str], ...]:
    """A tab of each (model, why it has none, table)."""
    shown = shown_names(view.facts)
    return tuple(
        (shown.models[model], f"<p>{escaped(shown.told(missing))}</p>" if missing else coloured_part(html, shown.colours.get(model, "")))
        for model, missing, html in parts
    )


def _lens_table(lens: LensMeans) -> str:
    labelled = any(block.right is not None for block in lens.blocks)
    heads = ["after", "final answer already", "probability of the final answer", *(["right"] if labelled else []), "settled here"]
    rows = []
    for block, settled in zip(lens.blocks, lens.settled, strict=True):
        last = block is lens.blocks[-1] and block.final[0] == 1.0  # by definition, so there is no interval
        cells = [escaped(layer_title(block.block)), percent(1.0) if last else share_cell(block.final), share_cell(block.probability)]
        cells += [] if not labelled else [share_cell(block.right)]
        rows.append([*cells, percent(settled / block.pictures)])
    return f"{table_html(heads, rows)}<p class='exactly'>Over {counted(lens.blocks[0].pictures, 'picture')}.</p>"


def probe_section(view: Overview) -> Section | None:
    """What can be read off the features of every layer; None where the audit was made without them."""
    if not view.probes:
        return None
    tabs = _tabs(view, [(each.model, each.missing, "" if each.missing else _probe_table(each)) for each in view.probes])
    return Section(
        "What can be read off each layer",
        "A probe learns the class of a picture from one layer's features alone. Look for where it rises: what a layer holds is not yet "
        "what the model uses.",
        tabs,
        "Features are the mean over a layer's cells, or its first learned token (the class token, where there is one), standardised. "
        "Linear: ridge regression on the classes; nearest: the ten nearest pictures by the cosine. Five folds, so that each picture is "
        "judged by probes that have not seen it. Bars are Wilson's 95 % intervals, a little too narrow, since folds share pictures to "
        "learn from. The dashed line is the commonest class.",
        "https://arxiv.org/abs/1610.01644",
        "Alain and Bengio 2016",
    )


def _probe_table(probes: ModelProbes) -> str:
    rows = [
        [escaped(probe_title(probe)), share_cell(probe.linear, probes.chance), share_cell(probe.nearest, probes.chance)]
        for probe in probes.probes
    ]
    over = f"{counted(probes.pictures, 'picture')} of {probes.classes} classes"
    return f"{table_html(['read off', 'linear probe', 'nearest neighbours'], rows)}<p class='exactly'>Over {over}.</p>"
