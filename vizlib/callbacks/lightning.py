"""The callback of Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizlib.callbacks.watch import Watch
from vizlib.errors import TrainingError

try:
    from lightning.pytorch.callbacks import Callback
except ImportError:
    try:
        from pytorch_lightning.callbacks import Callback
    except ImportError as error:
        raise TrainingError("Lightning is not installed here: pip install lightning.") from error

if TYPE_CHECKING:
    from torch import nn


class LightningWatch(Callback):  # type: ignore[misc]
    """``Trainer(callbacks=[LightningWatch(pictures, to=...)])``: looks at ``trainer.global_step`` 0, every ``every`` steps and the last.

    Takes what ``Watch`` takes but the module: that is ``part`` of the LightningModule, as "model", or all of it. Only the first process
    of several looks.
    """

    def __init__(self, pictures: Any, *, part: str | None = None, **options: Any) -> None:
        self._pictures, self._part, self._options = pictures, part, options
        self.watch: Watch | None = None

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """The look before the first step."""
        if trainer.is_global_zero:
            module = pl_module if self._part is None else pl_module.get_submodule(self._part)
            self.watch = Watch(module, self._pictures, **self._options)
            self.watch(trainer.global_step)

    def on_train_batch_end(self, trainer: Any, pl_module: nn.Module, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """A look where it is time; batches that only gather gradients are no step."""
        if self.watch is not None:
            self.watch(trainer.global_step)

    def on_train_end(self, trainer: Any, pl_module: nn.Module) -> None:  # noqa: ARG002
        """The last look."""
        if self.watch is not None:
            self.watch.close(trainer.global_step)
