"""The ten steps of the lesson: what to look for, the question, what happened in words made from the outcome, why, and the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizlib.figures.numbers import percent, points

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

    @property
    def of_picture(self) -> bool:
        """Whether its answer depends on the learner's picture."""
        return bool(self.models)


def _points(value: float) -> str:
    """A probability in points, with a real minus."""
    number = round(100 * value)
    return f"\u2212{-number}" if number < 0 else str(number)


def _loss(value: float, other: float | None = None) -> str:
    """A loss of probability with its unit; with a digit behind the point where another one would read the same."""
    if 0 < value < 0.005:
        return "under 1\u00a0percentage\u00a0point"
    return points(value, digits=int(other is not None and round(100 * value) == round(100 * other))).removeprefix("+")


def _bottleneck(outcome: Outcome) -> str:
    facts = outcome.facts
    lost = [part for part, value in zip(outcome.options[:3], outcome.values, strict=False) if value]
    if not lost:
        return f"It writes {facts['written']}, and that is right: this date fits into one vector."
    return f"Right is {facts['truth']}; it writes {facts['written']}. What is lost: {' and '.join(lost)}."


def _looked(outcome: Outcome) -> str:
    word, share = outcome.options[outcome.right[0]], outcome.values[outcome.right[0]]
    text = f"Writing “{outcome.facts['token']}” after {outcome.facts['written']}, it gives “{word}” {percent(share)} of its attention"
    return f"{text}, and in the end it writes {outcome.facts['output']}."


def _tokens(outcome: Outcome) -> str:
    facts = outcome.facts
    learned = "one learned token more, the class token" if facts["learned"] == 1 else f"{facts['learned']} learned tokens more"
    return (
        f"The model sees {facts['height']} × {facts['width']} pixels and cuts them into {facts['rows']} × {facts['columns']} patches of "
        f"{facts['tall']} × {facts['wide']}: {outcome.options[outcome.right[0]]} tokens of {facts['numbers']} numbers each, and {learned}."
    )


def _farthest(outcome: Outcome) -> str:
    patch = float(str(outcome.facts["patch"]))
    low, high = min(outcome.values), max(outcome.values)
    text = (
        f"Farthest looks {outcome.options[outcome.right[0]]}: {high:.1f} pixels on average, {high / patch:.1f} patches. "
        f"The layer that looks least far has {low:.1f}."
    )
    alike = (high - low) / high < 0.15
    return text + (" So all layers of this small model look almost equally far." if alike else "")


def _settled(outcome: Outcome) -> str:
    name = str(outcome.facts["label"]).partition(",")[0]
    start = outcome.right[0]
    before = str(outcome.facts["before"])
    text = f"From {outcome.options[start]} on, {name} leads after every layer, with {percent(outcome.values[start])} there"
    text += f" and {percent(outcome.values[-1])} at the end." if start < len(outcome.values) - 1 else "."
    return text + (f" Before, the head would have said {before.replace('; ', ', ')}." if before else " Nothing else ever led.")


def _layers_off(outcome: Outcome) -> str:
    best = outcome.right[0]
    name, share = str(outcome.facts["label"]).partition(",")[0], float(str(outcome.facts["probability"]))
    gains = sum(value < 0 for value in outcome.values)
    text = (
        f"{name} has {percent(share)}. Without the heads of {outcome.options[best]} it loses {_loss(outcome.values[best])}, "
        f"more than without those of any other layer."
    )
    return text + (f" Without those of {_count(gains, 'layer')} it even gains." if gains else "")


def _patches_out(outcome: Outcome) -> str:
    best = outcome.right[0]
    name, share = str(outcome.facts["label"]).partition(",")[0], float(str(outcome.facts["probability"]))
    gains = sum(value < 0 for value in outcome.values)
    return (
        f"Hidden from all tokens, {outcome.options[best]} takes {_loss(outcome.values[best])} of {name}'s {percent(share)}. "
        f"Without {_count(gains, 'patch', 'patches')} of {len(outcome.options)} the answer gains."
    )


