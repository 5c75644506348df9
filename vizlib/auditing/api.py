"""``vizlib.audit``: models and methods over a data set, chunk by chunk, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.auditing.chunk import audit_chunk
from vizlib.auditing.extra_passes import no_lens
from vizlib.auditing.model_sources import model_sources
from vizlib.auditing.pictures import Item, audit_pictures
from vizlib.auditing.plan import CHUNK, FORMAT, SCORED_CHUNK, ChunkPlan, MethodPlan, ModelPlan, begin, write_part
from vizlib.auditing.result import Audit
from vizlib.auditing.workers import by_workers
from vizlib.catalog.methods import method_card
from vizlib.engine.jobs import Progress
from vizlib.errors import AuditError, MethodError, TrainingError
from vizlib.evaluation.metrics import map_metrics_named
from vizlib.explainers.api import check_method_fits
from vizlib.explainers.targets import class_index
from vizlib.images import FITS
from vizlib.model_report.accuracy import match_classes
from vizlib.zoo.weights import state_fingerprint

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from vizlib.auditing.chunk import Part
    from vizlib.auditing.model_sources import ModelSource
    from vizlib.auditing.pictures import AuditPictures
    from vizlib.zoo.model import Model

Report = Callable[[int, int, list[tuple[str, str]]], None]


def audit(
    data: Any,
    models: Any,
    methods: Any = "rollout",
    out: str | os.PathLike[str] = "audit",
    *,
    target: int | str = "prediction",
    fit: str | None = None,
    labels: Sequence[str] | None = None,
    heads: bool = False,
    features: bool = False,
    lens: bool = False,
    scores: Sequence[str] = (),
    workers: int = 0,
    scheduler: str = "",
    device: str = "auto",
    chunk: int | None = None,
    report: Report = lambda *_: None,
) -> Audit:
    """What ``models`` answer and where they look, for every picture of ``data``, in the folder ``out``: rows in Parquet, maps in NPZ.

    ``models`` is a name, MODULE:FUNCTION, NAME=CHECKPOINT (a glob takes a run's epochs), a ``Model`` or a module, or a list; ``methods`` a
    name, a pair (name, options), or a list. ``target`` is "prediction", "label" or one class; ``labels`` name the classes of checkpoints.
    ``heads``, ``features`` (the mean over cells of every layer, 4 bytes a channel) and ``lens`` (the answer after every block) take one
    more pass a picture each, ``scores``, some of MAP_METRICS, hundreds. Stopped at any moment, the same call goes on; with as many threads
    the files are the same bytes. ``workers`` processes of this machine, or those of a ``scheduler``, share the work, by ``chunk`` pictures
    (None: 64, with scores 8), of which a stop loses one. ``report`` hears of pictures done, of all (each counts once a model), and the new
    (name, reason) of those that failed.
    AuditError for data without pictures, a folder of another audit, or no worker; MethodError or TargetError for what a model cannot do.
    """
    pictures, sources, method_plans = audit_pictures(data), model_sources(models, device, labels), _method_plans(methods)
    chosen = tuple(metric.name for metric in map_metrics_named(scores))
    chunk = (SCORED_CHUNK if chosen else CHUNK) if chunk is None else chunk
    _check(fit, chunk, workers)
    distributed = bool(workers or scheduler)
    if distributed and any(isinstance(picture.source, Item) for picture in pictures.items):
        raise AuditError("A data set in memory is gone through in this process: leave workers and scheduler out, or give files.")
    alone = next((source.name for source in sources if source.make is None), None)
    if distributed and alone is not None:
        raise AuditError(f"{alone} lives in this process: give workers a name, a checkpoint or MODULE:FUNCTION, or leave workers out.")
    folder, held = Path(out), _Held(sources)
    plans = [
        _model_plan(source.name, held.model(number), pictures, method_plans, str(target), chosen, lens=lens)
        for number, source in enumerate(sources)
    ]
    facts = _facts(pictures, plans, method_plans, target, fit, chunk, heads=heads, features=features, lens=lens, scores=chosen)
    # The rows hold the words of answers, so an audit with other names does not go on; folders made without any stay what they are.
    begin(folder, facts | ({} if labels is None else {"labels": list(labels)}))
    chunks = [
        ChunkPlan(
            model=plan,
            model_number=number,
            number=start // chunk,
            first=start,
            pictures=tuple(pictures.items[start : start + chunk]),
            methods=method_plans,
            target=str(target),
            fit=fit,
            heads=heads,
            features=features,
            lens=lens,
            scores=chosen,
        )
        for number, plan in enumerate(plans)
        for start in range(0, len(pictures.items), chunk)
    ]
    total = sum(len(each.pictures) for each in chunks)
    left = [each for each in chunks if not _is_there(folder, each)]
    there = total - sum(len(each.pictures) for each in left)
    report(there, total, [])

    def keep(plan: ChunkPlan, part: Part) -> None:
        nonlocal there
        # The rows come last: a chunk counts as done once they are there.
        write_part(folder / "maps" / f"{plan.stem}.npz", part.maps)
        write_part(folder / "pictures" / f"{plan.stem}.parquet", part.rows)
        there += part.pictures
        report(there, total, list(part.failed))

    if distributed:
        held.let_go()
        by_workers(left, sources, keep, workers, scheduler)
    else:
        for plan in left:
            keep(plan, audit_chunk(held.model(plan.model_number), plan=plan, progress=Progress()))
    return Audit(folder)


class _Held:
    """The model at work, of which one is in memory at a time."""

    def __init__(self, sources: Sequence[ModelSource]) -> None:
        self._sources = sources
        self._number = -1
        self._model: Model | None = None

    def model(self, number: int) -> Model:
        """The model of a source, loaded unless it was the last."""
        if self._number != number or self._model is None:
            self.let_go()
            model = self._sources[number].load()
            self._model, self._number = model, number
        return self._model

    def let_go(self) -> None:
        """Hold none."""
        self._model = None


def _check(fit: str | None, chunk: int, workers: int) -> None:
    if fit is not None and fit not in FITS:
        raise AuditError(f"There is no fit {str(fit)[:40]!r}; there are {', '.join(FITS)}.")
    if isinstance(chunk, bool) or not isinstance(chunk, int) or not 1 <= chunk <= 4096:
        raise AuditError(f"chunk is a number of pictures from 1 to 4096, not {str(chunk)[:40]!r}.")
    if isinstance(workers, bool) or not isinstance(workers, int) or not 0 <= workers <= 256:
        raise AuditError(f"workers is a number of processes from 0 (this one) to 256, not {str(workers)[:40]!r}.")


def _is_there(folder: Path, plan: ChunkPlan) -> bool:
    return (folder / "pictures" / f"{plan.stem}.parquet").is_file() and (folder / "maps" / f"{plan.stem}.npz").is_file()


def _method_plans(methods: Any) -> tuple[MethodPlan, ...]:
    single = isinstance(methods, str) or (isinstance(methods, tuple) and len(methods) == 2 and isinstance(methods[1], dict))
    plans: list[MethodPlan] = []
    for method in [methods] if single or not isinstance(methods, list | tuple) else methods:
        name, options = (method, {}) if not isinstance(method, tuple) or len(method) != 2 else method
        if not isinstance(name, str) or not isinstance(options, dict):
            raise MethodError(f"A method is a name, or a pair of a name and its options, not {str(method)[:60]!r}.")
        count = sum(plan.method == name for plan in plans)
        plans.append(MethodPlan(name if not count else f"{name}-{count + 1}", name, method_card(name).resolve(options)))
    if not plans:
        raise MethodError("An audit needs at least one method.")
    return tuple(plans)


def _model_plan(
    name: str, model: Model, pictures: AuditPictures, methods: Sequence[MethodPlan], target: str, scores: Sequence[str], *, lens: bool
) -> ModelPlan:
    """A model as it is now: that methods and target fit it is checked before anything is written."""
    for method in methods:
        check_method_fits(model, method_card(method.method))
    if scores and not model.num_classes:
        raise MethodError(f"{name} answers in no classes, so there is no probability for {scores[0]} to watch: leave scores out.")
    if target not in ("prediction", "label"):
        class_index(model, int(target) if target.isdecimal() else target)
    classes: list[int | None] = []
    matched = ""
    if pictures.classes and model.num_classes:
        try:
            classes, matched = match_classes(model, pictures.classes)
        except TrainingError as error:
            classes, matched = [None] * len(pictures.classes), str(error)
    return ModelPlan(name, state_fingerprint(model.module), tuple(classes), matched, no_lens(model) if lens else "")


def _facts(
    pictures: AuditPictures, models: Sequence[ModelPlan], methods: Sequence[MethodPlan], target: int | str, fit: str | None, chunk: int,
    *, heads: bool, features: bool, lens: bool, scores: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    return {
        "format": FORMAT,
        "pictures": len(pictures.items),
        "data": pictures.fingerprint(),
        "classes": [list(names) for names in pictures.classes],
        "models": [asdict(plan) for plan in models],
        "methods": [asdict(plan) for plan in methods],
        "target": str(target),
        "fit": fit,
        "chunk": chunk,
        "heads": heads,
        "features": features,
        "lens": lens,
        "scores": list(scores),
        "made_with": {name: version(name) for name in ("torch", "timm", "numpy", "pyarrow", "pillow")},
    }
