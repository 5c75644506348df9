"""Training on a GPU: the set and its augmentation on the card, the step compiled, a teacher's answers among the targets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from vizlib.errors import TrainingError
from vizlib.train.augment import normalise
from vizlib.train.card_augment import erased, mixed, recoloured, resharpened, seen_through
from vizlib.train.loop import Progress, accuracy, fingerprint, parameter_groups, read_checkpoint, schedule, write_checkpoint
from vizlib.train.muon import StackedMuon

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from vizlib.datasets.tiny_imagenet import ImageSet
    from vizlib.train.recipes import CardRecipe
    from vizlib.train.teacher import Views

SAVE_EVERY = 60.0
"""Seconds between two checkpoints."""


class Batches:
    """Augmented photographs and soft targets (B, K) for rows of the set, all on one device."""

    def __init__(self, data: ImageSet, views: Views, recipe: CardRecipe, device: torch.device) -> None:
        self.recipe, self.classes = recipe, len(data.classes)
        self.images = torch.from_numpy(data.images).to(device)
        self.labels = torch.from_numpy(data.labels).to(device)
        self.views = views

    def targets(self, rows: Tensor, view: Tensor) -> Tensor:
        """(1 - w) of the smoothed label and w of the teacher's softmax for the view, (B, K)."""
        recipe = self.recipe
        hard = F.one_hot(self.labels[rows], self.classes).float() * (1 - recipe.smoothing) + recipe.smoothing / self.classes
        if self.views.logits is None:
            return hard
        soft = (self.views.logits[rows, view].float() / recipe.temperature).softmax(-1)
        return torch.lerp(hard, soft, recipe.teacher)

    def __call__(self, rows: Tensor, *, plain: bool = False) -> tuple[Tensor, Tensor]:
        """Normalised float32 images (B, 3, H, W) and targets (B, K); ``plain`` leaves colour, sharpness, erasing and mixing out."""
        recipe = self.recipe
        view = torch.randint(self.views.views.shape[1], rows.shape, device=rows.device)
        images = seen_through(self.images[rows], self.views.views[rows, view], recipe.side)
        targets = self.targets(rows, view)
        if plain:
            return normalise(images), targets
        images = normalise(resharpened(recoloured(images, recipe.colour), recipe.sharpness))
        return mixed(erased(images, recipe.erase), targets, recipe.mix)


class Average:
    """An exponential moving average of a module's state, in one launch for all; update n keeps at most (1 + n) / (10 + n) of the old."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.source = [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]
        self.state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        self.held = [tensor for tensor in self.state.values() if tensor.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the module as it is now."""
        torch._foreach_lerp_(self.held, self.source, 1 - min(self.decay, (1 + self.updates) / (10 + self.updates)))
        self.updates += 1


