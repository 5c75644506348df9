"""What translators are asked beside the page: answers, what follows from an edit, and the lessons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

import vizlib
from vizlib.engine.worker_memory import remember
from vizlib.seq2seq.options import Options
from vizlib.seq2seq.task_base import END
from vizlib.ui.pages.seq2seq import text as words
from vizlib.ui.pages.seq2seq.decoder_edit import raw_scores, view_of, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vizlib.engine.jobs import Progress
    from vizlib.seq2seq.measurements import LeftOut
    from vizlib.seq2seq.models import Translator
    from vizlib.seq2seq.translation import Step, Translation
    from vizlib.ui.pages.seq2seq.decoder_edit import Edit


@dataclass(frozen=True, eq=False)
class TextResult:
    """A result about one text: a few hundred kilobytes at the most."""

    result: Any
    nbytes: int = 64 << 10


@dataclass(frozen=True)
class Outcome:
    """What follows from an edit: the step after it, what is written then, and what would be with the same change at every step.

    Along an answer that is given or that a beam found, what is written is the likeliest character of each of its steps.
    ``everywhere`` is None where that is no other question: scores set by hand belong to one step, and in the Transformer a change of
    temperature, scale or mask is always one of every step.
    """

    step: Step
    output: str
    everywhere: str | None


@dataclass(frozen=True)
class Shuffled:
    """An answer with its keys in another order, the largest difference of any probability, and what the characters in that order give.

    ``read`` is the text in the new order and ``written`` its answer; None where that text cannot be read.
    """

    translation: Translation
    difference: float
    read: str
    written: str | None


def ask_translator(work: Callable[[Translator], Any], name: str, *, progress: Progress) -> TextResult:
    """What ``work`` with the translator of this name gives."""
    progress(0, None, "Reading")
    return TextResult(work(translator(name)))


def translator(name: str) -> Translator:
    """The translator of this name, in the memory of the process that works."""
    return remember((name, "translator"), partial(_load, name), lambda model: 4 * model.card.parameters)


def import_translators(progress: Progress) -> None:  # noqa: ARG001  it has no steps
    """What translators import, without what vision models do."""
    import vizlib.seq2seq.decode  # noqa: F401
    import vizlib.seq2seq.models  # noqa: F401


def compute_translation(model: Translator, *, text: str, beams: int, target: str | None) -> Translation:
    """What is written for a text, greedily or by a beam, or along a ``target`` that is given."""
    from vizlib.seq2seq.decode import force, translate

    return translate(model, text, beams=beams) if target is None else force(model, text, target)


def compute_outcome(
    model: Translator, *, text: str, translation: Translation, step: int, edit: Edit, beams: int, target: str | None
) -> Outcome:
    """What the decoder writes on after an edit of one step."""
    from vizlib.seq2seq.decode import translate

    mask = tuple(place not in edit.mask for place in range(len(translation.source))) if edit.mask else None
    scale = None if edit.scale == "as" else edit.scale == "on"
    general = Options(temperature=edit.tau, scale=scale, mask=mask)
    free = target is None and beams == 1

    def everywhere() -> str:
        return translate(model, text, options=general).output if free else words.own(again(model, translation, general))

    if model.card.cell == "transformer":
        return Outcome(again(model, translation, general).steps[step], everywhere(), None)
    view, scaled = view_of(translation.steps[step], 0), model.card.score == "scaled_dot"
    weights = weights_of(raw_scores(view, divided_by=scaled), edit, scaled=scaled, width=view.width)
    replaced = Options(head_weights={step: tuple(weights.tolist())})
    along = translate(model, text, options=replaced) if free else again(model, translation, replaced)
    output = along.output if free else words.own(along)
    return Outcome(along.steps[step], output, None if general == Options() else everywhere())


def compute_left_out(model: Translator, *, text: str, step: int, target: str) -> LeftOut:
    """What each character of a text is worth to one step."""
    from vizlib.seq2seq.length_study import leave_one_out

    return leave_one_out(model, text, step, target=target)


def compute_shuffled(model: Translator, *, translation: Translation, order: tuple[int, ...]) -> Shuffled:
    """An answer with its keys in another order, and what the characters in that order give."""
    from vizlib.seq2seq.decode import translate

    moved = again(model, translation, Options(order=order))
    pairs = zip(translation.steps, moved.steps, strict=True)
    difference = max(float(np.abs(before.probabilities - after.probabilities).max()) for before, after in pairs)
    read = "".join(translation.source[place] for place in order)
    try:
        written = translate(model, read).output
    except vizlib.TextError:
        written = None
    return Shuffled(moved, difference, read, written)


def again(translator: Translator, translation: Translation, options: Options) -> Translation:
    """An answer written again under other options, its own characters given at every step; as many steps as it had."""
    from vizlib.seq2seq.decode import force

    along = force(translator, "".join(translation.source), given(translation), options)
    # An answer that was cut off at the longest there may be has no end mark, and teacher forcing asks for one.
    return replace(along, steps=along.steps[: len(translation.steps)], tokens=along.tokens[: len(translation.tokens)])


def given(translation: Translation) -> str:
    """The characters of an answer as teacher forcing takes them."""
    return "".join(translation.tokens).removesuffix(END)


def _load(name: str) -> Translator:
    from vizlib.seq2seq.models import load

    return load(name)
