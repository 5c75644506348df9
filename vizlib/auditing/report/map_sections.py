"""The sections of a report that show where maps lie: by class, by mistake, and what heads do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizlib.auditing.report.charts import site_dots
from vizlib.auditing.report.findings import between
from vizlib.auditing.report.html_parts import Section, counted, table_html
from vizlib.figures.html_page import escaped, png_address
from vizlib.figures.numbers import percent
from vizlib.figures.overlay import coloured

if TYPE_CHECKING:
    from vizlib.auditing.overview.api import Overview
    from vizlib.auditing.overview.class_maps import ClassMap, MeanMap

CLASSES = 60  # of a model and a method, whose mean maps are shown


def class_section(view: Overview) -> Section | None:
    """The mean map of each class, with its accuracy."""
    tabs = []
    for model, method in view.pairs:
        own = [each for each in view.classes if (each.model, each.method) == (model, method)]
        own.sort(key=lambda each: (each.accuracy[0] if each.accuracy else 0.0, -each.pictures, each.index))
        shown = [each for each in own if each.map.mean is not None][:CLASSES]
        if not shown:
            continue
        peak = max(float(each.map.mean.max()) for each in shown if each.map.mean is not None)
        figures = "".join(_class_figure(each.name, each.map, peak, _class_words(each)) for each in shown)
        rest = f" {len(own) - len(shown):,} more classes are not shown." if len(own) > len(shown) else ""
        scale = f"<p class='exactly'>Brightest: {percent(peak)} of a map in one cell of these.{rest}</p>"
        tabs.append((f"{model}, {method}", f"{scale}<div class='maps'>{figures}</div>"))
    if not tabs:
        return None
    first = "the class with fewest right answers first" if view.totals.labelled else "by the model's answers, since pictures have no labels"
    return Section(
        "The mean map of each class", f"Where the maps of a class lie on the model's input, {first}; one scale for all.", tuple(tabs)
    )


def _class_words(each: ClassMap) -> str:
    accuracy = each.accuracy
    words = counted(each.pictures, "picture")
    if accuracy is not None:
        words = f"{percent(accuracy[0])} of {words} right ({between(accuracy[1], accuracy[2], None)})"
    gain = each.map.box_gain
    return words if gain is None else f"{words}; on the object {_points(gain)}"


def _points(gain: tuple[float, float, float]) -> str:
    ends = f"{100 * gain[1]:+.0f} to {100 * gain[2]:+.0f}" if np.isfinite(gain[1]) else "one picture"
    return f"{100 * gain[0]:+.0f} points ({ends})"


def _class_figure(name: str, mean_map: MeanMap, peak: float, words: str) -> str:
    mean = mean_map.mean
    if mean is None:
        return f"<figure><figcaption><b>{escaped(name)}</b><br>no map</figcaption></figure>"
    other = f"; {counted(mean_map.other, 'map')} on another grid left out" if mean_map.other else ""
    picture = png_address(coloured(mean, high=peak))
    caption = f"<figcaption><b>{escaped(name)}</b><br>{escaped(words)}{other}</figcaption>"
    return f'<figure><img class="cells" alt="" src="{picture}">{caption}</figure>'


def confusion_section(view: Overview) -> Section | None:
    """The commonest mistakes beside where the model looked."""
    tabs = []
    for model, method in view.pairs:
        rows = []
        for each in view.confusions:
            if (each.model, each.method) != (model, method):
                continue
            share, low, high = each.share
            counts = f"{each.count} of {each.of}: {percent(share)} <span class='exactly'>({between(low, high, None)})</span>"
            means = [mean for mean in (each.mistaken.mean, each.right.mean) if mean is not None]
            peak = max((float(mean.max()) for mean in means), default=1.0)
            pictures = [_cells(mean_map, peak) for mean_map in (each.mistaken, each.right)]
            rows.append([escaped(each.name), escaped(each.answer), counts, *pictures])
        if rows:
            tabs.append(
                (
                    f"{model}, {method}",
                    table_html(["label", "answered", "how often", "where it looked then", "where it looks when right"], rows),
                )
            )
    if not tabs:
        return None
    return Section(
        "What is taken for what, and where it looked",
        "Each model's commonest mistakes, with the mean map of those pictures beside that of the pictures of the same label that it gets "
        "right; the two share a scale. The mean of few maps is the maps of few pictures.",
        tuple(tabs),
    )  # fmt: skip


def _cells(mean_map: MeanMap, peak: float) -> str:
    mean = mean_map.mean
    if mean is None:
        return "<span class='exactly'>none</span>"
    gain = mean_map.box_gain
    words = counted(mean_map.pictures, "map") + ("" if gain is None else f"<br>on the object {_points(gain)}")
    return f'<img class="cells" alt="" src="{png_address(coloured(mean, high=peak))}"><br><span class="exactly">{words}</span>'


def head_section(view: Overview) -> Section | None:
    """Distance and entropy of every head over the set; why there is none."""
    if not view.heads:
        why = (
            "No attention of these models looks over its whole grid." if view.facts["heads"] else
            "The audit was made without statistics of heads (--heads, heads=True), which take one more pass a picture."
        )  # fmt: skip
        return Section("Heads over the set", why)
    tabs = []
    for model in view.models:
        sites = [site for site in view.heads if site.model == model]
        if sites:
            charts = "".join(
                f"<figure>{site_dots(sites, measure)}<figcaption>{escaped(caption)}</figcaption></figure>"
                for measure, caption in (
                    ("distance", "mean distance of attention, pixels of the input, layer by layer"),
                    ("entropy", "entropy of attention, bits, layer by layer"),
                )
            )
            tabs.append((model, f"<div class='row'>{charts}</div><p class='exactly'>Over {counted(sites[0].pictures, 'picture')}.</p>"))
    words = (
        "A dot is a head's mean over the pictures, its line one standard deviation of pictures to both sides: how much it depends on the "
        "picture."
    )
    return Section("Heads over the set", words, tuple(tabs))
