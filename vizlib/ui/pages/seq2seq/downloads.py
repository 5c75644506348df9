"""An answer as files: a table, all arrays, and the alignment matrix as a picture."""

from __future__ import annotations

import csv as tables
import io
from typing import TYPE_CHECKING

import numpy as np

from vizlib.errors import VizlibError
from vizlib.seq2seq.task_base import END

if TYPE_CHECKING:
    from vizlib.seq2seq.decode import Step, Translation

ARRAYS = ("query", "keys", "values", "scores", "weights", "context", "combined", "output", "logits", "probabilities", "heads")
CELL = 36  # pixels
_INK = np.array([23, 94, 104])
_PAPER = np.array([241, 242, 240])


def chance(step: Step, vocabulary: str) -> float:
    """The probability that the model gave to the character of a step; ``vocabulary`` are the characters of its probabilities."""
    return float(step.probabilities[vocabulary.index(step.token)])


def csv(made: Translation, vocabulary: str) -> str:
    """One line for each pair of a written and a read character; for a model without attention one for each written character."""
    buffer = io.StringIO()
    writer = tables.writer(buffer)
    writer.writerow(["step", "written", "probability", "place", "read", "score", "weight"])
    for index, step in enumerate(made.steps):
        known = [index + 1, step.token, repr(chance(step, vocabulary))]
        if step.weights is None:
            writer.writerow([*known, "", "", "", ""])
            continue
        scores = step.scores if step.scores is not None else [float("nan")] * len(made.source)
        for place, (char, score, weight) in enumerate(zip(made.source, scores, step.weights, strict=True)):
            writer.writerow([*known, place + 1, char, repr(float(score)), repr(float(weight))])
    return buffer.getvalue()


def npz(made: Translation) -> bytes:
    """Every array of every step, as ``name`` (steps, ...); the characters as ``source`` and ``tokens``."""
    arrays = {"source": np.array(list(made.source)), "tokens": np.array(list(made.tokens))}
    for name in ARRAYS:
        found = [getattr(step, name) for step in made.steps]
        if found[0] is not None:
            arrays[name] = np.stack(found)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def png(made: Translation) -> bytes:
    """The alignment matrix with its characters, on white: a written character a row, a read one a column."""
    from PIL import Image, ImageDraw, ImageFont

    weights = made.alignment
    if weights is None:
        raise VizlibError("This model has no attention, so there is no alignment to draw.")
    rows, columns = weights.shape
    image = Image.new("RGB", ((columns + 2) * CELL, (rows + 2) * CELL), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=CELL * 0.6)
    for row in range(rows):
        for column in range(columns):
            left, top = (column + 1) * CELL + CELL // 2, (row + 1) * CELL + CELL // 2
            colour = np.rint(_PAPER + (_INK - _PAPER) * float(weights[row, column])).astype(int)
            pen.rectangle((left + 1, top + 1, left + CELL - 2, top + CELL - 2), fill=tuple(colour.tolist()))
    for column, char in enumerate(made.source):
        pen.text(((column + 2) * CELL, CELL), _shown(char), fill="black", font=font, anchor="mm")
    for row, char in enumerate(made.tokens):
        pen.text((CELL * 0.8, (row + 2) * CELL), _shown(char), fill="black", font=font, anchor="mm")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _shown(char: str) -> str:
    return {" ": "_", END: "end"}.get(char, char)
