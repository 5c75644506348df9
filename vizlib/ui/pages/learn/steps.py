"""The ten steps of the lesson: what to look for, the question, what happened in words made from the outcome, why, and the paper."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from vizlib.analysis.lesson.outcome import TELLS
from vizlib.figures.numbers import listed, percent, points

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizlib.analysis.lesson.outcome import Outcome

SLIDE, CHOOSE, CLICK = "slide", "choose", "click"
_DATE_PAPER = "Bahdanau et al. (2015), https://arxiv.org/abs/1409.0473"
_VIT_PAPER = "Dosovitskiy et al., An Image is Worth 16x16 Words (2021), https://arxiv.org/abs/2010.11929"


@dataclass(frozen=True)
class Step:
    """One step. ``look`` is the sentence to look for; ``happened`` and ``far`` make words of an outcome, the second of an answer too.

    ``models`` are asked, none for the steps about a sentence; ``more`` is the page that goes on from here, with what its address says.
    ``borne`` says from the outcome whether the picture bears out what ``why`` leads one to expect.
    """

    name: str
    title: str
    look: str
    question: str
    kind: str
    happened: Callable[[Outcome], str]
    far: Callable[[Outcome, int], str]
    why: str
    paper: str
    more: tuple[str, str, dict[str, str]]
    models: tuple[str, ...] = ()
    borne: Callable[[Outcome], str] | None = None

    @property
    def of_picture(self) -> bool:
        """Whether its answer depends on the learner's picture."""
        return bool(self.models)

    def explained(self, outcome: Outcome) -> str:
        """Why, and whether it is so on this picture."""
        return f"{self.why} {self.borne(outcome)}".strip() if self.borne else self.why


_HALF = "half a percentage\u00a0point"  # what TELLS is in words
_NONE = f"under {_HALF}"
_LITTLE = "1\u00a0%"  # and what ALIKE is
_FEW = 3  # answers that tie are named up to here


def _points(value: float) -> str:
    """A probability in points, with a real minus."""
    number = round(100 * value)
    return f"\u2212{-number}" if number < 0 else str(number)


def _size(value: float, other: float | None = None) -> str:
    """How large a change of probability is, with its unit; with a digit behind the point where another one would read the same."""
    if abs(value) < TELLS:
        return _NONE
    alike = other is not None and round(100 * abs(value)) == round(100 * abs(other))
    return points(abs(value), digits=int(alike or round(100 * abs(value)) == 0)).removeprefix("+")


def _change(value: float, other: float | None = None) -> str:
    """What happens to a probability of which this is lost, as a verb with its number."""
    if abs(value) < TELLS:
        return f"changes by {_NONE}"
    return f"{'loses' if value > 0 else 'gains'} {_size(value, other)}"


def _change_of(value: float, share: str, other: float | None = None) -> str:
    """The same with the probability that it is lost of."""
    return f"{_change(value, other)} {'of its' if value >= TELLS else 'from'} {share}"


def _next(outcome: Outcome) -> int:
    """The place of the largest value that does not tie with the best."""
    return max((place for place in range(len(outcome.options)) if place not in outcome.right), key=outcome.values.__getitem__)


def _gainers(outcome: Outcome) -> int:
    """Without how many of the options the answer gains as much as can be told."""
    return sum(value <= -TELLS for value in outcome.values)


def _ties(outcome: Outcome, within: str) -> str:
    """Which answers tie with the best one, as a sentence with a blank before it; empty where none does."""
    others = [outcome.options[place] for place in outcome.right[1:]]
    if not others:
        return ""
    return f" Within {within} of it: {listed(others) if len(others) <= _FEW else f'{len(others)} others'}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _class(outcome: Outcome) -> str:
    return str(outcome.facts["label"]).partition(",")[0]


def _bottleneck(outcome: Outcome) -> str:
    facts = outcome.facts
    lost = [part for part, value in zip(outcome.options[:3], outcome.values, strict=False) if value]
    if not lost:
        return f"It writes {facts['written']}, and that is right: this date fits into one vector."
    return f"Right is {facts['truth']}; it writes {facts['written']}. What is lost: {listed(lost)}."


def _looked(outcome: Outcome) -> str:
    word, share = outcome.options[outcome.right[0]], outcome.values[outcome.right[0]]
    text = f"Writing “{outcome.facts['token']}” after {outcome.facts['written']}, it gives “{word}” {percent(share)} of its attention"
    return f"{text}, and in the end it writes {outcome.facts['output']}.{_ties(outcome, _HALF)}"


