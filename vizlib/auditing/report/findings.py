"""What an audit found, in sentences made from its numbers, each with its interval."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from vizlib.auditing.overview.columns import PRESETS
from vizlib.evaluation.metrics import METRICS
from vizlib.figures.layer_names import layer_title
from vizlib.figures.numbers import percent
from vizlib.stats import share_difference, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.auditing.clusters import StrategyCluster
    from vizlib.auditing.overview.api import Overview
    from vizlib.auditing.overview.layer_probes import LayerProbe, ModelProbes
    from vizlib.auditing.overview.lens_means import LensMeans
    from vizlib.auditing.overview.map_agreement import Agreement
    from vizlib.auditing.summary import Summary
    from vizlib.evaluation.over_sets import Lead


_UNIT = "\u00a0%"  # said once, behind both ends of an interval


def findings(overview: Overview) -> list[str]:
    """One sentence for each number that an audit's reader asks for first, in the order of a report."""
    sentences = [_accuracy(summary) for summary in overview.summaries if summary.method == overview.methods[0]]
    sentences += [_commonest_mistake(overview, model) for model in overview.models]
    sentences += [_on_object(summary) for summary in overview.summaries]
    sentences += [_elsewhere(overview, model, method) for model in overview.models for method in overview.methods]
    sentences += [_series(overview)] if len(overview.models) > 2 else []
    sentences += [_settled(lens) for lens in overview.lens if lens.blocks]
    sentences += [_probed(probes) for probes in overview.probes if probes.probes]
    sentences += [_lead(scores.model, lead) for scores in overview.scores for lead in scores.leads]
    sentences += [_apart(pair) for pair in overview.agreements if _is_told(pair, overview.models)]
    return [sentence for sentence in sentences if sentence]


def between(low: float, high: float, digits: int | None = 1) -> str:
    """An interval of shares in words; of what tells nothing of its spread, that."""
    if not (isfinite(low) and isfinite(high)):
        return "one picture, so no interval"
    return f"{percent(low, digits).removesuffix(_UNIT)} to {percent(high, digits)}"


def points(share: float) -> str:
    """A difference of shares as points of a hundred."""
    return f"{100 * abs(share):.1f}"


def gain_words(gain: float, low: float, high: float) -> str:
    """How much more of a map lies on the object than of an even one, in points with their interval."""
    if not (isfinite(low) and isfinite(high)):
        return f"{points(gain)} points {'more' if gain >= 0 else 'less'} than an even map has there (one picture, so no interval)"
    if low <= 0 <= high:
        return f"which cannot be told from an even map ({100 * low:+.1f} to {100 * high:+.1f} points)"
    ends = sorted((points(low), points(high)), key=float)
    return f"{points(gain)} points {'more' if gain > 0 else 'less'} than an even map has there ({ends[0]} to {ends[1]})"


def removal_words(cluster: StrategyCluster) -> str:
    """What a cluster's place costs, with its interval; why that is not known where it was not measured."""
    removal = cluster.removal
    if removal is None:
        return "What its place costs was not measured."
    cost = f"{100 * removal.score:+.1f} points of the accuracy on the class ({100 * removal.low:+.1f} to {100 * removal.high:+.1f})"
    if not (isfinite(removal.low) and isfinite(removal.high)):
        cost = f"{100 * removal.score:+.1f} points of the accuracy on the class (one picture, so no interval)"
    told = "" if removal.low > 0 else " That cannot be told from no cost." if removal.high >= 0 else " It is right more often without it."
    return (
        f"Without its place {percent(removal.right_without)} of {removal.pictures} members are right, without as large a place elsewhere "
        f"{percent(removal.right_elsewhere)}, as they are {percent(removal.right)}: the place is worth {cost}.{told}"
    )


def _accuracy(summary: Summary) -> str:
    right, interval = summary.mean("right"), summary.interval("right")
    if right is None or interval is None:
        return "" if not summary.pictures else f"{summary.model}: no picture has a label that it knows, so nothing is right or wrong."
    sure = summary.mean("probability")
    beside = "" if sure is None else f", and gives its answers {percent(sure, 1)} on average"
    return f"{summary.model} is right on {percent(right, 1)} of {summary.count('right'):,} pictures ({between(*interval)}){beside}."


def _commonest_mistake(overview: Overview, model: str) -> str:
    own = [confusion for confusion in overview.confusions if (confusion.model, confusion.method) == (model, overview.methods[0])]
    if not own:
        return ""
    first = own[0]
    alike = sum(count == first.count for count in overview.totals.confused[model].values())
    if alike > 1:
        times = "once" if first.count == 1 else f"{first.count} times"
        return f"No mistake of {model} is made more often than all others: its {alike} commonest are made {times} each."
    share, low, high = first.share
    return (
        f"{model} takes {first.name} for {first.answer} more often than it makes any other mistake: "
        f"{first.count} of {first.of}, {percent(share)} ({between(low, high, None)})."
    )


