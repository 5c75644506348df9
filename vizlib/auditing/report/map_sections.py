"""The sections of a report that show where maps lie: by class, by mistake, and what heads do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizlib.auditing.report.charts import site_dots
from vizlib.auditing.report.findings import between
from vizlib.auditing.report.html_parts import Section, coloured_part, table_html
from vizlib.auditing.report.names import shown_names
from vizlib.figures.html_page import escaped, png_address
from vizlib.figures.numbers import counted, listed, percent, points
from vizlib.figures.overlay import coloured

if TYPE_CHECKING:
    from vizlib.auditing.overview.api import Overview
    from vizlib.auditing.overview.class_maps import ClassMap, MeanMap

CLASSES = 60  # of a model and a method, whose mean maps are shown


def class_section(view: Overview) -> Section | None:
    """The mean map of each class, with its accuracy."""
    tabs, shown = [], shown_names(view.facts)
    for model, method in view.pairs:
        own = [each for each in view.classes if (each.model, each.method) == (model, method)]
        own.sort(key=lambda each: (each.accuracy[0] if each.accuracy else 0.0, -each.pictures, each.index))
        drawn = [each for each in own if each.map.mean is not None][:CLASSES]
        if not drawn:
            continue
        peak = max(float(each.map.mean.max()) for each in drawn if each.map.mean is not None)
        figures = "".join(_class_figure(each.name, each.map, peak, _class_words(each)) for each in drawn)
        left = len(own) - len(drawn)
        rest = f" {counted(left, 'more class')} {'is' if left == 1 else 'are'} not shown." if left else ""
        scale = f"<p class='exactly'>Brightest: {percent(peak)} of a map in one cell of these.{rest}</p>"
        tabs.append((f"{shown.models[model]}, {shown.methods[method]}", f"{scale}<div class='maps'>{figures}</div>"))
    if not tabs:
        return None
    first = (
        "the class with the smallest share of right answers first"
        if view.totals.labelled
        else "by the model's answers, since pictures have no labels: the most given first"
    )
    scale = "one scale for all" if len(tabs) == 1 else "one scale for all of a model and method"
    signed = " Of maps with evidence against the answer it is the evidence for it." if _signed(view) else ""
    hint = f"Where the maps of a class lie on the model's input, {first}; {scale}.{signed}"
    return Section("The mean map of each class", hint, tuple(tabs))


def _class_words(each: ClassMap) -> str:
    accuracy = each.accuracy
    words = counted(each.pictures, "picture")
    if accuracy is not None:
        words = f"{percent(accuracy[0])} of {words} right ({between(accuracy[1], accuracy[2], None)})"
    gain = each.map.box_gain
    return words if gain is None else f"{words}; {_beyond_even(gain)}"


def _beyond_even(gain: tuple[float, float, float]) -> str:
    known: tuple[float, ...] = gain[1:] if np.isfinite(gain[1]) else ()
    return f"on the object, beyond an even map: {points(gain[0], *known)}{'' if known else ' (one picture, so no interval)'}"


def _signed(view: Overview) -> bool:
    """Whether some map holds evidence against its class."""
    return any(picked.map is not None and bool((picked.map < 0).any()) for picked in view.pictured.values())


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
    tabs, shown = [], shown_names(view.facts)
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
                    f"{shown.models[model]}, {shown.methods[method]}",
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
    words = counted(mean_map.pictures, "map") + ("" if gain is None else f"<br>{_beyond_even(gain)}")
    return f'<img class="cells" alt="" src="{png_address(coloured(mean, high=peak))}"><br><span class="exactly">{words}</span>'


def head_section(view: Overview) -> Section | None:
    """Distance and entropy of every head over the set; why there is none."""
    if not view.heads:
        why = (
            "None of these models has attention that looks over its whole grid." if view.facts["heads"] else
            "This audit was made without statistics of heads, which take one more pass a picture. They come with the switch Heads and "
            "artifacts on the app's page, and with the option heads in Python and on the command line."
        )  # fmt: skip
        return Section("Heads over the set", why)
    tabs, shown = [], shown_names(view.facts)
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
            body = f"<div class='row'>{charts}</div><p class='exactly'>Over {counted(sites[0].pictures, 'picture')}.</p>"
            tabs.append((shown.models[model], coloured_part(body, shown.colours.get(model, ""))))
    words = (
        "A dot is a head's mean over the pictures, its line one standard deviation of pictures to both sides: how much it depends on the "
        "picture."
    )
    if view.facts["pictures"] == 1:
        words = "A dot is a head; of one picture nothing is known of how much it depends on the picture."
    without = [shown.models[model] for model in view.models if all(site.model != model for site in view.heads)]
    words += f" {listed(without)} {'has' if len(without) == 1 else 'have'} no attention that looks over its whole grid." if without else ""
    return Section("Heads over the set", words, tuple(tabs))
