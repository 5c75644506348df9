"""Models that are fetched together, and the fetching of several: what it takes first, then one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vizlib.errors import DownloadError, ModelError, nearest
from vizlib.zoo.cards import ModelCard, all_cards
from vizlib.zoo.sources.places import at_hand, first_that_works

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class WeightSet:
    """Models that are fetched together, by the names of their cards."""

    name: str
    title: str
    models: tuple[str, ...]


SETS: Final = {
    weight_set.name: weight_set
    for weight_set in (
        WeightSet(
            "imagenet-small",
            "ImageNet, small",
            ("deit_tiny_patch16_224.fb_in1k", "t2t_vit_7", "pvt_v2_b0", "cvt_13", "cct_14_7x2_224", "resnet18.tv_in1k"),
        ),
    )
}


@dataclass(frozen=True)
class Pending:
    """What fetching one model takes: ``size`` in bytes, 0 where it is at hand already and None where its server does not say.

    ``place`` is where it is or would be had from; ``problem`` the sentence where that cannot be reached.
    """

    card: ModelCard
    place: str
    size: int | None
    problem: str = ""


def members(names: Sequence[str]) -> list[str]:
    """The models that the names of sets and models mean, each once; ModelError for one that is neither."""
    chosen: dict[str, None] = {}
    for name in names:
        if name in SETS:
            chosen |= dict.fromkeys(SETS[name].models)
        else:
            chosen[_fetchable(name).name] = None
    return list(chosen)


def _fetchable(name: str) -> ModelCard:
    card = all_cards().get(name)
    if card is None:
        known = [*SETS, *all_cards()]
        raise ModelError(f"There is no set and no model {name!r} to fetch; `vizlib fetch --list` names them.{nearest(name, known)}")
    if not card.places:
        raise ModelError(f"Nobody released weights of {name}, so there is nothing to fetch.")
    return card


def pending(names: Sequence[str]) -> list[Pending]:
    """What fetching these models takes, asked of their servers; DownloadError where none of those that are needed can be reached."""
    rows: list[Pending] = []
    errors: list[DownloadError] = []
    for name in names:
        card = _fetchable(name)
        here = at_hand(card.places)
        if here is not None:
            rows.append(Pending(card, here.title, 0))
            continue
        place = next(place for place in card.places if place.remote)
        try:
            rows.append(Pending(card, place.title, place.size()))
        except DownloadError as error:
            errors.append(error)
            rows.append(Pending(card, place.title, None, str(error)))
    if errors and all(row.problem or row.size == 0 for row in rows):
        raise errors[0]
    return rows


def fetch_all(rows: Sequence[Pending], progress: Callable[[ModelCard, int, int | None], None] | None = None) -> dict[str, str]:
    """Fetch what is pending, one after the other; by name where each was had from. What is there already is not fetched again.

    ``progress`` hears (card, bytes there, bytes in all) of the file that is coming, and stops everything by raising. One that fails does
    not keep the others; DownloadError at the end says which failed and why.
    """
    had: dict[str, str] = {}
    failures: list[str] = []
    for row in rows:
        if row.problem:
            failures.append(f"{row.card.name}: {row.problem}")
            continue
        card = row.card
        report = None if progress is None else lambda there, total, card=card: progress(card, there, total)
        try:
            place, _ = first_that_works(card.places, report)
        except DownloadError as error:
            failures.append(f"{card.name}: {error}")
        else:
            had[card.name] = place.title
    if failures:
        reasons = "; ".join(failure.rstrip(".") for failure in failures)
        raise DownloadError(f"{len(failures)} of {len(rows)} could not be fetched ({reasons}).")
    return had
