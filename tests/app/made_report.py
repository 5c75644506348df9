"""A report as ``vizlib train report`` would write it, drawn from a generator: for tests of the page, and to look at it."""

from __future__ import annotations

from typing import Any

import numpy as np

from vizlib.catalog.families import FAMILIES as FAMILY_CARDS
from vizlib.catalog.methods import METHODS, fitting
from vizlib.datasets.classes import FIFTY
from vizlib.model_report.measure import MAX_PASSES
from vizlib.model_report.report_file import SCHEMA
from vizlib.stats import wilson
from vizlib.zoo.bundled_models import NAMES

FAMILIES = ("vit", "compact", "compact", "t2t", "t2t", "pvt", "cvt", "resnet")
LEVELS = (0.60, 0.63, 0.71, 0.64, 0.655, 0.62, 0.70, 0.69)
IMAGES = 1250


def share(right: float, images: int = IMAGES) -> list[float]:
    return [right / images, *wilson(right, images)]


def made_report(names: tuple[str, ...] = NAMES, sweep: tuple[str, ...] = ("vit_tiny50", "cct_tiny50", "resnet_tiny50")) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    classes = [name for _, name in FIFTY]
    level = {name: LEVELS[NAMES.index(name)] for name in names}
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "about": {
            "data": "1,250 validation images of 50 classes, 64 x 64, that training never saw",
            "images": IMAGES,
            "training_images": 25000,
            "classes": classes,
            "command": "vizlib train report --data DIR --runs DIR",
            "weights": "the shipped float16 weights, run in float32",
            "intervals": "95 %",
            "multiply_adds": "One multiply-add is two FLOPs.",
            "machine": "a made-up processor, 1 thread",
            "calibration": "15 bins",
            "small_data": "The same recipe.",
        },
        "models": {
            name: {
                "title": name,
                "family": FAMILIES[NAMES.index(name)],
                "parameters": 2_000_000 + 50_000 * NAMES.index(name),
                "epochs": 12,
                "training_images": 25000,
                "sha256": "",
            }
            for name in names
        },
        "accuracy": {
            name: {"images": IMAGES, "top1": share(round(level[name] * IMAGES)), "top5": share(round((level[name] + 0.24) * IMAGES))}
            for name in names
        },
        "differences": {
            a: {b: [level[a] - level[b], level[a] - level[b] - 0.03, level[a] - level[b] + 0.03] for b in names if b != a} for a in names
        },
        "cost": {
            name: {
                "multiply_adds": int(40e6 * (1 + NAMES.index(name))),
                "milliseconds": 3 + 1.5 * NAMES.index(name),
                "least_milliseconds": 3.0,
            }
            for name in names
        },
        "history": {
            name: [
                {
                    "epoch": e + 1,
                    "loss": 3.9 - 0.15 * e,
                    "top1": level[name] * (1 - np.exp(-(e + 1) / 4)),
                    "top5": 0.8,
                    "images_per_second": 90.0,
                }
                for e in range(12)
            ]
            for name in names
        },
        "small_data": {
            name: [
                {
                    "share": s,
                    "images": int(25000 * s),
                    "epochs": 12,
                    "epochs_done": 12,
                    "top1": share(round(level[name] * s**0.35 * IMAGES)),
                }
                for s in (0.1, 0.25, 0.5)
            ]
            for name in sweep
            if name in names
        },
    }
    report["confusion"] = {name: _confusion(rng, level[name], len(classes)) for name in names}
    report["calibration"] = {name: _calibration(rng, level[name]) for name in names}
    report["localisation"] = {
        "about": {
            "sigma": 0.34,
            "small": 0.5,
            "target": "the true class",
            "mass": "The share of the mass.",
            "pointing": "The highest pixel.",
            "gaussian": "A Gaussian.",
        },
        "references": {
            "random": _scores(0.546, 0.546),
            "gaussian": _scores(0.614, 0.839),
            "centre": _scores(0.839, 0.839),
        },
        "models": {
            name: {
                method: _scores(*rng.uniform((0.52, 0.5), (0.75, 0.95)), compared=True)
                for method in fitting(FAMILY_CARDS[FAMILIES[NAMES.index(name)]].lacks)[0]
                if METHODS[method].passes <= MAX_PASSES
            }
            for name in names
        },
    }
    return report


def _confusion(rng: np.random.Generator, right: float, classes: int) -> list[list[int]]:
    rows = []
    for label in range(classes):
        chances = rng.dirichlet(np.full(classes, 0.08)) * (1 - right)
        chances[label] += right
        rows.append(rng.multinomial(25, chances / chances.sum()).tolist())
    return rows


def _calibration(rng: np.random.Generator, right: float) -> dict[str, Any]:
    counts = rng.multinomial(IMAGES - 200, np.full(15, 1 / 15))
    counts[0] = 0
    said = [None if not count else (k + 0.5) / 15 for k, count in enumerate(counts)]
    return {
        "counts": counts.tolist(),
        "confidence": said,
        "right": [None if s is None else min(1.0, s + 0.08) for s in said],
        "error": 0.08,
        "mean_confidence": right - 0.08,
    }


def _scores(mass: float, pointing: float, *, compared: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for subset, images, area, less in (("all", IMAGES, 0.546, 0.0), ("small", 547, 0.27, 0.2)):
        held, hit = mass - less, pointing - less
        found[subset] = {
            "images": images,
            "area": area,
            "mass": [held, held - 0.01, held + 0.01],
            "ratio": [held / area, held / area - 0.02, held / area + 0.02],
            "pointing": share(hit * images, images),
        }
        if compared:
            over = {
                "mass": [float(mass - 0.614 + shift) for shift in (0, -0.01, 0.01)],
                "pointing": [float(pointing - 0.839 + shift) for shift in (0, -0.02, 0.02)],
            }
            found[subset] |= {"over_gaussian": over, "beats_gaussian": {what: bool(ends[1] > 0) for what, ends in over.items()}}
    return found | ({"silent": 0, "class_specific": True} if compared else {})