def train_on_card(
    module: nn.Module,
    recipe: CardRecipe,
    data: ImageSet,
    views: Views,
    val: ImageSet,
    folder: Path,
    *,
    device: str = "cuda",
    compiled: bool = True,
    stop_at: float | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train ``module`` by ``recipe``, resuming from ``folder``: the averaged module and its history, shorter when ``stop_at`` came first.

    Epochs are seeded as in ``train``, so that a resumed run equals an uninterrupted one as far as the card's kernels do. ``stop_at`` is a
    time of ``time.monotonic``, kept between two epochs. TrainingError when the folder holds another run.
    """
    with torch.random.fork_rng(devices=[torch.device(device)] if device.startswith("cuda") else []):
        return _CardRun(module, recipe, data, views, val, folder, torch.device(device), report).run(compiled=compiled, stop_at=stop_at)


class _CardRun:
    def __init__(
        self,
        module: nn.Module,
        recipe: CardRecipe,
        data: ImageSet,
        views: Views,
        val: ImageSet,
        folder: Path,
        device: torch.device,
        report: Callable[[Progress], None],
    ) -> None:
        self.recipe, self.folder, self.device, self.report, self.val = recipe, folder, device, report, val
        self.steps = len(data) // recipe.batch
        if self.steps == 0:
            raise TrainingError(f"{len(data)} training images do not fill one batch of {recipe.batch}; make the batch smaller.")
        if (recipe.views > 0) != (views.logits is not None):
            raise TrainingError("This recipe and these views do not agree on whether there is a teacher.")
        self.module = module.to(device).to(memory_format=torch.channels_last)
        self.average = Average(self.module, recipe.ema)
        self.batches = Batches(data, views, recipe, device)
        self.optimisers = _optimisers(self.module, recipe, device)
        self.identity = fingerprint(recipe, self.module, data)
        self.history: list[dict[str, Any]] = []

    def run(self, *, compiled: bool, stop_at: float | None) -> tuple[nn.Module, list[dict[str, Any]]]:
        first, recipe = self._resume(), self.recipe
        self.loss = torch.compile(self._loss, dynamic=False) if compiled else self._loss
        saved = time.monotonic()
        for epoch in range(first, recipe.epochs):
            self._epoch(epoch)
            late = stop_at is not None and time.monotonic() > stop_at
            if late or epoch + 1 == recipe.epochs or time.monotonic() - saved > SAVE_EVERY:
                self._save(epoch + 1)
                saved = time.monotonic()
            if late:
                break
        self.module.load_state_dict(self.average.state)
        return self.module.eval(), self.history

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = self.module(images)
        return F.cross_entropy(logits.float(), targets)

    def _epoch(self, epoch: int) -> None:
        recipe = self.recipe
        torch.manual_seed(recipe.seed * 100_003 + epoch)
        order = torch.randperm(len(self.batches.labels), device=self.device)
        plain = epoch >= recipe.epochs * (1 - recipe.plain)
        started, total = time.perf_counter(), torch.zeros((), device=self.device)
        self.module.train()
        rate = 0.0
        for step in range(self.steps):
            images, targets = self.batches(order[step * recipe.batch : (step + 1) * recipe.batch], plain=plain)
            rate = schedule(epoch * self.steps + step, recipe.epochs * self.steps, recipe.warmup)
            total += self._step(images, targets, rate)
        loss = float(total) / self.steps
        speed = self.steps * recipe.batch / (time.perf_counter() - started)
        top1, top5 = self._accuracy()
        self.history.append({"epoch": epoch + 1, "loss": loss, "top1": top1, "top5": top5, "images_per_second": round(speed, 1)})
        self.report(Progress(epoch, recipe.epochs, self.steps, self.steps, loss, rate * recipe.rate, speed, top1, top5))

    def _step(self, images: Tensor, targets: Tensor, rate: float) -> Tensor:
        loss = self.loss(images.contiguous(memory_format=torch.channels_last), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * rate
            optimiser.step()
        self.module.zero_grad(set_to_none=True)
        self.average.update()
        return loss.detach()

    def _accuracy(self) -> tuple[float, float]:
        own = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}
        self.module.load_state_dict(self.average.state)
        try:
            return accuracy(self.module, self.val, self.device, batch=1250, side=self.recipe.side)
        finally:
            self.module.load_state_dict(own)

    def _save(self, epochs_done: int) -> None:
        state = {
            "identity": self.identity,
            "epochs_done": epochs_done,
            "module": self.module.state_dict(),
            "average": self.average.state,
            "updates": self.average.updates,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "history": self.history,
        }
        write_checkpoint(self.folder, state)

    def _resume(self) -> int:
        state = read_checkpoint(self.folder, self.identity, self.device)
        if state is None:
            return 0
        self.module.load_state_dict(state["module"])
        for name, tensor in state["average"].items():
            self.average.state[name].copy_(tensor)
        self.average.updates = state["updates"]
        for optimiser, kept in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.history = state["history"]
        return state["epochs_done"]


def _optimisers(module: nn.Module, recipe: CardRecipe, device: torch.device) -> list[torch.optim.Optimizer]:
    groups, muon = parameter_groups(module, recipe)
    chosen: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=recipe.rate, fused=device.type == "cuda")]
    if muon:
        chosen.append(StackedMuon(muon, recipe.rate, recipe.weight_decay))
    for optimiser in chosen:
        for group in optimiser.param_groups:
            group["initial_lr"] = group["lr"]
    return chosen
