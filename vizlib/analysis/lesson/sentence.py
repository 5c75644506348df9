"""A sentence through a bottleneck, and where attention looks: the two steps of the lesson before any picture."""

from __future__ import annotations

from vizlib.analysis.lesson.outcome import TELLS, Outcome, largest
from vizlib.seq2seq.decode import translate
from vizlib.seq2seq.models import load

TEXT = "tuesday, 3rd of may 1994"
PARTS = ("the year", "the month", "the day", "nothing")
STEP = 6  # the character of the month's number that says which month it is


def bottleneck(text: str = TEXT) -> Outcome:
    """Which part of a date the model without attention loses: year, month, day or nothing."""
    translator = load("dates_gru_none")
    truth = str(translator.task.truth(text))
    written = translate(translator, text).output
    parts = zip(truth.split("-"), (*written.split("-"), "", "")[:3], strict=True)
    lost = [float(first != second) for first, second in parts]
    values = (*lost, float(not any(lost)))
    return Outcome(PARTS, values, largest(values), facts={"text": text, "truth": truth, "written": written})


def looked_at(text: str = TEXT, step: int = STEP) -> Outcome:
    """At which word the model with attention looks while it writes one character; the values are each word's share of the attention."""
    translation = translate(load("dates_gru_concat"), text)
    weights = translation.steps[step].weights
    assert weights is not None  # noqa: S101  the model has attention
    words, values, start = text.split(" "), [], 0
    for word in words:
        values.append(float(weights[start : start + len(word)].sum()))
        start += len(word) + 1
    facts = {"text": text, "written": "".join(translation.tokens[:step]), "token": translation.tokens[step], "output": translation.output}
    return Outcome(tuple(words), tuple(values), largest(values, TELLS), facts=facts)
