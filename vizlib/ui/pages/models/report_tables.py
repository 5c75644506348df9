"""The report on the bundled models as the Models page takes it: marks, points and tables. A part that is missing is empty, not an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vizlib.catalog.methods import METHODS
from vizlib.figures.charts import Mark, Point
from vizlib.figures.model_marks import mark_of, short_name
from vizlib.model_report import claims
from vizlib.stats import wilson
from vizlib.zoo.bundled_models import NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

COSTS = {
    "parameters": "parameters, millions",
    "multiply_adds": "multiply-adds of one picture, millions",
    "time": "milliseconds for one picture",
}
REFERENCES = {"random": "random", "gaussian": "Gaussian", "centre": "centre"}


def point_of(name: str, values: Sequence[float], x: float = 0.0, note: str = "") -> Point:
    """A model's value with the ends of its interval as a point of a chart."""
    value, low, high = values
    return Point(mark_of(name), value, low, high, x, note)


def share_words(values: Sequence[float]) -> str:
    """A share with its interval: 62.5 % (59.8 to 65.1 %)."""
    value, low, high = (100 * share for share in values)
    return f"{value:.1f}\u00a0% ({low:.1f} to {high:.1f}\u00a0%)"


@dataclass(frozen=True)
class Report:
    """A report by section; ``names`` are its models in the one order of all."""

    sections: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The models whose accuracy was measured."""
        return [name for name in NAMES if name in self.section("accuracy")]

    @property
    def images(self) -> int:
        """How many validation images everything was measured on."""
        return self.section("about").get("images", 0)

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in their order."""
        return self.section("about").get("classes", [])

    def section(self, name: str) -> dict[str, Any]:
        """One part of the report, empty where it has none."""
        return self.sections.get(name) or {}

    def top(self, name: str, which: str = "top1") -> list[float]:
        """A model's share of right answers with the ends of its interval."""
        return self.section("accuracy")[name][which]

    def accuracy(self, which: str = "top1") -> list[Point]:
        """A point for each model."""
        return [point_of(name, self.top(name, which), note=share_words(self.top(name, which))) for name in self.names]

    def against(self, cost: str) -> list[Point]:
        """Top-1 against a cost, for the models whose cost is known."""
        points = []
        for name in self.names:
            x = self.cost(name, cost)
            if x is not None:
                note = f"{share_words(self.top(name))}<br>{x:.3g} {COSTS[cost]}"
                points.append(point_of(name, self.top(name), x, note))
        return points

    def cost(self, name: str, cost: str) -> float | None:
        """What a model costs, in the units of COSTS."""
        costs = self.section("cost").get(name, {})
        value = {
            "parameters": self.section("models").get(name, {}).get("parameters"),
            "multiply_adds": costs.get("multiply_adds"),
            "time": costs.get("milliseconds"),
        }[cost]
        return None if value is None else float(value) / (1 if cost == "time" else 1e6)

    def epochs(self) -> list[tuple[Mark, list[Point]]]:
        """Top-1 after each epoch of training, of the models whose history was kept."""
        series = []
        for name in self.names:
            rows = self.section("history").get(name, [])
            points = [
                Point(
                    mark_of(name),
                    row["top1"],
                    row["top1"],
                    row["top1"],
                    x=row["epoch"],
                    note=f"epoch {row['epoch']}: {100 * row['top1']:.1f}\u00a0%",
                )
                for row in rows
            ]
            if points:
                series.append((mark_of(name), points))
        return series

    def small_data(self) -> dict[str, list[tuple[int, list[float], int]]]:
        """For each model trained on shares: images, top-1 with its interval and epochs, from few to all of the photographs.

        The shipped weights stand for all photographs only where no run does and they were trained as long as the runs.
        """
        return claims.small_data(self.sections)

    def unfinished(self) -> list[str]:
        """Runs on a share that have not come to their end, in words."""
        return [
            f"{short_name(name)} on {run['images']:,} photographs ({run['epochs_done']} of {run['epochs']} epochs)"
            for name, runs in self.section("small_data").items()
            for run in runs
            if run["epochs_done"] != run["epochs"]
        ]

    def calibration_intervals(self, name: str) -> list[list[float] | None]:
        """For each bin of confidence the share right with its Wilson interval, None where no answer fell."""
        bins = self.section("calibration")[name]
        return [
            None if share is None else [share, *wilson(share * count, count)]
            for share, count in zip(bins["right"], bins["counts"], strict=True)
        ]

    def maps(self) -> dict[str, dict[str, dict[str, Any]]]:
        """For each method the scores of each model's maps."""
        scores = self.section("localisation").get("models", {})
        return {
            method: rows for method in METHODS if (rows := {name: scores[name][method] for name in NAMES if method in scores.get(name, {})})
        }

    def stale(self, shipped: dict[str, str | None]) -> tuple[list[str], list[str]]:
        """Of the shipped models (name: hash of the weights) those not in the report, and those measured from other weights."""
        measured = self.section("models")
        missing = [name for name in shipped if name not in self.names]
        other = [name for name, digest in shipped.items() if measured.get(name, {}).get("sha256") and measured[name]["sha256"] != digest]
        return missing, other


