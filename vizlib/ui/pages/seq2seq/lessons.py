"""Two lessons: attention does not know the order of its keys, and a weight is not an explanation."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vizlib.figures.numbers import at_most, decimal, percent
from vizlib.ui.components.alignment import alignment
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.contents import heading
from vizlib.ui.core.url_state import one_of
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.seq2seq import text as words
from vizlib.ui.pages.seq2seq import translator_service
from vizlib.ui.pages.seq2seq.alignment import pack_alignment
from vizlib.ui.pages.seq2seq.translation_work import compute_left_out, compute_shuffled, given

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.seq2seq.measurements import LeftOut
    from vizlib.seq2seq.translation import Translation
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.seq2seq.choices import TranslationRequest
    from vizlib.ui.pages.seq2seq.translation_work import Shuffled

REVERSED, SORTED = "reversed", "sorted"
_SEEDS = 1000
_HEIGHT = 380
_NOTHING = 0.01  # nats: one per cent of the probability


def order_key(url_state: UrlState) -> str:
    """Declare the order of the keys: the seed of a shuffle, "reversed" or "sorted"."""
    return url_state.declare("order", "1", one_of((REVERSED, SORTED, *map(str, range(_SEEDS)))))


def order_of(name: str, source: tuple[str, ...]) -> list[int]:
    """The places of a text's characters in the order of this name."""
    places = list(range(len(source)))
    if name == REVERSED:
        return places[::-1]
    if name == SORTED:
        return sorted(places, key=lambda place: source[place])
    random.Random(int(name)).shuffle(places)
    return places


def draw_order(translation: Translation, request: TranslationRequest, identity: str, step: int, key: str) -> None:
    """The same matrix with its columns in another order, and how little that changed."""
    state = st.session_state
    heading("Attention does not know the order")
    draw_text(words.PERMUTED)

    def shuffle() -> None:
        state[key] = str((int(state[key]) + 1) % _SEEDS if state[key].isdigit() else 1)

    with st.container(horizontal=True):
        st.button("Shuffle the keys", key="seq2seq.shuffle", icon=":material/shuffle:", on_click=here(shuffle))
        st.button(
            "Turn them around", key="seq2seq.reverse", icon=":material/swap_horiz:", on_click=here(state.update), args=({key: REVERSED},)
        )
        st.button("Sort them", key="seq2seq.sort", icon=":material/sort_by_alpha:", on_click=here(state.update), args=({key: SORTED},))
    order = order_of(state[key], translation.source)
    shuffled = _shuffled_or_status(request, translation, order)
    if shuffled is None:
        return
    output = shuffled.translation.output if request.target is None else words.own(shuffled.translation)
    st.markdown(order_words(shuffled, output, translation.source))
    title = f"{request.card.title}, keys in another order"
    columns = tuple(translation.source[place] for place in order)
    name, forced = f"{identity}.{state[key]}", request.target is not None
    message = pack_alignment(shuffled.translation, request.vocabulary, name, title, step, source=columns, forced=forced, still=True)
    alignment(message, key="seq2seq.ordered")
    st.page_link("pages/attention.py", label="The same formula on patches of a picture", icon=":material/ads_click:")


def order_words(shuffled: Shuffled, output: str, source: tuple[str, ...]) -> str:
    """What came of another order of the keys, and of the characters themselves; ``output`` is what was written with the keys moved."""
    if shuffled.read == "".join(source):
        return "This is the order in which the text was read: nothing is moved. Another order is a click away."
    rounding = f"by more than **{at_most(shuffled.difference)}**: rounding" if shuffled.difference > 0 else "at all"
    text = f"With its keys in this order the model writes {words.answered(output)}, and no probability of any step differs {rounding}."
    if shuffled.written is None:
        return f"{text} The characters in this order make a text that the model cannot read."
    same = ", the same" if shuffled.written == output else ""
    return (
        f"{text} Reading the characters themselves in this order, `{words.code(shuffled.read)}`, it writes "
        f"{words.answered(shuffled.written)}{same}."
    )


def draw_left_out(translation: Translation, request: TranslationRequest, step: int) -> None:
    """The attention of a step beside what each character is worth to it."""
    heading("Attention is not explanation")
    draw_text(f"{words.NOT_EXPLANATION} {words.DEBATE}")
    if len(translation.source) < 2:
        st.info("Nothing is left of one character when it is left out: type at least two.", icon=":material/block:")
        return
    work = partial(compute_left_out, text=request.text, step=step, target=given(translation))
    losses = translator_service.result_or_status("left_out", (request.key, step), request.card.name, work)
    weights = translation.steps[step].weights
    if losses is None or weights is None:
        return
    from vizlib.figures.charts import CONFIG

    st.markdown(left_out_words(translation, step, losses, forced=request.target is not None))
    st.plotly_chart(left_out_chart(translation, step, losses), key="seq2seq.left_out", config=CONFIG)