def _tokens(outcome: Outcome) -> str:
    facts = outcome.facts
    learned = "one learned token more, the class token" if facts["learned"] == 1 else f"{facts['learned']} learned tokens more"
    return (
        f"The model sees {facts['height']} × {facts['width']} pixels and cuts them into {facts['rows']} × {facts['columns']} patches of "
        f"{facts['tall']} × {facts['wide']} pixels in three colours, {facts['numbers']} numbers each: "
        f"{outcome.options[outcome.right[0]]} tokens, and {learned}."
    )


def _farthest(outcome: Outcome) -> str:
    patch = float(str(outcome.facts["patch"]))
    low, high = min(outcome.values), max(outcome.values)
    if outcome.all_right:
        return f"All layers look equally far, within {_LITTLE}: {high:.1f} pixels of the model's input, {high / patch:.1f} patches."
    text = (
        f"Farthest looks {outcome.options[outcome.right[0]]}: {high:.1f} pixels of the model's input on average, {high / patch:.1f} "
        f"patches.{_ties(outcome, _LITTLE)} The layer that looks least far has {low:.1f}."
    )
    alike = (high - low) / high < 0.15
    return text + (" So all layers of this small model look almost equally far." if alike else "")


def _first_heads(outcome: Outcome) -> str:
    patch, near, far = (float(str(outcome.facts[name])) for name in ("patch", "nearest", "widest"))
    pixels, patches = _span(near, far), _span(near / patch, far / patch)
    return f"Here the heads of layer 1 look {pixels} pixels far on average, {patches} patches."


def _span(low: float, high: float) -> str:
    first, last = f"{low:.1f}", f"{high:.1f}"
    return first if first == last else f"{first} to {last}"


def _settled(outcome: Outcome) -> str:
    name, start, last = _class(outcome), outcome.right[0], len(outcome.values) - 1
    before = [leader.partition(",")[0] for leader in str(outcome.facts["before"]).split("; ") if leader]
    if start == last:
        text = f"Only after the last layer, {outcome.options[start]}, does {name} lead for good, with {percent(outcome.values[start])}."
    else:
        text = (
            f"From {outcome.options[start]} on, {name} leads after every layer, with {percent(outcome.values[start])} there and "
            f"{percent(outcome.values[-1])} at the end."
        )
    return text + (f" Before, the head would have said {', then '.join(before)}." if before else " Nothing else ever led.")


def _layers_off(outcome: Outcome) -> str:
    best, name = outcome.right[0], _class(outcome)
    text = f"{_capital(name)} has {percent(float(str(outcome.facts['probability'])))}."
    most = outcome.values[best]
    if outcome.all_right:
        every = f"changes by {_NONE}" if abs(most) < TELLS else f"{_change(most)}, give or take {_HALF}"
        return f"{text} Without the heads of any one layer it {every}: no layer stands out."
    if most <= -TELLS:
        return f"{text} Without the heads of any one layer it gains, least without those of {outcome.options[best]}: {_size(most)}."
    after = _next(outcome)
    text += f" Without the heads of {outcome.options[best]} it {_change(most, outcome.values[after])}.{_ties(outcome, _HALF)}"
    text += f" Next comes {outcome.options[after]}: it {_change(outcome.values[after], most)}."
    gains = _gainers(outcome)
    return text + (f" Without those of {_count(gains, 'layer')} it gains {_HALF} or more." if gains else "")


def _patches_out(outcome: Outcome) -> str:
    best, name = outcome.right[0], _class(outcome)
    share, most = percent(float(str(outcome.facts["probability"]))), outcome.values[best]
    if outcome.all_right:
        every = f"changes by {_NONE}" if abs(most) < TELLS else f"{_change(most)}, give or take {_HALF}"
        return f"{_capital(name)} has {share}. Whichever one patch is hidden, it {every}: no patch stands out."
    if most <= -TELLS:
        return (
            f"{_capital(name)} has {share}. Whichever one patch is hidden, it gains, least without {outcome.options[best]}: {_size(most)}."
        )
    if most < TELLS:
        text = f"No single patch takes {_HALF} of {name}'s {share}."
    else:
        text = f"Hidden from all tokens, {outcome.options[best]} matters most: {name} {_change_of(most, share)}.{_ties(outcome, _HALF)}"
    gains = _gainers(outcome)
    some = f"{_count(gains, 'patch', 'patches')} of {len(outcome.options)}"
    return text + (f" Without {some} the answer gains {_HALF} or more." if gains else "")


