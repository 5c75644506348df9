"""The table of families is the document beside it, the command prints it, and its rows are what the cards say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vizlib.catalog.attention_variants import VARIANTS
from vizlib.catalog.family_table import as_markdown, family_table
from vizlib.cli import app
from vizlib.model_report.family_table import DOCUMENT, timm_row


def test_the_document_is_the_table() -> None:
    assert (Path(__file__).parents[2] / DOCUMENT).read_text(encoding="utf-8") == as_markdown(family_table())


@pytest.mark.parametrize("module", ["hiera", "xcit", "cait", "levit", "vision_transformer_hybrid"])
def test_a_row_is_what_the_card_says(module: str) -> None:
    variant = next(variant for variant in VARIANTS if variant.module == module)
    assert timm_row(variant) in family_table()


def test_every_variant_has_its_row_and_its_verdict() -> None:
    rows = {row["module"]: row for row in family_table() if row["library"] == "timm"}
    assert set(rows) == {variant.module for variant in VARIANTS}
    assert all((rows[variant.module]["rollout"] is None) == (variant.refused is None) for variant in VARIANTS)


def test_the_command_prints_it() -> None:
    result = CliRunner().invoke(app, ["models", "--families", "--json"])
    assert json.loads(result.stdout) == family_table()
    assert CliRunner().invoke(app, ["models", "vit_tiny50", "--families"]).exit_code == 2
