"""A model that is ready to be asked: module, adapter, transform and labels together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import ModelError, TargetError, nearest
from vizlib.images import read_image
from vizlib.tracing.attention_overrides import applying_overrides
from vizlib.tracing.default_device import callers_device
from vizlib.tracing.forward_errors import forward_errors
from vizlib.tracing.module_walk import parts_of
from vizlib.tracing.shared_copy import copy_on_cpu, in_evaluation_mode
from vizlib.zoo.activation import preference, probabilities
from vizlib.zoo.heads import chosen_output, input_channels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import nn

    from vizlib.geometry import Geometry, Transform
    from vizlib.zoo.adapters import Adapter
    from vizlib.zoo.cards import ModelCard
    from vizlib.zoo.heads import OutputChoice


GREY = (0.299, 0.587, 0.114)  # what red, green and blue are of grey (ITU-R BT.601)


@dataclass(frozen=True, eq=False)
class Model:
    """A module as it is, read in place: nothing here changes its weights, hooks or mode.

    ``transform`` is None for a live module that does not say what it takes; prepared tensors still work. ``recipe`` is what
    ``vizlib.load`` needs to make the same model again, None for a live module.
    """

    module: nn.Module
    card: ModelCard
    adapter: Adapter
    transform: Transform | None
    labels: tuple[str, ...] | None
    recipe: dict[str, Any] | None = field(default=None, repr=False)
    outputs: OutputChoice | None = field(default=None, repr=False)
    known_activation: str | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"Model({self.card.name}: {self.card.family}, {self.card.parameters:,} parameters, {self.num_classes} classes)"

    def _repr_html_(self) -> str:
        from vizlib.figures.notebook import table_html

        height, width = self.transform.size if self.transform is not None else self.card.input_size
        size = f"{height} x {width} px" if height else "prepared tensors"
        rows = [
            ("family", self.card.family),
            ("module", type(self.module).__name__),
            ("parameters", f"{self.card.parameters:,}"),
            ("input", size),
            ("classes", f"{self.num_classes:,}" if self.num_classes else "none: it gives features"),
            ("methods", ", ".join(self.card.methods)),
        ]
        return table_html(self.card.name, [*rows, *((f"no {method}", why) for method, why in self.card.unavailable.items())])

    @property
    def num_classes(self) -> int:
        """The number of classes of the answer, 0 where the model gives features."""
        return self.adapter.classes

    @property
    def activation(self) -> str | None:
        """What makes probabilities of the logits, where it was given or is certain (sigmoid for one logit); softmax is taken for None."""
        return self.known_activation or ("sigmoid" if self.adapter.classes == 1 else None)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """The probability of each class, of this model's logits (..., K), in at least float32."""
        return probabilities(logits, self.activation or "softmax")

    def target_probability(self, logits: torch.Tensor, target: int | tuple[int, int]) -> torch.Tensor:
        """The probability (N,) of a class, or of the first of two as if there were no others, of logits (N, K)."""
        if isinstance(target, tuple):
            return preference(logits, *target, self.activation or "softmax")
        return self.probabilities(logits)[:, target]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of prepared inputs (B, 3, H, W), cast to the model's device and precision; features where there is no head.

        The module runs as in evaluation whatever its mode, which stays. ModelError for a size it cannot take.
        """
        return self.run(self.resting(), x)

    def class_logits(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of prepared inputs; TargetError where the answer is none in classes, but at many places."""
        logits = self(x)
        if logits.ndim != 2:
            raise TargetError(f"{self.card.name} gives {tuple(logits.shape[1:])} for each image, so it predicts no classes.")
        return logits

    def resting(self) -> nn.Module:
        """The module, or a shared copy of it in evaluation mode where some part is training."""
        return in_evaluation_mode(self.module)

    def run(self, module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """The output of ``module``, this model's own or a shared copy of it, for prepared inputs: logits (B, K), or features (B, ...)."""
        # A clone, since a module may normalise its input in place.
        with applying_overrides(), callers_device(), forward_errors(self.card.name, module, x):
            returned = self.adapter.call(module, self.cast(x).clone())
        output = chosen_output(returned, self.outputs, self.card.name)
        if not isinstance(output, torch.Tensor):
            keys = [str(key)[:30] for key in output][:5] if isinstance(output, Mapping) else []
            held = f" ({', '.join(keys)})" if keys else f" of {len(output)}" if isinstance(output, tuple | list) else ""
            raise ModelError(
                f"{self.card.name} gives a {type(output).__name__}{held} where vizlib reads logits of shape (images, classes); "
                "name the part to read, as wrap(module, outputs=...)."
            )
        if not output.is_floating_point() or output.layout != torch.strided or not output.numel():
            kind = f"{output.dtype} of shape {tuple(output.shape)}".removeprefix("torch.")
            raise ModelError(f"{self.card.name} answers in {kind}, and vizlib reads real numbers: logits of shape (images, classes).")
        if output.shape in (x.shape[:1], ()) and output.numel() == len(x):
            output = output.reshape(len(x), 1)  # one logit, squeezed
        if output.ndim < 2 or len(output) != len(x):
            raise ModelError(
                f"{self.card.name} gives a tensor of shape {tuple(output.shape)} for {len(x)} images where vizlib reads one row for each."
            )
        if output.ndim == 2:
            self._note_classes(output.shape[1])
        else:
            self._note_no_classes(tuple(output.shape[1:]))
        return output

    def _note_classes(self, width: int) -> None:
        """The answer is as wide as it is: a guess that was wrong is put right; labels or a number that were given must fit."""
        adapter = self.adapter
        if adapter.classes in (0, width):
            return
        if adapter.told_classes is not None or self.labels is not None:
            given = f"{len(self.labels)} labels" if self.labels is not None else f"num_classes={adapter.told_classes}"
            raise ModelError(f"{self.card.name} answers in {width} classes, and {given} were given; give as many as it has.")
        adapter.told_classes = width

    def _note_no_classes(self, shape: tuple[int, ...]) -> None:
        """An answer of this shape for each image is none in classes, whatever the last layer looked like."""
        adapter = self.adapter
        if adapter.classes == 0:
            return
        if adapter.told_classes is not None or self.labels is not None:
            raise ModelError(
                f"{self.card.name} gives {shape} for each image, which is no answer in {adapter.classes} classes; leave num_classes= and "
                "labels= out and give a function of its output as the target, or name a part (B, K) of it, as outputs=."
            )
        adapter.told_classes = 0
        adapter.refusals["head"] = f"its answer is {shape} for each image, not one in classes; give a function of it as the target"

    def cast(self, x: torch.Tensor) -> torch.Tensor:
        """Inputs (B, 3, H, W) on the model's device and in its precision; ModelError for another shape or a size it cannot take."""
        if not isinstance(x, torch.Tensor):
            raise ModelError(f"{self.card.name} takes prepared tensors, not a {type(x).__name__}; vizlib.predict takes pictures.")
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ModelError(f"{self.card.name} takes tensors of shape (images, {self.channels}, height, width), not {tuple(x.shape)}.")
        if self.module_is_meta:
            raise ModelError(
                f"{self.card.name} has no weights (they are on the meta device); give it some, as module.to_empty(device='cpu') and "
                "load_state_dict do."
            )
        self.adapter.check_size((int(x.shape[2]), int(x.shape[3])))
        weight = self._weight()
        return x.to(weight.device, weight.dtype)

    @property
    def module_is_meta(self) -> bool:
        """Whether some of the weights are on the meta device, and so not there."""
        return any(tensor.is_meta for part in parts_of(self.module) for tensor in part._parameters.values() if tensor is not None)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._weight().device

    def on_cpu(self) -> Model:
        """The same model with its weights on the CPU, a copy where they lie elsewhere; this one stays where it is."""
        return self if self.device.type == "cpu" else copy_on_cpu(self, self.module)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the first floating-point weight."""
        return self._weight().dtype

    def _weight(self) -> torch.Tensor:
        for tensor in chain(self.module.parameters(), self.module.buffers()):
            if tensor.is_floating_point():
                return tensor
        return torch.zeros(())

    def prepare(self, image: Any, fit: str | None = None) -> torch.Tensor:
        """The model's input (1, 3, h, w) for any image that ``read_image`` takes, by its own transform or fitted as ``fit`` says.

        A model of one channel gets the picture's grey (1, 1, h, w), normalised by the means of mean and deviation; ModelError for other
        numbers of channels, whose meaning a picture does not say.
        """
        transform, picture = self._transform(), read_image(image)
        if self.channels == 3:
            return transform.prepare(picture, fit)
        if self.channels != 1:
            raise ModelError(f"{self.card.name} takes {self.channels} channels, which a picture does not have; give a prepared tensor.")
        weights = torch.tensor(GREY)[:, None, None]
        mean, std = (torch.tensor(values)[:, None, None] for values in (transform.mean, transform.std))
        colours = transform.prepare(picture, fit)[0] * std + mean
        grey = (colours * weights).sum(0)
        return ((grey - mean.mean()) / std.mean())[None, None]

    def picture(self, x: torch.Tensor) -> np.ndarray:
        """A prepared input (1, C, h, w) as a picture uint8 (h, w, 3): colours, grey for one channel, the mean of any other channels."""
        values = x[0].detach().float().cpu()
        if self.transform is not None and len(values) == 3:
            return self.transform.to_rgb(values)
        if self.transform is not None and len(values) == 1:
            mean, std = (sum(numbers) / 3 for numbers in (self.transform.mean, self.transform.std))
            shown = (values * std + mean).clamp(0, 1)
        else:
            values = values if len(values) == 3 else values.mean(0, keepdim=True)
            low, high = values.min(), values.max()
            shown = (values - low) / (high - low).clamp_min(1e-12)
        return (shown * 255).round().byte().expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()

    @cached_property
    def channels(self) -> int:
        """How many channels an input has: those of the first convolution, 3 where there is none.

        Also 3 where the module takes three all the same, since it makes them grey, say, before its first convolution.
        """
        first = input_channels(self.module)
        return 3 if first != 3 and self._takes(3) else first

    def _takes(self, channels: int) -> bool:
        """Whether the module runs on an input of so many channels; not known, and so False, where its size is not known."""
        if self.transform is None or self.module_is_meta:
            return False
        x = torch.zeros(1, channels, *self.transform.size, device=self.device, dtype=self.dtype)
        try:
            with torch.no_grad(), callers_device(), forward_errors(self.card.name, self.module, x):
                self.adapter.call(self.resting(), x)
        except ModelError:
            return False
        return True

    def geometry(self, image_size: tuple[int, int], fit: str | None = None) -> Geometry:
        """The mapping between the pixels of an image (H, W) and the model's, both ways."""
        return self._transform().geometry(image_size, fit)

    def _transform(self) -> Transform:
        if self.transform is None:
            raise ModelError(f"{self.card.name} does not say how its inputs are prepared; wrap it with input_size= or transform=.")
        return self.transform

    def label(self, index: int) -> str:
        """The name of a class, or its number where there are no names."""
        return self.labels[index] if self.labels else str(index)

    def index_of(self, label: str) -> int:
        """The class that a label names, capitals aside; a label of several words for one class matches by any of them.

        TargetError, with the nearest labels, for one that names none.
        """
        if not self.labels:
            raise TargetError(f"{self.card.name} has no class names; give the target as a number below {self.adapter.classes}.")
        wanted = label.strip().lower()
        whole = [index for index, name in enumerate(self.labels) if name.lower() == wanted]
        partial = [index for index, name in enumerate(self.labels) if wanted in _words(name)]
        for matches in (whole, partial):
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise TargetError(
                    f"{label!r} names {len(matches)} classes of {self.card.name} ({', '.join(map(str, matches))}); give the number."
                )
        words = sorted({word for name in self.labels for word in _words(name)} | {name.lower() for name in self.labels})
        raise TargetError(f"{self.card.name} has no class {label!r}.{nearest(wanted, words)}")


def checked_model(model: Any) -> Model:
    """The model; ModelError, with what to do, for what is none, as a bare module or a name."""
    if isinstance(model, Model):
        return model
    way = "vizlib.load takes its name" if isinstance(model, str) else "vizlib.wrap makes one of a torch module"
    raise ModelError(f"A model is what vizlib.load or vizlib.wrap give, not a {type(model).__name__}: {way}.")


def check_labels(labels: Sequence[str] | Mapping[int, str] | None, classes: int, name: str) -> tuple[str, ...] | None:
    """The labels as a tuple; ModelError when there is not one for each class."""
    if labels is None:
        return None
    if isinstance(labels, Mapping):  # as transformers' id2label
        if set(labels) != set(range(len(labels))):
            raise ModelError(f"Labels by number hold one for each class from 0 on; these hold {', '.join(map(str, list(labels)[:5]))}.")
        labels = [labels[index] for index in range(len(labels))]
    if isinstance(labels, str) or not hasattr(labels, "__len__") or not hasattr(labels, "__iter__"):
        raise ModelError(f"Labels are a list with a name for each class, not {str(labels)[:40]!r}.")
    if len(labels) != classes:
        raise ModelError(f"{name} has {classes} classes and was given {len(labels)} labels.")
    return tuple(str(label) for label in labels)


def _words(name: str) -> list[str]:
    return [word.strip().lower() for word in name.split(",")]
