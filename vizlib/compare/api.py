"""The whole comparison in one pass over the images."""

from __future__ import annotations

import time
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.analysis.features.cka import KERNELS, LEAST, StreamedCKA
from vizlib.analysis.features.sampled_positions import in_input, scattered, shared_box
from vizlib.analysis.logit_difference import STEPS, same_classes
from vizlib.analysis.receptive_field.effective_receptive_field import (
    architectural_receptive_fields,
    effective_receptive_fields,
)
from vizlib.compare.accumulators import ModelAccumulator
from vizlib.compare.examples import make_example
from vizlib.compare.result import NEEDS, Comparison
from vizlib.datasets.image_source import Source, even_batches
from vizlib.errors import CancelledError, ImageError, MethodError, ModelError, names_of, whole_number
from vizlib.explainers.targets import target_of_each
from vizlib.figures.numbers import counted
from vizlib.zoo.model import checked_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vizlib.analysis.receptive_field.receptive_field import ReceptiveField
    from vizlib.zoo.model import Model

READINGS = ("tokens", "pooled")
MOST = 4
_Prepared = tuple[str, list[torch.Tensor], list[np.ndarray]]


def _no_progress(completed: float, total: float | None = None, message: str | None = None) -> None:
    """Tell nobody."""


def compare(
    models: Sequence[Model | str],
    images: Any,
    *,
    readings: Sequence[str] = READINGS,
    kernels: Sequence[str] = KERNELS,
    points: int = 16,
    shown: int = 3,
    fields: int = 4,
    target: Any = None,
    fit: str | None = None,
    baseline: str = "grey",
    steps: int = STEPS,
    explain: bool = True,
    seed: int = 0,
    progress: Callable[[float, float | None, str | None], None] = _no_progress,
) -> Comparison:
    """Two to four models, loaded or by name, over images: a folder, files, arrays, {name: image}. Each is measured and let go.

    ``points`` places of each image are compared as tokens, the same in every layer; ``fields`` images measure receptive fields, ``shown``
    ones are kept with their layers and, to ``explain``, attributions of ``target`` (None: what the first model answers; a list holds one
    for each image). What cannot be read or measured is listed in the result with the reason. ImageError when no image can be read,
    MethodError for models without layers.
    """
    started = time.perf_counter()
    if not callable(progress):
        raise MethodError(f"progress is a function of (completed, total, message), not a {type(progress).__name__}.")
    if not isinstance(models, list | tuple):
        raise MethodError(f"A comparison takes a list of 2 to {MOST} models, not a {type(models).__name__}.")
    if not 2 <= len(models) <= MOST:
        raise MethodError(f"A comparison takes 2 to {MOST} models, not {len(models)}.")
    loaded = [_loaded(model) for model in models]
    readings, kernels = names_of(readings, "readings", READINGS, "reading"), names_of(kernels, "kernels", KERNELS, "kernel")
    points, steps = whole_number(points, "points", 1, 65_536), whole_number(steps, "steps", 1, 10_000)
    shown, fields, seed = (
        whole_number(shown, "shown", 0, 10_000),
        whole_number(fields, "fields", 0, 10_000),
        whole_number(seed, "seed", 0, 2**63),
    )
    names_of_models = _told_apart([model.card.name for model in loaded]), _told_apart([model.card.display_name for model in loaded])
    accumulators = [ModelAccumulator(*model) for model in zip(loaded, *names_of_models, strict=True)]
    source, missing = Source.of(images), _class_differences(accumulators)
    targets = target_of_each(target, len(source.items))
    scattering = scattered(points, seed)
    streams = {(reading, kernel): StreamedCKA(kernel) for reading in readings for kernel in kernels}
    names: list[str] = []
    pictures: list[tuple[str, np.ndarray, Any]] = []
    samples: list[list[torch.Tensor]] = [[] for _ in loaded]
    total = len(source.items) + shown + 1

    def prepared() -> Iterator[_Prepared]:
        for place, name, image in source.numbered():
            geometries = [model.geometry(image.shape[:2], fit) for model in loaded]
            try:
                box = shared_box(geometries)
            except MethodError as error:
                source.skipped.append((name, str(error)))
                continue
            if len(pictures) < shown:
                pictures.append((name, image, targets[place]))
            inputs = [model.prepare(image, fit) for model in loaded]
            yield name, inputs, [in_input(scattering, box, geometry) for geometry in geometries]

    for batch in even_batches(prepared(), source.batch):
        progress(len(names) + len(source.skipped), total, f"measuring {len(names) + 1} to {len(names) + len(batch)} of {len(source.items)}")
        rows = []
        for index, accumulator in enumerate(accumulators):
            x = torch.cat([inputs[index] for _, inputs, _ in batch])
            rows.append(accumulator.add(x, np.stack([places[index] for _, _, places in batch])))
            samples[index] += [row[None] for row in x[: max(0, fields - len(samples[index]))]]
        if len(batch) >= LEAST:
            for (reading, _), stream in streams.items():
                stream.add([layer.cpu() for batch_rows in rows for layer in batch_rows[reading]])
        names += [name for name, _, _ in batch]
    if not names:
        reasons = "; ".join(f"{name}: {why}" for name, why in source.skipped[:3])
        raise ImageError(f"None of {counted(len(source.items), 'picture')} could be compared ({reasons}).")
    missing |= _too_few_images(len(names))
    progress(total - shown - 1, total, "receptive fields")
    measured = [accumulator.result(*_fields(accumulator, x)) for accumulator, x in zip(accumulators, samples, strict=True)]
    examples = []
    for number, (name, image, goal) in enumerate(pictures):
        progress(total - shown + number, total, f"{'explaining' if explain else 'reading'} {name}")
        examples.append(make_example(name, image, accumulators, target=goal, fit=fit, baseline=baseline, steps=steps, explain=explain))
    cka = {} if "cka" in missing else {key: stream.result(seed=seed) for key, stream in streams.items()}
    progress(total, total, "done")
    settings = {
        "readings": list(readings),
        "kernels": list(kernels),
        "points": points,
        "batch": source.batch,
        "anchors": len(accumulators[0].anchors(0)),
        "fields": min(fields, len(names)),
        "fit": fit,
        "baseline": baseline,
        "steps": steps,
        "seed": seed,
    }
    return Comparison(
        tuple(measured),
        tuple(names),
        tuple(source.skipped),
        cka,
        tuple(examples),
        missing,
        settings,
        time.perf_counter() - started,
        _versions(),
    )


