"""Looks in what a training is already followed with. The packages are the user's own, and imported where one is first written to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from vizlib.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from vizlib.callbacks.look import Look

ROOT = "vizlib"


class TensorBoard:
    """TensorBoard: an image for each map, scalars, and a histogram of the heads of each attention.

    ``writer`` is the SummaryWriter of the training, or a folder for a writer of its own.
    """

    def __init__(self, writer: Any) -> None:
        self._own = not hasattr(writer, "add_scalar")
        self.writer: Any = _summary_writer(writer) if self._own else writer

    def write(self, look: Look) -> None:
        """Write one look."""
        for name, value in look.scalars().items():
            self.writer.add_scalar(f"{ROOT}/{name}", value, look.step)
        for name, caption, image in _images(look):
            self.writer.add_image(f"{ROOT}/{name}", image, look.step, dataformats="HWC")
            self.writer.add_text(f"{ROOT}/{name}/answer", caption, look.step)
        for site, measures in look.heads.items():
            for measure, values in measures.items():
                self.writer.add_histogram(f"{ROOT}/heads/{site}/{measure}/each head", values, look.step)
        self.writer.flush()

    def close(self) -> None:
        """Close the writer if it is of its own."""
        if self._own:
            self.writer.close()


class WeightsAndBiases:
    """Weights & Biases: images with the answer below, and numbers, in the ``run`` of the training or the one that is under way.

    What is written goes with the run's next own step, so that its steps stay as they are; the number of the look is vizlib/step.
    """

    def __init__(self, run: Any = None) -> None:
        self._run = run

    def write(self, look: Look) -> None:
        """Write one look; TrainingError where no run is under way."""
        wandb = _imported("wandb", "Weights & Biases")
        run = self._run if self._run is not None else wandb.run
        if run is None:
            raise TrainingError("No run of Weights & Biases is under way: call wandb.init() first, or give WeightsAndBiases the run.")
        content: dict[str, Any] = {f"{ROOT}/{name}": value for name, value in look.scalars().items()} | {f"{ROOT}/step": look.step}
        content |= {f"{ROOT}/{name}": wandb.Image(image, caption=caption) for name, caption, image in _images(look)}
        for site, measures in look.heads.items():
            for measure, values in measures.items():
                content[f"{ROOT}/heads/{site}/{measure}/each head"] = wandb.Histogram(values)
        run.log(content, commit=False)

    def close(self) -> None:
        """The run is the training's own."""


class MLflow:
    """MLflow: metrics and images of the run ``run_id`` or of the one that is under way."""

    def __init__(self, run_id: str | None = None) -> None:
        self._run_id = run_id

    def write(self, look: Look) -> None:
        """Write one look; TrainingError where no run is under way."""
        mlflow = _imported("mlflow", "MLflow")
        active = mlflow.active_run()
        run_id = self._run_id or (active.info.run_id if active else None)
        if run_id is None:
            raise TrainingError("No run of MLflow is under way: call mlflow.start_run() first, or give MLflow the run's id.")
        metrics = {f"{ROOT}/{_plain(name)}": value for name, value in look.scalars().items()}
        mlflow.log_metrics(metrics, step=look.step, run_id=run_id)
        client = mlflow.MlflowClient()
        for name, _, image in _images(look):
            client.log_image(run_id, image, key=f"{ROOT}/{_plain(name)}", step=look.step)

    def close(self) -> None:
        """The run is the training's own."""


def _images(look: Look) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, words and uint8 (H, W, 3) of each map over its picture."""
    for (picture, method), explanation in look.maps.items():
        answers = look.answers[picture]
        caption = ", ".join(f"{answer.label} {100 * answer.probability:.0f} %" for answer in answers) or "features without classes"
        yield f"{picture}/{method}", caption, explanation.picture()


def _plain(name: str) -> str:
    """A name as MLflow takes it."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def _summary_writer(folder: Any) -> Any:
    _imported("tensorboard", "TensorBoard")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


def _imported(package: str, title: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise TrainingError(f"{title} is not installed here: pip install {package}.") from error
