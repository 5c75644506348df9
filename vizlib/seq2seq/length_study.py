"""What attention changed, measured on fresh inputs: accuracy against length, gradients against distance, and what a weight is worth."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import torch

from vizlib.errors import MethodError
from vizlib.seq2seq.decode import force, translate, write_all
from vizlib.seq2seq.measurements import Gradients, LeftOut, LengthRow
from vizlib.seq2seq.options import Options
from vizlib.stats import bootstrap_weights, wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from vizlib.seq2seq.models import Translator
    from vizlib.seq2seq.translation import Translation

    Progress = Callable[[float, float, str], object]

_RESAMPLES = 400
_BATCH = 100


def accuracy_by_length(
    translator: Translator, lengths: Sequence[int], samples: int = 100, seed: int = 0, progress: Progress | None = None
) -> tuple[LengthRow, ...]:
    """Exact match on ``samples`` fresh sources of each length, none of them ever trained on.

    A length depends on ``seed`` and itself only, so it may be asked for alone. ``progress`` hears (done, in all, what) and may raise to
    stop.
    """
    rows: list[LengthRow] = []
    total = len(lengths) * samples
    for length in lengths:
        rng = random.Random(f"{seed} {length}")
        right, written_so_far, placed = 0, 0, 0.0
        while written_so_far < samples:
            pairs = [translator.task.sample_from("test", rng, length) for _ in range(min(_BATCH, samples - written_so_far))]
            written = write_all(translator, [source for source, _ in pairs])
            right += sum(text == target for text, (_, target) in zip(written, pairs, strict=True))
            placed += sum(share_placed(text, target) for text, (_, target) in zip(written, pairs, strict=True))
            written_so_far += len(pairs)
            if progress is not None:
                progress(len(rows) * samples + written_so_far, total, f"{length} characters")
        rows.append(LengthRow(length, right, samples, right / samples, *wilson(right, samples), placed))
    return tuple(rows)


def share_placed(written: str, target: str) -> float:
    """The share of the characters of a target (at least one) that stand in their place in what was written."""
    return sum(first == second for first, second in zip(written, target, strict=False)) / len(target)


def gradient_by_distance(
    translator: Translator,
    samples: int = 60,
    seed: int = 0,
    *,
    length: int | None = None,
    step: int | None = 0,
    progress: Progress | None = None,
) -> Gradients:
    """How much of the gradient reaches a source character, against its distance from the source's end.

    |d log p(y_step) / d embedding_i| on fresh sources of about ``length`` characters (the longest of the task's ``lengths`` that training
    saw unless given), y being the model's own greedy target; ``step`` None takes the whole target's log-probability. Norms are averaged
    over samples and divided by the average at distance 0; the interval is a bootstrap over samples. Where the encoder reads from left to
    right, the distance is the number of recurrent steps between. ``progress`` as in ``accuracy_by_length``.
    """
    task = translator.task
    source_length = length if length is not None else max(size for size in task.lengths if size <= task.trained[1])
    rng = random.Random(f"{seed} {source_length}")
    norms = []
    for sample in range(samples):
        source = task.sample_from("test", rng, source_length)[0]
        norms.append(embedding_gradients(translator, source, step).norm(dim=-1).flip(0).numpy())
        if progress is not None:
            progress(sample + 1, samples, f"{len(source)} characters")
    reach = min(map(len, norms))
    table = np.stack([row[:reach] for row in norms]).astype(np.float64)
    mean = table.mean(0)
    drawn = bootstrap_weights(samples, seed, _RESAMPLES) @ table
    low, high = np.quantile(drawn / drawn[:, :1], (0.025, 0.975), axis=0)
    return Gradients(np.arange(reach), mean / mean[0], low, high)


def embedding_gradients(translator: Translator, source: str, step: int | None = 0) -> Tensor:
    """d log p(y_step) / d embedding of each source character (n, e), y the greedy target; ``step`` None sums over all steps."""
    module = translator.module
    target = translator.encode_target(write_all(translator, [source])[0])[None]
    ids, lengths = translator.batch([source])
    embedded = module.source_embedding(ids).detach().requires_grad_()
    logits = module.forward_embedded(embedded, lengths, target)
    chosen = logits.log_softmax(-1).gather(-1, target[..., None])[0, :, 0]
    return torch.autograd.grad(chosen.sum() if step is None else chosen[step], embedded)[0][0]


def leave_one_out(translator: Translator, text: str, step: int, *, target: str | None = None) -> LeftOut:
    """The exact effect of each source character on one step's character, the characters before it fed as they were.

    ``target`` is fed instead of the model's own greedy one. MethodError for a step that is not there, or a source of one character.
    """
    with torch.inference_mode():
        base = translate(translator, text) if target is None else force(translator, text, target)
        count = len(base.source)
        if not 0 <= step < len(base.steps):
            raise MethodError(f"There are steps 0 to {len(base.steps) - 1}; there is no {step}.")
        if count == 1:
            raise MethodError("Nothing is left of one character when it is left out: type at least two.")
        module = translator.module
        ids = torch.tensor([translator.vocabulary.index(token) for token in base.tokens[: step + 1]])
        fed = ids.expand(count, -1)
        whole, whole_length = translator.batch(["".join(base.source)])
        before = module(whole, whole_length, ids[None]).log_softmax(-1)[0, step, ids[step]]
        shorter = torch.stack([torch.cat([whole[0, :place], whole[0, place + 1 :]]) for place in range(count)])
        without = module(shorter, whole_length.expand(count) - 1, fed).log_softmax(-1)[:, step, ids[step]]
        masked = None
        if translator.card.attention:
            memory = module.encode(whole, whole_length).repeated(count).masked(~torch.eye(count, dtype=torch.bool))
            masked = (before - module.decode(memory, fed).log_softmax(-1)[:, step, ids[step]]).numpy()
    return LeftOut(base.tokens[step], (before - without).numpy(), masked)


def permuted(translator: Translator, text: str, order: Sequence[int]) -> tuple[Translation, float]:
    """The same target written with keys and values in another order, and the largest difference of any probability: rounding alone.

    The Translation's keys, values, scores and weights are in the new order.
    """
    plain = translate(translator, text)
    moved = force(translator, text, plain.output, Options(order=tuple(order)))
    pairs = zip(plain.steps, moved.steps, strict=False)  # a target that ran to the limit has no end mark to compare
    return moved, max(float(np.abs(plain_step.probabilities - moved_step.probabilities).max()) for plain_step, moved_step in pairs)
