"""An answer as files: a table, all arrays, and the alignment matrix as a picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.errors import VizlibError
from vizlib.figures.picture_words import write
from vizlib.seq2seq.task_base import END
from vizlib.ui.core.tables import to_csv
from vizlib.ui.widgets import downloads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vizlib.seq2seq.translation import Step, Translation

ARRAYS = ("query", "keys", "values", "scores", "weights", "context", "combined", "output", "logits", "probabilities", "heads")
CELL = 36  # pixels
_INK = np.array([23, 94, 104])
_PAPER = np.array([241, 242, 240])


def chance(step: Step, vocabulary: str) -> float:
    """The probability that the model gave to the character of a step; ``vocabulary`` are the characters of its probabilities."""
    return float(step.probabilities[vocabulary.index(step.token)])


def csv(translation: Translation, vocabulary: str) -> str:
    """One line for each pair of a written and a read character; for a model without attention one for each written character."""

    def rows() -> Iterator[list[Any]]:
        for index, step in enumerate(translation.steps):
            written = [index + 1, step.token, chance(step, vocabulary)]
            if step.weights is None:
                yield [*written, None, None, None, None]
                continue
            scores = step.scores if step.scores is not None else [float("nan")] * len(translation.source)
            for place, (char, score, weight) in enumerate(zip(translation.source, scores, step.weights, strict=True)):
                yield [*written, place + 1, char, float(score), float(weight)]

    return to_csv(["step", "written", "probability", "place", "read", "score", "weight"], rows())


def npz(translation: Translation) -> bytes:
    """Every array of every step, as ``name`` (steps, ...); the characters as ``source`` and ``tokens``."""
    arrays = {"source": np.array(list(translation.source)), "tokens": np.array(list(translation.tokens))}
    for name in ARRAYS:
        values = [getattr(step, name) for step in translation.steps]
        if values[0] is not None:
            arrays[name] = np.stack(values)
    return downloads.npz(**arrays)


def png(translation: Translation) -> bytes:
    """The alignment matrix with its characters, on white: a written character a row, a read one a column."""
    from PIL import Image, ImageDraw

    weights = translation.alignment
    if weights is None:
        raise VizlibError("This model has no attention, so there is no alignment to draw.")
    rows, columns = weights.shape
    image = Image.new("RGB", ((columns + 2) * CELL, (rows + 2) * CELL), "white")
    pen = ImageDraw.Draw(image)
    for row in range(rows):
        for column in range(columns):
            left, top = (column + 1) * CELL + CELL // 2, (row + 1) * CELL + CELL // 2
            colour = np.rint(_PAPER + (_INK - _PAPER) * float(weights[row, column])).astype(int)
            pen.rectangle((left + 1, top + 1, left + CELL - 2, top + CELL - 2), fill=tuple(colour.tolist()))
    for column, char in enumerate(translation.source):
        write(pen, ((column + 2) * CELL, CELL), _shown(char), CELL * 0.6, anchor="mm")
    for row, char in enumerate(translation.tokens):
        write(pen, (CELL * 0.8, (row + 2) * CELL), _shown(char), CELL * 0.6, anchor="mm")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _shown(char: str) -> str:
    return {" ": "_", END: "end"}.get(char, char)
