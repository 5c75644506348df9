"""The parts of the T2T-ViT page: soft splits, what they cost, and Figure 2 of the paper."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.ui.components.channel_grid import channel_grid
from vizlib.ui.components.soft_split import soft_split
from vizlib.ui.core import computations, job_slots
from vizlib.ui.core.callbacks import here
from vizlib.ui.core.component_state import component_state
from vizlib.ui.core.contents import heading
from vizlib.ui.core.model_choice import model_choice
from vizlib.ui.core.words import draw_text
from vizlib.ui.pages.t2t import channel_grid_data, soft_split_data
from vizlib.ui.pages.t2t.claims import CASE, figure_2_claims
from vizlib.ui.sections.toy import draw_toy
from vizlib.ui.widgets.claim_card import draw_claims
from vizlib.ui.widgets.downloads import download_button, download_row, file_stem
from vizlib.ui.widgets.snippet import draw_snippet
from vizlib.zoo.cards import all_cards

if TYPE_CHECKING:
    from vizlib.engine.jobs import Job
    from vizlib.ui.core.model_choice import ModelChoice
    from vizlib.ui.core.pictures import Picture
    from vizlib.ui.core.url_state import UrlState
    from vizlib.ui.pages.t2t.channel_grid_data import ChannelGrids
    from vizlib.ui.pages.t2t.soft_split_data import SoftSplits

HARD = "vit_tiny50"  # whose patches stand beside the soft splits
RANDOM = "Choose random weights above to see its architecture at work."
PAPER = "Yuan et al., Tokens-to-Token ViT: Training Vision Transformers from Scratch on ImageNet (2021), https://arxiv.org/abs/2101.11986"
_CHOICES = {
    "draw": ("colours", "length", "likeness", "groups"),
    "follow": ("windows", "attention"),
    "basis": ("own", "shared"),
}
_GRID_CHOICES = {
    "order": ("index", "edge", "variance"),
    "scaling": ("channel", "layer", "robust"),
    "way": ("true", "bare"),
}


def draw_page(model: ModelChoice, picture: Picture, fit: str | None, url_state: UrlState) -> None:
    """Every section, as far as its numbers are there."""
    # The job that the first picture waits for is asked for first.
    splits_job, grids_job = submit_soft_splits(model, picture, fit), submit_channel_grids(model, picture, fit)
    job_slots.wait_for([splits_job])
    splits = draw_splits(url_state, model, splits_job, picture, fit)
    draw_toy("t2t")
    if splits is not None:
        draw_costs(splits)
    draw_channel_grids(url_state, model, grids_job, picture)


def submit_soft_splits(model: ModelChoice, picture: Picture, fit: str | None) -> Job[SoftSplits] | None:
    """The job that lays out the rounds, with the patches of a ViT beside them where its training is shipped."""
    beside = [model_choice(HARD)] if HARD in all_cards() else []
    work = partial(soft_split_data.compute_soft_splits, picture=picture, fit=fit)
    return computations.compute("t2t.splits", ("soft_splits", picture.identity, fit), [model, *beside], work)


def submit_channel_grids(model: ModelChoice, picture: Picture, fit: str | None) -> Job[ChannelGrids] | None:
    """The job of Figure 2: the channels of a ResNet, a ViT and the model."""
    models = [model_choice("resnet_tiny50"), model_choice("vit_tiny50"), model]
    titles = [f"{title}{' (random)' if each.random else ''}" for title, each in zip(("ResNet", "ViT", "T2T-ViT"), models, strict=True)]
    work = partial(channel_grid_data.compute_channel_grids, titles=titles, picture=picture, fit=fit)
    return computations.compute("t2t.channel_grids", ("channel_grids", picture.identity, fit), models, work)


def draw_splits(
    url_state: UrlState, model: ModelChoice, job: Job[SoftSplits] | None, picture: Picture, fit: str | None
) -> SoftSplits | None:
    """The soft splits over the picture, and what to take away."""
    view, take = component_state(url_state, "t2t.view", _CHOICES, {"groups": (5, _groups), "token": ("", _token)})
    splits = computations.result_or_status("t2t.splits", job, [model], RANDOM)
    if splits is None:
        return None
    soft_split(splits.payload, view, key="t2t.view", on_change=here(take))
    png = partial(soft_split_data.to_png, splits, view["draw"], shared=view["basis"] == "shared", groups=view["groups"])
    download_row(
        file_stem(picture, model),
        "t2t",
        ("-tokens.png", png, ""),
        (
            "-tokens.csv",
            partial(soft_split_data.tokens_csv, splits, view["groups"]),
            "One line for each token: place, pixels it covers, length, colours, group.",
        ),
    )
    draw_snippet(_snippet(model, picture, fit))
    return splits


def draw_costs(splits: SoftSplits) -> None:
    """Every step with the shape it leaves and its multiply-adds, beside the one step of hard patches."""
    heading("Step by step, and what it costs", sub=True)
    soft, hard = (sum(step.macs for step in steps) for steps in (splits.soft, splits.hard))
    count = splits.soft[-1].shape[0]
    draw_text(
        f"Between two soft splits the tokens attend, are reshaped to a grid, and that is unfolded: $T_{{i+1}} = "
        f"\\mathrm{{unfold}}(\\mathrm{{reshape}}(\\mathrm{{MLP}}(\\mathrm{{attention}}(T_i))))$. Soft splits make **{count} tokens** for "
        f"**{_millions(soft)}** multiply-adds, where hard patches make {splits.hard[-1].shape[0]} for {_millions(hard)}; the blocks that "
        f"follow take {_millions(splits.blocks)}."
    )
    most = max(step.macs for step in [*splits.soft, *splits.hard])
    rows = ["| step | grid | tokens × numbers | multiply-adds | |", "|---|---|--:|--:|:--|"]
    for steps in (splits.soft, splits.hard):
        for step in steps:
            bar = f":primary[{'▮' * max(1, round(16 * step.macs / most))}]" if step.macs else ""
            shape, grid = f"{step.shape[0]:,}\u00a0×\u00a0{step.shape[1]:,}", f"{step.grid[0]}\u00a0×\u00a0{step.grid[1]}"
            name = f"**{step.name}**" if "split" in step.name else step.name
            rows.append(f"| {name} | {grid} | {shape} | {_millions(step.macs) if step.macs else 'copies only'} | {bar} |")
    st.markdown("\n".join(rows))


def draw_channel_grids(url_state: UrlState, model: ModelChoice, job: Job[ChannelGrids] | None, picture: Picture) -> None:
    """Figure 2 of the paper, from the true forward passes; nothing where the weights are not here, which the page has said above."""
    if job is None:
        return
    heading("What the channels hold: the paper's Figure 2", sub=True)
    draw_text(
        "The paper marked by hand which maps hold edges, and which are empty or explode. Here every map comes from the **true forward "
        "pass**, and a rule marks it. Switch on *as the notebooks drew it* to see what their shortcuts did: bare convolutions without "
        "norm, ReLU and residual; blocks without class token and positions."
    )
    if model.random:
        st.info(
            "The T2T-ViT below is untrained: its maps show what the architecture does before it learnt anything.", icon=":material/info:"
        )
    view, take = component_state(url_state, "t2t.channel_grid", _GRID_CHOICES, {"layers": ("", _layers)})
    grids = computations.result_or_status("t2t.channel_grids", job, [model])
    if grids is None:
        return
    shown = view | {"layers": [int(part) for part in view["layers"].split(".") if part]}
    channel_grid(grids.payload, shown, key="t2t.channel_grid", on_change=here(take))
    draw_claims(figure_2_claims(*grids.counts, trained=not model.random), CASE)
    download_button(
        f"{file_stem(picture, model)}-channels.csv", partial(channel_grid_data.channels_csv, grids), key="t2t.channels",
        hint="One line for each channel of each layer: its values, its edge score and its marks.",
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


def _snippet(model: ModelChoice, picture: Picture, fit: str | None) -> str:
    given = "" if fit is None else f', fit="{fit}"'
    return (
        f"{picture.imports}import vizlib\n"
        "from vizlib.analysis.receptive_field.t2t_soft_splits import token_rounds\n"
        "from vizlib.analysis.features.token_maps import cosine_map, kmeans_map, norm_map, pca_rgb\n\n"
        f"model = {model.code}\n"
        f"image = vizlib.read_image({picture.code})\n"
        f"splits = token_rounds(model, image{given})\n"
        "for turn, split in enumerate(splits.rounds):\n"
        "    height, width = split.grid\n"
        "    middle = (height // 2) * width + width // 2 - 1\n"
        "    lengths = norm_map(split.tokens, split.grid)  # (h, w)\n"
        "    (colours,) = pca_rgb(split.tokens)  # (tokens, 3) in 0..1\n"
        "    likeness = cosine_map(split.tokens, middle)  # (tokens,)\n"
        "    groups = kmeans_map(split.tokens, 5)  # (tokens,)\n"
        "    paths = split.reach.counts(height // 2, width // 2 - 1)  # how often each pixel counts in that token\n"
        "    lineage = splits.lineages(turn)[middle]  # with attention: shares of the first round's windows\n"
        '    print(f"round {turn + 1}: {height} x {width} tokens, {(paths > 0).sum()} pixels each, counted up to {paths.max()} times")\n'
    )
