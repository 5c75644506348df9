"""Components under the order of calls that Streamlit's client makes on a busy machine: each call waits for an import of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vizlib.ui.components
from vizlib.analysis.toys.number_sheet import Place
from vizlib.analysis.toys.spatial_reduction import spatial_reduction
from vizlib.ui.components import FOLDER, PACKAGE, toy_numbers
from vizlib.ui.components.joining import join_modules
from vizlib.ui.pages.pvt import segmentation_data

HOME = Path(vizlib.ui.components.__file__).parent
KEPT = """async source => {
  const { keep } = await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
  const add = (home, kind) => { const made = document.createElement(kind); home.append(made); return made; };
  let count = 0;
  window.log = [];
  window.fresh = () => { const home = add(document.body, 'div'); add(home, 'p'); return home; };
  const take = (one, { parentElement, data }) => { parentElement.dataset.shown = data; log.push(`${one.name} shows ${data}`); };
  const draw = keep(() => ({ name: `one ${++count}` }), take, one => log.push(`${one.name} ends`));
  window.call = (home, data) => draw({ parentElement: home, data });
}"""


@pytest.fixture
def kept(visit):
    visit.page.goto("about:blank")
    visit.page.evaluate(KEPT, (HOME / "_lib" / "lifecycle.js").read_text("utf-8"))
    return visit.page


def test_an_older_call_that_comes_late_does_not_stay(kept):
    told = kept.evaluate("""() => {
      const home = fresh(), [newer, older] = [call(home, 'new'), call(home, 'old')];
      older();                           // which is how Streamlit says that it was the older one
      return [home.dataset.shown, log];
    }""")
    assert told == ["new", ["one 1 shows new", "one 1 shows old", "one 1 shows new"]]


def test_an_older_call_that_comes_in_time_is_only_taken_back(kept):
    told = kept.evaluate("""() => {
      const home = fresh(), older = call(home, 'old');
      call(home, 'new');
      older();
      return [home.dataset.shown, log];
    }""")
    assert told == ["new", ["one 1 shows old", "one 1 shows new"]]


def test_an_only_call_that_is_taken_back_leaves_what_lives_alive(kept):
    told = kept.evaluate("""() => { const home = fresh(); call(home, 'old')(); call(home, 'new'); return log; }""")
    assert told == ["one 1 shows old", "one 1 shows new"]


def test_calls_of_before_are_let_go_of(kept):
    told = kept.evaluate("""async () => {
      const home = fresh();
      call(home, 'first'); await new Promise(done => setTimeout(done, 20));
      const last = call(home, 'last'); await new Promise(done => setTimeout(done, 20));
      last();
      return [home.dataset.shown, log];
    }""")
    assert told == ["last", ["one 1 shows first", "one 1 shows last"]]


def test_what_is_gone_ends_and_fresh_html_begins_anew(kept):
    told = kept.evaluate("""() => {
      const home = fresh(), last = call(home, 'here');
      home.remove(); last();
      document.body.append(home); call(home, 'back');
      home.replaceChildren(document.createElement('p')); call(home, 'again');
      return log;
    }""")
    assert told == ["one 1 shows here", "one 1 ends", "one 2 shows back", "one 2 ends", "one 3 shows again"]


def test_a_picture_of_before_does_not_replace_the_one_of_now(visit):
    """The whole of one component: three models' groups arrive, and the call with the first model alone comes after."""
    rng = np.random.default_rng(0)
    labels, photo = (
        rng.integers(0, 2, (len(segmentation_data.COUNTS), 4, 4)).astype(np.uint8),
        rng.integers(0, 255, (16, 16, 3)).astype(np.uint8),
    )
    made = [
        segmentation_data.Segmentation(title, "", (16, 16), labels, (1.0,) * len(segmentation_data.COUNTS), photo)
        for title in ("A", "B", "C")
    ]
    visit.page.goto("about:blank")
    titles = visit.page.evaluate(
        """async ([source, html, newer, older]) => {
          const draw = (await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })))).default;
          const home = document.createElement('div');
          const call = data => draw({ parentElement: home, data: new Uint8Array(data), setStateValue() {} });
          home.innerHTML = `<div>${html}</div>`; document.body.append(home);
          call(newer); call(older)();
          return [...home.querySelectorAll('figcaption b')].map(one => one.textContent);
        }""",
        [
            join_modules(PACKAGE, f"{FOLDER}/segmentation/segmentation.js"),
            (HOME / "segmentation/segmentation.html").read_text("utf-8"),
            *(list(segmentation_data.pack_segmentation(some, "p", 4)) for some in (made, made[:1])),
        ],
    )
    assert titles == ["A", "B", "C"]
    visit.problems[:] = [one for one in visit.problems if "blob:" not in one]  # photographs that were replaced before they were there


def test_every_component_is_kept():
    """All but those that only pass their message on."""
    files = {path.parent.name: path.parent / f"{path.parent.name}.js" for path in HOME.glob("*/__init__.py") if path.parent.name != "_lib"}
    kept = {name for name, path in files.items() if any(f"export default {by}(" in path.read_text("utf-8") for by in ("keep", "mount"))}
    assert set(files) - kept == {"attention_patch", "canvas_pointer"}
    assert len(kept) > 20


def test_every_number_of_a_toy_is_picked_by_pointer_and_by_keys(visit):
    visit.page.goto("about:blank")
    visit.page.evaluate(
        """async ([source, html, data]) => {
          const draw = (await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })))).default;
          document.body.innerHTML = html;
          draw({ parentElement: document.body, data: new Uint8Array(data), setStateValue() {} });
        }""",
        [
            join_modules(PACKAGE, f"{FOLDER}/toy_numbers/toy_numbers.js"),
            (HOME / "toy_numbers/toy_numbers.html").read_text("utf-8"),
            list(toy_numbers.pack_sheet(spatial_reduction(), Place(2, 0))),
        ],
    )
    shown, cells = visit.page.locator(".sum"), visit.page.locator("[role=gridcell]")
    assert shown.inner_text().endswith("1 × 1 + 2 × 1 + 3 × 2 + 1 × −1 = 8")
    assert visit.page.locator(".uses").inner_text() == "It is part of 16 numbers of Scores."
    assert visit.page.locator(".part").all_inner_texts() == ["1", "2", "3", "1", "1", "1", "2", "−1"]
    for index in range(cells.count()):
        cells.nth(index).click()
        assert shown.inner_text().endswith((f" = {cells.nth(index).inner_text()}", ": given"))
    visit.page.get_by_role("gridcell", name="10", exact=True).first.click()
    visit.page.keyboard.press("ArrowUp")
    visit.page.keyboard.press("ArrowRight")
    assert shown.inner_text() == "Scores, row 1, column 4: 1 × 2 = 2"
    shown.get_by_role("button").last.click()
    assert shown.inner_text().startswith("Keys, row 2, column 2:")
