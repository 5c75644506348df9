"""The table of families is the document beside it, the command prints it, and its rows are what the cards say."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vizlib.catalog.attention_variants import TORCHVISION, VARIANTS
from vizlib.catalog.family_table import as_markdown, family_table
from vizlib.catalog.transformers_variants import FACTS, TOWERS_ALONE
from vizlib.cli import app
from vizlib.model_report.family_table import DOCUMENT, timm_row, torchvision_row, transformers_row

FULL = bool(os.environ.get("VIZLIB_FULL_TABLE"))
TIMM = [variant.module for variant in VARIANTS] if FULL else ["hiera", "xcit", "cait", "levit", "vision_transformer_hybrid"]
TRANSFORMERS = (
    [*FACTS, *TOWERS_ALONE]
    if FULL
    else ["ViTForImageClassification", "HieraForImageClassification", "ResNetForImageClassification", "FocalNetForImageClassification",
          "ImageGPTForImageClassification", "SiglipVisionModel"]
)  # fmt: skip


def test_the_document_is_the_table() -> None:
    assert (Path(__file__).parents[2] / DOCUMENT).read_text(encoding="utf-8") == as_markdown(family_table())


@pytest.mark.parametrize("module", TIMM)
def test_a_row_is_what_the_card_says(module: str) -> None:
    variant = next(variant for variant in VARIANTS if variant.module == module)
    assert timm_row(variant) in family_table()


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_row_of_transformers_is_what_the_card_says(name: str) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    assert transformers_row(name) in family_table()


@pytest.mark.skipif(not FULL, reason="VIZLIB_FULL_TABLE runs all")
@pytest.mark.parametrize("name", TORCHVISION)
def test_a_row_of_torchvision_is_what_the_card_says(name: str) -> None:
    assert torchvision_row(name) in family_table()


def test_every_class_of_transformers_and_network_of_torchvision_has_its_row() -> None:
    named = {
        library: {row["variant"] for row in family_table() if row["library"] == library} for library in ("transformers", "torchvision")
    }
    assert named == {"transformers": {*FACTS, *TOWERS_ALONE}, "torchvision": set(TORCHVISION)}
    assert all(row["methods"] or row["rollout"] for row in family_table())


def test_every_variant_has_its_row_and_its_verdict() -> None:
    rows = {row["module"]: row for row in family_table() if row["library"] == "timm"}
    assert set(rows) == {variant.module for variant in VARIANTS}
    assert all((rows[variant.module]["rollout"] is None) == (variant.refused is None) for variant in VARIANTS)


def test_the_command_prints_it() -> None:
    result = CliRunner().invoke(app, ["models", "--families", "--json"])
    assert json.loads(result.stdout) == family_table()
    assert CliRunner().invoke(app, ["models", "vit_tiny50", "--families"]).exit_code == 2
