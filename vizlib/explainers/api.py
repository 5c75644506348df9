"""From an image, a list of images or a prepared tensor to explanations: what is common to all methods."""

from __future__ import annotations

import importlib
import time
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vizlib.catalog.methods import MethodCard, method_card
from vizlib.errors import CheckpointError, ImageError, MethodError, TargetError, VizlibError, whole_number
from vizlib.explainers.explanation import REFERENCE, Explanation, Explanations
from vizlib.explainers.manifest import read_manifest
from vizlib.explainers.method_output import MethodOutput
from vizlib.explainers.parts.baselines import are_baselines, baseline, nothing_note
from vizlib.explainers.prediction import Prediction
from vizlib.explainers.similarity import SimilarTo
from vizlib.explainers.targets import Target, is_free_of_classes, resolve_targets, target_of_each
from vizlib.geometry import Geometry
from vizlib.images import read_image, read_with_scaling
from vizlib.passes.device_memory import enough_memory, in_parts
from vizlib.passes.forward import Trace, check_finite, traces
from vizlib.tracing.default_device import own_device
from vizlib.zoo.model import checked_model

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from vizlib.zoo.model import Model

BATCH = 16


@dataclass(frozen=True)
class PreparedImage:
    """One image on its way through a model: the picture as the user sees it, the input x (1, 3, h, w), and the mapping between them."""

    picture: np.ndarray
    x: torch.Tensor
    geometry: Geometry
    prepared: bool
    scaling: str = ""  # how a picture of more than 8 bits was brought to 8


@enough_memory
@own_device()
def predict(model: Model, image: Any, top: int = 5) -> list[Prediction] | list[list[Prediction]]:
    """The ``top`` classes of an image by falling probability; for a list of images or a batch of tensors, one list each.

    TargetError for a model without classes, ModelError for one that answers in NaN or infinity.
    """
    top = whole_number(top, "top", 1, 1_000_000)
    if not checked_model(model).adapter.classes:
        raise TargetError(f"{model.card.name} has no classification head, so it predicts no classes.")
    prepared_images, many = _prepared_images(model, image, None)
    answers = []
    for chunk in _chunks(prepared_images):
        x = torch.cat([prepared_image.x for prepared_image in chunk])
        with torch.inference_mode():
            logits = torch.cat(in_parts(model.class_logits, x))
        check_finite(model, x, logits)
        answers += [ranked(model, row, top) for row in logits]
    return answers if many else answers[0]


def ranked(model: Model, logits: torch.Tensor, top: int = 5) -> list[Prediction]:
    """The ``top`` classes of logits (K,), or all K where that is fewer, most probable first, by the model's activation in float64."""
    values = logits.to(torch.float64)
    best = values.topk(min(top, len(values)))
    shares = model.probabilities(values)[best.indices]
    rows = zip(best.indices.tolist(), shares.tolist(), best.values.tolist(), strict=True)
    return [Prediction(index, model.label(index), share, logit) for index, share, logit in rows]


@enough_memory
@own_device()
def trace(model: Model, image: Any) -> Trace | list[Trace]:
    """What one pass over an image did; for a list of images or a batch of tensors, one trace each, run in batches."""
    checked_model(model)
    prepared_images, many = _prepared_images(model, image, None)
    image_traces = [
        image_trace
        for chunk in _chunks(prepared_images)
        for part in in_parts(lambda some: traces(model, torch.cat([prepared_image.x for prepared_image in some])), chunk)
        for image_trace in part
    ]
    return image_traces if many else image_traces[0]


