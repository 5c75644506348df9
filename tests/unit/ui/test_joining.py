"""Joining ES modules without a bundler: the order, what is refused, and every component of the app."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import vizlib.ui.components
from vizlib.ui.components import FOLDER, PACKAGE
from vizlib.ui.components.joining import JoinError, join_modules, join_styles

HOME = Path(vizlib.ui.components.__file__).parent
COMPONENTS = sorted(path.parent.name for path in HOME.glob("*/__init__.py") if path.parent.name != "_lib")


def write(home: Path, **files: str) -> Path:
    """Modules by name, ``_lib__a`` for _lib/a.js."""
    for name, text in files.items():
        path = home / f"{name.replace('__', '/')}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return home


def run(text: str, tmp_path: Path) -> str:
    """What the joined module's default export returns, in Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node runs what was joined, and there is none here.")
    (tmp_path / "joined.mjs").write_text(text, encoding="utf-8")
    program = f"import('{(tmp_path / 'joined.mjs').as_uri()}').then(module => console.log(module.default()))"
    return subprocess.run([node, "--input-type=module", "-e", program], capture_output=True, text=True, check=True).stdout.strip()


DIAMOND = {
    "_lib__a": "let calls = 0;\nexport function next() { return ++calls; }\nconst own = 'a';\nexport const name = own;\n",
    "_lib__b": "import { next } from './a.js';\n\nconst own = 'b';\nexport class B {\n  value() { return own + next(); }\n}\n",
    "_lib__unused": "export const heavy = 1;\n",
    "one__one": (
        "import { next as following, name } from '../_lib/a.js';\n"
        "import {\n  B,\n} from '../_lib/b.js';\n"
        "const own = 'one';\n"
        "export default () => [own, name, following(), new B().value(), following()].join(' ');\n"
    ),
}


def test_modules_run_once_and_keep_their_names_to_themselves(tmp_path):
    text = join_modules(write(tmp_path, **DIAMOND), "one/one.js")
    assert run(text, tmp_path) == "one a 1 b2 3"


def test_only_what_is_imported_is_joined_each_before_who_needs_it(tmp_path):
    text = join_modules(write(tmp_path, **DIAMOND), "one/one.js")
    assert "heavy" not in text
    places = [text.index(f"// {path}\n") for path in ("_lib/a.js", "_lib/b.js", "one/one.js")]
    assert places == sorted(places)
    assert text.count("let calls") == 1
    assert join_modules(write(tmp_path / "again", **DIAMOND), "one/one.js") == text


ENTRY = "export default 1;\n"
REFUSED = {
    "a circle": (
        {"one": f"import {{ a }} from './a.js';\n{ENTRY}", "a": "import { b } from './b.js';\nexport const a = b;\n",
         "b": "import { a } from './a.js';\nexport const b = a;\n"},
        r"circle: a\.js -> b\.js -> a\.js",
    ),
    "a module that imports itself": (
        {"one": f"import {{ a as b }} from './one.js';\nexport const a = 1;\n{ENTRY}"}, r"circle: one\.js -> one\.js"
    ),
    "a file that is missing": ({"one": f"import {{ a }} from './gone.js';\n{ENTRY}"}, r"no gone\.js"),
    "a file outside": ({"one": f"import {{ a }} from '../outside.js';\n{ENTRY}"}, r"no \.\./outside\.js"),
    "a package": ({"one": f"import {{ a }} from 'lodash';\n{ENTRY}"}, "no path that begins"),
    "a name that is not exported": (
        {"one": f"import {{ a, b }} from './a.js';\n{ENTRY}", "a": "export const a = 1;\nconst b = 2;\n"},
        r"imports b from a\.js, which exports a\.",
    ),
    "two imports of one name": (
        {"one": f"import {{ a }} from './a.js';\nimport {{ b as a }} from './a.js';\n{ENTRY}",
         "a": "export const a = 1;\nexport const b = 2;\n"},
        "two things that are called a",
    ),
    "an import and a declaration of one name": (
        {"one": f"import {{ a }} from './a.js';\nfunction a() {{}}\n{ENTRY}", "a": "export const a = 1;\n"}, "two things that are called a"
    ),
    "two declarations of one name": ({"one": f"const a = 1;\nclass a {{}}\n{ENTRY}"}, "two things that are called a"),
    "no default export": ({"one": "export const a = 1;\n"}, "no default export"),
    "a namespace": ({"one": f"import * as a from './a.js';\n{ENTRY}", "a": "export const a = 1;\n"}, r"cannot be joined: import \* as a"),
    "an export of what may change": ({"one": f"export let a = 1;\n{ENTRY}"}, "cannot be joined: export let a"),
    "a list of exports": ({"one": f"const a = 1;\nexport {{ a }};\n{ENTRY}"}, r"cannot be joined: export \{ a \}"),
    "an export from elsewhere": ({"one": f"export {{ a }} from './a.js';\n{ENTRY}", "a": "export const a = 1;\n"}, "cannot be joined"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_joined_is_refused_with_a_reason(tmp_path, name):
    files, reason = REFUSED[name]
    with pytest.raises(JoinError, match=reason):
        join_modules(write(tmp_path, **files), "one.js")


def test_styles_come_before_who_imports_them(tmp_path):
    (tmp_path / "kit.css").write_text(".kit { color: red }\n", encoding="utf-8")
    (tmp_path / "one.css").write_text("@import './kit.css';\n\n.one { color: blue }\n", encoding="utf-8")
    joined = join_styles(tmp_path, "one.css")
    assert joined.index(".kit") < joined.index(".one")
    assert "@import" not in joined
    (tmp_path / "two.css").write_text("@import './gone.css';\n", encoding="utf-8")
    with pytest.raises(JoinError, match=r"no gone\.css"):
        join_styles(tmp_path, "two.css")


def test_every_component_is_here():
    assert len(COMPONENTS) > 20


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_joins_to_one_module_with_a_default_export(name, tmp_path):
    text = join_modules(PACKAGE, f"{FOLDER}/{name}/{name}.js")
    assert text.count("export default ") == 1
    assert not [line for line in text.splitlines() if line.startswith("import ")]
    assert "\n" in text.strip()  # Streamlit takes a text of one line for the name of a file
    assert "@import" not in join_styles(PACKAGE, f"{FOLDER}/{name}/{name}.css")
    node = shutil.which("node")
    if node:
        (tmp_path / "joined.mjs").write_text(text, encoding="utf-8")
        subprocess.run([node, "--check", tmp_path / "joined.mjs"], check=True)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_has_what_its_style_sheet_is_about(name):
    rules = re.sub(r"/\*.*?\*/|@import [^;]*;", "", (HOME / name / f"{name}.css").read_text(encoding="utf-8"), flags=re.DOTALL)
    styled = {word for selector in re.findall(r"([^{}]+)\{", rules) for word in re.findall(r"\.([a-z][\w-]*)", selector)}
    own = [path for path in (HOME / name).iterdir() if path.suffix in {".html", ".js"}]
    words = "".join(path.read_text(encoding="utf-8") for path in [*own, *(HOME / "_lib").glob("*.js")])
    sent = "".join(path.read_text(encoding="utf-8") for path in (HOME.parent / "pages").glob("*/*.py"))  # states that become a class
    assert not {word for word in styled if not re.search(rf"(?<![\w-]){word}(?![\w-])", words) and f'"{word}"' not in sent}