def _keys(outcome: Outcome) -> str:
    facts = outcome.facts
    queries, keys = int(float(str(facts["queries"]))), int(float(str(facts["keys"])))
    fewer = f", one for {queries / keys:g} of its tokens" if keys < queries else ", all of them"
    text = f"{facts['model']}'s first stage has {queries:,} queries, and each looks at {_count(keys, 'key')}{fewer}."
    counts = [
        f"{name} has {' → '.join(f'{int(count):,}' for count, _ in groupby(value))}"
        for name, value in facts.items()
        if isinstance(value, tuple)
    ]
    return f"{text} Tokens from layer to layer: {'; '.join(counts)}." if counts else text


def _shuffled(outcome: Outcome) -> str:
    best = outcome.right[0]
    name = outcome.options[best]
    rivals = [outcome.options[place] for place in outcome.right[1:]]
    order = sorted(range(len(outcome.options)), key=lambda place: -outcome.values[place])
    shares = ", ".join(f"{outcome.options[place]} {percent(outcome.values[place])}" for place in order)
    text = f"How much of each answer stays, the mean of five shuffles: {shares}."
    if rivals:
        them = "that" if len(rivals) == 1 else "those"
        return f"{text} {name}'s range over the shuffles overlaps with {them} of {listed(rivals)}: between them five cannot tell."
    return f"{text} Even the shuffle that {name} bears least leaves more of its answer than any shuffle leaves of another's."


def _as_designed(outcome: Outcome) -> str:
    if "ViT" not in outcome.options:
        return ""
    if outcome.all_right:
        return "On this picture that cannot be told."
    vit = outcome.options.index("ViT")
    if vit not in outcome.right:
        return f"On this picture it is not so: more stays of {outcome.options[outcome.right[0]]}'s answer."
    if len(outcome.right) == 1:
        return "On this picture it is so."
    return "On this picture it may be so: it is among those that five shuffles do not tell apart."


def _trusted(outcome: Outcome) -> str:
    facts = outcome.facts
    best, chance = outcome.right[0], outcome.values[-1]
    low, high = float(str(facts["low"])), float(str(facts["high"]))
    share = percent(float(str(facts["probability"])))
    if max(map(abs, (*outcome.values, low, high))) < TELLS:
        return (
            f"Whichever {facts['removed']} of {facts['patches']} patches are greyed, the answer's {share} changes by {_NONE}: "
            "this picture puts no map to the test."
        )
    what = f"With {facts['removed']} of {facts['patches']} patches greyed, "
    most = outcome.values[best]
    if outcome.all_right:
        text = f"{what}the answer {_change_of(most, share)}, whoever names them, give or take {_HALF}."
    else:
        after = _next(outcome)
        does = "costs the answer most" if most > 0 else "lifts the answer least"
        text = f"{what}{outcome.options[best]} {does}: it {_change_of(most, share, outcome.values[after])}.{_ties(outcome, _HALF)}"
    around = f"{_points(low)} to {_points(high)} lost over {facts['random']} of them"
    text += f" With a random quarter greyed it {_change(chance)} on average ({around})."
    maps = list(zip(outcome.options[:-1], outcome.values, strict=False))
    within = [name for name, value in maps if value <= high]
    if not within:
        return f"{text} Each of the {len(maps)} maps costs more than any random quarter did."
    return f"{text} No more than a random quarter may cost: {listed(within)}. On this picture {_finds(within)} not find what matters."


def _finds(maps: Sequence[str]) -> str:
    return "this map does" if len(maps) == 1 else "these maps do"


def _count(number: int, word: str, several: str = "") -> str:
    return f"{number} {word if number == 1 else several or word + 's'}"


def right_words(outcome: Outcome) -> str:
    """The right answer, or the answers that tie."""
    if outcome.all_right:
        return "any answer"
    best, others = outcome.options[outcome.right[0]], len(outcome.right) - 1
    if others < _FEW:
        return " or ".join(outcome.options[place] for place in outcome.right)
    return f"{best}, or one of {others} others"


def _hit(outcome: Outcome, answer: int, within: str = "") -> str:
    """What is said of a right answer, of one ``within`` so much of the best too; empty for another."""
    if outcome.all_right:
        return "No answer is wrong here."
    if answer not in outcome.right:
        return ""
    close = within and answer != outcome.right[0]
    return f"That is right too: it lies within {within} of {outcome.options[outcome.right[0]]}." if close else "That is right."


