"""The callback of transformers' Trainer."""

from __future__ import annotations

from typing import Any

from vizlib.callbacks.watch import Watch
from vizlib.errors import TrainingError

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise TrainingError("transformers is not installed here: pip install transformers accelerate.") from error


class TrainerWatch(TrainerCallback):
    """``Trainer(callbacks=[TrainerWatch(pictures, to=...)])``: looks before the first step, every ``every`` steps and after the last.

    Takes what ``Watch`` takes but the module, which is the Trainer's. Only the first process of several looks.
    """

    def __init__(self, pictures: Any, **options: Any) -> None:
        self._pictures, self._options = pictures, options
        self.watch: Watch | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **others: Any) -> None:  # noqa: ARG002
        """The look before the first step."""
        if state.is_world_process_zero:
            self.watch = Watch(model, self._pictures, **self._options)
            self.watch(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:  # noqa: ARG002
        """A look where it is time."""
        if self.watch is not None:
            self.watch(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:  # noqa: ARG002
        """The last look."""
        if self.watch is not None:
            self.watch.close(state.global_step)
