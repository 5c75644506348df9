"""Measuring the bundled models as they are shipped: everything that the Models page draws."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

import torch

from vizlib.catalog.methods import METHODS
from vizlib.errors import TrainingError
from vizlib.evaluation.pointing_game import box_masks
from vizlib.model_report import cost
from vizlib.model_report.calibration import BINS, reliability
from vizlib.model_report.localisation import SMALL, BoxTruth, explain_validation_set, fit_sigma
from vizlib.model_report.report_file import COMMAND, kept_small_data
from vizlib.stats import bootstrap_weights, middle_95, wilson
from vizlib.train.augment import normalise
from vizlib.train.data_fractions import read_fraction_runs
from vizlib.zoo.cards import bundled_cards

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vizlib import Model, ModelCard
    from vizlib.datasets.tiny_imagenet import ImageSet

BATCH = 250


MAX_PASSES = 4  # passes: methods that need more for one map would take hours over the validation images


@dataclass(frozen=True)
class ReportProgress:
    """How far the report is: which model and measurement, and how many of all explanations are done."""

    step: str
    explained: int
    total: int


def measure(
    train: ImageSet,
    val: ImageSet,
    runs: str | Path | None = None,
    *,
    workers: int = 1,
    map_images: int | None = None,
    models: list[Model] | None = None,
    tell: Callable[[ReportProgress], None] = lambda _: None,
) -> dict[str, Any]:
    """The whole report on ``models`` (all that are shipped) over ``val``, one section a figure, with the sweep runs below ``runs``,
    or those that are kept with the weights.

    ``train`` gives only the boxes that the centred Gaussian is fitted to; maps are made of ``map_images``, the same number of every
    class, or of all. Nothing but the times depends on ``workers`` when torch runs on one thread. TrainingError when no model is shipped
    or one knows other classes than ``val`` has.
    """
    from vizlib.zoo.load import load

    models = [load(card.name) for card in bundled_cards()] if models is None else models
    if not models:
        raise TrainingError("No weights are shipped yet, so there is nothing to report on: `vizlib train all --ship assets/weights` first.")
    for model in models:
        if model.labels != val.classes:
            raise TrainingError(f"{model.card.name} knows other classes than these validation images have.")
    labels = torch.from_numpy(val.labels)
    sections: dict[str, dict[str, Any]] = {
        name: {} for name in ("models", "accuracy", "differences", "cost", "history", "small_data", "confusion", "calibration")
    }
    right = {}
    for model in models:
        name = model.card.name
        tell(ReportProgress(f"{name}: accuracy and cost", 0, 0))
        logits = _logits(model, val)
        right[name] = logits.argmax(1) == labels
        sections["models"][name] = _facts(model.card)
        sections["accuracy"][name] = _accuracy(logits, labels)
        sections["confusion"][name] = _confusion(logits, labels)
        confidence, answer = logits.softmax(1).max(1)
        sections["calibration"][name] = asdict(reliability(confidence, answer == labels))
        sections["cost"][name] = _cost(model, val)
        sections["history"][name] = _training(model.card).get("history", [])
    sections["differences"] = _differences(right)
    about = _about(train, val)
    if runs is not None:
        sections["small_data"] = _small_data(runs, len(val))
    else:
        kept = kept_small_data()
        sections["small_data"], about["small_data"] = kept["runs"], kept["about"]
    return {
        "about": about,
        **sections,
        "localisation": _localisation(models, train, val if map_images is None else val.fraction(map_images / len(val)), workers, tell),
    }


def _about(train: ImageSet, val: ImageSet) -> dict[str, Any]:
    threads = torch.get_num_threads()
    return {
        "data": f"{len(val):,} validation images of {len(val.classes)} classes, 64 x 64, that training never saw",
        "images": len(val),
        "training_images": len(train),
        "classes": list(val.classes),
        "command": COMMAND,
        "weights": "the shipped float16 weights, run in float32",
        "intervals": "95 %: Wilson's for shares, 2,000 bootstrap samples of the images for all else",
        "multiply_adds": cost.CONVENTION,
        "machine": f"{cost.processor()}, {threads} thread{'s' if threads > 1 else ''}, torch {torch.__version__}",
        "calibration": f"{BINS} bins of equal width of the highest probability; the error is the mean gap, weighted by images",
        "small_data": "The same recipe and number of epochs on the same share of every class; "
        "measured at the end of training, before the weights become float16.",
    }


@torch.inference_mode()
def _logits(model: Model, val: ImageSet) -> torch.Tensor:
    """(N, K) in float64, in batches."""
    chunks = torch.from_numpy(val.images).split(BATCH)
    return torch.cat([model(normalise(chunk)).double().cpu() for chunk in chunks])


def _training(card: ModelCard) -> dict[str, Any]:
    return (card.training or {}).get("training", {})


def _facts(card: ModelCard) -> dict[str, Any]:
    return {
        "title": card.title,
        "family": card.family,
        "parameters": card.parameters,
        "epochs": _training(card).get("recipe", {}).get("epochs"),
        "training_images": _training(card).get("images"),
        "sha256": (card.training or {}).get("sha256"),
    }


def _share(right: int, images: int) -> list[float]:
    return [right / images, *wilson(right, images)]


def _accuracy(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    return {
        "images": len(labels),
        "top1": _share(int(best[:, 0].sum()), len(labels)),
        "top5": _share(int(best.any(1).sum()), len(labels)),
    }


def _confusion(logits: torch.Tensor, labels: torch.Tensor) -> list[list[int]]:
    """Images of the class of the row that were taken for the class of the column."""
    classes = logits.shape[1]
    return torch.bincount(labels * classes + logits.argmax(1), minlength=classes * classes).reshape(classes, classes).tolist()


def _differences(right: dict[str, torch.Tensor]) -> dict[str, dict[str, list[float]]]:
    """For each model and each other one: how much more often it is right on the same images, and the interval of that."""
    gains: dict[str, dict[str, list[float]]] = {name: {} for name in right}
    weights = torch.from_numpy(bootstrap_weights(len(next(iter(right.values())))))
    for model, other in permutations(right, 2):
        gain = right[model].double() - right[other].double()
        gains[model][other] = [float(gain.mean()), *middle_95((weights @ gain).numpy())]
    return gains


def _cost(model: Model, val: ImageSet) -> dict[str, Any]:
    x = normalise(torch.from_numpy(val.images[:1]))
    median, least = cost.milliseconds(model, x)
    return {"multiply_adds": cost.multiply_adds(model, x), "milliseconds": median, "least_milliseconds": least}


def _small_data(runs: str | Path, images: int) -> dict[str, list[dict[str, Any]]]:
    runs_by_model: dict[str, list[dict[str, Any]]] = {}
    for run, history in read_fraction_runs(runs):
        last = history[-1]
        runs_by_model.setdefault(run.name, []).append(
            {
                "share": run.share,
                "images": run.images,
                "epochs": run.epochs,
                "epochs_done": len(history),
                "top1": _share(round(last["top1"] * images), images),
            }
        )
    return runs_by_model


def _localisation(
    models: list[Model], train: ImageSet, val: ImageSet, workers: int, tell: Callable[[ReportProgress], None]
) -> dict[str, dict[str, Any]]:
    sigma = fit_sigma(box_masks(torch.from_numpy(train.boxes), (int(val.images.shape[2]), int(val.images.shape[3]))))
    truth = BoxTruth(val, sigma)
    pairs = [(model, METHODS[method]) for model in models for method in model.card.methods if METHODS[method].passes <= MAX_PASSES]
    explained, total = 0, len(pairs) * len(val)
    scores: dict[str, Any] = {model.card.name: {} for model in models}
    for model, card in pairs:
        step = f"{model.card.name}: {card.name}"

        def heard(images: int, step: str = step) -> None:
            nonlocal explained
            explained += images
            tell(ReportProgress(step, explained, total))

        maps = explain_validation_set(model, card.name, val, workers=workers, report=heard)
        scores[model.card.name][card.name] = {"class_specific": card.class_specific, **truth.score(maps)}
    return {
        "about": {
            "sigma": sigma,
            "small": SMALL,
            "target": "the true class, for the methods that explain a class",
            "mass": "The share of the map's mass inside the object's box, in the mean over images; the ratio divides it by the box's mean "
            "share of the image. A map that says nothing counts as an even one.",
            "pointing": "The share of images whose highest pixel lies in the box; of several highest pixels, the share that does.",
            "gaussian": "A Gaussian around the image's centre, its standard deviation (a share of the side) the likeliest for the boxes of "
            "the training images. A method beats it where the interval of the paired difference lies above zero.",
        },
        "references": truth.references(),
        "models": scores,
    }
