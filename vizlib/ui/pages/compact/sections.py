"""The parts of the Compact Transformers page: three models side by side, small-data curves, and the three ideas of convolution."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.ui.components.tokenizer_columns import tokenizer_columns
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.computations import compute, model_choice, result_or_status
from vizlib.ui.core.job_slots import wait_for
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.pages.compact import tokenizer_data
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.computations import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.compact.tokenizer_data import Column, Drift

PAPER = "Hassani et al., Escaping the Big Data Paradigm with Compact Transformers (2021), https://arxiv.org/abs/2104.05704"
BESIDE = {"vit_tiny50": "ViT: patches, class token", "compact_vit_tiny50": "CVT: patches, sequence pooling"}
_CURVES = {
    "vit_tiny50": "ViT",
    "compact_vit_tiny50": "CVT",
    "cct_tiny50": "CCT",
    "resnet_tiny50": "ResNet",
}
_HEIGHT = 300


def members(one: ModelChoice) -> list[tuple[ModelChoice, str]]:
    """The models of the page, left to right: ViT, CVT and the chosen one, each with what to call it."""
    beside = [(model_choice(name), title) for name, title in BESIDE.items() if name != one.name]
    chosen = BESIDE.get(one.name) or ("CCT: convolutions, sequence pooling" if one.name == "cct_tiny50" else one.name)
    return [*beside, (one, chosen)]


def submit_columns(
    group: list[tuple[ModelChoice, str]], picture: Picture, fit: str | None
) -> tuple[list[Job[Column] | None], list[Job[Drift] | None]]:
    """The jobs of the page, the columns before the measurements."""
    columns = [
        compute(f"compact.column.{place}", one, picture, fit, partial(_column, title, one.random, picture, fit), title)
        for place, (one, title) in enumerate(group)
    ]
    drifts = [compute(f"compact.drift.{place}", one, picture, fit, partial(_drift, picture, fit)) for place, (one, _) in enumerate(group)]
    wait_for(columns)
    return columns, drifts


def draw_columns(
    url_state: UrlState, group: list[tuple[ModelChoice, str]], jobs: list[Job[Column] | None], picture: Picture, fit: str | None
) -> list[Column] | None:
    """Tokenisers and read-outs side by side, and what to take away."""
    choices = {"cover": ("windows", "routes"), "readout": ("weights", "shares")}
    view, take = component_state(url_state, "compact.columns", choices, {"label": ("", str), "token": ("", _place)})
    found = [result_or_status(f"compact.column.{place}", one, job) for place, ((one, _), job) in enumerate(zip(group, jobs, strict=True))]
    made = [one for one in found if one is not None]
    if not made:
        return None
    tokenizer_columns([one.payload for one in made], view, key="compact.columns", on_change=take)
    stem = f"{Path(picture.title).stem}-compact".lower().replace(" ", "_")

    def png() -> bytes:
        return tokenizer_data.to_png(made, [unpack(one.payload)[1]["photo"] for one in made])

    with st.container(horizontal=True):
        st.download_button(
            "PNG", png, f"{stem}.png", "image/png", key="compact.png", icon=":material/image:", on_click="ignore",
            help="The read-out weights over the photograph.",
        )  # fmt: skip
        st.download_button(
            "CSV", partial(tokenizer_data.to_csv, made), f"{stem}.csv", "text/csv", key="compact.csv", icon=":material/table:",
            on_click="ignore", help="One line for each token: the pixels it covers, its read-out weight, its share of the answer's logit.",
        )  # fmt: skip
    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(_snippet(group[-1][0], picture, fit), language="python", wrap_lines=True)
    return made if len(made) == len(group) else None


def draw_ideas(made: list[Column], group: list[tuple[ModelChoice, str]], jobs: list[Job[Drift] | None]) -> None:
    """Sparse interaction, weight sharing and equivariance, each measured on this picture."""
    st.subheader("Three ideas of convolution", anchor=False)
    st.markdown(
        "The paper names what convolution brings that a plain transformer has to learn from data: **sparse interaction** (a unit looks at "
        "few inputs), **weight sharing** (one weight serves many places) and **equivariance** (move the picture and the "
        "features move along)."
    )
    rows = ["| tokeniser | a token takes in | layer | parameters | connections | each weight is used |", "|---|---|---|--:|--:|--:|"]
    for one in made:
        for place, layer in enumerate(one.sharing):
            name, cover = (f"**{one.title}**", f"{one.cover} px") if place == 0 else ("", "")
            used = layer.grid[0] * layer.grid[1]
            rows.append(
                f"| {name} | {cover} | {layer.name}, {layer.window} | {layer.parameters:,} | {layer.connections:,} | {used:,.0f} × |"
            )
    st.markdown("\n".join(rows))
    st.markdown(
        "**Equivariance.** The picture moves to the right, pixel by pixel, over one token. The tokens should move along: the drift is "
        "$\\lVert f(S x) - S f(x) \\rVert / \\lVert f(x) - \\bar f \\rVert$, 0 where they do exactly, on tokens that no border touches. "
        "What the head reads should not change at all: its drift is $1 - \\cos$ between before and after."
    )
    measured = [
        (title, result_or_status(f"compact.drift.{place}", one, job))
        for place, ((one, title), job) in enumerate(zip(group, jobs, strict=True))
    ]
    known = [(title, one) for title, one in measured if one is not None]
    if not known:
        return
    left, right = st.columns(2, gap="medium")
    with left:
        lines = [(title, [shift / one.stride for shift in one.shifts], one.tokens) for title, one in known]
        _chart("Drift of the tokens", "shift, in tokens", lines, key="compact.drift.tokens", format_="{y:.2f}")
    with right:
        lines = [(title, [shift / one.stride for shift in one.shifts], one.features) for title, one in known]
        _chart("Drift of what the head reads", "shift, in tokens", lines, key="compact.drift.features", format_="{y:.4f}")
    worst = ", ".join(f"{title.partition(':')[0]} {max(one.tokens):.2f}" for title, one in known)
    st.caption(
        f"Largest drift of the tokens on this picture: {worst}. A whole token's shift is exact for patches, and for nothing between."
    )


def draw_curves() -> None:
    """How the bundled models learnt from little data, as measured while they were trained."""
    lines, words = [], []
    for name, title in _CURVES.items():
        card = all_cards().get(name)
        history = (card.training or {}).get("training", {}).get("history", []) if card else []
        if card is None or card.accuracy is None or not history:
            continue
        lines.append((title, [one["epoch"] for one in history], [100 * one["top1"] for one in history]))
        size, epochs = f"{card.parameters / 1e6:.2f}\u00a0M", len(history)
        words.append(f"{title} {100 * card.accuracy.top1:.1f}\u00a0% with {size} parameters after {epochs} epochs")
    if not lines:
        return
    st.subheader("Learning from little data", anchor=False)
    missing = [title for name, title in _CURVES.items() if name not in all_cards()]
    still = (
        f" {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not trained yet, so the comparison is not complete."
        if missing
        else ""
    )
    st.markdown(
        f"The bundled models have about the same size and saw the same 25,000 photographs of 50 classes. Right on 1,250 they never saw: "
        f"{'; '.join(words)}.{still}"
    )
    _chart("First answer right, % of validation photographs", "epoch of training", lines, key="compact.curves", format_="{y:.1f} %")


def _column(title: str, untrained: bool, picture: Picture, fit: str | None, model: Any, progress: Any) -> Column:
    return tokenizer_data.compute_column(title, untrained, model, picture, fit, progress)


def _drift(picture: Picture, fit: str | None, model: Any, progress: Any) -> Drift:
    return tokenizer_data.compute_drift(model, picture, fit, progress)


def _chart(title: str, across: str, lines: list[tuple[str, list[float], list[float]]], *, key: str, format_: str) -> None:
    import plotly.graph_objects as go

    from vizlib.figures.charts import CONFIG, mark

    hover = format_.replace("{y:", "%{y:")
    figure = go.Figure()
    for number, (name, x, y) in enumerate(lines):
        look = mark(name, number)
        figure.add_scatter(
            x=x, y=y, name=name, mode="lines+markers", line={"color": look.colour, "width": 2}, marker={"symbol": look.symbol, "size": 7},
            hovertemplate=f"{name}<br>{across} %{{x:.3g}}: {hover}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        title={"text": title, "font": {"size": 14}}, height=_HEIGHT, margin={"l": 8, "r": 8, "t": 40, "b": 8}, hovermode="closest",
        xaxis={"title": across, "automargin": True}, yaxis={"rangemode": "tozero", "automargin": True},
        legend={"orientation": "h", "y": -0.28, "x": 0, "yanchor": "top"},
    )  # fmt: skip
    st.plotly_chart(figure, key=key, config=CONFIG)


def _place(text: str) -> str:
    if not text:
        return text
    y, x = (float(part) for part in text.split(","))
    if not (0 <= y <= 1 and 0 <= x <= 1):
        raise ValueError(text)
    return text


def _snippet(one: ModelChoice, picture: Picture, fit: str | None) -> str:
    imports = "import skimage\n" if picture.code.startswith("skimage.") else ""
    given = "" if fit is None else f', fit="{fit}"'
    return (
        f"{imports}import vizlib\n"
        "from vizlib.analysis.perturbation.equivariance import feature_drift, map_drift\n"
        "from vizlib.analysis.attention.sequence_pooling import pooled_shares\n"
        "from vizlib.analysis.receptive_field.tokenizer import cover, features_of, routes, token_maps_of\n"
        "from vizlib.passes.forward import run\n\n"
        f"model = {one.code}\n"
        f"image = vizlib.read_image({picture.code})\n"
        f"x = model.prepare(image{given})\n"
        "done = run(model, x)\n"
        "reach = cover(model, done.size)\n"
        "row, column = reach.grid[0] // 2, reach.grid[1] // 2\n"
        'print("a token\'s windows:", reach.box(row, column))\n'
        "through_the_pools = routes(done)  # (tokens, pixels), each row sums to 1\n\n"
        "head = model.module.classifier\n"
        "if head.seq_pool:\n"
        '    tokens = done.recording.notes["classifier.norm"]["tokens"][0]\n'
        "    shares = pooled_shares(tokens, head.attention_pool.weight[0], head.attention_pool.bias, head.fc.weight, head.fc.bias)\n"
        "    answer = int(shares.logits.argmax())\n"
        "    print(model.label(answer), shares.parts[:, answer].sum() + shares.bias[answer], done.logits[0, answer])\n\n"
        "stride = done.size[1] // reach.grid[1]\n"
        "print(map_drift(token_maps_of(model), x, range(stride + 1), stride, reach=stride + stride // 2))\n"
        "print(feature_drift(features_of(model), x, range(stride + 1)))\n"
    )