def _far_part(outcome: Outcome, answer: int) -> str:
    right = listed([outcome.options[place] for place in outcome.right])
    return _hit(outcome, answer) or f"You said {outcome.options[answer]}; it is {right}."


def _far_share(outcome: Outcome, answer: int) -> str:
    best = outcome.right[0]
    return _hit(outcome, answer, _HALF) or (
        f"You said “{outcome.options[answer]}”, which has {percent(outcome.values[answer])}; it is “{outcome.options[best]}”, "
        f"with {percent(outcome.values[best])}."
    )


def _far_times(outcome: Outcome, answer: int) -> str:
    true, said = outcome.values[outcome.right[0]], outcome.values[answer]
    if said == true:
        return "That is right."
    ratio = max(said, true) / min(said, true)
    side = "high" if said > true else "low"
    return f"You said {outcome.options[answer]}; it is {outcome.options[outcome.right[0]]}: you are {ratio:.3g} times too {side}."


def _far_layers(outcome: Outcome, answer: int) -> str:
    gap = int(outcome.distance(answer))
    return _hit(outcome, answer, _LITTLE) or (
        f"You said {outcome.options[answer]}; it is {right_words(outcome)}: {_count(gap, 'layer')} off."
    )


def _far_loss(outcome: Outcome, answer: int) -> str:
    best = outcome.right[0]
    said, most = outcome.values[answer], outcome.values[best]
    return _hit(outcome, answer, _HALF) or (
        f"You said {outcome.options[answer]}, where the answer {_change(said, most)}; it is {outcome.options[best]}, where it "
        f"{_change(most, said)}: yours is number {outcome.rank(answer)} of {len(outcome.options)}."
    )


def _far_patch(outcome: Outcome, answer: int) -> str:
    far, near = outcome.distance(answer), outcome.nearest(answer)
    said, true = outcome.values[answer], outcome.values[near]
    return _hit(outcome, answer, _HALF) or (
        f"You clicked {outcome.options[answer]}, where the answer {_change(said, true)}, number {outcome.rank(answer)} of "
        f"{len(outcome.options)}; it is {outcome.options[near]}, where it {_change(true, said)}, "
        f"{'1 patch' if far == 1 else f'{far:.1f} patches'} away."
    )


def _far_stays(outcome: Outcome, answer: int) -> str:
    best = outcome.right[0]
    if answer in outcome.right[1:] and not outcome.all_right:
        stay, most = percent(outcome.values[answer]), percent(outcome.values[best])
        return f"As far as five shuffles can tell, yes: {stay} stays, and {most} of {outcome.options[best]}'s."
    return _hit(outcome, answer) or (
        f"You said {outcome.options[answer]}, of whose answer {percent(outcome.values[answer])} stays; it is {outcome.options[best]}, "
        f"with {percent(outcome.values[best])}."
    )


