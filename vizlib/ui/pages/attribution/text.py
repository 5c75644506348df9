"""What the page of attributions says of methods, scores and checks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from vizlib.catalog.methods import METHODS
from vizlib.evaluation import protocol
from vizlib.evaluation.metrics import METRICS
from vizlib.figures.numbers import alike, counted, decimal, listed, percent, significant
from vizlib.ui.core.computations import HEAVY_PASSES
from vizlib.ui.core.formatting import seconds
from vizlib.ui.widgets.explanation import sink_sentence, sum_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizlib import Explanation, Score
    from vizlib.evaluation.checks import Check

# The first twelve that fit a model are shown; those that follow attention and gradients come before those that hide parts.
ORDER = (
    "rollout", "relevance", "legrad", "attention_x_gradient", "gradient_rollout", "grad_cam", "balanced", "saliency", "input_x_gradient",
    "integrated_gradients", "occlusion", "leave_one_out", "gradient_shap", "feature_ablation", "rise", "kernel_shap", "guided_backprop",
    "deeplift", "guided_grad_cam", "lime", "shapley_sampling", "attention",
)  # fmt: skip
FIRST = 12
_ZERO = "a map of zeros has no size that changes could be a share of"
_DIGITS = 6  # behind the point, at most, of a score and the one that it is held against
_PASSED = (
    f"Passed where it is better than at least {protocol.SURE}\u00a0% of the random maps and than the Gaussian, and the map is not the same "
    "everywhere."
)
FROM_ZERO = ("layer", "head", "token")  # options that count so, where pages count from 1


def in_order(names: Any) -> list[str]:
    """Methods in the order of the page; ones that the order does not know come last."""
    wanted = set(names)
    return [*(name for name in ORDER if name in wanted), *(name for name in METHODS if name in wanted and name not in ORDER)]


def cost_words(names: Sequence[str]) -> str:
    """Which of some methods send many pictures through the model for one map, and about how many."""
    passes = {name: METHODS[name].passes for name in names}
    many = [name for name in names if passes[name] >= HEAVY_PASSES and not METHODS[name].each]
    few = max((passes[name] for name in names if passes[name] < HEAVY_PASSES), default=0)
    parts = [f"of the quick methods up to {counted(few, 'picture')}"] if few else []
    if many:
        low, high = min(passes[name] for name in many), max(passes[name] for name in many)
        parts.append(f"of {listed([METHODS[name].title for name in many])} about {f'{low} to {high}' if high > low else low}")
    parts += [f"of {METHODS[name].title} one for each {METHODS[name].each}" for name in names if METHODS[name].each]
    return f"Pictures that go through the model for one map: {'; '.join(parts)}." if parts else ""


def pictures_for(explanation: Explanation, maps: int) -> str:
    """About how many pictures go through the model for so many further maps like this one; "" where that is not known."""
    method, options = METHODS[explanation.method], explanation.options
    if method.each or chosen_options(method.name, options):
        return ""
    each = method.passes
    if method.name == "integrated_gradients" and "steps" in explanation.facts:  # doubled until the sum is near enough
        steps, last = int(options["steps"]), int(explanation.facts["steps"])
        each = 1 + steps
        while steps < last:
            steps *= 2
            each += 1 + steps
    return f"about {counted(maps * each, 'picture')}"


def first_look(name: str, chosen: Mapping[str, Any], cheaper: Mapping[str, Any]) -> str:
    """What a first look with the options ``cheaper`` leaves out of the map with those that are ``chosen``."""
    card = METHODS[name]
    whole, look = card.resolve(chosen), card.resolve(cheaper)
    parts = []
    for option in card.coarse:
        value, wanted = look[option], whole[option]
        if value == wanted:
            continue
        if option == "stride":
            parts.append(f"steps {significant(value / wanted, 2)}\u00a0times as long")
        elif option == "pieces":
            parts.append(f"about {value} pieces instead of {wanted}")
        elif option == "cells":
            parts.append(f"at most {value} regions along each side, not {wanted}")
        elif option == "max_gap":
            parts.append(f"a gap of {percent(wanted)} not enforced")
        else:
            parts.append(f"{value} of {wanted:,} {option}")
    return f"first look: {', '.join(parts)}" if parts else "first look"


def chosen_options(name: str, options: Mapping[str, Any]) -> str:
    """The options of a method that are not its defaults, as a reader is told them; "" where none is."""
    card = METHODS[name]
    usual, taken = card.resolve({}), card.resolve(options)
    return ", ".join(f"{option.replace('_', ' ')} {_told(option, value)}" for option, value in taken.items() if value != usual[option])


def _told(option: str, value: Any) -> str:
    if option in FROM_ZERO and isinstance(value, int) and value >= 0:
        return f"{value} (from 0)"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace("_", " ").replace("-", "\u2212") if isinstance(value, int) else str(value).replace("_", " ")


def score_line(name: str, score: Score) -> dict[str, Any]:
    """A score as a row: title, value, what it is beside maps that know nothing, and the exact rule."""
    digits = _digits_beside(score)
    low, high = decimal(score.low, digits), decimal(score.high, digits)
    beside = [f"{low} to {high} over baselines"] if low != high else []
    if score.percentile is not None:
        beside.append(f"better than {score.percentile:.0f}\u00a0% of {protocol.RANDOM_MAPS} random smooth maps")
    if score.gaussian is not None:
        gaussian = decimal(score.gaussian, digits)
        level = f", the same up to {_DIGITS} digits" if score.gaussian != score.value and gaussian == decimal(score.value, digits) else ""
        beside.append(f"Gaussian in the middle {gaussian}{level}")
    if score.without_order:
        beside.append("but the map is the same everywhere, so its pixels went in a random order")
    return {
        "title": METRICS[name].title if name in METRICS else name,
        "passed": score.good,
        "value": "none" if math.isnan(score.value) else decimal(score.value, digits),
        "beside": "; ".join(beside) or (_ZERO if math.isnan(score.value) else "has nothing to be compared with"),
        "rule": score.definition if score.good is None else f"{score.definition} {_PASSED}",
    }


def _digits_beside(score: Score) -> int:
    """So many digits, up to ``_DIGITS``, as tell a score from the Gaussian's that it is held against; three where none do."""
    if score.gaussian is None:
        return 3
    return next((digits for digits in range(3, _DIGITS + 1) if decimal(score.value, digits) != decimal(score.gaussian, digits)), 3)


