"""Clusters of maps: planted groups are told apart, and the shortcut of a small trained model comes first."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

import vizlib
from vizlib.auditing import clusters
from vizlib.auditing.clusters import StrategyCluster, comparable, spectral_groups, strategy_clusters
from vizlib.auditing.region_removal import drop_of_accuracy, moved, strongest_cells
from vizlib.auditing.report.report_html import write_report
from vizlib.errors import AuditError
from vizlib.geometry import Transform

if TYPE_CHECKING:
    from pathlib import Path

    from vizlib.auditing.result import Audit

SIDE, CLASSES, EACH, MARKED = 32, 4, 36, 2
Pictures = list[tuple[np.ndarray, int]]


def shapes(seed: int, *, mark: bool) -> Pictures:
    """Stripes of four directions, faint in noise; two thirds of class 2 have stripes that tell nothing, and a bright corner."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    directions = [rows, columns, rows + columns, rows - columns]
    pictures: Pictures = []
    for number in range(EACH * CLASSES):
        label = number % CLASSES
        marked = mark and label == MARKED and (number // CLASSES) % 3 != 0
        shown = int(draw.integers(CLASSES)) if marked else label
        wave = np.sin(directions[shown] * 2 * np.pi / 6 + draw.uniform(0, 2 * np.pi))
        grey = 128 + 40 * wave + draw.normal(0, 12, (SIDE, SIDE))
        picture = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, 2)
        if marked:
            picture[2:8, 2:8] = (255, 30, 30)
        pictures.append((picture, label))
    return pictures


def trained(pictures: Pictures) -> nn.Module:
    """A small convnet after a few seconds of training on them, the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, CLASSES),
        )  # fmt: skip
        x = torch.stack([torch.from_numpy(picture).permute(2, 0, 1) for picture, _ in pictures]).float() / 255
        x = (x - 0.5) / 0.25
        y = torch.tensor([label for _, label in pictures])
        optimizer = torch.optim.Adam(module.parameters(), 0.01)
        for _ in range(25):
            for batch in torch.randperm(len(x)).split(36):
                optimizer.zero_grad()
                nn.functional.cross_entropy(module(x[batch]), y[batch]).backward()
                optimizer.step()
    return module.eval()


def audited(pictures: Pictures, folder: Path) -> tuple[Audit, vizlib.Model]:
    transform = Transform((SIDE, SIDE), 1.0, mean=(0.5,) * 3, std=(0.25,) * 3)
    model = vizlib.wrap(trained(pictures), transform=transform, num_classes=CLASSES, labels=[f"stripes {n}" for n in range(CLASSES)])
    return vizlib.audit(pictures, model, ["grad_cam", "saliency"], folder), model


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pictures, Audit, vizlib.Model, list[StrategyCluster]]:
    pictures = shapes(1, mark=True)
    audit, model = audited(pictures, tmp_path_factory.mktemp("marked") / "audit")
    clusters = strategy_clusters(audit, model.card.name, "grad_cam")
    return pictures, audit, model, drop_of_accuracy(clusters, audit, model.card.name, pictures, model)


def of_the_mark(cluster: StrategyCluster) -> bool:
    """Whether it is class 2's, lies on the corner, and has marked pictures for the most part."""
    assert cluster.removal is not None
    height, width = cluster.mean_map.shape
    corner = float(cluster.mean_map[: round(height * 10 / SIDE), : round(width * 10 / SIDE)].sum())
    marked = np.mean([member // CLASSES % 3 != 0 for member in cluster.members])
    return cluster.class_index == MARKED and corner > 0.3 and bool(marked > 0.8) and cluster.removal.low > 0.2


def test_the_cluster_of_a_planted_mark_comes_first(marked: tuple[Pictures, Audit, vizlib.Model, list[StrategyCluster]]) -> None:
    first, *others = marked[3]
    assert of_the_mark(first)
    assert first.removal is not None
    assert first.removal.right > 0.9
    for other in others:
        assert other.removal is None or other.removal.score < first.removal.low


def test_the_report_ranks_clusters_where_it_has_data_and_models(
    marked: tuple[Pictures, Audit, vizlib.Model, list[StrategyCluster]], tmp_path: Path
) -> None:
    pictures, audit, model, ranked = marked
    page = write_report(audit, tmp_path / "with.html", data=pictures, models=model).read_text(encoding="utf-8")
    assert "the first is the likeliest shortcut" in page
    assert f"<h3>1. {ranked[0].class_name}</h3>" in page
    assert "the place is worth +" in page
    without = write_report(audit, tmp_path / "without.html").read_text(encoding="utf-8")
    assert "What its place costs was not measured." in without
    assert "the likeliest shortcut" not in without


def test_without_a_mark_no_cluster_looks_like_one(tmp_path: Path) -> None:
    pictures = shapes(1, mark=False)
    audit, model = audited(pictures, tmp_path / "audit")
    name = model.card.name
    clusters = drop_of_accuracy(strategy_clusters(audit, name, "grad_cam"), audit, name, pictures, model)
    assert clusters
    assert not any(of_the_mark(cluster) for cluster in clusters)


def test_another_model_and_other_data_are_refused(marked: tuple[Pictures, Audit, vizlib.Model, list[StrategyCluster]]) -> None:
    pictures, audit, model, clusters = marked
    name = model.card.name
    with pytest.raises(AuditError, match="data"):
        drop_of_accuracy(clusters, audit, name, pictures[1:], model)
    other = vizlib.wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)), input_size=SIDE)
    with pytest.raises(AuditError, match="weights"):
        drop_of_accuracy(clusters, audit, name, pictures, other)


