"""What is known of a translator before it is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from vizlib.files.product import product_root
from vizlib.seq2seq.task_registry import TASKS

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = product_root() / "assets" / "weights" / "seq2seq"
WIDTH, EMBEDDING = 96, 32  # of the recurrent networks
MODEL_WIDTH, HIDDEN, LAYERS, HEADS = 64, 128, 2, 4  # of the Transformer
_GATES: Final = {"gru": 3, "lstm": 4}

_SUTSKEVER = "Sutskever et al., Sequence to Sequence Learning with Neural Networks (2014), https://arxiv.org/abs/1409.3215"
_CHO = "Cho et al., Learning Phrase Representations using RNN Encoder-Decoder (2014), https://arxiv.org/abs/1406.1078"
_BAHDANAU = "Bahdanau et al., Neural Machine Translation by Jointly Learning to Align and Translate (2015), https://arxiv.org/abs/1409.0473"
_LUONG = "Luong et al., Effective Approaches to Attention-based Neural Machine Translation (2015), https://arxiv.org/abs/1508.04025"
_VASWANI = "Vaswani et al., Attention Is All You Need (2017), https://arxiv.org/abs/1706.03762"
_SCORES: Final = {
    None: ("without attention", ""),
    "dot": ("dot score (Luong 2015)", _LUONG),
    "scaled_dot": ("scaled dot score (Vaswani 2017)", _VASWANI),
    "general": ("general score (Luong 2015)", _LUONG),
    "concat": ("concat score (Bahdanau 2015)", _BAHDANAU),
}
_DATES: Final = (
    "gru_none", "gru_dot", "gru_scaled_dot", "gru_general", "gru_concat", "lstm_none", "lstm_concat", "transformer",
)  # fmt: skip
NAMES: Final = (
    *(f"dates_{kind}" for kind in _DATES),
    *(f"{task}_{kind}" for task in ("numbers", "digits", "reversal", "sorting") for kind in ("gru_none", "gru_concat", "transformer")),
)


@dataclass(frozen=True)
class Seq2SeqCard:
    """A translator before it is loaded; ``accuracy`` is exact match in per cent of ``tested`` fresh samples, None while untrained.

    ``interval`` is the accuracy's 95 % Wilson interval in per cent; ``bytes`` the size of the weights file, 0 while there is none.
    """

    name: str
    task: str
    cell: str
    score: str | None
    title: str
    parameters: int
    paper: str
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    tested: int = 0
    bytes: int = 0
    training: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def attention(self) -> bool:
        """Whether the decoder reads the source through attention."""
        return self.score is not None


def cards(folder: Path = FOLDER) -> dict[str, Seq2SeqCard]:
    """The cards of all translators by name, trained or not, in the order in which they are shown."""
    return {name: card(name, folder) for name in NAMES}


def card(name: str, folder: Path = FOLDER) -> Seq2SeqCard:
    """The card of one of NAMES: what was measured is read from the JSON file beside the weights, where both are there."""
    task, _, kind = name.partition("_")
    cell, _, score = kind.partition("_")
    scored = "scaled_dot" if cell == "transformer" else None if score == "none" else score
    facts: dict[str, Any] = {}
    if cell == "transformer":
        title, paper = "Transformer, two layers (Vaswani 2017)", _VASWANI
    else:
        score_title, paper = _SCORES[scored]
        title = f"{cell.upper()}, {score_title}"
        paper = paper or (_CHO if cell == "gru" else _SUTSKEVER)
    weights, facts_file = folder / f"{name}.safetensors", folder / f"{name}.json"
    if weights.is_file() and facts_file.is_file():
        read = json.loads(facts_file.read_text(encoding="utf-8"))
        measured = read["accuracy"]
        facts = {
            "accuracy": measured["exact"], "interval": tuple(measured["interval"]), "tested": measured["samples"],
            "bytes": weights.stat().st_size, "training": read["training"],
        }  # fmt: skip
    return Seq2SeqCard(name, task, cell, scored, title, parameters(task, cell, scored), paper, **facts)


def parameters(task: str, cell: str, score: str | None) -> int:
    """How many numbers a translator learns, counted from its sizes without building it."""
    sources, targets = len(TASKS[task].source_alphabet) + 1, len(TASKS[task].target_alphabet) + 1
    if cell == "transformer":
        width = MODEL_WIDTH
        attention = 4 * width * (width + 1)
        feed, norm = 2 * width * HIDDEN + HIDDEN + width, 2 * width
        layers = LAYERS * (3 * attention + 2 * feed + 5 * norm)
        return layers + 2 * norm + (sources + targets + 1) * width + targets * (width + 1)
    gates = _GATES[cell]
    encoder = 2 * _recurrence(gates, WIDTH // 2) if score else _recurrence(gates, WIDTH)
    bridge = WIDTH * (WIDTH + 1) * (2 if cell == "lstm" else 1)
    scoring = {"general": WIDTH**2, "concat": 2 * WIDTH**2 + WIDTH}.get(score or "", 0)
    combine = WIDTH * ((2 if score else 1) * WIDTH + 1)
    embeddings = (sources + targets + 1) * EMBEDDING
    return encoder + _recurrence(gates, WIDTH) + bridge + scoring + combine + embeddings + targets * (WIDTH + 1)


def _recurrence(gates: int, width: int) -> int:
    return gates * width * (EMBEDDING + width + 2)
