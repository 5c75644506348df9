"""Tables of places: windows over maps side by side, and how many input sizes are kept."""

from __future__ import annotations

import torch
from torch import nn

from vizlib.tracing.place_graph.nodes import Gathered
from vizlib.tracing.place_graph.tracer import trace
from vizlib.tracing.row_vectors import summed_at
from vizlib.zoo.adapters.place_reader import SIZES, PlaceReader


class SideBySide(nn.Module):
    """A 3 x 3 convolution over two maps of unequal widths, whose second was turned over, so that the two stand at other places."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = nn.Conv2d(2 + 5, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fuse(torch.cat([x[:, :1].expand(-1, 2, -1, -1), x[:, :1].flip(3).expand(-1, 5, -1, -1)], 1)).mean((2, 3))


def test_a_window_over_maps_side_by_side_names_each_place_once_and_counts_its_channels() -> None:
    mark, _ = trace(SideBySide(), lambda module, x: module(x), torch.rand(2, 3, 4, 4))
    fused = mark.node.parent  # type: ignore[union-attr]
    assert isinstance(fused, Gathered)
    expected = torch.zeros(16, 16, dtype=torch.float64)
    for row in range(4):
        for column in range(4):
            for y in range(max(0, row - 1), min(4, row + 2)):
                for x in range(max(0, column - 1), min(4, column + 2)):
                    expected[row * 4 + column, y * 4 + x] += 2
                    expected[row * 4 + column, y * 4 + 3 - x] += 5
    expected /= expected.sum(1, keepdim=True)
    matrix = fused.step.spread(torch.eye(16, dtype=torch.float64)[None])[0]
    torch.testing.assert_close(matrix, expected, rtol=1e-12, atol=1e-15)
    for named in fused.sources.tolist():
        places = [place for place in named if place >= 0]
        assert len(places) == len(set(places))


def test_entries_are_added_up_at_their_places() -> None:
    rows, places = torch.rand(2, 3, 7, dtype=torch.float64), torch.tensor([4, 0, 4, 1, 0, 0, 2])
    assert torch.equal(summed_at(rows, places, 6), torch.zeros(2, 3, 6, dtype=torch.float64).index_add_(2, places, rows))


def test_a_reader_keeps_the_last_sizes_alone() -> None:
    module = SideBySide()
    reader = PlaceReader(module)
    for side in range(4, 4 + SIZES + 3):
        reader.graph((side, side))
    assert list(reader._graphs) == list(reader._maps) == [(side, side) for side in range(7, 7 + SIZES)]
    assert reader.maps((4, 4))  # read again