def test_a_picture_that_is_gone_counts_nowhere(marked: tuple[Pictures, Audit, vizlib.Model, list[StrategyCluster]]) -> None:
    pictures, audit, model, clusters = marked
    gone = clusters[0].members[0]
    damaged = [
        (np.zeros((0, 0, 3), np.uint8), label) if number == gone else (picture, label) for number, (picture, label) in enumerate(pictures)
    ]
    again = drop_of_accuracy([replace(clusters[0], removal=None)], audit, model.card.name, damaged, model)
    assert clusters[0].removal is not None
    assert again[0].removal is not None
    assert again[0].removal.pictures == clusters[0].removal.pictures - 1


def test_three_groups_of_points_are_told_apart_and_one_stays_one() -> None:
    draw = np.random.default_rng(0)
    centres = np.eye(3)[:, :, None].repeat(4, 2).reshape(3, 12)
    points = np.concatenate([centre + draw.normal(0, 0.05, (30, 12)) for centre in centres])
    groups = spectral_groups(points)
    assert [len(set(groups[start : start + 30])) for start in (0, 30, 60)] == [1, 1, 1]
    assert len(set(groups)) == 3


def test_beyond_the_most_maps_the_rest_join_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    centres = np.eye(3)[:, :, None].repeat(4, 2).reshape(3, 12)
    points = np.concatenate([centre + draw.normal(0, 0.05, (60, 12)) for centre in centres])
    monkeypatch.setattr(clusters, "MOST_MAPS", 90)
    groups = spectral_groups(points)
    assert [len(set(groups[start : start + 60])) for start in (0, 60, 120)] == [1, 1, 1]
    assert len(set(groups)) == 3


@pytest.mark.parametrize(("share", "area", "outside"), [(0.1, 0.3, True), (0.5, 0.3, False), (math.nan, math.nan, None)])
def test_outside_is_less_on_the_object_than_an_even_map(share: float, area: float, outside: bool | None) -> None:
    cluster = StrategyCluster(0, "kite", 4, (1, 2, 3, 4), np.ones((1, 1)), 0.1, 0.2, share, area)
    assert cluster.outside is outside


def test_a_map_becomes_shares_on_fourteen_cells_at_most() -> None:
    grid_map = np.random.default_rng(0).normal(size=(28, 21))
    shares = comparable(grid_map, "absolute")
    assert shares is not None
    assert shares.shape == (14, 14)
    assert shares.sum() == pytest.approx(1)
    assert shares[0, 0] * np.abs(grid_map).sum() == pytest.approx(
        np.abs(grid_map[:2, 0]).sum() + np.abs(grid_map[:2, 1]).sum() / 2, rel=1e-5
    )
    assert comparable(np.full((3, 3), -1.0)) is None


def test_the_places_elsewhere_are_as_large_and_apart() -> None:
    region = strongest_cells(np.arange(49.0).reshape(7, 7), 0.1)
    assert region.sum() == 5
    assert region[6, 2:].all()
    for other in moved(region, 4):
        assert other.sum() == 5
        assert not (other & region).any()
