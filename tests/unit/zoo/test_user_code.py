"""Models that the user's own code makes: what is given is read, and what goes wrong is one sentence with the line."""

import sys

import pytest
import torch

import vizlib
from vizlib.zoo.user_code import is_reference, load_code

CODE = """
import timm
import torch
import vizlib

def vit():
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=48, depth=2, num_heads=3, num_classes=5)

def wrapped():
    return vizlib.wrap(vit(), labels=list("abcde"))

class Held:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))

def broken():
    missing = {}
    return missing["weights"]

def asks(path):
    return path

number = 3
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A folder with a module of the user's, as the current one; the module's name."""
    (tmp_path / "models_of_mine.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "models_that_fail.py").write_text("import no_such_package_anywhere\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield "models_of_mine"
    for name in ("models_of_mine", "models_that_fail"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mine:vit", True), ("a.b:c.d", True), ("vit_tiny50", False), ("hf:owner/name", False), ("resnet50.a1_in1k", False),
        ("C:\\weights", False), ("mine:", False), (":vit", False), ("1a:b", False),
    ],
)  # fmt: skip
def test_what_names_code(name, expected):
    assert is_reference(name) is expected


def test_a_function_gives_a_module_at_the_size_that_it_was_built_for(code):
    model = load_code(f"{code}:vit")
    assert (model.card.name, model.card.family, model.card.input_size) == (f"{code}:vit", "vit", (32, 32))
    image = torch.randint(0, 256, (40, 50, 3), dtype=torch.uint8).numpy()
    expected = vizlib.wrap(sys.modules[code].vit())
    found = vizlib.explain(model, image)
    assert found.input_map.tobytes() == vizlib.explain(expected, image).input_map.tobytes()


def test_a_model_of_vizlib_keeps_its_labels_and_takes_no_others(code):
    assert load_code(f"{code}:wrapped").labels == tuple("abcde")
    with pytest.raises(vizlib.ModelError, match=r"give them to vizlib\.wrap there"):
        load_code(f"{code}:wrapped", labels=list("vwxyz"))


def test_an_object_and_its_options(code):
    model = load_code(f"{code}:Held.net", image_size=8, labels=list("abcd"), dtype="float64")
    assert (model.labels, model.card.input_size, next(model.module.parameters()).dtype) == (tuple("abcd"), (8, 8), torch.float64)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("models_of_mine:broken", r"raised KeyError \(line 18 of models_of_mine\.py\): 'weights'\."),
        ("models_of_mine:asks", r"raised TypeError: asks\(\) missing 1 required positional argument: 'path'\."),
        ("models_of_mine:number", r"gives a value of type int; it has to give a torch module or a vizlib\.Model\."),
        ("models_of_mine:vat", r"models_of_mine has no 'vat'\. Did you mean 'vit'"),
        ("no_module_of_mine:vit", r"There is no module 'no_module_of_mine' in "),
        ("models_that_fail:vit", r"raised ModuleNotFoundError \(line 1 of models_that_fail\.py\): No module named 'no_such"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(code, name, sentence):
    with pytest.raises(vizlib.ModelError, match=sentence) as error:
        load_code(name)
    assert "\n" not in str(error.value)