def _keys(outcome: Outcome) -> str:
    facts = outcome.facts
    queries, keys = int(float(str(facts["queries"]))), int(float(str(facts["keys"])))
    fewer = f", one for {queries // keys} of its tokens" if keys < queries else ", all of them"
    text = f"{facts['model']}'s first stage has {queries:,} queries, and each looks at {keys} keys{fewer}."
    counts = [
        f"{name} has {' → '.join(f'{int(count):,}' for count in dict.fromkeys(value))}"
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
        return f"{text} The range of {name} overlaps with {_listed(rivals)}: between these five shuffles cannot tell."
    return f"{text} {name}'s worst shuffle is still better than any of the others."


def _trusted(outcome: Outcome) -> str:
    facts = outcome.facts
    best, chance = outcome.right[0], outcome.values[-1]
    low, high = float(str(facts["low"])), float(str(facts["high"]))
    if len(outcome.right) == len(outcome.options):
        return (
            f"Whichever {facts['removed']} of {facts['patches']} patches are greyed, the answer loses under 1\u00a0percentage\u00a0point: "
            "this picture puts no map to the test."
        )
    text = (
        f"With {facts['removed']} of {facts['patches']} patches greyed, {outcome.options[best]} costs the answer most: "
        f"{_loss(outcome.values[best])} of {percent(float(str(facts['probability'])))}. A random quarter costs {_loss(chance)} on "
        f"average ({_points(low)} to {_points(high)} over {facts['random']})."
    )
    within = [name for name, value in zip(outcome.options[:-1], outcome.values, strict=False) if value <= high]
    if not within:
        return f"{text} All three maps cost more than any random quarter did."
    finds = "this map does" if len(within) == 1 else "these maps do"
    return f"{text} No more than a random quarter may cost: {_listed(within)}. On this picture {finds} not find what matters."


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _count(number: int, word: str, several: str = "") -> str:
    return f"{number} {word if number == 1 else several or word + 's'}"


def _hit(outcome: Outcome, answer: int) -> str:
    return "That is right." if answer in outcome.right else ""


def _far_part(outcome: Outcome, answer: int) -> str:
    return _hit(outcome, answer) or f"You said {outcome.options[answer]}; it is {' and '.join(outcome.options[i] for i in outcome.right)}."


def _far_share(outcome: Outcome, answer: int) -> str:
    best = outcome.right[0]
    return _hit(outcome, answer) or (
        f"You said “{outcome.options[answer]}”, which has {percent(outcome.values[answer])}; it is “{outcome.options[best]}”, "
        f"with {percent(outcome.values[best])}."
    )


def _far_times(outcome: Outcome, answer: int) -> str:
    true, said = outcome.values[outcome.right[0]], outcome.values[answer]
    if said == true:
        return "That is right."
    ratio = max(said, true) / min(said, true)
    side = "high" if said > true else "low"
    return f"You said {outcome.options[answer]}; it is {outcome.options[outcome.right[0]]}: you are {ratio:.0f} times too {side}."


def _far_layers(outcome: Outcome, answer: int) -> str:
    gap = int(outcome.distance(answer))
    return _hit(outcome, answer) or (
        f"You said {outcome.options[answer]}; it is {outcome.options[outcome.right[0]]}: {_count(gap, 'layer')} off."
    )


def _far_loss(outcome: Outcome, answer: int) -> str:
    if len(outcome.right) == len(outcome.options):
        return "No answer is wrong here."
    best = outcome.right[0]
    said, most = outcome.values[answer], outcome.values[best]
    return _hit(outcome, answer) or (
        f"You said {outcome.options[answer]}, which costs {_loss(said, most)}; it is {outcome.options[best]}, with "
        f"{_loss(most, said)}: yours is number {outcome.rank(answer)} of {len(outcome.options)}."
    )


def _far_patch(outcome: Outcome, answer: int) -> str:
    return _hit(outcome, answer) or (
        f"You clicked {outcome.options[answer]}, which costs {_loss(outcome.values[answer])}, number {outcome.rank(answer)} of "
        f"{len(outcome.options)}; it is {outcome.options[outcome.right[0]]}, {outcome.distance(answer):.1f} patches away."
    )


def _far_stays(outcome: Outcome, answer: int) -> str:
    best = outcome.right[0]
    if answer in outcome.right[1:]:
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
        "keep some local heads in their first layers, small ones hardly do.",
        "Raghu et al., Do Vision Transformers See Like CNNs? (2021), https://arxiv.org/abs/2108.08810",
        ("attention", "All heads in numbers", {"panel": "heads"}), _VIT,
    ),
    Step(
        "settled", "When does it become the answer?",
        "Look at which class leads after each layer, if the model's head read that layer already.",
        "After which layer is the answer settled, so that nothing else leads any more?",
        SLIDE, _settled, _far_layers,
        "Every layer adds to what is there, so what the head reads at the end can be read before. The answer is built up, not found "
        "at once.",
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
        "One patch is hidden from all tokens. Click the one without which the answer loses most.",
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
        "Your picture is cut into 4 × 4 pieces, and these are shuffled. Of whose answer stays most?",
        CHOOSE, _shuffled, _far_stays,
        "CvT makes queries, keys and values by convolutions, CCT its tokens: both see what lies next to what, which a shuffle breaks. "
        "ViT knows places by a table alone, and can answer a bag of patches much as it answers the picture.",
        "Wu et al., CvT (2021), https://arxiv.org/abs/2103.15808",
        ("cvt", "Shuffle and shift", {}), ("vit_tiny50", "t2t_tiny50", "pvt_tiny50", "cvt_tiny50", "cct_tiny50"),
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