def accuracy_rows(report: Report) -> list[dict[str, Any]]:
    """The table of all models, best first: numbers as measured, shares in per cent."""
    rows = []
    for name in sorted(report.names, key=lambda name: -report.top(name)[0]):
        (first, low, high), fifth = report.top(name), report.top(name, "top5")
        facts = report.section("models").get(name, {})
        rows.append(
            {
                "model": short_name(name),
                "top-1 %": round(100 * first, 2),
                "from %": round(100 * low, 2),
                "to %": round(100 * high, 2),
                "top-5 %": round(100 * fifth[0], 2),
                "parameters, M": report.cost(name, "parameters"),
                "multiply-adds, M": report.cost(name, "multiply_adds"),
                "ms a picture": report.cost(name, "time"),
                "epochs": facts.get("epochs"),
                "training photographs": facts.get("training_images"),
            }
        )
    return rows


def small_data_rows(report: Report) -> list[dict[str, Any]]:
    """A row for each model and number of training photographs."""
    return [
        {
            "model": short_name(name),
            "training photographs": images,
            "epochs": epochs,
            "top-1 %": round(100 * top[0], 2),
            "from %": round(100 * top[1], 2),
            "to %": round(100 * top[2], 2),
        }
        for name, rows in report.small_data().items()
        for images, top, epochs in rows
    ]


def epoch_rows(report: Report) -> list[dict[str, Any]]:
    """A row for each model and epoch."""
    return [{"model": short_name(name), **row} for name in report.names for row in report.section("history").get(name, [])]


def confusion_rows(report: Report, name: str) -> list[dict[str, Any]]:
    """A row for each class and answer that occurred, mistakes first and the most frequent on top."""
    counts = report.section("confusion")[name]
    rows = [
        {"class": report.classes[row], "answer": report.classes[column], "photographs": count, "of": sum(line)}
        for row, line in enumerate(counts)
        for column, count in enumerate(line)
        if count
    ]
    return sorted(rows, key=lambda row: (row["class"] == row["answer"], -row["photographs"], row["class"]))


def calibration_rows(report: Report) -> list[dict[str, Any]]:
    """A row for each model: what it says, what is so, and the calibration error."""
    rows = []
    for name in report.names:
        calibration = report.section("calibration").get(name)
        if calibration:
            said, right = calibration["mean_confidence"], report.top(name)[0]
            rows.append(
                {
                    "model": short_name(name),
                    "mean confidence %": round(100 * said, 1),
                    "right %": round(100 * right, 1),
                    "confidence minus right, points": round(100 * (said - right), 1),
                    "calibration error %": round(100 * calibration["error"], 1),
                }
            )
    return sorted(rows, key=lambda row: row["calibration error %"])


def map_rows(report: Report, subset: str) -> list[dict[str, Any]]:
    """A row for each reference and each method and model: mass in the box, its ratio, the pointing game, what beats the Gaussian."""
    rows = []
    references = report.section("localisation").get("references", {})
    for key, words in REFERENCES.items():
        if subset in references.get(key, {}):
            rows.append(_map_row("reference", words, references[key][subset], ""))
    for method, models in report.maps().items():
        for name, scores in models.items():
            if subset in scores:
                rows.append(_map_row(METHODS[method].title, short_name(name), scores[subset], beaten_words(scores[subset])))
    return rows


def _map_row(method: str, model: str, scores: dict[str, Any], beats: str) -> dict[str, Any]:
    (mass, mass_low, mass_high), (ratio, ratio_low, ratio_high), (hit, hit_low, hit_high) = (
        scores["mass"],
        scores["ratio"],
        scores["pointing"],
    )
    return {
        "method": method,
        "model": model,
        "mass in box %": round(100 * mass, 1),
        "mass from %": round(100 * mass_low, 1),
        "mass to %": round(100 * mass_high, 1),
        "against the box's area": round(ratio, 3),
        "area ratio from": round(ratio_low, 3),
        "area ratio to": round(ratio_high, 3),
        "pointing %": round(100 * hit, 1),
        "pointing from %": round(100 * hit_low, 1),
        "pointing to %": round(100 * hit_high, 1),
        "beats the Gaussian": beats,
        "images": scores["images"],
    }


def beaten_words(scores: dict[str, Any]) -> str:
    """In which of the two measures a map beats the centred Gaussian."""
    beats = scores["beats_gaussian"]
    return {(True, True): "both", (True, False): "mass", (False, True): "pointing", (False, False): "no"}[beats["mass"], beats["pointing"]]
