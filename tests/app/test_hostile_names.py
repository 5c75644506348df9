"""Names that a visitor gives are text on every page: nothing in them is formatted, linked, loaded or run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
from app_helpers import image_bytes, settled
from google.protobuf.message import Message
from safetensors.torch import save

import vizlib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlit.testing.v1 import AppTest

HOSTILE = "![x](http://e) <img src=x onerror=alert(1)> :red[x] $x$ [a](javascript:alert(1)) :material/home:"
# What Markdown or Streamlit would take for more than text.
RAW = re.compile(r"(?<!\\)!?(?<!\\)\[[xa](?<!\\)\]\(|(?<!\\)<img src=x|(?<!\\):red|(?<!\\)\$x|:material/home:")
# Fields that the browser shows as they are, or not at all.
AS_THEY_ARE = {
    "Code.body",
    "CodeBlock.body",
    "Code.code_text",
    "Selectbox.options",
    "Selectbox.set_value",
    "Selectbox.raw_value",
    "MultiSelect.options",
    "DownloadButton.url",
    "TextInput.value",
    "TextInput.default",
    "BidiComponent.json",
    "ArrowData.data",
    "UploadedFileInfo.name",
}
PAGES = ["explore", "attention", "attribution", "biases", "compare", "compact", "cvt", "t2t", "pvt"]


def texts(message: Message) -> Iterator[tuple[str, str]]:
    """Every text in a message, with the names of its message and field."""
    for field, value in message.ListFields():
        values = value if not isinstance(value, str | bytes | Message) and hasattr(value, "__iter__") else [value]
        for each in values:
            if isinstance(each, Message):
                yield from texts(each)
            elif isinstance(each, str):
                yield f"{message.DESCRIPTOR.name}.{field.name}", each


def elements(block: Any) -> Iterator[Any]:
    for child in block.children.values():
        if hasattr(child, "children"):
            if child.proto is not None:
                yield child
            yield from elements(child)
        else:
            yield child


def formatted(at: AppTest) -> list[tuple[str, str]]:
    """The texts of a page in which something of a name would be more than text."""
    wrong = []
    for root in (at.main, at.sidebar):
        for element in elements(root):
            for where, written in texts(element.proto):
                text = written.replace("\\u003c", "<").replace("\\u003e", ">")  # as a chart's numbers are sent
                if where not in AS_THEY_ARE and (match := RAW.search(text)):
                    wrong.append((where, text[max(0, match.start() - 60) : match.end() + 20]))
    return wrong


@pytest.fixture
def stranger(visit):
    """A visitor with a picture, weights and labels of hostile names."""
    at = visit(models="vit_tiny50")
    uploader = next(each for each in at.file_uploader if each.key.startswith("pictures.upload"))
    uploader.set_value((f"{HOSTILE}.png", image_bytes(), "image/png")).run()
    at.button(key="own.show").click().run()
    module = vizlib.load("vit_tiny50", checkpoint="random", num_classes=3).module
    widget = {each.key.split(".")[1]: each for kind in (at.selectbox, at.file_uploader) for each in kind if each.key.startswith("own.")}
    widget["architecture"].set_value("vit_tiny50")
    content = save({key: value.contiguous() for key, value in module.state_dict().items()})
    widget["weights"].set_value((f"{HOSTILE}.safetensors", content, "application/octet-stream"))
    widget["labels"].set_value((f"{HOSTILE}.txt", "\n".join(f"{number} {HOSTILE}" for number in range(3)).encode(), "text/plain"))
    at.button(key="own.open").click().run()
    assert not at.exception
    assert at.multiselect[0].value == ["vit_tiny50", "own-1"]
    return at


def test_no_page_formats_what_a_visitor_wrote(stranger):
    at, wrong, shown = stranger, {}, {}
    for page in PAGES:
        if page != "explore":
            at.switch_page(f"pages/{page}.py").run()
            for widget in at.selectbox:
                if widget.key == f"{page}.model" and "own-1" in [*widget.options, widget.value]:
                    widget.set_value("own-1").run()
        at = settled(at)
        wrong[page] = formatted(at)
        shown[page] = sum("onerror" in text for root in (at.main,) for each in elements(root) for _, text in texts(each.proto))
    assert {page: found for page, found in wrong.items() if found} == {}
    assert all(shown[page] for page in ("explore", "attention", "attribution")), shown


def test_a_refusal_that_names_tensors_is_text(visit):
    at = visit(models="vit_tiny50")
    at.button(key="own.show").click().run()
    widget = {each.key.split(".")[1]: each for kind in (at.selectbox, at.file_uploader) for each in kind if each.key.startswith("own.")}
    widget["architecture"].set_value("vit_tiny50")
    content = save({f"head.{HOSTILE}": torch.zeros(3, 4), "head.weight": torch.zeros(3, 192)})
    widget["weights"].set_value((f"{HOSTILE}.safetensors", content, "application/octet-stream"))
    at.button(key="own.open").click().run()
    assert "1 unexpected" in at.error[0].value
    assert any(HOSTILE[:60] in code.value for code in at.code)  # which is shown letter by letter
    assert formatted(at) == []
