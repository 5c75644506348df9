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


def calls(*names):
    """Calls of widgets of these names: the file, the place in it, and the arguments given by name."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
                yield path, node, {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}


def gives_its_value(kind, given, source):
    key = given["key"]
    if "resend(" in key or f"resend({key})" in source:
        return True
    return kind in TYPED and f"state[{key}]" in given.get("value", "")


def test_a_widget_gives_its_value_in_every_run():
    without = [
        f"{path.name}:{node.lineno} {node.func.attr}"
        for path, node, given in calls(*CHOSEN, *TYPED)
        if "key" in given
        and not path.as_posix().endswith(tuple(BEGIN_ANEW))
        and not gives_its_value(node.func.attr, given, path.read_text(encoding="utf-8"))
    ]
    assert not without, f"These start empty where a browser missed a run, see url_state.resend: {without}"


def test_clicks_are_taken_by_callbacks():
    """A run that ends in another one, or is cut short by it, takes a button's answer with it; a callback has run before."""
    found = list(calls("button", "form_submit_button"))
    assert len(found) > 15
    read = [f"{path.name}:{node.lineno}" for path, node, given in found if "on_click" not in given and given.get("disabled") != "True"]
    assert not read, f"Clicks on these can be lost: {read}"


def test_choices_in_a_row_fold():
    found = list(calls("pills", "segmented_control"))
    assert len(found) > 20
    ends = [f"{path.name}:{node.lineno}" for path, node, given in found if given.get("wrap") != "True"]
    assert not ends, f"Buttons that would run out of sight: {ends}"