def check_line(check: Check) -> dict[str, Any]:
    """A check as a row."""
    return {
        "title": check.title,
        "passed": check.passed,
        "value": f"similarity {decimal(check.similarity)}",
        "beside": check.reason,
        "rule": check.definition,
    }


def lines(scores: Mapping[str, Score], checks: Mapping[str, Check]) -> list[dict[str, Any]]:
    """Every row of a badge: scores, then checks."""
    return [score_line(name, score) for name, score in scores.items()] + [check_line(check) for check in checks.values()]


def facts(explanation: Explanation) -> str:
    """What is to be known of one map: time, sums, sinks."""
    sentences = [f"Made in {seconds(explanation.seconds)}."]
    if explanation.drawn_sink:
        sentences.append(sink_sentence(explanation))
    if "gap" in explanation.facts:
        gap = percent(explanation.facts["gap"])
        sentences.append(f"**Completeness:** {sum_words(explanation)}: a gap of {gap} of that change.")
    elif "score" in explanation.facts:
        total, score = (explanation.facts[name] for name in ("sum", "score"))
        why = (
            "plain slopes do not keep the sum from layer to layer."
            if explanation.options["gradient"] == "plain"
            else "what lies between comes from biases, and from learned tokens where the model has any."
        )
        adds_up, scored = alike(total, score)
        sentences.append(f"**Conservation:** the map adds up to {adds_up}, and the score is {scored}; {why}")
    return " ".join(sentences)
