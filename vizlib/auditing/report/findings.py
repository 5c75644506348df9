"""What an audit found, in sentences made from its numbers, each with its interval."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from vizlib.auditing.label_notes import label_note
from vizlib.auditing.overview.columns import PRESETS
from vizlib.auditing.report.names import shown_names
from vizlib.evaluation.metrics import METRICS
from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import adding_digits, counted, ends, of_pictures, percent, points, signed
from vizlib.stats import share_difference, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib.auditing.clusters import StrategyCluster
    from vizlib.auditing.overview.api import Overview
    from vizlib.auditing.overview.layer_probes import LayerProbe, ModelProbes
    from vizlib.auditing.overview.lens_means import LensMeans
    from vizlib.auditing.overview.map_agreement import Agreement
    from vizlib.auditing.report.names import ShownNames
    from vizlib.auditing.summary import Summary
    from vizlib.evaluation.over_sets import Lead


_UNIT = "\u00a0%"  # said once, behind both ends of an interval


def findings(overview: Overview) -> list[str]:
    """One sentence for each number that an audit's reader asks for first, in the order of a report."""
    shown = shown_names(overview.facts)
    sentences = [_labels(model, overview, shown) for model in overview.facts["models"]]
    labelled = bool(overview.facts["classes"])
    sentences += [_accuracy(summary, shown, labelled=labelled) for summary in overview.summaries if summary.method == overview.methods[0]]
    sentences += [_commonest_mistake(overview, model, shown) for model in overview.models]
    sentences += [_on_object(summary, shown) for summary in overview.summaries]
    sentences += [_elsewhere(overview, model, method, shown) for model in overview.models for method in overview.methods]
    sentences += [_series(overview, shown)] if len(overview.models) > 2 else []
    sentences += [_settled(lens, shown) for lens in overview.lens if lens.blocks]
    sentences += [_probed(probes, shown) for probes in overview.probes if probes.probes]
    sentences += [_lead(scores.model, lead, shown) for scores in overview.scores for lead in scores.leads]
    sentences += [_apart(pair, shown) for pair in overview.agreements if _is_told(pair, overview.models)]
    return [sentence for sentence in sentences if sentence]


def _labels(model: Mapping[str, Any], overview: Overview, shown: ShownNames) -> str:
    note = label_note(model, overview.facts["classes"])
    return f"{shown.models[model['name']]}: {shown.told(note)}" if note else ""


def between(low: float, high: float, digits: int | None = 1) -> str:
    """An interval of shares in words; of what tells nothing of its spread, that."""
    if not (isfinite(low) and isfinite(high)):
        return "one picture, so no interval"
    return f"{percent(low, digits).removesuffix(_UNIT)} to {percent(high, digits)}"


def gain_words(gain: float, low: float, high: float, digits: int = 1) -> str:
    """How much more of a map lies on the object than of an even one, in percentage points with their interval."""
    if not (isfinite(low) and isfinite(high)):
        return f"{points(gain, digits=digits)} (one picture, so no interval)"
    told = ", which cannot be told from none" if low <= 0 <= high else ""
    return f"{points(gain, low, high, digits=digits)}{told}"


def removal_words(cluster: StrategyCluster) -> str:
    """What a cluster's place costs, with its interval; why that is not known where it was not measured."""
    removal = cluster.removal
    if removal is None:
        return "What its place costs was not measured."
    known = isfinite(removal.low) and isfinite(removal.high)
    cost = points(removal.score, *((removal.low, removal.high) if known else ()), digits=1)
    told = "" if removal.low > 0 else " That cannot be told from no cost." if removal.high >= 0 else " It is right more often without it."
    part = "" if cluster.size == cluster.class_size else f"as the cluster is {percent(cluster.size / cluster.class_size)} of the class, "
    return (
        f"Without its place {percent(removal.right_without)} of {counted(removal.pictures, 'member')} "
        f"{'is' if removal.pictures == 1 else 'are'} right, without as large a place elsewhere {percent(removal.right_elsewhere)}, as they "
        f"are {percent(removal.right)}: {part}the place is worth {cost} of the accuracy on the class."
        f"{told if known else ' One picture alone has no interval.'}"
    )


