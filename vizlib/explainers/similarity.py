"""Targets without classes: how like a picture's features are to others', or to a sentence's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from vizlib.errors import TargetError
from vizlib.images import read_image

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from vizlib.zoo.model import Model

ITSELF = "self"


@dataclass(frozen=True, eq=False)
class SimilarTo:
    """What ``similar_to`` and ``says`` make: the features of ``reference`` under each model, found when they are first asked for."""

    reference: Any
    label: str
    fit: str | None = None
    text: bool = False
    _features: MutableMapping[Any, torch.Tensor] = field(default_factory=WeakKeyDictionary, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return SimilarTo, (self.reference, self.label, self.fit, self.text)  # what was found of models stays in its process

    def features(self, model: Model) -> torch.Tensor | None:
        """The reference's features (D,), None where they are the picture's own."""
        if isinstance(self.reference, str) and not self.text:
            return None
        if model not in self._features:
            self._features[model] = _features_of(self, model)
        return self._features[model]


def similar_to(reference: Any, *, fit: str | None = None) -> SimilarTo:
    """A target for any model: the cosine of its features with those of ``reference``, for ``explain(..., target=similar_to(...))``.

    ``reference`` is a picture (a path, bytes, PIL or an array (H, W, 3), prepared by ``fit``), a prepared tensor (C, h, w), features (D,)
    or a mean of several, or "self": how much the picture has of its own features (Crabbe and van der Schaar, Label-Free Explainability,
    2022, https://arxiv.org/abs/2203.01928). The score is f(x) r / (|f(x0)| |r|), x0 the picture that is explained: the cosine there, and
    linear in the features, so that a hidden part takes away what it gave. Of a model with classes the features are its logits. TargetError
    for features of another length, ImageError for what is no image.
    """
    if isinstance(reference, str) and reference == ITSELF:
        return SimilarTo(ITSELF, "similar to itself")
    if isinstance(reference, torch.Tensor):
        if reference.ndim not in (1, 3) or not reference.numel():
            raise TargetError(f"A reference is a prepared tensor (C, h, w) or features (D,), not {tuple(reference.shape)}.")
        return SimilarTo(
            reference.detach().cpu(), "similar to another picture" if reference.ndim == 3 else "similar to given features", fit
        )
    if getattr(reference, "ndim", None) == 1:
        return SimilarTo(torch.as_tensor(reference), "similar to given features")
    return SimilarTo(read_image(reference), "similar to another picture", fit)


def says(text: str) -> SimilarTo:
    """A target for a model that holds an open_clip model whole: the cosine of a picture's features with those of a sentence.

    Wrap it as ``wrap(clip, part="visual", outputs=0)``, so that its answer is the picture's features. TargetError where open_clip is not
    installed, or where the model reads no text.
    """
    if not isinstance(text, str) or not text.strip():
        raise TargetError(f"says takes a sentence, not {text!r}.")
    _open_clip()
    return SimilarTo(text, f"says {text!r}", text=True)


def direction(target: SimilarTo, model: Model, answer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The reference's features (D,) and r / (|f| |r|) (D,) float64, for the features (...) that are the answer to the picture explained."""
    own = answer.detach().flatten().double()
    reference = target.features(model)
    reference = own if reference is None else reference.to(own)
    if reference.shape != own.shape:
        raise TargetError(f"{model.card.name} gives {own.numel()} features for a picture, and the reference holds {reference.numel()}.")
    if not bool(torch.isfinite(reference).all()):
        raise TargetError("The reference's features hold NaN or infinity.")
    length = own.norm() * reference.norm()
    if not float(length):
        raise TargetError("Features that are all zero are like nothing: no cosine can be told.")
    return reference, reference / length


def _features_of(target: SimilarTo, model: Model) -> torch.Tensor:
    if target.text:
        return _text_features(target.reference, model)
    reference = target.reference
    if isinstance(reference, torch.Tensor) and reference.ndim == 1:
        return reference
    x = reference[None] if isinstance(reference, torch.Tensor) else model.prepare(reference, target.fit)
    with torch.inference_mode(mode=False), torch.no_grad():
        return model.run(model.resting(), model.cast(x)).flatten().double().cpu()


def _text_features(text: str, model: Model) -> torch.Tensor:
    open_clip = _open_clip()
    encoder: Any = next((part for part in model.resting().modules() if hasattr(part, "encode_text")), None)
    if encoder is None:
        raise TargetError(f"{model.card.name} reads no text; wrap the whole open_clip model, as wrap(clip, part='visual', outputs=0).")
    with torch.inference_mode(mode=False), torch.no_grad():
        return encoder.encode_text(open_clip.tokenize([text]).to(model.device)).flatten().double().cpu()


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise TargetError("says needs open_clip to read a sentence; install it with pip install open_clip_torch.") from error
    return open_clip