@enough_memory
@own_device()
def explain(
    model: Model, image: Any, method: str = "rollout", target: Any = None, fit: str | None = None, display: Any = None, **options: Any
) -> Explanation | list[Explanation]:
    """Why the model answered as it did, by one method; a list of images or a batch of tensors gives a list, run in batches.

    ``target`` is a class number, a label, a pair (tuple) for a difference, a function of logits (B, K), ``vizlib.similar_to(...)``, or None
    for the top prediction; a list, array or integer tensor as long as the batch gives each image its own. ``fit`` is "crop", "pad",
    "squash" or None for the model's own; ``display`` is the picture to show of a prepared tensor, as large as it, or a list of one for
    each. MethodError, with the reason,
    where the method does not fit the model; TargetError for a class it does not have; ImageError for what is no image.
    """
    card = method_card(method)
    check_method_fits(checked_model(model), card, target)
    resolved = {name: _part_name(model, value) for name, value in card.resolve(options).items()}
    prepared_images, many = _prepared_images(model, image, fit)
    if display is not None:
        prepared_images = _displayed(prepared_images, display if many else [display])
    image_targets = target_of_each(target, len(prepared_images))
    explanations = Explanations()
    for chunk in _chunks(prepared_images):
        chunk_targets = image_targets[len(explanations) : len(explanations) + len(chunk)]
        with_targets = list(zip(chunk, chunk_targets, strict=True))
        for part in in_parts(lambda some: _explain_chunk(model, some, card, fit, resolved), with_targets):
            explanations += part
    return explanations if many else explanations[0]


def _part_name(model: Model, value: Any) -> Any:
    """The name of a part of the model that was given itself; any other value as it is."""
    if not isinstance(value, torch.nn.Module):
        return value
    name = next((path for path, part in model.module.named_modules(remove_duplicate=False) if part is value), None)
    if not name:
        raise MethodError(f"This {type(value).__name__} is no part of {model.card.name}; name one, or give one of its own parts.")
    return name


def replay(folder: str | os.PathLike[str], model: Model | None = None) -> Explanation:
    """Make a saved explanation again from its folder, with the model it names or with ``model``.

    The same bytes on the same machine with as many torch threads; with another number, the same but for the last digits of float32.
    VizlibError when the folder holds no explanation, ModelError when it cannot be made again, CheckpointError when its weights changed.
    """
    from vizlib.zoo.load import load_recipe

    manifest = read_manifest(folder)
    model = None if model is None else checked_model(model)
    recipe = manifest["recipe"]
    if model is None:
        check_fingerprint(recipe)
        model = load_recipe(recipe)
        _check_same_weights(recipe, model.recipe or {})
    source = Path(folder) / manifest["input"]
    image: Any = _saved_array(source, "x", ImageError, "the prepared image that was explained") if source.suffix == ".npz" else source
    target = manifest["target"]
    options = manifest["options"]
    if manifest["method"] == "integrated_gradients":
        options = {"max_gap": 1.0} | options  # earlier versions took the steps as they were
    picture, display = Path(folder) / "image.png", None
    if isinstance(image, torch.Tensor) and picture.is_file():
        display = picture if image.ndim == 3 else [picture]
    target = tuple(target) if isinstance(target, list) else target
    if manifest.get("similar_to"):
        features = _saved_array(Path(folder) / REFERENCE, "features", TargetError, "the features that the picture was held against")
        target = SimilarTo(features, str(manifest.get("label", "")))
    again = explain(model, image, manifest["method"], target, manifest["fit"], display, **options)
    return again[0] if isinstance(again, list) else again  # a prepared tensor was saved as a batch of one


