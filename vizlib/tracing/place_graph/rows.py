"""New sets of places from tables of old ones; images of a batch are told apart by their numbers and must stay apart."""

from __future__ import annotations

import torch

from vizlib.tracing.place_graph.marks import Lost, Places, compact
from vizlib.tracing.place_graph.nodes import Added, Gathered, Joined, Learned, Node, Share
from vizlib.tracing.token_grid import Grid

IMAGES = 2  # in a traced batch: one would not show whether images come before windows


def gathered(node: Node, table: torch.Tensor, shape: tuple[int, int] | None = None, weights: torch.Tensor | None = None) -> Places | Lost:
    """Equal shares of the places named along the last axis of ``table``; places of ``node`` itself where each row names but one.

    ``shape`` is how the new places lie, where the caller knows; ``weights`` (places, k) makes the shares uneven.
    """
    rows = table.reshape(-1, table.shape[-1])
    highest = rows.amax(1)
    present = rows >= 0
    lowest = torch.where(present, rows, torch.inf).amin(1)
    single = (highest == lowest) | (highest < 0)
    if bool(single.all()):
        return Places(node, highest.view(table.shape[:-1]))
    images = highest.div(node.places, rounding_mode="floor")
    if bool((present.any(1) & (lowest.div(node.places, rounding_mode="floor") != images)).any()):
        return Lost("mixes the images of a batch")
    first, second = (torch.nonzero(images == image).squeeze(1) for image in range(IMAGES))
    if len(first) != len(second) or not torch.equal(rows[second], torch.where(present[first], rows[first] + node.places, -1.0)):
        return Lost("treats the images of a batch differently")
    count = _different(rows[first], shape) if shape is not None and weights is None else len(first)
    index = torch.full_like(highest, -1)
    index[first] = torch.arange(len(first), dtype=index.dtype, device=index.device) % count
    index[second] = index[first] + count
    first = first[:count]
    known = shape is not None and shape[0] * shape[1] == len(first)
    grid = Grid(*shape) if shape is not None and known else similar_grid(node.grid, len(first))
    new = Gathered(grid, node, *_counted(rows[first].long(), weights))
    return Places(new, index.view(table.shape[:-1]))


def _different(rows: torch.Tensor, shape: tuple[int, int]) -> int:
    """How many of the rows differ: those of one map where all maps of an image are alike, as heads on the batch's axis are."""
    cells = shape[0] * shape[1]
    if not cells or len(rows) % cells:
        return len(rows)
    maps = rows.unflatten(0, (-1, cells))
    return cells if torch.equal(maps, maps[:1].expand_as(maps)) else len(rows)