def left_out_words(translation: Translation, step: int, losses: LeftOut, *, forced: bool = False) -> str:
    """Where a step looks most, which character it needs most, and how far the two orders agree; ``forced``: its character was given."""
    taken = translation.steps[step]
    weights = np.asarray(taken.weights)
    looked, worth = int(np.argmax(weights)), int(np.argmax(losses.removed))
    lost, rho = float(losses.removed[worth]), spearman(weights, losses.removed)
    mean = ", on the mean of its last layer's heads," if taken.per_head else ""
    looks = (
        f"{'Given' if forced else 'Writing'} {words.quoted(translation.tokens[step])}, it looks most{mean} at {_at(translation, looked)} "
    )
    looks += f"({percent(float(weights[looked]))})."
    if lost <= 0:
        needs = "But it can do without any one of them: whichever is left out, the log-probability does not fall."
    elif lost < _NOTHING:
        needs = f"But it can do without any one of them: the log-probability never falls by more than {at_most(lost)}."
    else:
        falling = np.argsort(-losses.removed).tolist()
        alike = [place for place in falling if place != worth and decimal(losses.removed[place]) == decimal(lost)]
        needs = f"What it needs most is {_at(translation, worth)}: without it the log-probability falls by {decimal(lost)}"
        needs += f", and as much without {_at(translation, alike[0])}." if alike else "."
        needs += " The two are the same character here." if looked == worth else ""
    if np.isnan(rho):
        return f"{looks} {needs}"
    scale = "1 would be the same order, 0 none in common, \u22121 the reverse"
    return f"{looks} {needs} They agree in rank by **{decimal(rho)}** over {len(weights)} characters (Spearman; {scale})."


def spearman(first_row: np.ndarray, other: np.ndarray) -> float:
    """The correlation of ranks of two rows (n,), equal values sharing their mean rank; NaN where all of one are equal."""
    first, second = (_ranks(row) for row in (first_row, other))
    spread = first.std() * second.std()
    return float(((first - first.mean()) * (second - second.mean())).mean() / spread) if spread > 0 else float("nan")


def left_out_chart(translation: Translation, step: int, losses: LeftOut) -> go.Figure:
    """Above, the weights of a step; below, what its log-probability loses without each character, and without its key only."""
    from plotly.subplots import make_subplots

    from vizlib.figures.charts import COLOURS, framed

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    places, weights = list(range(len(translation.source))), translation.steps[step].weights
    hover = [f"{words.quoted(char)}, character {place + 1}" for place, char in enumerate(translation.source)]
    figure.add_bar(
        x=places, y=weights, name="attention", marker={"color": COLOURS[0]}, row=1, col=1, customdata=hover,
        hovertemplate="%{customdata}: weight %{y:.3f}<extra></extra>",
    )  # fmt: skip
    figure.add_bar(
        x=places, y=losses.removed, name="lost without the character", marker={"color": COLOURS[3]}, row=2, col=1, customdata=hover,
        hovertemplate="%{customdata}: log-probability %{y:.3f} lower without it<extra></extra>",
    )  # fmt: skip
    if losses.masked is not None:
        figure.add_scatter(
            x=places, y=losses.masked, name="lost without its key only", mode="markers", row=2, col=1, customdata=hover,
            marker={"color": COLOURS[4], "symbol": "diamond", "size": 8},
            hovertemplate="%{customdata}: log-probability %{y:.3f} lower with its key hidden<extra></extra>",
        )  # fmt: skip
    framed(figure, height=_HEIGHT, x={}, y={}, legend=True)
    labels = ["␣" if char == " " else char for char in translation.source]
    figure.update_xaxes(tickvals=places, ticktext=labels, tickangle=0, tickfont={"family": "monospace", "size": 15})
    figure.update_yaxes(title="weight", row=1, col=1)
    figure.update_yaxes(title="log-probability lost", tickformat=".3~g", row=2, col=1)
    return figure


def _shuffled_or_status(request: TranslationRequest, translation: Translation, order: list[int]) -> Shuffled | None:
    work = partial(compute_shuffled, translation=translation, order=tuple(order))
    return translator_service.result_or_status("order", (request.key, tuple(order)), request.card.name, work)


def _at(translation: Translation, place: int) -> str:
    return f"{words.quoted(translation.source[place])} (character {place + 1})"


def _ranks(row: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(row, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[places]
