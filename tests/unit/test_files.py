"""Cells of CSV files: what a spreadsheet would run is text, all else is as it was."""

import csv
import io

import pytest

from vizlib.files import harmless_cell
from vizlib.ui.core.tables import records_to_csv, to_csv


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_are_quoted(text):
    assert harmless_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["tabby, tabby cat", "-", "=", "", -0.5, 3, None, "a=b"])
def test_all_else_stays(value):
    assert harmless_cell(value) is value


def test_tables_of_pages_are_harmless():
    rows = list(csv.reader(io.StringIO(to_csv(["name", "value"], [["=HYPERLINK(1)", -1.5], ["cat", None]]))))
    assert rows == [["name", "value"], ["'=HYPERLINK(1)", "-1.5"], ["cat", ""]]
    assert "'=x" in records_to_csv([{"label": "=x"}])