def _counted(sources: torch.Tensor, weights: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Sources (places, k) with each named once, those named more often weighed by how often.

    A window over maps that stand side by side names each place once for every channel.
    """
    if weights is not None:
        return sources, weights
    ordered = sources.sort(1).values
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    if bool((starts | (ordered < 0)).all()):
        return sources, None
    column = starts.cumsum(1) - 1
    width = int(column.max()) + 1
    once = torch.full((len(ordered), width), -1, dtype=ordered.dtype, device=ordered.device).scatter_(1, column, ordered)
    counts = torch.zeros(len(ordered), width, dtype=torch.float64, device=ordered.device)
    counts.scatter_add_(1, column, torch.ones_like(ordered, dtype=torch.float64))
    return once, counts


def similar_grid(grid: Grid, places: int) -> Grid:
    """A grid of so many places in the proportions of another one, a row of them where there is none."""
    for prefix in (0, grid.prefix):
        for step in range(1, 65):
            if (-(-grid.height // step)) * (-(-grid.width // step)) == places - prefix:
                return Grid(-(-grid.height // step), -(-grid.width // step), prefix)
    return Grid(1, places)


def added(left: Places, right: Places, shape: torch.Size) -> Places | Lost:
    """The sum of two tensors that were broadcast to ``shape``."""
    if left.node is right.node and (left.index is right.index or torch.equal(*torch.broadcast_tensors(left.index, right.index))):
        return Places(left.node, torch.broadcast_to(left.index, shape))
    a, b = torch.broadcast_tensors(_widened(left.index, len(shape)), _widened(right.index, len(shape)))
    wide = right.node.places * IMAGES + 1
    pairs = (a + 1) * wide + b + 1
    flat = pairs.flatten()
    kinds, inverse = torch.unique(flat, return_inverse=True)
    first_seen = torch.full((len(kinds),), len(flat), device=flat.device, dtype=torch.long)
    first_seen.scatter_reduce_(0, inverse, torch.arange(len(flat), device=flat.device), "amin")
    a_of, b_of = (kinds.div(wide, rounding_mode="floor") - 1).long(), (kinds % wide).long() - 1
    image = torch.maximum(_image(a_of, left.node), _image(b_of, right.node))
    clash = (a_of >= 0) & (b_of >= 0) & (_image(a_of, left.node) != _image(b_of, right.node))
    if bool(clash.any()):
        return Lost("adds different images of a batch")
    rank, grid = _numbered(a_of, b_of, image, first_seen, left.node, right.node)
    if rank is None:
        return Lost("treats the images of a batch differently")
    places = int(((image == 0) & (rank >= 0)).sum())
    own = torch.zeros(2, places, dtype=torch.long, device=flat.device)
    mine = image == 0
    own[0, rank[mine]], own[1, rank[mine]] = a_of[mine], b_of[mine]
    node = Added(grid, (Share(left.node, own[0]), Share(right.node, own[1])))
    numbers = torch.where(image >= 0, image * places + rank, -1).to(flat.dtype)
    return Places(node, torch.broadcast_to(numbers[inverse].view(pairs.shape), shape))


def _widened(index: torch.Tensor, axes: int) -> torch.Tensor:
    index = compact(index)
    return index.reshape((1,) * (axes - index.ndim) + tuple(index.shape))


def _image(places: torch.Tensor, node: Node) -> torch.Tensor:
    return torch.where(places >= 0, places.div(node.places, rounding_mode="floor"), -1)


def _numbered(
    a_of: torch.Tensor, b_of: torch.Tensor, image: torch.Tensor, first_seen: torch.Tensor, left: Node, right: Node
) -> tuple[torch.Tensor | None, Grid]:
    """Each kind's number in its image: as a parent numbers them where it has all of them once, else as they come in memory."""
    counts = [int((image == number).sum()) for number in range(IMAGES)]
    if counts[0] != counts[1]:
        return None, left.grid
    for own, node in sorted(((a_of, left), (b_of, right)), key=lambda side: isinstance(side[1].grid, Grid) and side[1].grid.height <= 1):
        if counts[0] == node.places and bool((own[image >= 0] >= 0).all()) and len(torch.unique(own[image >= 0])) == IMAGES * node.places:
            return own % node.places, node.grid
    rank = torch.full_like(a_of, -1)
    for number in range(IMAGES):
        inside = torch.nonzero(image == number).squeeze(1)
        rank[inside[first_seen[inside].argsort()]] = torch.arange(len(inside), device=rank.device)
    return rank, similar_grid(left.grid, counts[0])


def joined(parts: list[tuple[Node, torch.Tensor]], index: torch.Tensor, offsets: list[int]) -> Places | Lost:
    """Tensors of several sets side by side: ``index`` counts the places of each part's set from its offset on, image by image after that.

    ``index`` holds offset + image * places + place.
    """
    used, inverse = torch.unique(index.flatten(), return_inverse=True)
    first_seen = torch.full((len(used),), index.numel(), dtype=torch.long, device=index.device)
    first_seen.scatter_reduce_(0, inverse, torch.arange(index.numel(), device=index.device), "amin")
    part = torch.full((len(used),), -1, dtype=torch.long, device=index.device)
    place, image = part.clone(), part.clone()
    for number, ((node, _), offset) in enumerate(zip(parts, offsets, strict=True)):
        inside = (used >= offset) & (used < offset + node.places * IMAGES)
        local = (used[inside] - offset).long()
        part[inside], place[inside], image[inside] = number, local % node.places, local.div(node.places, rounding_mode="floor")
    order = [torch.nonzero(image == number).squeeze(1) for number in range(IMAGES)]
    order = [inside[first_seen[inside].argsort()] for inside in order]
    places = len(order[0])
    if places != len(order[1]) or not (torch.equal(part[order[0]], part[order[1]]) and torch.equal(place[order[0]], place[order[1]])):
        return Lost("treats the images of a batch differently")
    rank = torch.full_like(part, -1)
    for inside in order:
        rank[inside] = torch.arange(places, device=rank.device)
    shares = tuple(Share(node, torch.where(part[order[0]] == number, place[order[0]], -1)) for number, (node, _) in enumerate(parts))
    numbers = torch.where(image >= 0, image * places + rank, -1).to(index.dtype)
    return Places(Joined(_joined_grid(shares, places), shares), numbers[inverse].view(index.shape))


def _joined_grid(shares: tuple[Share, ...], places: int) -> Grid:
    """Learned tokens before a whole set are its prefix; the places of a known grid keep it."""
    learned = sum(int((share.places >= 0).sum()) for share in shares if isinstance(share.parent, Learned))
    for share in shares:
        grid = share.parent.grid
        taken = share.places[share.places >= 0]
        whole = len(taken) == grid.tokens and torch.equal(taken.cpu(), torch.arange(len(taken)))
        if learned and whole and places == learned + len(taken) and bool((share.places[:learned] < 0).all()) and not grid.prefix:
            return Grid(*grid.shape, learned)
    for share in shares:
        grid = share.parent.grid
        if places == grid.tokens and not isinstance(share.parent, Learned):
            return grid
    return Grid(1, places)
