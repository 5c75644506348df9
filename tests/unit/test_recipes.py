"""The recipes of CONTRIBUTING.md, each followed word for word in a copy of the house."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## Recipe: ([^\n]*)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE))
_BLOCK = re.compile(r"^```(\w+)\n(?:# |<!-- |/\* |// )(\S+\.\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def patched(text: str, lines: list[str]) -> str:
    """The text with the lines that begin with + put among those that begin with a space, which stand in it once."""
    before = "".join(line[1:] + "\n" for line in lines if line[0] != "+")
    assert text.count(before) == 1, f"This stands {text.count(before)} times in the file that the recipe changes:\n{before}"
    return text.replace(before, "".join(line[1:] + "\n" for line in lines if line[0] != "-"))


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the checkout, as far as the product goes; the weights are linked."""
    copy = tmp_path / "house"
    copy.mkdir()
    for name in ("vizlib", "pages", ".streamlit"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "pyproject.toml"):
        shutil.copy(ROOT / name, copy / name)
    (copy / "assets").symlink_to(ROOT / "assets", target_is_directory=True)
    return copy


def follow(recipe: str, house: Path) -> list[Path]:
    """Add a recipe's files and lines to a house; the files that it touched."""
    touched = []
    for kind, path, body in _BLOCK.findall(RECIPES[recipe]):
        file = house / path
        if kind == "diff":
            file.write_text(patched(file.read_text(encoding="utf-8"), body.splitlines()), encoding="utf-8")
        else:
            assert not file.exists(), f"{path} is there already"
            file.parent.mkdir(exist_ok=True)
            head = (
                "" if kind == "python" else re.search(rf"^```{kind}\n([^\n]*{re.escape(path)}[^\n]*\n)", RECIPES[recipe], re.MULTILINE)[1]
            )
            file.write_text(head + body, encoding="utf-8")
        touched.append(file)
    return touched


def in_house(house: Path, script: str) -> str:
    """What a script prints that runs in a house; it asserts by itself."""
    done = subprocess.run([sys.executable, "-c", script], cwd=house, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def lint(touched: list[Path], house: Path) -> None:
    """The recipe's Python as ``make check`` wants it."""
    files = [str(path) for path in touched if path.suffix == ".py"]
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *words, *files], cwd=house, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_every_recipe_is_followed() -> None:
    assert set(RECIPES) == {name.removeprefix("test_").replace("_", " ") for name in globals() if name.startswith("test_a_")}


def test_a_metric(house: Path) -> None:
    touched = follow("a metric", house)
    assert len(touched) == 2
    lint(touched, house)
    in_house(
        house,
        """
import numpy as np, sys
from dataclasses import replace
from vizlib.evaluation.metrics import METRICS
assert METRICS["sparseness"].title == "Sparseness" and "torch" not in sys.modules
import vizlib
from vizlib.evaluation import protocol
protocol.PARTS, protocol.RANDOM_MAPS, protocol.BASELINES = 2, 2, ("mean",)
from PIL import Image
from skimage import data
from typer.testing import CliRunner
from vizlib.cli import app
from vizlib.evaluation.badge import badge
from vizlib.evaluation.sanity_checks import sanity_checks
from vizlib.ui.pages.attribution.text import score_line

model, image = vizlib.load("vit_tiny50"), data.coffee()
explanation = vizlib.explain(model, image, "rollout")
even, dot = np.ones((64, 64)), np.zeros((64, 64))
dot[3, 5] = 1
values = [vizlib.evaluate(model, image, replace(explanation, input_map=map), ["sparseness"])["sparseness"].value for map in (even, dot)]
assert abs(values[0]) < 1e-9 and abs(values[1] - 4095 / 4096) < 1e-9, values
scores = vizlib.evaluate(model, image, explanation)
assert scores["sparseness"].percentile is not None and scores["sparseness"].higher
assert score_line("sparseness", scores["sparseness"])["title"] == "Sparseness"
assert "Sparseness" in [title for title, _, _ in badge(scores, sanity_checks(model, image, explanation)).lines]
Image.fromarray(image).resize((64, 64)).save("coffee.png")
printed = CliRunner().invoke(app, ["explain", "coffee.png", "--evaluate"]).output
assert "Sparseness" in printed, printed
""",
    )


def test_a_method(house: Path) -> None:
    touched = follow("a method", house)
    assert len(touched) == 2
    lint(touched, house)
    in_house(
        house,
        """
import sys, vizlib
from vizlib.catalog.methods import METHODS
assert "squared_gradient" in METHODS and "torch" not in sys.modules
import numpy as np
from PIL import Image
from skimage import data
from typer.testing import CliRunner
from vizlib.cli import app
from vizlib.ui.pages.attribution.text import in_order

assert all("squared_gradient" in card.methods for card in vizlib.models() if card.source == "bundled")
assert "squared_gradient" in in_order(METHODS)
model, image = vizlib.load("resnet_tiny50"), data.coffee()
squared, largest = (vizlib.explain(model, image, method) for method in ("squared_gradient", "saliency"))
ratio = squared.input_map / np.maximum(largest.input_map, 1e-30) ** 2
assert (ratio > 1 - 1e-4).all() and (ratio < 3 + 1e-4).all()  # the sum of three squares beside the largest
Image.fromarray(image).save("coffee.png")
printed = CliRunner().invoke(app, ["methods", "squared_gradient"])
assert printed.exit_code == 0 and "Baehrens" in printed.output, printed.output
made = CliRunner().invoke(app, ["explain", "coffee.png", "--method", "squared_gradient", "--option", "smoothing=mean", "--json"])
assert made.exit_code == 0, made.output
""",
    )