_VIT = ("vit_tiny50",)
STEPS = (
    Step(
        "bottleneck", "A sentence through a bottleneck",
        "Look at how much has to fit into one vector before the first character is written.",
        "A network without attention reads “tuesday, 3rd of may 1994”, keeps one vector of fixed size, and writes the date from that "
        "alone. What will it get wrong?",
        CHOOSE, _bottleneck, _far_part,
        "The encoder squeezes any text into the same few numbers. What does not fit is gone before the decoder begins.",
        "Sutskever et al., Sequence to Sequence Learning (2014), https://arxiv.org/abs/1409.3215",
        ("seq2seq", "See it without attention", {"model": "dates_gru_none"}),
    ),
    Step(
        "looked_at", "Query, key, value",
        "Look at what a query picks out: it is compared with the key of every character, and takes in their values by how well they fit.",
        "With attention the same text becomes 1994-05-03. It has written 1994-0 and writes 5 next. At which word does it look most?",
        CHOOSE, _looked, _far_share,
        "The decoder's state is the query; softmax makes shares of how well it fits each key. So every character written can read all of "
        "the text again, and nothing has to fit into one vector.",
        _DATE_PAPER, ("seq2seq", "Take the step apart", {"step": "6"}),
    ),
    Step(
        "tokens", "A picture as a sentence",
        "Look at the grid: each patch becomes one token, as a character did.",
        "A ViT cuts your picture into patches and reads them like the characters of a text. Into how many?",
        SLIDE, _tokens, _far_times,
        "A patch is flattened and goes through one linear map. Attention costs the square of the number of tokens, so pixels alone would "
        "be too many.",
        _VIT_PAPER, ("attention", "Look from any patch", {}), _VIT,
    ),
    Step(
        "farthest", "Heads, layer by layer",
        "Look at how far the heads of each layer look, from the first to the last.",
        "In which layer do the heads look farthest across your picture?",
        SLIDE, _farthest, _far_layers,
        "A convolution starts local because it must; a head may look anywhere from the first layer on. Large models trained on much data "
        "keep some local heads in their first layers; where data are few they hardly learn any.",
        "Raghu et al., Do Vision Transformers See Like CNNs? (2021), https://arxiv.org/abs/2108.08810",
        ("attention", "All heads in numbers", {"panel": "heads"}), _VIT, _first_heads,
    ),
    Step(
        "settled", "When does it become the answer?",
        "Look at which class leads after each layer, if the model's head read that layer already.",
        "After which layer is the answer settled, so that nothing else leads any more?",
        SLIDE, _settled, _far_layers,
        "Every layer adds to what is there, so what the head reads at the end can be read before. How early the answer leads differs "
        "from picture to picture.",
        "Vilas et al., Vision Transformers in Class Embedding Space (2023), https://arxiv.org/abs/2310.18969",
        ("attention", "Every patch, after every layer", {"panel": "depth"}), _VIT,
    ),
    Step(
        "layers_off", "Does it matter? Heads off",
        "Look at what the answer loses when one layer's heads say nothing.",
        "All heads of one layer are set to zero. Without which layer does the answer lose most?",
        SLIDE, _layers_off, _far_loss,
        "What a head looks at is no proof that the answer needs it: take it away and see. The residual goes around a layer that is silent.",
        "Michel et al., Are Sixteen Heads Really Better than One? (2019), https://arxiv.org/abs/1905.10650",
        ("attention", "Switch off single heads", {"panel": "ablation"}), _VIT,
    ),
    Step(
        "patches_out", "Does it matter? Patches out",
        "Look for the patch that the answer hangs on.",
        "One patch is hidden from all tokens. Without which one does the answer lose most?",
        CLICK, _patches_out, _far_patch,
        "Leaving out is the plainest test of what matters. One patch at a time misses what several say together.",
        "Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2014), https://arxiv.org/abs/1311.2901",
        ("attribution", "Maps that claim to know", {}), _VIT,
    ),
    Step(
        "keys", "T2T and PVT: fewer tokens",
        "Look at how many tokens look at how many keys.",
        "PVT's first stage cuts the picture finely, so it has very many tokens. At how many keys does each of them look?",
        SLIDE, _keys, _far_times,
        "T2T-ViT joins neighbours, three times over, so that few tokens with their surroundings are left. PVT keeps many tokens and lets "
        "them look at fewer keys, which makes a pyramid of scales cheap.",
        "Wang et al., Pyramid Vision Transformer (2021), https://arxiv.org/abs/2102.12122",
        ("pvt", "What attention costs at each scale", {}), ("pvt_tiny50", "vit_tiny50", "t2t_tiny50"),
    ),
    Step(
        "shuffled", "CvT and CCT: convolution again",
        "Look at whose answer survives when the pieces of the picture change places.",
        "Your picture is cut into 4 × 4 pieces, and these are shuffled. Whose answer stays most?",
        CHOOSE, _shuffled, _far_stays,
        "CvT makes queries, keys and values by convolutions, CCT its tokens: both see what lies next to what, which a shuffle breaks. "
        "ViT knows places by a table alone, so one would expect it to keep most of its answer.",
        "Wu et al., CvT (2021), https://arxiv.org/abs/2103.15808",
        ("cvt", "Shuffle and shift", {}), ("vit_tiny50", "t2t_tiny50", "pvt_tiny50", "cvt_tiny50", "cct_tiny50"), _as_designed,
    ),
    Step(
        "trusted", "Can you trust a map?",
        "Look at what the answer loses where a map says it is important, and beside it what it loses by chance.",
        "Each map names the quarter of the patches that it holds for most important, and these are greyed. Which costs the answer most?",
        CHOOSE, _trusted, _far_loss,
        "A map is a claim about the model, and removing what it names puts it to the test. A map that does no better than chance is a "
        "picture, not an explanation.",
        "Samek et al., Evaluating the Visualization of What a Deep Neural Network Has Learned (2017), https://arxiv.org/abs/1509.06321",
        ("attribution", "All methods, with their badges", {}), _VIT,
    ),
)  # fmt: skip
