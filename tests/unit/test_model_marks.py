"""One table of names, colours and symbols for every chart, table and component."""

from __future__ import annotations

from dataclasses import fields

from vizlib.figures.charts import COLOURS
from vizlib.figures.model_marks import FAMILY_NAMES, SHORT_NAMES, family_name, mark_of, marks_of, short_name
from vizlib.ui.core.user_model_card import UserModelCard
from vizlib.zoo.bundled_models import NAMES
from vizlib.zoo.cards import ModelCard, all_cards, bundled_cards


def test_the_table_has_every_bundled_model_in_the_order_of_all():
    assert tuple(SHORT_NAMES) == NAMES
    assert len({(mark_of(name).colour, mark_of(name).symbol) for name in NAMES}) == len(NAMES)
    assert {card.family for card in bundled_cards()} <= set(FAMILY_NAMES)


def test_a_bundled_model_looks_the_same_whichever_stand_beside_it():
    assert marks_of(["own-1", "resnet_tiny50", "vit_tiny50"])[1:] == [mark_of("resnet_tiny50"), mark_of("vit_tiny50")]
    assert mark_of("resnet_tiny50").label == "ResNet"


def test_every_card_knows_what_a_reader_calls_it():
    assert {card.name: card.display_name for card in bundled_cards()} == SHORT_NAMES
    assert all_cards()["cvt_13"].display_name == "cvt_13"
    facts = {field.name: getattr(bundled_cards()[0], field.name) for field in fields(ModelCard)}
    assert UserModelCard(**facts | {"name": "own-1", "title": "mine.pth", "source": "own"}).display_name == "mine.pth"


def test_others_get_what_is_free_and_their_own_titles():
    marks = marks_of(["own-1", "vit_tiny50", "own-2"], ["mine.pth", "ViT", "mine.pth (2)"])
    assert [mark.label for mark in marks] == ["mine.pth", "ViT", "mine.pth (2)"]
    assert len({mark.colour for mark in marks}) == 3
    assert marks[0].colour == COLOURS[1]
    assert (short_name("resnet18"), family_name("pvt_v2", "x"), family_name("swin", "x")) == ("resnet18", "PVT v2", "x")