def test_a_model_family(house: Path) -> None:
    touched = follow("a model family", house)
    assert len(touched) == 4
    lint(touched, house)
    in_house(
        house,
        """
import sys, vizlib
from vizlib.catalog.families import FAMILIES
from vizlib.catalog.methods import METHODS
assert "tiny" in METHODS["rollout"].families and "tiny" not in METHODS["guided_backprop"].families and "torch" not in sys.modules
import pytest, torch
from vizlib.zoo.networks.tiny import TinyTransformer

torch.manual_seed(0)
module, x = TinyTransformer().eval(), torch.rand(3, 4, 6).repeat_interleave(8, 1).repeat_interleave(8, 2)
model = vizlib.wrap(module, input_size=(32, 48))
assert model.adapter.family == model.card.family == "tiny"
rollout = vizlib.explain(model, x, "rollout")
assert abs(rollout.input_map.sum() + rollout.sink - 1) < 1e-9 and rollout.input_map.min() >= 0 and rollout.sink == 0
# The same by the explicit matrix: the mean's row through half attention, half identity, spread over 8 x 8 pixels.
(site,) = vizlib.trace(model, x).attention
matrix = (site.weights().double().mean(0) + torch.eye(24, dtype=torch.float64)) / 2
row = matrix.mean(0).unflatten(0, (4, 6)) / 64
expected = row.repeat_interleave(8, 0).repeat_interleave(8, 1)
assert torch.allclose(torch.from_numpy(rollout.input_map), expected, atol=1e-7)
for name in model.card.methods:
    quick = {option: value for option, value in METHODS[name].coarse.items()}
    assert vizlib.explain(model, x, name, **quick).input_map.shape == (32, 48), name
assert {"rollout", "relevance", "occlusion", "leave_one_out"} <= set(model.card.methods)
with pytest.raises(vizlib.MethodError, match="no last feature map"):
    vizlib.explain(model, x, "grad_cam")
""",
    )


# Until the components' JavaScript is joined from modules, and pages open by one helper, there is nothing to follow.
SHARE_BARS = """
from streamlit.testing.v1 import AppTest
from vizlib.ui.core.message_codec import unpack

at = AppTest.from_string('''
from vizlib.ui.components.share_bars import share_bars
share_bars({"lynx": 0.75, "tabby": 0.25}, key="bars")
''', default_timeout=100).run()
assert not at.exception, at.exception
(element,) = at.get("bidi_component")
assert element.proto.component_name == "vizlib_share_bars"
message = element.proto.bytes
assert unpack(message)[0] == {"bars": [["lynx", 0.75], ["tabby", 0.25]]}
"""


def test_a_component(house: Path) -> None:
    touched = follow("a component", house)
    assert [path.suffix for path in touched] == [".py", ".html", ".css", ".js"]
    lint(touched, house)
    in_house(house, SHARE_BARS)


def _drawn(sync_api: Any, parts: dict[str, str]) -> list[list[Any]]:
    with sync_api.sync_playwright() as playwright:
        own = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        try:
            browser = playwright.chromium.launch(executable_path=own, args=["--no-sandbox", "--disable-gpu"])
        except sync_api.Error as error:
            pytest.skip(f"There is no Chromium: {error}")
        rows = browser.new_page().evaluate(
            """async ({ js, css, html, message }) => {
          document.body.innerHTML = `<style>${css}</style><div style="width: 200px">${html}</div>`;
          const component = await import(URL.createObjectURL(new Blob([js], { type: 'text/javascript' })));
          const data = Uint8Array.from(atob(message), character => character.charCodeAt(0));
          component.default({ parentElement: document.body.lastChild, data, setStateValue: () => {} });
          return [...document.querySelectorAll('.row')].map(row => [row.textContent, row.querySelector('.bar').offsetWidth]);
        }""",
            parts,
        )
        browser.close()
    return rows


def test_the_component_of_the_recipe_draws_in_a_browser(house: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="The browser tests need Playwright: pip install playwright.")
    follow("a component", house)
    printed = in_house(
        house,
        SHARE_BARS
        + """
import base64, json
from pathlib import Path
from vizlib.ui import components
from vizlib.ui.components.joining import join_modules, join_styles

home = Path(components.__file__).parent
parts = {"js": join_modules(home, "share_bars/share_bars.js"), "css": join_styles(home, "share_bars/share_bars.css")}
print(json.dumps(parts | {"html": (home / "share_bars/share_bars.html").read_text("utf-8"), "message": base64.b64encode(message).decode()}))
""",
    )
    # In a thread of its own: the browser tests of the same worker may keep an event loop in this one.
    with ThreadPoolExecutor(1) as pool:
        drawn = pool.submit(_drawn, sync_api, json.loads(printed.splitlines()[-1])).result()
    assert drawn == [["lynx 75\u00a0%", 150], ["tabby 25\u00a0%", 50]]


def test_a_page(house: Path) -> None:
    touched = follow("a page", house)
    assert len(touched) == 5
    lint(touched, house)
    in_house(
        house,
        """
from streamlit.testing.v1 import AppTest
from vizlib.ui.core import job_slots

job_slots.PATIENCE = 300.0
at = AppTest.from_file("app.py", default_timeout=300)
at.query_params["model"] = "resnet_tiny50"
at.switch_page("pages/confidence.py")
at.run()
assert not at.exception, at.exception
assert at.title[0].value == "Confidence"
assert "resnet_tiny50" in [box.value for box in at.selectbox]
top, perplexity = at.metric
assert (top.label, perplexity.label) == ("Top class", "Perplexity")
assert 1 <= float(perplexity.value.split()[0]) <= 50
assert dict(at.query_params) == {"model": "resnet_tiny50"}, dict(at.query_params)
""",
    )