def _saved_array(path: Path, name: str, error_class: type[VizlibError], what: str) -> torch.Tensor:
    """An array of a saved explanation; an error of its class when the file does not hold ``what``."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return torch.from_numpy(arrays[name])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise error_class(f"{path} does not hold {what}: {error}.") from error


def check_method_fits(model: Model, card: MethodCard, target: Any = None) -> None:
    """Nothing where a method fits a model; MethodError, with the reason from the model's family, where it does not.

    A ``target`` that is a function or a similarity, or a list of them, needs no classes.
    """
    goals = target if isinstance(target, list) and target else [target]
    needless = {"head"} if all(map(is_free_of_classes, goals)) else set[str]()
    reason = card.refusal({need: why for need, why in model.adapter.refusals.items() if need not in needless})
    if reason:
        raise MethodError(f"{card.title} does not fit {model.card.name}: {reason}.")


_CHANGED = "changed since the explanation was made; replay(folder, model=...) takes another model."


def check_fingerprint(recipe: dict[str, Any]) -> None:
    """CheckpointError when the weights file that a recipe names is gone or has changed since."""
    noted, path = recipe.get("sha256"), recipe.get("checkpoint")
    if not noted or path in (None, "random"):
        return
    from vizlib.zoo.weights import fingerprint

    if fingerprint(path) != noted:
        raise CheckpointError(f"{path} has {_CHANGED}")


def _check_same_weights(noted: dict[str, Any], recipe: dict[str, Any]) -> None:
    """CheckpointError when the weights of a folder or of the hub are not those that a recipe noted; early recipes noted none of these."""
    digests = [values.get("sha256") for values in (noted, recipe)]
    if all(digests) and digests[0] != digests[1]:
        raise CheckpointError(f"The weights of {noted['name']} have {_CHANGED}")


def _explain_chunk(
    model: Model, chunk: Sequence[tuple[PreparedImage, Any]], card: MethodCard, fit: str | None, options: dict[str, Any]
) -> list[Explanation]:
    method = importlib.import_module(card.module)
    prepared_images, image_targets = zip(*chunk, strict=True)
    x = torch.cat([prepared_image.x for prepared_image in prepared_images])
    logits_seen: list[torch.Tensor] = []

    def targets(logits: torch.Tensor) -> list[Target]:
        logits_seen.append(logits)
        return resolve_targets(model, list(image_targets), logits)

    started = time.perf_counter()
    try:
        resolved_targets, outputs = method.explain(model, x, targets, options)
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
        raise MethodError(
            f"{model.card.name} checkpoints activations with use_reentrant=True, through which no gradient of an input passes; take "
            "use_reentrant=False, or switch checkpointing off."
        ) from error
    if "baseline" in options and options.get("smoothing", "none") == "none":
        outputs = _without_rounding(model, x, outputs, options["baseline"])
    seconds = (time.perf_counter() - started) / len(chunk)
    rows = zip(prepared_images, resolved_targets, outputs, logits_seen[0], strict=True)
    return [
        _explanation(model, prepared_image, resolved_target, output, logits, card, fit, options, seconds)
        for prepared_image, resolved_target, output, logits in rows
    ]


def _without_rounding(model: Model, x: torch.Tensor, outputs: list[MethodOutput], kind: str) -> list[MethodOutput]:
    """Of images (B, 3, h, w) that are their own baselines a map of zeros, with the reason: all that tells them apart is rounding."""
    x = model.cast(x)
    return [
        MethodOutput(torch.zeros_like(output.input_map), None, (nothing_note(kind),)) if same else output
        for output, same in zip(outputs, are_baselines(x, baseline(model, x, kind)).tolist(), strict=True)
    ]


def _explanation(
    model: Model,
    prepared_image: PreparedImage,
    resolved_target: Target,
    output: MethodOutput,
    logits: torch.Tensor,
    card: MethodCard,
    fit: str | None,
    options: dict[str, Any],
    seconds: float,
) -> Explanation:
    return Explanation(
        input_map=output.input_map.to("cpu", torch.float64).numpy(),
        sink=output.sink,
        target=resolved_target.index,
        label=resolved_target.label,
        method=card.name,
        model=model.card.name,
        options=options,
        seconds=seconds,
        geometry=prepared_image.geometry,
        image=prepared_image.picture,
        logits=logits.detach().float().cpu().numpy(),
        notes=(*output.notes, *filter(None, [prepared_image.scaling])),
        stages=tuple(stage.cpu().numpy() for stage in output.stages),
        facts=output.facts,
        recipe=model.recipe,
        fit=fit,
        prepared=prepared_image.x.numpy() if prepared_image.prepared else None,
        without_artifacts=None if output.drawn is None else output.drawn.to("cpu", torch.float64).numpy(),
        stages_without_artifacts=tuple(stage.cpu().numpy() for stage in output.drawn_stages),
        similar_to=None if resolved_target.reference is None else resolved_target.reference.cpu().numpy(),
    )


def _prepared_images(model: Model, image: Any, fit: str | None) -> tuple[list[PreparedImage], bool]:
    """The images ready for the model, and whether a list is to come back."""
    if isinstance(image, torch.Tensor):
        x = readable_tensor(image)
        if x.ndim == 3:
            return [_from_tensor(model, x[None])], False
        if x.ndim != 4:
            raise ImageError(f"A prepared tensor has shape (images, 3, height, width), not {tuple(x.shape)}.")
        if not len(x):
            raise ImageError("The batch of images is empty.")
        return [_from_tensor(model, row[None]) for row in x], True
    if isinstance(image, list | tuple):
        if not image:
            raise ImageError("The list of images is empty.")
        return [prepared_image for item in image for prepared_image in _prepared_images(model, item, fit)[0]], True
    picture, scaling = read_with_scaling(image)
    geometry = model.geometry(picture.shape[:2], fit)
    return [PreparedImage(picture, model.prepare(picture, fit), geometry, prepared=False, scaling=scaling)], False


def readable_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of numbers on the CPU, in a precision that arrays have too; ImageError for one without numbers."""
    if tensor.is_meta or tensor.layout is not torch.strided:
        raise ImageError(f"A prepared tensor is dense and holds numbers, which this one ({tensor.layout}, {tensor.device}) does not.")
    x = tensor.detach().cpu()
    if x.is_floating_point() and x.dtype not in (torch.float16, torch.float32, torch.float64):
        return x.float()  # bfloat16 and narrower ones, without loss
    return x


