"""What each exam asks, and how it knows the answer."""

from __future__ import annotations

from dataclasses import dataclass

from vizlib.errors import ExamError, nearest
from vizlib.evaluation.protocol import BASELINES, CELLS, RANDOM_MAPS, SUBSET_SIZES, SUBSETS_PER_SIZE

FEWEST = 4  # pictures that a mark must rest on to pass


@dataclass(frozen=True)
class ExamCard:
    """One exam: what it asks (``summary``), how the right answer is known (``how``), and the paper that it follows, if any.

    ``needs`` is what it is held with besides a model: "" for nothing, "images" for photographs, "boxes" for labelled ones with boxes.
    ``unasked`` is whether it is held where no exam is named.
    """

    name: str
    title: str
    summary: str
    how: str
    unit: str
    needs: str
    paper: str = ""
    paper_url: str = ""
    unasked: bool = True


_CARDS = (
    ExamCard(
        "known",
        "Known by construction",
        "Small models whose weights were set by hand: does the map say what each tile really adds?",
        "Networks that sum, join or attend to tiles of a picture, so that the exact Shapley value of every tile follows from all of its "
        "coalitions. The mark is how much of the map's positive part, summed over tiles and scaled to 1, lies on the true values, scaled "
        "alike: the sum over tiles of the smaller of the two.",
        "share of the evidence",
        "",
        "Shapley, A Value for n-Person Games (1953)",
        "https://doi.org/10.1515/9781400881970-018",
    ),
    ExamCard(
        "planted",
        "Planted evidence",
        "A cut-out of one photograph is pasted into another and speaks for its own class there: does the map for that class find it?",
        "The logit of the planted class is measured with and without the cut-out, and only those that raise it by at least 2, or make it "
        "the top answer, are asked. A second cut-out of the same size, whose effect on that logit was measured to be about nothing (0.5 "
        "at most), lies beside it as a control. The mark is the share of the map's positive part inside the cut-out.",
        "share of the evidence",
        "images",
        "Adebayo et al., Debugging Tests for Model Explanations (2020)",
        "https://arxiv.org/abs/2011.05429",
    ),
    ExamCard(
        "grid",
        "Grid pointing game",
        "Four photographs of four classes in one picture: does the map for each class lie on its own quarter?",
        "Only photographs that the model answers with confidence take part, each in a quarter where it keeps its answer at half size while "
        "the other three are empty. The mark is the share of the map's positive part inside the right quarter; chance is 0.25.",
        "share of the evidence",
        "images",
        "Rao et al., Towards Better Understanding Attribution Methods (2022)",
        "https://arxiv.org/abs/2205.10435",
    ),
    ExamCard(
        "boxes",
        "Boxes",
        "Photographs with a box around the object: does the map for the right class lie inside?",
        "Only photographs that the model answers rightly, with boxes over at most half of the picture, take part. The mark is the share of "
        "the map's positive part inside the box. What a model looks at need not be the object, so this truth is a weak one.",
        "share of the evidence",
        "boxes",
        "Zhang et al., Top-down Neural Attention by Excitation Backprop (2016)",
        "https://arxiv.org/abs/1608.00507",
    ),
    ExamCard(
        "faithfulness",
        "Faithfulness beside random maps",
        "Random cells of a photograph are hidden: does the map say how far the logit of the model's answer falls without them?",
        f"Sensitivity-n: {len(SUBSET_SIZES) * SUBSETS_PER_SIZE} times {', '.join(map(str, SUBSET_SIZES[:-1]))} or {SUBSET_SIZES[-1]} cells "
        f"of an {CELLS} x {CELLS} grid are replaced by each of {len(BASELINES)} pictures without evidence, and the map's sum over them is "
        f"correlated with the fall of the logit. The mark is the share of {RANDOM_MAPS} random smooth maps that predict it worse. The same "
        "passes serve all methods. Photographs with holes are unlike those that the model learned from, which makes this truth a weak one.",
        "share of the random maps that are worse",
        "images",
        "Ancona et al., Towards better understanding of gradient-based attribution methods (2018)",
        "https://arxiv.org/abs/1711.06104",
        unasked=False,
    ),
)
EXAMS: dict[str, ExamCard] = {card.name: card for card in _CARDS}


KNOWN: dict[str, str] = {
    "tiles_sum": "It adds up what its tiles hold, three for the class and two against it: each tile's value is its own term.",
    "tiles_and": "Its answer is the weaker of two kinds of evidence, so that neither is worth anything without the other.",
    "tiles_or": "Its answer is the stronger of two kinds of evidence, so that either is nearly enough.",
    "tiles_distractor": "Two loud tiles reach the answer by two ways that cancel exactly; two quiet ones decide it.",
    "vit_reader": (
        "A transformer's class token attends to two tiles with evidence and one without; a fourth has evidence that nothing attends to."
    ),
    "vit_relay": ("A messenger fetches from a source in the first block and is read in the second: neither is worth anything alone."),
}
"""The models of the exam "known" by name, and the idea of each."""


def exam_card(name: str) -> ExamCard:
    """The card of an exam; ExamError with the nearest names for one that is not there."""
    if name not in EXAMS:
        raise ExamError(f"There is no exam {name!r}; there are {', '.join(EXAMS)}.{nearest(str(name), list(EXAMS))}")
    return EXAMS[name]
