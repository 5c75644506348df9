"""What is summed of one model while the images stream by: nothing here grows with their number but a few numbers of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from vizlib.analysis.attention.head_spread import head_spread
from vizlib.analysis.features.dead_channels import ChannelSums
from vizlib.analysis.features.effective_rank import Moments, effective_rank, stable_rank
from vizlib.analysis.features.layers import Reading, read
from vizlib.analysis.features.residual_ratio import ResidualRatios
from vizlib.analysis.features.sampled_positions import sampled
from vizlib.analysis.features.spectrum import amplitudes_of_each, relative_log
from vizlib.analysis.features.token_similarity import token_similarity
from vizlib.compare.result import NEEDS, HeadMeasures, ModelMeasures, OfEachImage
from vizlib.errors import MethodError

if TYPE_CHECKING:
    from vizlib.analysis.features.layer import Layer
    from vizlib.analysis.receptive_field.receptive_field import ReceptiveField
    from vizlib.zoo.model import Model

ANCHORS = 256


@dataclass
class _Sums:
    """Of one layer."""

    norm: float = 0.0
    similarity: list[torch.Tensor] = field(default_factory=list)
    ends: list[torch.Tensor] = field(default_factory=list)
    amplitude: torch.Tensor | None = None
    moments: Moments = field(default_factory=Moments)
    channels: ChannelSums = field(default_factory=ChannelSums)
    anchors: torch.Tensor | None = None


@dataclass
class _HeadSums:
    entropy: torch.Tensor
    distance: torch.Tensor


class ModelAccumulator:
    """The running sums of one model. ``anchors`` are the first sampled states of each layer, (at most 256, C)."""

    def __init__(self, model: Model, name: str, display_name: str) -> None:
        self.model, self.name, self.display_name = model, name, display_name
        self.layers: list[Layer] = []
        self.missing: dict[str, str] = {}
        self.images = 0
        self._sums: list[_Sums] = []
        self._heads: dict[str, _HeadSums] = {}
        self._first_distance: list[torch.Tensor] = []
        self._shares: dict[str, float] = {}
        self._answers: list[torch.Tensor] = []
        self._confidence: list[torch.Tensor] = []
        self._branches: ResidualRatios | None = None
        try:
            self._branches = ResidualRatios.of(model)
        except MethodError as error:
            self.missing["branches"] = str(error)

    def add(self, x: torch.Tensor, places: np.ndarray) -> dict[str, list[torch.Tensor]]:
        """A batch of inputs (B, 3, h, w) and places (B, P, 2) in them: the rows of each layer by reading, float32 or better.

        "tokens" are the states at the places, (B P, C), and "pooled" their mean over all cells, (B, C).
        """
        reading = read(self.model, x, hooks=self._branches.hooks if self._branches else ())
        with torch.inference_mode():
            return self._added(reading, torch.from_numpy(places))

    def _added(self, reading: Reading, places: torch.Tensor) -> dict[str, list[torch.Tensor]]:
        if not self.layers:
            self.layers = reading.layers
            self._sums = [_Sums() for _ in self.layers]
        rows: dict[str, list[torch.Tensor]] = {"tokens": [], "pooled": []}
        for index, (sums, states) in enumerate(zip(self._sums, reading.states, strict=True)):
            wide = states.to(torch.promote_types(states.dtype, torch.float32))
            sampled_states = sampled(reading.maps(index), places).flatten(0, 1)
            rows["tokens"].append(sampled_states)
            rows["pooled"].append(wide.mean(1))
            self._layer(sums, wide, reading.maps(index), sampled_states)
        self._attention(reading)
        if self._branches is not None:
            for name, share in self._branches.shares().items():
                self._shares[name] = self._shares.get(name, 0.0) + float(share.mean(1).sum())
        if self.model.adapter.classes:
            shares, answers = self.model.probabilities(reading.forward_pass.logits.double()).max(1)
            self._answers.append(answers.cpu())
            self._confidence.append(shares.cpu())
        self.images += len(places)
        return rows

    @staticmethod
    def _layer(sums: _Sums, states: torch.Tensor, maps: torch.Tensor, sampled_states: torch.Tensor) -> None:
        alike = token_similarity(states)
        sums.norm += float(states.norm(dim=2).mean(1).sum())
        sums.similarity.append(alike.double().cpu())
        amplitudes = amplitudes_of_each(maps)
        sums.ends.append(amplitudes[:, [0, -1]].cpu())
        amplitude = amplitudes.sum(0)
        sums.amplitude = amplitude if sums.amplitude is None else sums.amplitude + amplitude
        sums.moments.add(sampled_states)
        sums.channels.add(states)
        if sums.anchors is None:
            sums.anchors = sampled_states[:ANCHORS].clone()

    def _attention(self, reading: Reading) -> None:
        if "heads" in self.missing:
            return
        try:
            sites = reading.forward_pass.lineage().sites
            spreads = [(site.name, head_spread(site, reading.forward_pass.size)) for site in sites]
        except MethodError as error:
            self.missing["heads"] = str(error)
            self._heads, self._first_distance = {}, []
            return
        self._first_distance += [spread.distance.cpu() for _, spread in spreads[:1]]
        for name, spread in spreads:
            sums = self._heads.setdefault(name, _HeadSums(torch.zeros(()), torch.zeros(())))
            sums.entropy = sums.entropy + spread.entropy.sum(0).cpu()
            sums.distance = sums.distance + spread.distance.sum(0).cpu()

    def anchors(self, layer: int) -> torch.Tensor:
        """The anchors (K, C) of one layer."""
        states = self._sums[layer].anchors
        assert states is not None  # noqa: S101  asked for before any image
        return states

    def mean(self, layer: int) -> torch.Tensor:
        """The mean (C,) float64 of the sampled states of one layer."""
        return self._sums[layer].moments.mean

    def result(self, fields: list[ReceptiveField], operator: list[ReceptiveField]) -> ModelMeasures:
        """All that was measured, with the receptive fields by layer: ``fields`` by gradient, ``operator`` by the architecture alone."""
        count, card = self.images, self.model.card
        spectra = [sums.moments.spectrum() for sums in self._sums]
        rows = self._sums[0].moments.rows
        if rows < NEEDS["rank"]:
            self.missing["rank"] = f"The rank of features needs at least {NEEDS['rank']} sampled tokens; there is {rows}."
        similarity = torch.stack([torch.cat(sums.similarity) for sums in self._sums], 1).numpy()
        alike, squares = similarity.mean(0), (similarity**2).mean(0)
        of_each = OfEachImage(
            similarity,
            torch.stack([torch.cat(sums.ends) for sums in self._sums], 1).numpy(),
            torch.cat(self._first_distance).numpy() if self._first_distance else np.zeros((count, 0)),
        )
        verdicts = [sums.channels.verdicts() for sums in self._sums]
        depths = {name: (number + 1) / len(self._heads) for number, name in enumerate(self._heads)}
        return ModelMeasures(
            name=self.name,
            display_name=self.display_name,
            title=card.title,
            family=card.family,
            parameters=sum(weight.numel() for weight in self.model.module.parameters()),
            size=self.layers[0].size,
            layers=tuple(self.layers),
            norm=np.array([sums.norm for sums in self._sums]) / count,
            similarity=alike,
            similarity_error=np.sqrt(np.clip(squares - alike**2, 0, None) / max(count - 1, 1))
            if count > 1
            else np.full(len(alike), np.nan),
            rank=np.array([effective_rank(values) for values in spectra]),
            stable_rank=np.array([stable_rank(values) for values in spectra]),
            rank_rows=rows,
            spectrum=tuple(relative_log(sums.amplitude).cpu().numpy() for sums in self._sums if sums.amplitude is not None),
            dead=np.array([float(dead.sum()) for dead, _ in verdicts]),
            exploding=np.array([float(exploding.sum()) for _, exploding in verdicts]),
            branches={name: share / count for name, share in self._shares.items()},
            heads=tuple(
                HeadMeasures(name, depths[name], (head_sums.entropy / count).numpy(), (head_sums.distance / count).numpy())
                for name, head_sums in self._heads.items()
            ),
            fields=tuple(fields),
            operator=tuple(operator),
            answers=torch.cat(self._answers).numpy() if self._answers else None,
            confidence=torch.cat(self._confidence).numpy() if self._confidence else None,
            missing=self.missing,
            of_each=of_each,
        )