def _from_tensor(model: Model, x: torch.Tensor) -> PreparedImage:
    if x.shape[1] != model.channels or not x.is_floating_point():
        raise ImageError(f"A prepared tensor holds {model.channels} channels of real numbers, not {tuple(x.shape)} of {x.dtype}.")
    if not torch.isfinite(x).all():
        raise ImageError("The prepared tensor holds NaN or infinity.")
    size = (int(x.shape[2]), int(x.shape[3]))
    return PreparedImage(model.picture(x), x, Geometry.identity(size), prepared=True)


def _displayed(prepared_images: list[PreparedImage], display: Any) -> list[PreparedImage]:
    """The images with the pictures to show of them, one each."""
    if not isinstance(display, list | tuple) or len(display) != len(prepared_images):
        raise ImageError(f"display holds one picture for each of the {len(prepared_images)} images, in a list.")
    shown = []
    for prepared_image, picture in zip(prepared_images, map(read_image, display), strict=True):
        if not prepared_image.prepared:
            raise ImageError("display is for prepared tensors: a picture shows itself.")
        height, width = prepared_image.x.shape[2:]
        if picture.shape[:2] != (height, width):
            raise ImageError(f"The picture to show is {picture.shape[0]} x {picture.shape[1]} pixels and the tensor {height} x {width}.")
        shown.append(replace(prepared_image, picture=picture))
    return shown


def _chunks(prepared_images: list[PreparedImage]) -> list[list[PreparedImage]]:
    """The images in their order, in runs of one input size that fit a batch."""
    chunks: list[list[PreparedImage]] = []
    for prepared_image in prepared_images:
        if chunks and len(chunks[-1]) < BATCH and chunks[-1][0].x.shape == prepared_image.x.shape:
            chunks[-1].append(prepared_image)
        else:
            chunks.append([prepared_image])
    return chunks
