"""Writing a target character by character, with every quantity of every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vizlib.errors import MethodError
from vizlib.seq2seq.decoder_state import Memory, Reading, Steering
from vizlib.seq2seq.formulas import formulas
from vizlib.seq2seq.options import AS_TRAINED, Options
from vizlib.seq2seq.translation import Step, Translation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from vizlib.seq2seq.models import Translator

END_ID = 0
TOP = 5
MAX_BEAMS = 20


def translate(translator: Translator, text: str, *, beams: int = 1, options: Options = AS_TRAINED) -> Translation:
    """What the model writes for a text: the likeliest character at each step, or the likeliest target of a search with ``beams``.

    TextError for a text that the model cannot read, MethodError for options that do not fit it.
    """
    if not 1 <= beams <= MAX_BEAMS:
        raise MethodError(f"A search keeps 1 to {MAX_BEAMS} beams, not {beams}.")
    with torch.inference_mode():
        source, memory = read_source(translator, text, options)
        if beams == 1:
            return _write(translator, source, memory, options, lambda _, logits: int(logits.argmax()))
        targets = search(translator, memory, options, beams)
        decoded = tuple((translator.decode(ids), value) for ids, value in targets)
        best = targets[0][0]
        return _write(translator, source, memory, options, lambda step, _: best[step], decoded, len(best))


def force(translator: Translator, text: str, target: str, options: Options = AS_TRAINED) -> Translation:
    """Teacher forcing: ``target`` is fed whatever the model would write, and the steps tell what it thought of it.

    TextError for a text or target with characters that the model does not know, or a target that is too long.
    """
    with torch.inference_mode():
        source, memory = read_source(translator, text, options)
        ids = translator.encode_target(target).tolist()
        return _write(translator, source, memory, options, lambda step, _: ids[step], None, len(ids))


def write_all(translator: Translator, texts: Sequence[str]) -> list[str]:
    """What the model writes, greedily, for many checked sources at once: much faster, and no more than the texts."""
    with torch.inference_mode():
        memory = translator.module.encode(*translator.batch(texts))
        state, last = memory.first, torch.full((len(texts),), translator.module.start)
        ended = torch.zeros(len(texts), dtype=torch.bool)
        written = []
        for _ in range(translator.task.longest_output):
            state, reading = translator.module.step(memory, state, last)
            last = reading.logits.argmax(-1)
            written.append(last)
            ended |= last == END_ID
            if ended.all():
                break
    return [translator.decode(row) for row in torch.stack(written, dim=1).tolist()]


def read_source(translator: Translator, text: str, options: Options) -> tuple[str, Memory]:
    """The checked source and what the encoder makes of it, mask and order of the options applied: a batch of one."""
    source = translator.task.check(text)
    options.check(len(source), attention=translator.card.attention)
    memory = translator.module.encode(*translator.batch([source]))
    if options.mask is not None:
        memory = memory.masked(torch.tensor(options.mask))
    if options.order is not None:
        memory = memory.ordered(torch.tensor(options.order))
    return source, memory


def steering(options: Options, step: int) -> Steering:
    """What the options change at one step: scores or weights (n,) in the order of the keys; weights are made to sum to 1."""
    scores = _row(options, (options.scores or {}).get(step))
    weights = _row(options, (options.head_weights or {}).get(step))
    return Steering(options.temperature, options.scale, scores, weights if weights is None else weights / weights.sum())


def search(translator: Translator, memory: Memory, options: Options, beams: int) -> list[tuple[list[int], float]]:
    """Beam search over one sentence: at most ``beams`` targets as ids with their log-probabilities, the likeliest first.

    At each step the ``beams`` likeliest continuations are kept; lengths are not rewarded. A target that is still open after the task's
    longest output is kept as it is.
    """
    module = translator.module
    live: list[tuple[list[int], float]] = [([], 0.0)]
    state, ended = memory.first, []
    for step in range(translator.task.longest_output):
        last = torch.tensor([ids[-1] if ids else module.start for ids, _ in live])
        state, reading = module.step(memory.repeated(len(live)), state, last, steering(options, step))
        totals = torch.tensor([value for _, value in live], dtype=torch.float64)[:, None] + reading.logits.double().log_softmax(-1)
        values, places = totals.flatten().topk(min(beams, totals.numel()))
        open_targets = []
        for value, place in zip(values.tolist(), places.tolist(), strict=True):
            row, token = divmod(place, totals.shape[1])
            grown = ([*live[row][0], token], value)
            if token == END_ID:
                ended.append(grown)
            else:
                open_targets.append((row, grown))
        live = [grown for _, grown in open_targets]
        best = sorted(ended, key=lambda target: -target[1])[:beams]
        # A log-probability only falls, so no open target can still overtake a full list of ended ones.
        if not live or (len(best) == beams and best[-1][1] >= live[0][1]):
            return best
        state = tuple(part[[row for row, _ in open_targets]] for part in state)
    return sorted([*ended, *live], key=lambda target: -target[1])[:beams]


def _write(
    translator: Translator,
    source: str,
    memory: Memory,
    options: Options,
    choose: Callable[[int, Tensor], int],
    beams: tuple[tuple[str, float], ...] | None = None,
    most: int | None = None,
) -> Translation:
    formula = formulas(translator.card.cell, translator.card.score)
    state, last, ids, steps, total = memory.first, torch.tensor([translator.module.start]), [], [], 0.0
    for number in range(translator.task.longest_output if most is None else most):
        state, reading = translator.module.step(memory, state, last, steering(options, number))
        chosen = choose(number, reading.logits[0])
        total += float(reading.logits[0].double().log_softmax(-1)[chosen])
        steps.append(_step(translator, reading, chosen, formula))
        ids.append(chosen)
        if chosen == END_ID:
            break
        last = torch.tensor([chosen])
    output, truth = translator.decode(ids), translator.task.truth(source)
    return Translation(
        source=tuple(source),
        output=output,
        tokens=tuple(translator.vocabulary[number] for number in ids),
        steps=tuple(steps),
        log_probability=total,
        beams=beams or ((output, total),),
        right=None if truth is None else output == truth,
        encoder_weights=torch.stack([weights[0] for weights in memory.weights]).numpy() if memory.weights else None,
    )


def _step(translator: Translator, reading: Reading, chosen: int, formula: dict[str, str]) -> Step:
    probabilities = reading.logits[0].softmax(-1)
    values, places = probabilities.topk(min(TOP, len(probabilities)))
    top = tuple((translator.vocabulary[place], value) for place, value in zip(places.tolist(), values.tolist(), strict=True))
    quantities: dict[str, Any] = {
        name: None if (value := getattr(reading, name)) is None else value[0].numpy()
        for name in ("combined", "output", "logits", "query", "keys", "values", "scores", "weights", "context", "heads", "self_weights")
    }
    per_head = {name: value[0].numpy() for name, value in reading.per_head.items()}
    return Step(translator.vocabulary[chosen], probabilities.numpy(), top, per_head=per_head, formula=formula, **quantities)


def _row(options: Options, values: tuple[float, ...] | None) -> Tensor | None:
    if values is None:
        return None
    row = torch.tensor(values, dtype=torch.float32)
    return row if options.order is None else row[list(options.order)]
