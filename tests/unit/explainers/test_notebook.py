"""What a notebook shows: a picture with its words, a gallery, short tables; short in plain text too."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import vizlib

PHOTO = np.random.default_rng(0).integers(0, 256, (300, 900, 3), dtype=np.uint8)


class Balanced(HTMLParser):
    """Fails where a tag is closed that was not opened."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text = [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def model():
    return vizlib.load("vit_tiny50")


def pictures(html):
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', html)]


def test_an_explanation(model):
    explanation = vizlib.explain(model, PHOTO, "relevance")
    html = explanation._repr_html_()
    words = " ".join(Balanced(html).text)
    assert f"of {model.card.name}" in words
    assert f"for {explanation.label}" in words
    (picture,) = pictures(html)
    assert picture.size == (480, 160)
    small = Image.fromarray(explanation.picture()).resize((480, 160), Image.Resampling.LANCZOS)
    assert np.array_equal(np.asarray(picture), np.asarray(small))
    assert len(repr(explanation)) < 200


def test_labels_are_text_and_nothing_else(model):
    sly = vizlib.wrap(model.module, labels=[f"<script>{number}</script>" for number in range(50)])
    html = vizlib.explain(sly, PHOTO, "relevance")._repr_html_()
    assert "<script" not in html
    assert "<script>" in " ".join(Balanced(html).text)


def test_a_list_is_a_gallery_and_still_a_list(model):
    explanations = vizlib.explain(model, [PHOTO] * 26)
    assert isinstance(explanations, list)
    html = explanations._repr_html_()
    assert "and 2 more" in " ".join(Balanced(html).text)
    assert len(pictures(html)) == 24


@pytest.mark.parametrize("name", ["vit_tiny50", "pvt_tiny50", "resnet_tiny50"])
def test_traces_and_models_are_short_tables(name):
    model = vizlib.load(name)
    trace = vizlib.trace(model, PHOTO)
    words = " ".join(Balanced(trace._repr_html_()).text)
    assert f"{len(trace.attention)} attention sites" in words
    assert all(site.name in words for site in trace.attention)
    about = " ".join(Balanced(model._repr_html_()).text)
    assert all(word in about for word in (name, f"{model.card.parameters:,}", "64 x 64 px", *model.card.methods, *model.card.unavailable))
    assert max(len(repr(trace)), len(repr(model))) < 200
