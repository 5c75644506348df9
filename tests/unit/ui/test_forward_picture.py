"""The picture of a whole pass: what is packed is what the trace has, and the words are made from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vizlib
from vizlib.engine import worker_memory
from vizlib.engine.jobs import Progress
from vizlib.figures.numbers import percent
from vizlib.ui.core.message_codec import unpack
from vizlib.ui.core.pictures import sample
from vizlib.ui.pages.attention.canvas import SelectedToken
from vizlib.ui.pages.attention.forward_picture import additions_words, differences_words, held_place
from vizlib.ui.pages.attention.forward_work import NUMBERS, STATES, ForwardPicture, LayerSize, compute_forward_picture
from vizlib.ui.pages.attention.pass_work import PassRequest, compute_pass


def picture_of(name):
    model = vizlib.load(name)
    picture = compute_forward_picture(PassRequest(name, sample("cat"), None), model, progress=Progress())
    worker_memory.forget(name)  # or other tests of this process would find the pass
    return model, picture


@pytest.mark.parametrize(
    ("name", "reads", "says"),
    [
        ("vit_tiny50", "class token", "The head reads the class token alone"),
        ("pvt_tiny50", "class token", "fewer on the way: 1,024, 256, 64, 17. In stage 1, layer 1, 1,024 tokens look at 16 keys."),
        ("cvt_tiny50", "class token", "keys."),
        ("t2t_tiny50", "class token", "fewer on the way: 1,024, 256, 65."),
        ("cct_tiny50", "pool", "Each layer norms what goes past its MLP. The head reads all tokens"),
    ],
)
def test_every_layer_of_every_paper_is_packed_as_it_was_traced(name, reads, says):
    model, picture = picture_of(name)
    trace = vizlib.trace(model, sample("cat").pixels)
    header, arrays = unpack(picture.message)
    assert picture.reads == reads
    assert says in differences_words(picture)
    assert len(header["layers"]) == len(trace.tokens)
    for index, (site, state) in enumerate(zip(trace.attention, trace.tokens.values(), strict=False)):
        numbers, lengths = (dict(zip(STATES, arrays[f"{index}.{part}"], strict=True)) for part in ("numbers", "lengths"))
        np.testing.assert_allclose(numbers["leaves"], state[:, :NUMBERS], atol=1e-5)
        np.testing.assert_allclose(lengths["leaves"], torch.linalg.vector_norm(state, dim=1), rtol=1e-5)
        np.testing.assert_allclose(numbers["between"], numbers["arrives"] + numbers["attention"], atol=1e-5)
        np.testing.assert_allclose(numbers["leaves"], numbers["carried"] + numbers["mlp"], atol=1e-5)
        row = site.weights([3]).double().mean(0)[0]
        np.testing.assert_allclose(arrays[f"{index}.shares"][3], row[arrays[f"{index}.sources"][3]], atol=1e-6)
        assert header["layers"][index]["grid"] == list(site.query_grid.shape)
    for row in header["top"]:
        first = np.dot(header["features"], row["weights"])
        assert first + row["rest"] + row["bias"] == pytest.approx(row["logit"], abs=1e-4)
    assert header["top"][0]["logit"] == pytest.approx(float(trace.logits.max()), abs=1e-5)


def test_the_words_name_the_layers_where_most_is_added():
    layers = (LayerSize("layer 1", 0, 65, 65, 10, 1, 2, 11), LayerSize("layer 2", 0, 65, 65, 11, 5.5, 3.3, 14))
    words = additions_words(layers)
    assert words.startswith(f"Attention adds most in **layer 2** ({percent(0.5)} of the length")
    assert f"the MLP adds most in **layer 2** ({percent(0.3)}" in words
    assert "the MLP adds more than attention in 1 of 2 layers" in words
    assert differences_words(ForwardPicture(layers, "mean")) == "The head reads the mean of the tokens."


def test_layers_that_read_alike_are_all_named_and_tokens_may_become_more():
    layers = (
        LayerSize("layer 1", 0, 196, 196, 10, 5.001, 2, 11),
        LayerSize("layer 2", 0, 197, 197, 10, 4.999, 3, 14),
        LayerSize("layer 3", 0, 197, 197, 10, 1, 1, 14),
    )
    assert additions_words(layers).startswith(f"Attention adds most in **layer 1** and **layer 2** ({percent(0.5)} of the length")
    assert differences_words(ForwardPicture(layers, "mean")).startswith("The number of tokens changes on the way: 196, 197.")


def test_a_model_that_cannot_be_taken_apart_says_why():
    model = vizlib.load("resnet_tiny50")
    picture = compute_forward_picture(PassRequest("resnet_tiny50", sample("cat"), None), model, progress=Progress())
    assert "residuals of ResNet" in picture.refusal
    assert not picture.message


@pytest.mark.parametrize(
    ("name", "layer", "query", "reverse", "place"),
    [
        ("vit_tiny50", 2, 0, False, {"prefix": 0}),  # the class token
        ("vit_tiny50", 2, 1 + 8 * 6 + 1, False, {"v": 6.5 / 8, "u": 1.5 / 8}),
        ("pvt_tiny50", 0, 32 * 9 + 4, False, {"v": 9.5 / 32, "u": 4.5 / 32}),
        ("pvt_tiny50", 0, 4 * 1 + 2, True, {"v": 1.5 / 4, "u": 2.5 / 4}),  # a key, of the grid that its layer made smaller
    ],
)
def test_the_held_token_lies_where_it_does_on_its_own_grid(name, layer, query, reverse, place):
    model = vizlib.load(name)
    attention_pass = compute_pass(PassRequest(name, sample("cat"), None), model, progress=Progress())
    worker_memory.forget(name)
    assert held_place(attention_pass, SelectedToken(layer, None, query, reverse)) == place
