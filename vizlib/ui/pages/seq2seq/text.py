"""What the seq2seq page says: the formulas of each score, the papers, and the Python that gives the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.figures.numbers import counted, percent
from vizlib.seq2seq.task_base import END
from vizlib.ui.core.formatting import linked

if TYPE_CHECKING:
    from vizlib.seq2seq.cards import Seq2SeqCard
    from vizlib.seq2seq.translation import Translation
    from vizlib.ui.pages.seq2seq.choices import TranslationRequest

NO_ATTENTION = (
    "This model has **no attention**: the encoder squeezes all it read into one vector of fixed size before the first character is "
    "written, and the decoder never looks back. There is no matrix to draw, and no step of attention to take apart. Choose a model "
    "with attention to see the difference, or measure it below."
)
APART = (
    "Seven small computations make one written character. Point at any number for its formula. Drag a score up or down, click a character "
    "to hide its key, or turn the temperature: softmax and weighted sum follow at once, and the rest is computed by the model itself."
)
APART_TRANSFORMER = (
    "One head of the last layer, number by number: point at any of them for its formula. Temperature, scale and hidden keys change every "
    "head of every layer at every step, as one setting of the whole model."
)
PROBLEMS = (
    "Two things went wrong in encoder-decoders before attention. **The bottleneck:** a vector of fixed size has to hold a text of any "
    "length, so long ones should fail first. **The vanishing gradient:** what the first output learns from an input far away has to travel "
    "back through every step between. Attention connects every output to every input directly. Both are measured here, on inputs that "
    "no model was trained on."
)
PERMUTED = (
    "Attention is a sum over keys, and a sum has no order: shuffle the keys together with their values and exactly the same comes out. "
    "What knows about order is what made the keys. Shuffle the **characters** instead, so that they are read in another order, and the "
    "answer may be another one: an RNN feels the order because it reads step by step, and a Transformer, which has nothing but sums, needs "
    "**position embeddings** for it."
)
NOT_EXPLANATION = (
    "A weight says how much of a value goes into the sum, not what the answer would be without it. So leave every character out, one at "
    "a time, and see what the log-probability of this step's character loses: exactly, by running the model again."
)
DEBATE = (
    "[Jain and Wallace, Attention is not Explanation (2019)](https://arxiv.org/abs/1902.10186) and "
    "[Wiegreffe and Pinter, Attention is not not Explanation (2019)](https://arxiv.org/abs/1908.04626)."
)
PAPERS = (
    "[Sutskever et al. (2014)](https://arxiv.org/abs/1409.3215), [Bahdanau et al. (2015)](https://arxiv.org/abs/1409.0473), "
    "[Luong et al. (2015)](https://arxiv.org/abs/1508.04025), [Vaswani et al. (2017)](https://arxiv.org/abs/1706.03762)."
)
_SCORE = {
    "dot": ("e_{j} = q · k_{j}", "e_{j} = Σ_{i} q_{i} k_{j,i}"),
    "scaled_dot": ("e_{j} = q · k_{j} / √d", "e_{j} = Σ_{i} q_{i} k_{j,i} / √d"),
    "general": ("e_{j} = q W k_{j}", "e_{j} = Σ_{i,l} q_{i} W_{i,l} k_{j,l}"),
    "concat": ("e_{j} = v · tanh(W q + U k_{j})", "e_{j} = Σ_{a} v_{a} tanh(Σ_{i} W_{a,i} q_{i} + Σ_{i} U_{a,i} k_{j,i})"),
}


def step_words(card: Seq2SeqCard) -> dict[str, object]:
    """How the parts of a step are called and computed in a model, for the component that takes it apart."""
    short, full = _SCORE[card.score or "dot"]
    if card.cell == "transformer":
        formulas = {
            "query": "q = W_{Q} LN(x_{t}) + b_{Q}", "keys": "k_{j} = W_{K} h_{j} + b_{K}", "values": "v_{j} = W_{V} h_{j} + b_{V}",
            "combined_short": "x′ = x + W_{O} [c^{(1)}; …; c^{(H)}] + b_{O}",
            "combined": "x′ = x + W_{O} [c^{(1)}; …; c^{(H)}] + b_{O}: what all heads read is added to the state",
            "output_short": "o = LN(x′ + FFN(LN(x′)))", "output": "o = LN(x′ + W_{2} relu(W_{1} LN(x′) + b_{1}) + b_{2})",
        }  # fmt: skip
        query, key = "what this head makes of the decoder's state", "is what this head makes of the encoder's state at one character"
    else:
        formulas = {
            "query": f"q = {card.cell.upper()}(last character written, state before)", "keys": "k_{j} = [forward h_{j}; backward h_{j}]",
            "values": "v_{j} = k_{j}: in this model the values are the keys", "combined_short": "[c; q], what was read and who asked",
            "combined": "[c; q]: two vectors in a row", "output_short": "o = tanh(W_{c} [c; q] + b_{c})",
            "output": "o_{i} = tanh(Σ_{l} W_{c,i,l} [c; q]_{l} + b_{c,i})",
        }  # fmt: skip
        query, key = "the decoder's state", "is the encoder's state at one character, read from both sides"
    formulas |= {"all": f"c = Σ_{{j}} softmax(e)_{{j}} v_{{j}},   {short}", "score_short": short, "score": full}
    return {"formulas": formulas, "query_words": query, "key_words": key, "squashed": card.cell != "transformer"}


def quoted(char: str) -> str:
    """A character as a sentence names it."""
    return {" ": "the blank", END: "the end mark"}.get(char, f"“{char}”")


def code(text: str) -> str:
    """A text for a piece of Markdown code, its blanks seen."""
    return text.replace(" ", "␣").replace("`", "'")


def own(translation: Translation) -> str:
    """What the model would have written at every step, where the characters were given to it."""
    written = []
    for step in translation.steps:
        best = step.top[0][0]
        if best == END:
            break
        written.append(best)
    return "".join(written)


def how_right(truth: str, output: str, *, date: bool) -> str:
    """How much of an answer is right: all, or which characters, and of a date which of year, month and day."""
    if output == truth:
        return f"That is right: `{code(truth)}`."
    text = f"Right would be `{code(truth)}`: {_placed(truth, output)}."
    parts = _parts(truth, output) if date else ""
    return f"{text} {parts}" if parts else text


def without_attention(truth: str, output: str, without: str, *, date: bool) -> str:
    """What the model without attention made of the same text, against the right answer and what one with attention wrote."""
    becomes = f"**Without attention** the same text becomes {answered(without)}"
    if without == truth:
        beside = "too: this one fits" if output == truth else "and that is right: this one fits"
        return f"{becomes} {beside} into one vector."
    if without == output:
        return f"{becomes} too, which is as wrong."
    parts = _parts(truth, without) if date else ""
    lost = parts or f"{_placed(truth, without)}."
    beside = " What it read went through one vector, and not all of it came out." if output == truth else ""
    return f"{becomes}. {lost}{beside}"


def answered(output: str) -> str:
    """What a model wrote, as Markdown code; said where it is nothing."""
    return f"`{code(output)}`" if output else "nothing at all"


def _placed(truth: str, output: str) -> str:
    """How many characters stand in their place, and how many are too many."""
    right = sum(first == second for first, second in zip(truth, output, strict=False))
    over = len(output) - len(truth)
    beyond = "" if over <= 0 else f", and {'one follows that is' if over == 1 else f'{over} follow that are'} too many"
    one = right == 1 or len(truth) == 1
    return f"{right} of {counted(len(truth), 'character')} {'stands' if one else 'stand'} where {'it' if one else 'they'} should{beyond}"


def _parts(truth: str, output: str) -> str:
    """Which of year, month and day of a date are right and which are lost; nothing where all or none are, or it is no date."""
    parts = list(zip(("year", "month", "day"), truth.split("-"), output.split("-"), strict=False))
    kept = [name for name, first, second in parts if first == second]
    lost = [name for name, first, second in parts if first != second]
    if len(parts) != 3 or not kept or not lost:
        return ""
    is_are = "is" if len(kept) == 1 else "are"
    return f"The {' and the '.join(kept)} {is_are} right, and the {' and the '.join(lost)} {'is' if len(lost) == 1 else 'are'} lost."


def about(card: Seq2SeqCard) -> str:
    """What is known of a model: size, accuracy with its interval, how it was trained, the paper."""
    low, high = card.interval or (0.0, 0.0)
    right = f"{percent((card.accuracy or 0.0) / 100, 1)} without a mistake (95\u00a0% interval {low:.1f} to {high:.1f}\u00a0%)"
    parts = [
        f"**{card.title}.** {linked(card.paper)}. {card.parameters:,} numbers, {card.bytes / 1e3:.0f} kB.",
        f"Of {card.tested:,} texts that it never saw it writes {right}.",
    ]
    command = card.training.get("command")
    return " ".join([*parts, f"Trained by `{command}`."] if command else parts)


def snippet(request: TranslationRequest, step: int) -> str:
    """The Python that gives what the page shows."""
    if request.target is not None:
        line = f"translation = force(translator, {request.text!r}, {request.target!r})"
    else:
        beams = "" if request.beams == 1 else f", beams={request.beams}"
        line = f"translation = translate(translator, {request.text!r}{beams})"
    return (
        "from vizlib.seq2seq import Options, force, leave_one_out, load, translate\n\n"
        f'translator = load("{request.card.name}")\n'
        f"{line}\n"
        "print(translation.output, translation.log_probability)\n"
        + (
            f"step = translation.steps[{step}]\n"
            "step.scores, step.weights, step.context  # (characters,), (characters,) sums to 1, (values,)\n\n"
            f"sharper = translate(translator, {request.text!r}, options=Options(temperature=0.5))\n"
            f"lost = leave_one_out(translator, {request.text!r}, {step})\n"
            "lost.removed, lost.masked  # what the character's log-probability loses without each character, and without its key\n"
            if request.card.attention
            else ""
        )
    )