def _loaded(model: Model | str) -> Model:
    from vizlib.zoo.load import load

    loaded = load(model) if isinstance(model, str) else checked_model(model)
    if loaded.transform is None:
        raise ModelError(f"{loaded.card.name} does not say how its inputs are prepared; wrap it with input_size= or transform=.")
    return loaded


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, with a number behind one that came before."""
    before = [names[:place].count(name) for place, name in enumerate(names)]
    return [f"{name} ({count + 1})" if count else name for name, count in zip(names, before, strict=True)]


def _class_differences(accumulators: Sequence[ModelAccumulator]) -> dict[str, str]:
    reasons = {}
    for first, second in combinations(range(len(accumulators)), 2):
        first_model, second_model = accumulators[first], accumulators[second]
        if not same_classes(first_model.model, second_model.model):
            reasons[f"classes {first} {second}"] = (
                f"{first_model.display_name} and {second_model.display_name} know different classes, so they are compared by features only."
            )
    return reasons


def _too_few_images(count: int) -> dict[str, str]:
    reasons = {}
    if count < NEEDS["cka"]:
        reasons["cka"] = f"CKA needs at least {NEEDS['cka']} pictures, and there {'is' if count == 1 else 'are'} {count}."
    elif count < NEEDS["interval"]:
        reasons["interval"] = f"The interval of CKA needs at least {NEEDS['interval']} pictures, and there are {count}."
    if count == 1:
        reasons["similarity"] = "The spread of token similarity over pictures needs at least 2 of them, and there is 1."
    return reasons


def _fields(accumulator: ModelAccumulator, x: list[torch.Tensor]) -> tuple[list[ReceptiveField], list[ReceptiveField]]:
    fields: list[ReceptiveField] = []
    operator: list[ReceptiveField] = []
    if x:
        try:
            fields = effective_receptive_fields(accumulator.model, torch.cat(x))
        except CancelledError:
            raise
        except MethodError as error:
            accumulator.missing["fields"] = str(error)
    try:
        operator = architectural_receptive_fields(accumulator.model, accumulator.layers[0].size)
    except MethodError as error:
        accumulator.missing["operator"] = str(error)
    return fields, operator


def _versions() -> dict[str, str]:
    from vizlib import __version__

    return {"vizlib": __version__, "torch": str(torch.__version__), "threads": str(torch.get_num_threads())}
