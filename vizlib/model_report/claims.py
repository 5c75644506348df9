"""What papers claim of their architectures, put to the test by the report on the bundled models. Reads the report; runs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.claims import Claim, Verdict, verdict_above
from vizlib.figures.model_marks import short_name
from vizlib.figures.numbers import points
from vizlib.stats import share_difference
from vizlib.zoo.bundled_models import NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    Rows = list[tuple[int, list[float], int]]

PLAIN, COMPACT = "vit_tiny50", "cct_tiny50"
_HASSANI = "Hassani et al., Escaping the Big Data Paradigm with Compact Transformers (2021), https://arxiv.org/abs/2104.05704"
_BETTER = {
    COMPACT: ("Compact Transformers are more accurate", _HASSANI),
    "t2t_tiny50": ("T2T-ViT is more accurate", "Yuan et al., Tokens-to-Token ViT (2021), https://arxiv.org/abs/2101.11986"),
    "pvt_tiny50": ("PVT is more accurate", "Wang et al., Pyramid Vision Transformer (2021), https://arxiv.org/abs/2102.12122"),
    "cvt_tiny50": (
        "CvT is more accurate",
        "Wu et al., CvT: Introducing Convolutions to Vision Transformers (2021), https://arxiv.org/abs/2103.15808",
    ),
}


def small_data(report: Mapping[str, Any]) -> dict[str, Rows]:
    """For each model trained on shares: images, top-1 with its interval and epochs, from few to all of the photographs.

    The shipped weights stand for all photographs only where no run does and they were trained as long as the runs.
    """
    series = {}
    for name in NAMES:
        # Of several runs on the same photographs the longest one counts.
        runs = sorted((report.get("small_data") or {}).get(name, []), key=lambda run: run["epochs"])
        rows = {run["images"]: (run["images"], run["top1"], run["epochs"]) for run in runs if run["epochs_done"] == run["epochs"]}
        facts = (report.get("models") or {}).get(name, {})
        measured = (report.get("accuracy") or {}).get(name)
        everything = facts.get("training_images")
        as_long = facts.get("epochs") in {epochs for *_, epochs in rows.values()}
        if rows and measured and everything and everything not in rows and as_long:
            rows[everything] = (everything, measured["top1"], facts["epochs"])
        if rows:
            series[name] = [rows[images] for images in sorted(rows)]
    return series


def little_data_claim(report: Mapping[str, Any]) -> Claim | None:
    """Whether a Compact Transformer is ahead of a plain ViT on the fewest photographs; None where both were not trained on the same."""
    runs, images = small_data(report), (report.get("about") or {}).get("images", 0)
    plain = {count: (top, epochs) for count, top, epochs in runs.get(PLAIN, [])}
    both = [(count, top, *plain[count], epochs) for count, top, epochs in runs.get(COMPACT, []) if count in plain]
    if not both or not images:
        return None
    parts, intervals = [], []
    for count, top, other, other_epochs, epochs in both:
        low, high = share_difference(top[0] * images, images, other[0] * images, images)
        intervals.append((low, high) if epochs == other_epochs else (float("nan"), float("nan")))
        parts.append(f"{count:,}: {points(top[0] - other[0], low, high, digits=1)}")
    return Claim(
        "A Compact Transformer learns from little data, where a plain ViT needs much.",
        f"with the fewest training photographs, {both[0][0]:,}, {short_name(COMPACT)} is right more often than {short_name(PLAIN)}.",
        f"how far {short_name(COMPACT)} is ahead, by number of training photographs: {'; '.join(parts)}. One training of each.",
        verdict_above(*intervals[0]),
        (_HASSANI,),
    )


def accuracy_claims(report: Mapping[str, Any]) -> list[Claim]:
    """Whether each paper's model is ahead of the plain ViT; not to be told where one was trained longer."""
    claims, facts = [], report.get("models") or {}
    for name, (statement, paper) in _BETTER.items():
        gain = (report.get("differences") or {}).get(name, {}).get(PLAIN)
        if gain is None:
            continue
        epochs, plain = (facts.get(model, {}).get("epochs") for model in (name, PLAIN))
        fair = epochs is not None and epochs == plain
        why = ""
        if not fair:
            long = f"for {epochs} epochs and {short_name(PLAIN)} for {plain}: that alone could make it"
            why = f" But it was trained {long}." if epochs and plain else " But how long both were trained is not known."
        claims.append(
            Claim(
                f"{statement} than a plain ViT of its size when both are trained from scratch.",
                f"{short_name(name)} is right more often than {short_name(PLAIN)}, beyond chance.",
                f"the difference is {points(*gain, digits=1)}.{why}",
                verdict_above(gain[1], gain[2]) if fair else Verdict.CANNOT_TELL,
                (paper,),
            )
        )
    return claims
