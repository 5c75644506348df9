"""Figure 2 of the T2T-ViT paper for one picture: feature maps of a ResNet, a ViT and a T2T-ViT from their true forward passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vizlib.figures.layer_names import layer_title
from vizlib.stats import CHANCE
from vizlib.ui.core.message_codec import pack
from vizlib.ui.core.pictures import SAMPLES, sample
from vizlib.ui.core.tables import to_csv
from vizlib.ui.pages.t2t.claims import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from vizlib import Model
    from vizlib.engine.jobs import Progress
    from vizlib.ui.core.pictures import Picture

_MOST_LAYERS = 8  # of a deep model: its first and last, and others evenly between


@dataclass(frozen=True, eq=False)
class _Maps:
    """One model run on the picture, and on nothing else: its maps by layer, truly and as the notebooks drew them."""

    title: str
    pixels: torch.Tensor
    others: list[torch.Tensor]
    true: dict[str, torch.Tensor]
    short: dict[str, torch.Tensor]
    names: list[str]
    bare: bool


@dataclass(frozen=True, eq=False)
class ChannelGrids:
    """The feature maps of some models: the browser's message, for each map one line of numbers, and what was counted of each model."""

    payload: bytes
    lines: list[list[Any]]
    counts: list[Counts]

    @property
    def nbytes(self) -> int:
        return 2 * len(self.payload)


def compute_channel_grids(*models: Model, titles: Sequence[str], picture: Picture, fit: str | None, progress: Progress) -> ChannelGrids:
    """Run models, each with its title, on the picture and mark all their channels; the last one is the T2T-ViT, the others stand beside."""
    from vizlib.analysis.features import channels

    ran = []
    for number, (model, title) in enumerate(zip(models, titles, strict=True)):
        progress(number, len(models), f"Running {title}")
        ran.append(_run(model, title, picture, fit, bare=number < len(models) - 1))
    # The coarsest of all: a map on a finer grid would have it easier, or harder, for its size alone.
    sides = [maps.true[name].shape[1:] for maps in ran for name in maps.names]
    common = (min(int(side[0]) for side in sides), min(int(side[1]) for side in sides))
    arrays: dict[str, np.ndarray] = {}
    lines: list[list[Any]] = []
    grids = [_channel_grid(maps, number, common, arrays, lines) for number, maps in enumerate(ran)]
    rules = {
        "flat": channels.FLAT, "deviations": channels.DEVIATIONS, "times": channels.TIMES,
        "chance": CHANCE, "others": len(ran[0].others), "grid": common,
    }  # fmt: skip
    return ChannelGrids(pack({"grids": grids, "rules": rules}, arrays), lines, [_counted(grid, arrays) for grid in grids])


def channels_csv(grids: ChannelGrids) -> str:
    """One line for each channel of each layer, with its numbers and marks."""
    columns = ["model", "layer", "drawn", "channel", "lowest", "highest", "deviation", "edge correlation", "low-level", "dead", "exploding"]
    return to_csv(columns, ([f"{value:.6g}" if isinstance(value, float) else value for value in line] for line in grids.lines))


def _run(model: Model, title: str, picture: Picture, fit: str | None, *, bare: bool) -> _Maps:
    import torch

    from vizlib.analysis.features.low_level_channels import permuted
    from vizlib.analysis.features.t2t_figure2 import bare_maps

    transform: Any = model.transform

    def pixels(of: Picture) -> torch.Tensor:
        return torch.from_numpy(transform.to_rgb(model.prepare(of.pixels, fit))).permute(2, 0, 1) / 255

    x = model.prepare(picture.pixels, fit)
    others = permuted([pixels(sample(name)) for name in SAMPLES if f"sample:{name}" != picture.identity])
    true = _true_maps(model, x)
    short = bare_maps(model, x) if bare else {}
    names = _spread([name for name in true if not bare or name in short])
    return _Maps(title, pixels(picture), others, true, short, names, bare)


