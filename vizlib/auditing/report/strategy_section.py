"""The section of a report that shows clusters of strategies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizlib.auditing.clusters import LEAST
from vizlib.auditing.report.findings import removal_words
from vizlib.auditing.report.html_parts import Section
from vizlib.auditing.report.names import shown_names
from vizlib.auditing.report.strategies import MEMBERS
from vizlib.figures.html_page import escaped, png_address
from vizlib.figures.numbers import counted, percent
from vizlib.figures.overlay import coloured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib.auditing.clusters import StrategyCluster
    from vizlib.auditing.overview.api import Overview
    from vizlib.auditing.report.strategies import Strategies


def strategy_section(view: Overview, found: Sequence[Strategies], pictures: Mapping[int, str]) -> Section | None:
    """The first clusters of every model and method."""
    tabs, names = [], shown_names(view.facts)
    for each in found:
        title = f"{names.models[each.model]}, {names.methods[each.method]}"
        if each.missing:
            tabs.append((title, f"<p class='note'>{escaped(names.told(each.missing))}</p>"))
            continue
        cards = []
        shown = each.shown
        for place, cluster in enumerate(shown):
            share = f"{counted(cluster.size, 'picture')} of {cluster.class_size:,} that are answered {cluster.class_name}"
            words = f"{share}.{_cluster_words(cluster)} {removal_words(cluster)}"
            thumbs = "".join(
                f'<img class="member" alt="picture {number + 1}" src="{pictures[number]}">'
                for number in cluster.members[:MEMBERS]
                if number in pictures
            )
            mean = f'<img class="cells" alt="mean map" src="{png_address(coloured(cluster.mean_map))}">'
            head = f"<h3>{place + 1}. {escaped(cluster.class_name)}</h3>"
            cards.append(f"<div class='cluster'>{mean}<div>{head}<p>{escaped(words)}</p><div class='row'>{thumbs}</div></div></div>")
        alone = sum(cluster.size == cluster.class_size for cluster in each.clusters)
        more = (
            f" In {alone:,} of them the maps are one cluster."
            if alone and each.classes > 1
            else " Its maps are one cluster."
            if alone
            else ""
        )
        rest = len(each.clusters) - len(shown) - (0 if each.ranked else alone)
        more += f" {counted(rest, 'more cluster')} not shown." if rest > 0 else ""
        were = "was clustered, the one" if each.classes == 1 else "were clustered, those"
        note = f"{each.classes:,} of {counted(each.of, 'class')} {were} with most pictures and at least {LEAST}.{more}"
        tabs.append((title, f"{''.join(cards)}<p class='exactly'>{note}</p>"))
    if not tabs:
        return None
    ranked = any(each.ranked for each in found)
    order = (
        "ranked by the accuracy that falls when the tenth of the picture on which they lie is painted over, beyond what as large a hole "
        "elsewhere costs: the first is the likeliest shortcut"
        if ranked
        else "ranked by how far they lie from the nearest other cluster of their class beyond their own spread; what their place costs is "
        "measured with --shortcuts (models= and data= in Python)"
    )
    any_shown = any(each.shown for each in found)
    return Section(
        "Clusters of strategies",
        f"Pictures with one answer in whose maps the model looks at the same place (SpRAy){f', {order}' if any_shown else ''}.",
        tuple(tabs),
        "Spectral clusters of maps on at most 14 x 14 cells.",
        "https://www.nature.com/articles/s41467-019-08987-4",
        "Lapuschkin et al., Unmasking Clever Hans predictors (2019)",
    )


def _cluster_words(cluster: StrategyCluster) -> str:
    words = ""
    if not np.isnan(cluster.between):
        words = f" Its maps lie {cluster.within:.2f} from their mean, the nearest other cluster's {cluster.between:.2f}."
    if not np.isnan(cluster.box_share):
        words += f" {percent(cluster.box_share)} of the maps lies on the object, of even ones {percent(cluster.box_area)}."
    return words
