"""The soft splits of one picture as the browser draws them, and as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.figures.colormaps import tables
from vizlib.ui.core.message_codec import levels, pack
from vizlib.ui.core.tables import to_csv

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from vizlib import Model
    from vizlib.analysis.cost.cost_step import CostStep
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture

GROUPS = (2, 3, 4, 5, 6, 8)
_WIDE = 240  # pixels of a map in the PNG


@dataclass(frozen=True, eq=False)
class TokenPicture:
    """One set of tokens on a grid, as pictures: lengths (h, w), colours by their own and by a shared basis (N, 3), groups {k: (N,)}."""

    title: str
    grid: tuple[int, int]
    window: tuple[int, int, int]
    channels: int
    norms: np.ndarray
    own: np.ndarray
    shared: np.ndarray
    groups: dict[int, np.ndarray]
    boxes: np.ndarray


@dataclass(frozen=True, eq=False)
class SoftSplits:
    """What the page shows of the rounds of one picture: the browser's message, what the files are made of, and the costs.

    ``soft`` and ``hard`` are the steps to the tokens, ``blocks`` the multiply-adds of all blocks behind them.
    """

    payload: bytes
    photo: np.ndarray
    pictures: list[TokenPicture]
    soft: list[CostStep]
    hard: list[CostStep]
    blocks: int

    @property
    def nbytes(self) -> int:
        return 2 * len(self.payload)


def compute_soft_splits(model: Model, vit: Model | None = None, *, picture: Picture, fit: str | None, progress: Progress) -> SoftSplits:
    """Run the model once and lay out its rounds, with the patches of ``vit`` beside them where it takes the same input."""
    from vizlib.analysis.receptive_field.t2t_soft_splits import token_rounds

    progress(0, None, "Splitting the picture into tokens")
    splits = token_rounds(model, picture.pixels, fit)
    transform: Any = model.transform
    photo = transform.to_rgb(splits.forward_pass.x.float().cpu())
    sets = [split.tokens.float().cpu() for split in splits.rounds]
    titles = [f"Round {turn + 1}" for turn in range(len(sets))]
    windows = [split.window for split in splits.rounds]
    reaches = [split.reach for split in splits.rounds]
    hard_title, hard, patch = _hard_tokens(model, vit, picture, fit, splits)
    from vizlib.analysis.receptive_field.theoretical_receptive_field import parents

    reaches.append(parents(splits.forward_pass.size, patch))
    sets, titles, windows = [*sets, hard], [*titles, hard_title], [*windows, patch]
    progress.check()
    pictures, together = _pictures(sets, titles, windows, reaches)
    arrays: dict[str, np.ndarray] = {"photo": photo, "colours": np.frombuffer(tables(), np.uint8)[:768]}
    for index, (shown, tokens, reach) in enumerate(zip(pictures, sets, reaches, strict=True)):
        arrays |= _arrays(index, shown, tokens.numpy(), reach)
    for turn, split in enumerate(splits.rounds):
        arrays |= {
            f"step_down{turn}": split.step.down.numpy().astype(np.uint8),
            f"step_across{turn}": split.step.across.numpy().astype(np.uint8),
        }
        if turn == 0 and split.site is not None:
            # Thousands of tokens by as many cells would be megabytes: the browser makes one row from q and k when it is asked for.
            arrays |= {"q": split.site.q[0, 0].float().cpu().numpy(), "k": split.site.k[0, 0].float().cpu().numpy()}
        else:
            arrays[f"lineage{turn}"], arrays[f"peaks{turn}"] = levels(splits.lineages(turn).cpu().numpy())
        progress.check()
    performer = type(splits.rounds[0].site).__name__ == "PerformerSite"
    kind = "performer" if performer else "softmax"
    header = {
        "title": picture.title,
        "size": splits.forward_pass.size,
        "kind": kind,
        "scale": splits.rounds[0].site.scale if splits.rounds[0].site is not None else 1.0,
        "rounds": len(splits.rounds),
        "groups": GROUPS,
        "sets": [
            {"title": shown.title, "grid": shown.grid, "window": shown.window, "channels": shown.channels, "together": mates}
            for shown, mates in zip(pictures, together, strict=True)
        ],
    }
    return SoftSplits(pack(header, arrays), photo, pictures, *_costs(model, splits, patch))


def tokens_csv(splits: SoftSplits, groups: int) -> str:
    """One line for each token: round, place, window in pixels (ends left out), length, colours by its own basis, group."""

    def rows() -> Iterator[list[Any]]:
        for shown in splits.pictures:
            for index in range(shown.grid[0] * shown.grid[1]):
                row, column = divmod(index, shown.grid[1])
                colours = [f"{value / 255:.3f}" for value in shown.own[index]]
                place = [shown.title, row, column, *shown.boxes[index]]
                yield [*place, f"{shown.norms[row, column]:.6g}", *colours, shown.groups[groups][index]]

    columns = ["tokens", "row", "column", "top", "left", "bottom", "right", "length", "red", "green", "blue", f"group of {groups}"]
    return to_csv(columns, rows())


def to_png(splits: SoftSplits, draw: str, *, shared: bool, groups: int) -> bytes:
    """The photograph as the model gets it and the maps of all rounds side by side; likeness, which needs a token, is drawn as colours."""
    import cv2

    from vizlib.figures.overlay import coloured, encode_png

    panels = [splits.photo]
    for shown in splits.pictures:
        if draw == "length":
            panels.append(coloured(shown.norms, low=float(shown.norms.min())))
        elif draw == "groups":
            panels.append(GROUP_COLOURS[shown.groups[groups]].reshape(*shown.grid, 3))
        else:
            panels.append((shown.shared if shared else shown.own).reshape(*shown.grid, 3))
    gap = np.full((_WIDE, 8, 3), 255, np.uint8)
    wide = [cv2.resize(panel, (_WIDE, _WIDE), interpolation=cv2.INTER_NEAREST) for panel in panels]
    return encode_png(np.concatenate([part for panel in wide for part in (panel, gap)][:-1], axis=1))


# Okabe and Ito's colours, told apart by all eyes; the component has the same.
GROUP_COLOURS = np.array(
    [[0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0], [240, 228, 66], [120, 120, 120]], np.uint8
)


def _hard_tokens(
    model: Model, vit: Model | None, picture: Picture, fit: str | None, splits: Any
) -> tuple[str, torch.Tensor, tuple[int, int, int]]:
    """The tokens of patches that do not overlap: the ViT's own where it takes the very input, else the bare pixels of each patch."""
    import torch
    import torch.nn.functional as F

    from vizlib.tracing.shared_copy import capture_outputs

    if vit is not None and vit.transform == model.transform:
        kept: dict[str, Any] = {}
        with torch.inference_mode(), capture_outputs(vit.resting(), ["patch_embed"], kept.__setitem__) as copied:
            vit.run(copied, vit.prepare(picture.pixels, fit))
        module: Any = vit.module
        patch = module.patch_embed.patch_size[0]
        return "ViT's patches", kept["patch_embed"][0].float().cpu(), (patch, patch, 0)
    side = splits.forward_pass.size[0] // splits.rounds[-1].grid[0]
    cut = F.unfold(splits.forward_pass.x.float().cpu(), side, stride=side)[0].T
    return "Hard patches, bare pixels", cut.contiguous(), (side, side, 0)


