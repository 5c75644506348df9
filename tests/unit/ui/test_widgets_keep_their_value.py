"""Every widget whose value a link can bring gives that value in every run, so that a browser that missed one run starts with it.

And choices in a row of buttons fold where there is no room: in a column Streamlit lets them run out of sight otherwise.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FILES = [*sorted((ROOT / "vizlib/ui").rglob("*.py")), *sorted((ROOT / "pages").glob("*.py"))]
CHOSEN = {"pills", "segmented_control", "selectbox", "multiselect", "toggle", "checkbox", "radio", "select_slider"}
TYPED = {"text_input", "number_input", "slider", "text_area"}  # set anew, they would lose what is being typed or drawn
# No link brings these: a form that begins empty, and a guess before it is taken.
BEGIN_ANEW = {"user_model_form.py", "learn/sections.py"}


def keyed(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHOSEN | TYPED:
            arguments = {keyword.arg: keyword.value for keyword in node.keywords}
            if "key" in arguments:
                yield node, arguments


def gives_its_value(node, arguments, source):
    key = ast.unparse(arguments["key"])
    if "resend(" in key or f"resend({key})" in source:
        return True
    return node.func.attr in TYPED and "value" in arguments and f"state[{key}]" in ast.unparse(arguments["value"])


def test_a_widget_gives_its_value_in_every_run():
    without = []
    for path in FILES:
        if path.as_posix().endswith(tuple(BEGIN_ANEW)):
            continue
        source = path.read_text(encoding="utf-8")
        without += [
            f"{path.name}:{node.lineno} {node.func.attr}" for node, arguments in keyed(path) if not gives_its_value(node, arguments, source)
        ]
    assert not without, f"These start empty where a browser missed a run, see url_state.resend: {without}"


def test_clicks_are_taken_by_callbacks():
    """A run that ends in another one, or is cut short by it, takes a button's answer with it; a callback has run before."""
    calls = [
        (path, node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"button", "form_submit_button"}
    ]
    assert len(calls) > 15
    named = [(path, node, {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}) for path, node in calls]
    read = [f"{path.name}:{node.lineno}" for path, node, given in named if "on_click" not in given and given.get("disabled") != "True"]
    assert not read, f"Clicks on these can be lost: {read}"


def test_choices_in_a_row_fold():
    calls = [
        (path, node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"pills", "segmented_control"}
    ]
    assert len(calls) > 20
    ends = [f"{path.name}:{node.lineno}" for path, node in calls if "wrap=True" not in map(ast.unparse, node.keywords)]
    assert not ends, f"Buttons that would run out of sight: {ends}"
