"""What is known of a model family before any of its models is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a method may need of a model; a family says for each whether it lacks it, and why.
NEEDS: Final = {
    "head": "class logits",
    "lineage": "attention that can be followed down to the pixels",
    "feature_map": "a last feature map (B, C, h, w)",
    "layers": "a head that can read the tokens of every block",
    "relu": "ReLUs as parts of the module",
    "keys": "tokens that can be hidden from every attention",
    "two_classifiers": "a second classifier, as a distilled DeiT has",
}

NO_HEAD: Final = (
    "the model has no classification head, so it has no classes to explain; give a function of its features as the target, "
    "vizlib.similar_to(...), or num_classes= where its answer is one in classes"
)
UNKNOWN_HEAD: Final = (
    "how many classes the model answers in cannot be read from its parts; give num_classes=, or a function of its answer as the target"
)
NO_RELU: Final = "it changes what passes a ReLU, and the activations of this model's layers are others"
NO_ATTENTION: Final = "the model has no attention, so there are no attention rows to follow"
IN_WINDOWS: Final = "its attention runs in windows, each with keys of its own, and a token cannot be hidden from all of them"
ONE_HEAD: Final = "its head reads the tokens of the last stage, and those of earlier stages do not fit it"
ONE_HEAD_OF_CHANNELS: Final = "its head reads the channels of the last stage, and those of earlier stages do not fit it"
ONE_CLASSIFIER: Final = "the model has one classifier, not the two of a distilled DeiT"


@dataclass(frozen=True)
class Family:
    """One family: what it ``lacks`` of NEEDS with the reason, and its ``adapter`` as "module:class" below ``vizlib.zoo.adapters``.

    An adapter starts from ``lacks`` and adds what it finds in one module. ``others`` are the adapters for the family's models of other
    libraries.
    """

    name: str
    adapter: str
    lacks: Mapping[str, str] = field(default_factory=dict, hash=False)
    others: tuple[str, ...] = ()
