"""The parts of the T2T-ViT page: soft splits, what they cost, and Figure 2 of the paper."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.ui.components.channel_grid import channel_grid
from vizlib.ui.components.soft_split import soft_split
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.computations import compute, model_choice, result_or_status
from vizlib.ui.core.job_slots import wait_for
from vizlib.ui.pages.t2t import channel_grid_data, soft_split_data

if TYPE_CHECKING:
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.computations import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.t2t.channel_grid_data import ChannelGrids
    from vizlib.ui.pages.t2t.soft_split_data import SoftSplits

PAPER = "Yuan et al., Tokens-to-Token ViT: Training Vision Transformers from Scratch on ImageNet (2021), https://arxiv.org/abs/2101.11986"
_CHOICES = {
    "draw": ("colours", "length", "likeness", "groups"),
    "follow": ("windows", "attention"),
    "basis": ("own", "shared"),
}
_WALL_CHOICES = {
    "order": ("index", "edge", "variance"),
    "scaling": ("channel", "layer", "robust"),
    "way": ("true", "bare"),
}


def submit_soft_splits(one: ModelChoice, picture: Picture, fit: str | None) -> tuple[Job[SoftSplits] | None, Job[ChannelGrids] | None]:
    """The jobs of the page, the one that the first picture waits for first."""
    splits = compute(
        "t2t.splits", one, picture, fit, lambda model, progress: soft_split_data.compute_soft_splits(model, picture, fit, progress)
    )
    others = [model_choice(name) for name in ("resnet_tiny50", "vit_tiny50")]
    called = [
        (other.identity, f"{title}{' (random)' if other.random else ''}") for other, title in zip(others, ("ResNet", "ViT"), strict=True)
    ]
    title = f"T2T-ViT{' (random)' if one.random else ''}"
    made = partial(channel_grid_data.compute_channel_grids, called, title)
    walls = compute("t2t.walls", one, picture, fit, lambda model, progress: made(model, picture, fit, progress))
    wait_for([splits])
    return splits, walls


def draw_splits(url_state: UrlState, one: ModelChoice, job: Job[SoftSplits] | None, picture: Picture, fit: str | None) -> SoftSplits | None:
    """The soft splits over the picture, and what to take away."""
    view, take = component_state(url_state, "t2t.view", _CHOICES, {"groups": (5, _groups), "token": ("", _token)})
    made = result_or_status("t2t.splits", one, job)
    if made is None:
        return None
    soft_split(made.payload, view, key="t2t.view", on_change=take)
    stem = f"{Path(picture.title).stem}-{one.name}".lower().replace(" ", "_")
    png = partial(soft_split_data.to_png, made, view["draw"], shared=view["basis"] == "shared", groups=view["groups"])
    with st.container(horizontal=True):
        st.download_button("PNG", png, f"{stem}-tokens.png", "image/png", key="t2t.png", icon=":material/image:", on_click="ignore")
        st.download_button(
            "CSV", partial(soft_split_data.to_csv, made, view["groups"]), f"{stem}-tokens.csv", "text/csv", key="t2t.csv",
            icon=":material/table:", on_click="ignore", help="One line for each token: place, pixels it covers, length, colours, group.",
        )  # fmt: skip
    with st.expander("Use it from Python", icon=":material/code:"):
        st.code(_snippet(one, picture, fit), language="python", wrap_lines=True)
    return made


def draw_costs(made: SoftSplits) -> None:
    """Every step with the shape it leaves and its multiply-adds, beside the one step of hard patches."""
    st.subheader("Step by step, and what it costs", anchor=False)
    soft, hard = (sum(step.macs for step in steps) for steps in (made.soft, made.hard))
    count = made.soft[-1].shape[0]
    st.markdown(
        f"Every round reshapes the tokens to an image, unfolds it, and lets them attend: $T_{{i+1}} = "
        f"\\mathrm{{unfold}}(\\mathrm{{reshape}}(\\mathrm{{MLP}}(\\mathrm{{attention}}(T_i))))$. Soft splits make **{count} tokens** for "
        f"**{_millions(soft)}** multiply-adds, where hard patches make {made.hard[-1].shape[0]} for {_millions(hard)}; the blocks that "
        f"follow take {_millions(made.blocks)}."
    )
    most = max(step.macs for step in [*made.soft, *made.hard])
    rows = ["| step | grid | tokens × numbers | multiply-adds | |", "|---|---|--:|--:|:--|"]
    for steps in (made.soft, made.hard):
        for step in steps:
            bar = f":primary[{'▮' * max(1, round(16 * step.macs / most))}]" if step.macs else ""
            shape, grid = f"{step.shape[0]:,} × {step.shape[1]:,}", f"{step.grid[0]} × {step.grid[1]}"
            name = f"**{step.name}**" if "split" in step.name else step.name
            rows.append(f"| {name} | {grid} | {shape} | {_millions(step.macs) if step.macs else 'copies only'} | {bar} |")
    st.markdown("\n".join(rows))


def draw_channel_grids(url_state: UrlState, one: ModelChoice, job: Job[ChannelGrids] | None, picture: Picture) -> None:
    """Figure 2 of the paper, from the true forward passes; nothing where the weights are not here, which the page has said above."""
    if job is None:
        return
    st.subheader("What the channels hold: the paper's Figure 2", anchor=False)
    st.markdown(
        "The paper shows that a ResNet draws edges in its early maps where a ViT does not, and that many of ViT's channels are empty or "
        "explode. Here every map comes from the **true forward pass**, and a rule marks it instead of a hand. Switch on *as the notebooks "
        "drew it* to see what their shortcuts did: bare convolutions without norm, ReLU and residual; blocks without class token and "
        "positions."
    )
    if one.random:
        st.info(
            "The T2T-ViT below is untrained: its maps show what the architecture does before it learnt anything.", icon=":material/info:"
        )
    view, take = component_state(url_state, "t2t.wall", _WALL_CHOICES, {"layers": ("", _layers)})
    made = result_or_status("t2t.walls", one, job)
    if made is None:
        return
    shown = view | {"layers": [int(part) for part in view["layers"].split(".") if part]}
    channel_grid(made.payload, shown, key="t2t.wall", on_change=take)
    stem = f"{Path(picture.title).stem}-{one.name}".lower().replace(" ", "_")
    st.download_button(
        "CSV", partial(channel_grid_data.to_csv, made), f"{stem}-channels.csv", "text/csv", key="t2t.channels", icon=":material/table:",
        on_click="ignore", help="One line for each channel of each layer: its values, its edge score and its marks.",
    )  # fmt: skip


def _groups(text: str) -> int:
    if int(text) not in soft_split_data.GROUPS:
        raise ValueError(text)
    return int(text)


def _token(text: str) -> str:
    if text and len([int(part) for part in text.split(".")]) != 3:
        raise ValueError(text)
    return text


def _layers(text: str) -> str:
    return ".".join(str(int(part)) for part in text.split(".")) if text else ""


def _millions(macs: int) -> str:
    return f"{macs / 1e9:.2f}\u00a0G" if macs >= 1e9 else f"{macs / 1e6:.1f}\u00a0M" if macs >= 1e5 else f"{macs / 1e3:.0f}\u00a0k"


def _snippet(one: ModelChoice, picture: Picture, fit: str | None) -> str:
    imports = "import skimage\n" if picture.code.startswith("skimage.") else ""
    given = "" if fit is None else f', fit="{fit}"'
    return (
        f"{imports}import vizlib\n"
        "from vizlib.analysis.receptive_field.t2t_soft_splits import token_rounds\n"
        "from vizlib.analysis.features.token_maps import cosine_map, kmeans_map, norm_map, pca_rgb\n\n"
        f"model = {one.code}\n"
        f"image = vizlib.read_image({picture.code})\n"
        f"made = token_rounds(model, image{given})\n"
        "for turn, one in enumerate(made.rounds):\n"
        "    height, width = one.grid\n"
        "    middle = (height // 2) * width + width // 2 - 1\n"
        "    lengths = norm_map(one.tokens, one.grid)  # (h, w)\n"
        "    (colours,) = pca_rgb(one.tokens)  # (tokens, 3) in 0..1\n"
        "    likeness = cosine_map(one.tokens, middle)  # (tokens,)\n"
        "    groups = kmeans_map(one.tokens, 5)  # (tokens,)\n"
        "    paths = one.reach.counts(height // 2, width // 2 - 1)  # how often each pixel counts in that token\n"
        "    lineage = made.lineages(turn)[middle]  # with attention: shares of the first round's windows\n"
        '    print(f"round {turn + 1}: {height} x {width} tokens, {(paths > 0).sum()} pixels each, counted up to {paths.max()} times")\n'
    )