def _channel_grid(
    ran: _Maps, number: int, common: tuple[int, int], arrays: dict[str, np.ndarray], lines: list[list[Any]]
) -> dict[str, Any]:
    layers = []
    for index, name in enumerate(ran.names):
        layer: dict[str, Any] = {"title": layer_title(name), "ways": {}}
        for way, maps in (("true", ran.true.get(name)), ("bare", ran.short.get(name))):
            if maps is not None:
                key, names = f"{number}.{index}.{way}", [ran.title, layer_title(name), way]
                layer["ways"][way] = _layer(key, maps.float().cpu(), ran, common, arrays, lines, names)
        if ran.bare and ran.true[name].shape == ran.short[name].shape:
            layer["agreement"] = _agreement(ran.true[name], ran.short[name])
        layers.append(layer)
    return {"title": ran.title, "layers": layers}


def _counted(grid: dict[str, Any], arrays: dict[str, np.ndarray]) -> Counts:
    flags = [arrays[f"{layer['ways']['true']['key']}.flags"] for layer in grid["layers"]]
    broken = sum(int((layer & 6 > 0).sum()) for layer in flags)
    return Counts(grid["title"], grid["layers"][0]["title"], int((flags[0] & 1).sum()), len(flags[0]), broken, sum(map(len, flags)))


def _layer(
    key: str, maps: torch.Tensor, ran: _Maps, common: tuple[int, int], arrays: dict[str, np.ndarray], lines: list[list[Any]],
    names: list[Any],
) -> dict[str, Any]:  # fmt: skip
    from vizlib.analysis.features.channels import mark
    from vizlib.analysis.features.low_level_channels import low_level

    grid = (maps.shape[1], maps.shape[2])
    marks = mark(maps)
    edges = low_level(maps, ran.pixels, ran.others, common)
    low, high = maps.flatten(1).amin(1).numpy(), maps.flatten(1).amax(1).numpy()
    reach = np.maximum(high - low, np.finfo(np.float32).tiny)[:, None, None]
    arrays[f"{key}.maps"] = np.rint((maps.numpy() - low[:, None, None]) / reach * 255).astype(np.uint8)
    arrays |= {f"{key}.low": low, f"{key}.high": high, f"{key}.edge": edges.edge.numpy(), f"{key}.deviation": marks.deviation.numpy()}
    flags = (edges.beyond_chance & ~marks.dead & ~marks.exploding).numpy() * 1 + marks.dead.numpy() * 2 + marks.exploding.numpy() * 4
    arrays[f"{key}.flags"] = flags.astype(np.uint8)
    for channel, flag in enumerate(flags):
        numbers = [float(low[channel]), float(high[channel]), float(marks.deviation[channel]), float(edges.edge[channel])]
        lines.append([*names, channel, *numbers, int(flag & 1), int(flag >> 1 & 1), int(flag >> 2 & 1)])
    middle = maps.double().median()
    spread = (maps.double() - middle).abs().median()
    return {"key": key, "grid": grid, "channels": len(maps), "median": float(middle), "mad": float(spread)}


def _true_maps(model: Model, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Every layer's maps (C, h, w) as the network made them: after norm, ReLU and residual, class token and positions present."""
    import torch

    import vizlib
    from vizlib.tracing.shared_copy import capture_outputs

    maps: dict[str, torch.Tensor] = {}
    if model.adapter.family == "resnet":
        kept: dict[str, torch.Tensor] = {}
        with torch.inference_mode(), capture_outputs(model.resting(), ["act1"], kept.__setitem__) as copied:
            model.run(copied, x)
        maps["stem"] = kept["act1"][0]
    features: Any = vizlib.trace(model, x[0])
    return maps | features.features


def _agreement(true: torch.Tensor, short: torch.Tensor) -> float:
    """The median over channels of the correlation's magnitude between the two ways."""
    import torch

    a, b = (maps.double().flatten(1) for maps in (true, short))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    size = a.norm(dim=1) * b.norm(dim=1)
    return float(torch.where(size > 0, (a * b).sum(1).abs() / size.clamp_min(1e-300), 0.0).median())


def _spread(names: list[str]) -> list[str]:
    if len(names) <= _MOST_LAYERS:
        return names
    places = np.unique(np.linspace(0, len(names) - 1, _MOST_LAYERS).round().astype(int))
    return [names[place] for place in places]