def _costs(model: Model, splits: Any, patch: tuple[int, int, int]) -> tuple[list[CostStep], list[CostStep], int]:
    from vizlib.analysis.cost.attention_macs import block_macs, hard_split_steps, soft_split_steps

    module: Any = model.module
    width, token_width = splits.rounds[-1].tokens.shape[1], splits.rounds[0].tokens.shape[1]
    kind = "performer" if type(splits.rounds[0].site).__name__ == "PerformerSite" else "transformer"
    soft = soft_split_steps(
        splits.forward_pass.size, [split.window for split in splits.rounds], token_width=token_width, width=width, tokens=kind
    )
    ratio = module.blocks[0].mlp.fc1.out_features / width
    tokens = len(splits.rounds[-1].tokens) + 1
    return soft, hard_split_steps(splits.forward_pass.size, patch[0], width=width), len(module.blocks) * block_macs(tokens, width, ratio)


def _pictures(
    sets: list[torch.Tensor], titles: list[str], windows: list[tuple[int, int, int]], reaches: list[Any]
) -> tuple[list[TokenPicture], list[str]]:
    from vizlib.analysis.features.token_maps import kmeans_map, norm_map, pca_rgb

    own = pca_rgb(sets, shared=False)
    shared, together = list(own), ["alone"] * len(sets)
    rounds = range(len(sets) - 1)
    for width in {sets[index].shape[1] for index in rounds}:
        mates = [index for index in rounds if sets[index].shape[1] == width]
        if len(mates) > 1:
            for index, colours in zip(mates, pca_rgb([sets[mate] for mate in mates], shared=True), strict=True):
                shared[index] = colours
                together[index] = " and ".join(str(mate + 1) for mate in mates)
    pictures = []
    for index, tokens in enumerate(sets):
        reach = reaches[index]
        height, width = reach.grid
        down, across = [reach.box(row, 0)[::2] for row in range(height)], [reach.box(0, column)[1::2] for column in range(width)]
        boxes = np.array([(top, left, bottom, right) for top, bottom in down for left, right in across])
        pictures.append(
            TokenPicture(
                titles[index],
                reach.grid,
                windows[index],
                tokens.shape[1],
                norm_map(tokens, reach.grid).numpy(),
                _bytes(own[index]),
                _bytes(shared[index]),
                {count: kmeans_map(tokens, count).numpy().astype(np.uint8) for count in GROUPS},
                boxes,
            )
        )
    return pictures, together


def _arrays(index: int, shown: TokenPicture, tokens: np.ndarray, reach: Any) -> dict[str, np.ndarray]:
    return {
        f"tokens{index}": tokens,
        f"norms{index}": shown.norms,
        f"own{index}": shown.own,
        f"shared{index}": shown.shared,
        f"groups{index}": np.stack([shown.groups[count] for count in GROUPS]),
        f"down{index}": reach.down.numpy().astype(np.int32),
        f"across{index}": reach.across.numpy().astype(np.int32),
    }


def _bytes(colours: torch.Tensor) -> np.ndarray:
    return (colours * 255).round().numpy().astype(np.uint8)
