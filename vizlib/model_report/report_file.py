"""The report on the bundled models as a file: where it is and how it is read. Imports nothing heavy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vizlib.errors import TrainingError
from vizlib.files import replace_file
from vizlib.zoo.cards import ASSETS

SCHEMA = 1
FILE = "report.json"
SMALL_DATA_FILE = "small_data.json"
FOLDER = ASSETS / "training"
COMMAND = "vizlib train report --data DIR --runs DIR"


def read_report(folder: str | Path = FOLDER) -> dict[str, Any]:
    """The report by section, empty when there is none; TrainingError when it is damaged or of another version."""
    path = Path(folder) / FILE
    if not path.is_file():
        return {}
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read: {error}; `{COMMAND}` writes it again.") from error
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise TrainingError(f"{path} is of another version than this vizlib reads; `{COMMAND}` writes it again.")
    return report


def kept_small_data(folder: str | Path = FOLDER) -> dict[str, Any]:
    """The kept runs on shares of the photographs: ``about`` in words and ``runs`` by model; empty without the file.

    TrainingError when it cannot be read.
    """
    path = Path(folder) / SMALL_DATA_FILE
    if not path.is_file():
        return {"about": "", "runs": {}}
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {"about": str(kept["about"]), "runs": dict(kept["runs"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path} cannot be read: {error}; restore it, or name a folder of runs with --runs.") from error


def write_report(report: dict[str, Any], folder: str | Path) -> Path:
    """Write the report, one line a section and model, and give back its path; what was there stays until the new file is whole."""
    path = Path(folder) / FILE
    try:
        replace_file(path, _lines({"schema": SCHEMA, **report}).encode())
    except OSError as error:
        raise TrainingError(f"The report cannot be written to {folder}: {error.strerror or error}.") from error
    return path


def _lines(report: dict[str, Any]) -> str:
    sections = []
    for name, section in report.items():
        if isinstance(section, dict) and section:
            rows = ",\n".join(f"  {json.dumps(key)}: {_compact(value)}" for key, value in section.items())
            sections.append(f" {json.dumps(name)}: {{\n{rows}\n }}")
        else:
            sections.append(f" {json.dumps(name)}: {_compact(section)}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(_rounded(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _rounded(value: Any) -> Any:
    """Five significant digits: more than any of these measurements holds."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