def _on_object(summary: Summary) -> str:
    share, area, gain, interval = (
        summary.mean("region_share"), summary.mean("region_area"), summary.mean("region_gain"), summary.interval("region_gain"),
    )  # fmt: skip
    if share is None or area is None or gain is None or interval is None:
        return ""
    pointing, ends = summary.mean("pointing"), summary.interval("pointing")
    hits = ""
    if pointing is not None and ends is not None:
        drawn = percent(area, 1)
        hits = f" Its highest pixel lies there in {percent(pointing, 1)} ({between(*ends)}), a pixel drawn at random in {drawn}."
    return (
        f"{summary.model}, {summary.method}: {percent(share, 1)} of the map lies on the object of {summary.count('region_gain'):,} "
        f"pictures, {gain_words(gain, *interval)}.{hits}"
    )


def _elsewhere(overview: Overview, model: str, method: str) -> str:
    """How many right answers look elsewhere."""
    count = overview.matching["outside", model, method]
    summary = next(summary for summary in overview.summaries if (summary.model, summary.method) == (model, method))
    right = overview.right_with_region[model, method]
    if not right or summary.mean("region_gain") is None:
        return ""
    low, high = wilson(count, right)
    return (
        f"{model}, {method}: of {right:,} right answers {percent(count / right)} ({between(low, high, None)}) have a map that lies less "
        "on the object than an even one."
    )


def _series(overview: Overview) -> str:
    """How accuracy went from the first model to the last."""
    first, last = (next(each for each in overview.summaries if each.model == overview.models[place]) for place in (0, -1))
    before, after = first.mean("right"), last.mean("right")
    if before is None or after is None:
        return ""
    low, high = share_difference(after * last.count("right"), last.count("right"), before * first.count("right"), first.count("right"))
    told = "" if low > 0 or high < 0 else "; that cannot be told from no change"
    return (
        f"From {first.model} to {last.model} the share of right answers goes from {percent(before, 1)} to {percent(after, 1)}, "
        f"{100 * (after - before):+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}{told})."
    )


def _is_told(pair: Agreement, models: Sequence[str]) -> bool:
    """Of many models, each is told against the last alone."""
    return pair.kind == "methods" or len(models) < 3 or pair.second == models[-1]


def _apart(pair: Agreement) -> str:
    if not pair.count:
        if not pair.elsewhere:
            return ""
        return f"{pair.first} and {pair.second} see other parts of all {pair.elsewhere:,} pictures, so their maps are not compared."
    low, high = pair.interval
    ends = f"{low:.2f} to {high:.2f}" if isfinite(low) else "one picture, so no interval"
    left_out = f"; {pair.elsewhere:,} pictures of which they see other parts are left out" if pair.elsewhere else ""
    both = f"{pair.first} and {pair.second}"
    names = f"{pair.of}: {both}" if pair.kind == "methods" else f"The {pair.of} maps of {both}"
    return f"{names} lie {pair.mean:.2f} apart ({ends}; 0 alike, 1 without a cell in common{left_out})."


def signed_ends(low: float, high: float) -> str:
    """The ends of a difference of scores in words."""
    return f"{low:+.3f} to {high:+.3f}" if isfinite(low) and isfinite(high) else "one picture, so no interval"


def _settled(lens: LensMeans) -> str:
    """From which block on the answer stays."""
    early, blocks = lens.blocks[len(lens.blocks) // 2], len(lens.blocks)
    already = f"{percent(early.final[0], 1)} ({between(*early.final[1:])})"
    return (
        f"{lens.model}: in half of {early.pictures:,} pictures the answer stays from {layer_title(lens.half)} of {blocks} on; "
        f"after {layer_title(early.block)} it is the final one in {already}."
    )


def probe_title(probe: LayerProbe) -> str:
    """What a probe reads, in words."""
    return f"{layer_title(probe.layer)}, {'first learned token' if probe.token else 'mean over cells'}"


def _probed(probes: ModelProbes) -> str:
    """The layer that a linear probe reads best, and which others cannot be told from it."""
    best, first = probes.best, probes.probes[0]
    alike = sum(probe is not best and probe.linear[2] >= best.linear[1] for probe in probes.probes)
    told = f"; of {len(probes.probes) - 1} other places {alike} have an interval that meets it" if alike else ""
    at_best, at_first = (f"{percent(probe.linear[0], 1)} ({between(*probe.linear[1:])})" for probe in (best, first))
    return (
        f"{probes.model}: a linear probe reads the class best off {probe_title(best)}, {at_best}{told}; "
        f"off {probe_title(first)} {at_first}. The commonest class alone would be right in {percent(probes.chance, 1)}."
    )


def _lead(model: str, lead: Lead) -> str:
    """Which of two methods foretells the model better."""
    title, over = METRICS[lead.metric].title.lower(), f"over {lead.pictures:,} pictures"
    if not isfinite(lead.low):
        return f"{model}: {lead.first} and {lead.second} are compared by {title} on one picture, which tells nothing of others."
    if not lead.told:
        return f"{model}: by {title}, {lead.first} and {lead.second} cannot be told apart ({signed_ends(lead.low, lead.high)}, {over})."
    ahead, behind = (lead.first, lead.second) if lead.mean > 0 else (lead.second, lead.first)
    low, high = sorted((abs(lead.low), abs(lead.high)))
    return f"{model}: by {title}, {ahead} is ahead of {behind} by {abs(lead.mean):.3f} ({low:.3f} to {high:.3f}, {over})."


def missing_presets(overview: Overview) -> dict[str, str]:
    """Why a preset holds no row at all, by its name."""
    held = {name for (name, _, _), count in overview.matching.items() if count}
    return {preset.name: preset.missing for preset in PRESETS if preset.name not in held}