def _accuracy(summary: Summary, shown: ShownNames, *, labelled: bool) -> str:
    model = shown.models[summary.model]
    right, interval = summary.mean("right"), summary.interval("right")
    if right is None or interval is None:
        why = "no picture has a label that it knows" if labelled else "the pictures have no labels"
        return "" if not summary.pictures else f"{model}: {why}, so nothing is right or wrong."
    sure = summary.mean("probability")
    beside = "" if sure is None else f", and gives its answers {percent(sure, 1)} on average"
    pictures = counted(summary.count("right"), "picture")
    return f"{model} is right on {percent(right, 1)} of {pictures} ({between(*interval)}){beside}."


def _commonest_mistake(overview: Overview, model: str, shown: ShownNames) -> str:
    own = [confusion for confusion in overview.confusions if (confusion.model, confusion.method) == (model, overview.methods[0])]
    if not own:
        return ""
    first, title = own[0], shown.models[model]
    counts = sorted(overview.totals.confused[model].values(), reverse=True)
    alike = counts.count(first.count)
    if alike > 1:
        return f"No mistake of {title} is made more often than all others: its {alike} commonest are made {_times(first.count)} each."
    share, low, high = first.share
    often = f"{first.count} of {first.of}, {percent(share)} ({between(low, high, None)})"
    if len(counts) == 1:
        return f"The only mistake of {title} is to take {first.name} for {first.answer}: {often}."
    return (
        f"{title} takes {first.name} for {first.answer} more often than it makes any other mistake: {often}; the next commonest is made "
        f"{_times(counts[1])}."
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _on_object(summary: Summary, shown: ShownNames) -> str:
    share, area, gain, interval = (
        summary.mean("region_share"), summary.mean("region_area"), summary.mean("region_gain"), summary.interval("region_gain"),
    )  # fmt: skip
    if share is None or area is None or gain is None or interval is None:
        return ""
    pointing, ends_of_hits = summary.mean("pointing"), summary.interval("pointing")
    digits = adding_digits((100 * gain, 100 * share, -100 * area), digits=1)
    hits, drawn = "", percent(area, digits)
    if pointing is not None and ends_of_hits is not None:
        hits = f" Its highest pixel lies there in {percent(pointing, 1)} ({between(*ends_of_hits)}), a pixel drawn at random in {drawn}."
    return (
        f"{shown.models[summary.model]}, {shown.methods[summary.method]}: {percent(share, digits)} of the map lies on the object of "
        f"{counted(summary.count('region_gain'), 'picture')}, where an even map has {drawn}: "
        f"{gain_words(gain, *interval, digits)}.{hits}"
    )


def _elsewhere(overview: Overview, model: str, method: str, shown: ShownNames) -> str:
    """How many right answers look elsewhere."""
    count = overview.matching["outside", model, method]
    summary = next(summary for summary in overview.summaries if (summary.model, summary.method) == (model, method))
    right = overview.right_with_region[model, method]
    if not right or summary.mean("region_gain") is None:
        return ""
    low, high = wilson(count, right)
    return (
        f"{shown.models[model]}, {shown.methods[method]}: of {counted(right, 'right answer')} {percent(count / right)} "
        f"({between(low, high, None)}) have a map that lies less on the object than an even one."
    )


def _series(overview: Overview, shown: ShownNames) -> str:
    """How accuracy went from the first model to the last."""
    first, last = (next(each for each in overview.summaries if each.model == overview.models[place]) for place in (0, -1))
    before, after = first.mean("right"), last.mean("right")
    if before is None or after is None:
        return ""
    low, high = share_difference(after * last.count("right"), last.count("right"), before * first.count("right"), first.count("right"))
    told = "" if low > 0 or high < 0 else ", which cannot be told from no change"
    digits = adding_digits((100 * (after - before), 100 * after, -100 * before), digits=1)
    return (
        f"From {shown.models[first.model]} to {shown.models[last.model]} the share of right answers goes from {percent(before, digits)} to "
        f"{percent(after, digits)}: {points(after - before, low, high, digits=digits)}{told}."
    )


def _is_told(pair: Agreement, models: Sequence[str]) -> bool:
    """Of many models, each is told against the last alone."""
    return pair.kind == "methods" or len(models) < 3 or pair.second == models[-1]


def _apart(pair: Agreement, shown: ShownNames) -> str:
    compared, within = (shown.methods, shown.models) if pair.kind == "methods" else (shown.models, shown.methods)
    both, of = f"{compared[pair.first]} and {compared[pair.second]}", within[pair.of]
    if not pair.count:
        if not pair.elsewhere:
            return ""
        whole = "the picture" if pair.elsewhere == 1 else f"all {pair.elsewhere:,} pictures"
        return f"{both} see other parts of {whole}, so their maps are not compared."
    low, high = pair.interval
    told = f"{low:.2f} to {high:.2f} over {pair.count:,} pictures" if isfinite(low) else "one picture, so no interval"
    are = "is" if pair.elsewhere == 1 else "are"
    left_out = f"; {counted(pair.elsewhere, 'picture')} of which they see other parts {are} left out" if pair.elsewhere else ""
    names = f"{of}: {both}" if pair.kind == "methods" else f"The {of} maps of {both}"
    return f"{names} lie {pair.mean:.2f} apart ({told}; 0 alike, 1 without a cell in common{left_out})."


def signed_ends(low: float, high: float) -> str:
    """The ends of a difference of scores in words."""
    if not (isfinite(low) and isfinite(high)):
        return "one picture, so no interval"
    return ends(low, high, lambda value, more: signed(value, 3 + more), 0.0)


def _settled(lens: LensMeans, shown: ShownNames) -> str:
    """From which block on the answer stays."""
    early, blocks = lens.blocks[len(lens.blocks) // 2], [block.block for block in lens.blocks]
    place = blocks.index(lens.half)
    settled, title = of_pictures(sum(lens.settled[: place + 1]), early.pictures), layer_title(lens.half)
    title += f" of {len(blocks)}" if title == f"layer {place + 1}" else f", block {place + 1} of {len(blocks)},"
    already = f"{percent(early.final[0], 1)} ({between(*early.final[1:])})"
    return (
        f"{shown.models[lens.model]}: in {settled} the answer stays from {title} on; after {layer_title(early.block)} it is the "
        f"final one in {already}."
    )


def probe_title(probe: LayerProbe) -> str:
    """What a probe reads, in words."""
    return f"{layer_title(probe.layer)}, {'first learned token' if probe.token else 'mean over cells'}"


def _probed(probes: ModelProbes, shown: ShownNames) -> str:
    """The layer that a linear probe reads best, and which others cannot be told from it."""
    best, first = probes.best, probes.probes[0]
    alike = sum(probe is not best and probe.linear[2] >= best.linear[1] for probe in probes.probes)
    have = "has" if alike == 1 else "have"
    told = f"; {alike} of {counted(len(probes.probes) - 1, 'other place')} {have} an interval that meets it" if alike else ""
    at_best, at_first = (f"{percent(probe.linear[0], 1)} ({between(*probe.linear[1:])})" for probe in (best, first))
    begin = "" if best is first else f"; off {probe_title(first)} {at_first}"
    return (
        f"{shown.models[probes.model]}: a linear probe reads the class best off {probe_title(best)}, {at_best}{told}{begin}. "
        f"The commonest class alone would be right in {percent(probes.chance, 1)}."
    )


def _lead(name: str, lead: Lead, shown: ShownNames) -> str:
    """Which of two methods predicts the model better."""
    title, over = METRICS[lead.metric].title.lower(), f"over {lead.pictures:,} pictures"
    model, first, second = shown.models[name], shown.methods[lead.first], shown.methods[lead.second]
    if not isfinite(lead.low):
        return f"{model}: {first} and {second} are compared by {title} on one picture, which tells nothing of others."
    if not lead.told:
        return f"{model}: by {title}, {first} and {second} cannot be told apart ({signed_ends(lead.low, lead.high)}, {over})."
    ahead, behind = (first, second) if lead.mean > 0 else (second, first)
    low, high = sorted((abs(lead.low), abs(lead.high)))
    interval = ends(low, high, lambda value, more: f"{value:.{3 + more}f}", 0.0)
    return f"{model}: by {title}, {ahead} is ahead of {behind} by {abs(lead.mean):.3f} ({interval}, {over})."


def missing_presets(overview: Overview) -> dict[str, str]:
    """Why a preset holds no row at all, by its name."""
    held = {name for (name, _, _), count in overview.matching.items() if count}
    return {preset.name: preset.missing for preset in PRESETS if preset.name not in held}
