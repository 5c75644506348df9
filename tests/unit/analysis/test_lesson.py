"""The lesson's outcomes against the library's own functions, asked in another way, and against modules changed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

import vizlib
from vizlib.analysis import logit_lens
from vizlib.analysis.attention.head_ablation import HeadAblation, compare_ablation
from vizlib.analysis.lesson import sentence, transformer, variants
from vizlib.analysis.lesson.outcome import Outcome, largest
from vizlib.seq2seq import load, translate

PICTURES = {"cat": data.chelsea(), "coffee": data.coffee()}


@pytest.fixture(scope="module")
def vit():
    return vizlib.load("vit_tiny50")


@pytest.fixture(params=PICTURES)
def x(request, vit):
    return vit.prepare(PICTURES[request.param])


def answer_of(model, x):
    shares = model(x).softmax(1)[0]
    return int(shares.argmax()), float(shares.max())


def test_the_bottleneck_loses_what_differs_from_the_right_date():
    outcome = sentence.bottleneck()
    written = translate(load("dates_gru_none"), sentence.TEXT).output
    assert outcome.facts["written"] == written
    assert outcome.facts["truth"] == "1994-05-03"
    lost = {part for part, first, second in zip(sentence.PARTS, ["1994", "05", "03"], written.split("-"), strict=False) if first != second}
    assert {outcome.options[place] for place in outcome.right} == (lost or {"nothing"})


def test_attention_by_words_is_the_sum_over_their_characters():
    outcome = sentence.looked_at()
    translation = translate(load("dates_gru_concat"), sentence.TEXT)
    weights = translation.steps[sentence.STEP].weights
    for word, share in zip(outcome.options, outcome.values, strict=True):
        start = sentence.TEXT.index(word)
        assert share == pytest.approx(float(weights[start : start + len(word)].sum()), abs=1e-6)
    blanks = sum(float(weight) for weight, char in zip(weights, sentence.TEXT, strict=True) if char == " ")
    assert sum(outcome.values) + blanks == pytest.approx(1, abs=1e-5)
    assert outcome.facts["written"] + outcome.facts["token"] == translation.output[: sentence.STEP + 1]


def test_patches_are_the_cells_of_the_grid(vit, x):
    outcome = transformer.tokens(vit, x)
    patch = vit.module.patch_embed.patch_size
    cells = (x.shape[2] // patch[0]) * (x.shape[3] // patch[1])
    assert outcome.options[outcome.right[0]] == f"{cells:,}"
    assert outcome.facts["numbers"] == vit.module.patch_embed.proj.weight[0].numel()


def test_distances_by_an_explicit_sum(vit, x):
    outcome = transformer.farthest(vit, x)
    places = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"), -1).flatten(0, 1) * 8
    apart = torch.cdist(places, places).double()
    for layer, site in enumerate(vizlib.trace(vit, x[0]).attention):
        rows = site.weights().double()[:, 1:, 1:]
        means = (rows * apart).sum(-1) / rows.sum(-1)
        assert outcome.values[layer] == pytest.approx(float(means.mean()), rel=1e-5)
    assert set(outcome.right) == {place for place, far in enumerate(outcome.values) if far > 0.99 * max(outcome.values)}


def test_the_answer_is_settled_where_the_lens_says(vit, x):
    outcome, lens = transformer.settled(vit, x), logit_lens(vit, x[0])
    assert outcome.right == (lens.settled,)
    assert outcome.values == pytest.approx(lens.probabilities[:, lens.target].tolist())
    assert outcome.facts["label"] == lens.label


def test_heads_off_is_what_a_silent_attention_loses(vit, x):
    outcome = transformer.layers_off(vit, x)
    index, share = answer_of(vit, x)
    for layer, block in enumerate(vit.module.blocks):
        # Heads of zero leave the projection's bias, and nothing else.
        hook = block.attn.proj.register_forward_pre_hook(lambda _, inputs: (torch.zeros_like(inputs[0]),))
        try:
            with torch.no_grad():
                after = float(vit.module(x).softmax(1)[0, index])
        finally:
            hook.remove()
        assert outcome.values[layer] == pytest.approx(share - after, abs=1e-5)
    assert outcome.right[0] == int(np.argmax(outcome.values))
    assert set(outcome.right) == {place for place, lost in enumerate(outcome.values) if max(outcome.values) - lost < 0.005}


def test_patches_out_is_the_ablation_of_each(vit, x):
    outcome = transformer.patches_out(vit, x)
    index, _ = answer_of(vit, x)
    for cell in (0, 17, 63, outcome.right[0]):
        change = compare_ablation(vit, x, HeadAblation(dropped=(1 + cell,)))
        lost = change.before.softmax(0)[index] - change.after.softmax(0)[index]
        assert outcome.values[cell] == pytest.approx(float(lost), abs=1e-5)
    assert outcome.grid == (8, 8)
    assert outcome.values[outcome.right[0]] == max(outcome.values)


def test_a_map_is_tried_by_greying_what_it_names(vit, x):
    outcome = transformer.trusted(vit, x)
    index, share = answer_of(vit, x)
    for place, method in enumerate(transformer.MAPS):
        values = np.abs(vizlib.explain(vit, x[0], method).input_map).reshape(8, 8, 8, 8).mean((1, 3)).ravel()
        greyed = x.clone()
        for cell in np.argsort(-values)[:16]:
            row, column = divmod(int(cell), 8)
            greyed[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = x.mean((2, 3), keepdim=True)
        with torch.no_grad():
            assert outcome.values[place] == pytest.approx(share - float(vit(greyed).softmax(1)[0, index]), abs=1e-5)
    assert outcome.facts["low"] <= outcome.values[-1] <= outcome.facts["high"]
    assert transformer.trusted(vit, x).values == outcome.values
    assert outcome.right[0] == int(np.argmax(outcome.values))
    plain = transformer.trusted(vit, torch.full_like(x, 0.2))
    assert plain.all_right


def test_a_pyramid_has_fewer_keys_than_queries(vit, x):
    model = vizlib.load("pvt_tiny50")
    given = model.prepare(PICTURES["cat"])
    outcome = variants.keys_of_first_stage(model, given, [(vit, x)])
    weights = vizlib.trace(model, given[0]).attention[0].weights()
    assert (outcome.facts["queries"], outcome.facts["keys"]) == weights.shape[1:]
    assert outcome.values[outcome.right[0]] == weights.shape[2]
    assert outcome.facts["ViT"] == (64.0,) * 6


def test_who_keeps_the_answer_and_who_cannot_be_told_from_it():
    names = ("vit_tiny50", "cct_tiny50")
    models = [vizlib.load(name) for name in names]
    inputs = [model.prepare(PICTURES["coffee"]) for model in models]
    outcome = variants.shuffled_pieces(models, inputs)
    for model, x, mean in zip(models, inputs, outcome.values, strict=True):
        plain = model(x).softmax(1)[0]
        stays = []
        for seed in range(variants.SHUFFLES):
            order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
            pieces = [x[:, :, 16 * (i // 4) :, 16 * (i % 4) :][:, :, :16, :16] for i in order.tolist()]
            moved = torch.cat([torch.cat(pieces[4 * row : 4 * row + 4], 3) for row in range(4)], 2)
            stays.append(1 - float((model(moved).softmax(1)[0] - plain).abs().sum()) / 2)
        assert mean == pytest.approx(np.mean(stays), abs=1e-5)
    ranges = [outcome.facts[option] for option in outcome.options]
    best = int(np.argmax(outcome.values))
    assert outcome.right[0] == best
    assert set(outcome.right[1:]) == {1 - best} if ranges[1 - best][1] >= ranges[best][0] else not outcome.right[1:]


def test_distances_and_ranks():
    layers = Outcome(("a", "b", "c"), (0.1, 0.5, 0.2), (1,), ordered=True)
    assert [layers.distance(answer) for answer in range(3)] == [1, 0, 1]
    assert [layers.rank(answer) for answer in range(3)] == [3, 1, 2]
    patches = Outcome(tuple("abcdef"), (0.0,) * 6, (5,), grid=(2, 3))
    assert patches.distance(0) == pytest.approx(5**0.5)
    assert Outcome(("a", "b"), (1, 0), (0,)).distance(1) == 1
    assert largest([1, 3, 3]) == (1, 2)
    assert largest([0.3, 0.1, 0.304, 0.299], 0.005) == (2, 0)  # and not the last, 0.005 below
    several = Outcome(tuple("abcdef"), (0.0,) * 6, (5, 0), grid=(1, 6))
    assert [several.nearest(answer) for answer in range(6)] == [0, 0, 0, 5, 5, 5]
    assert several.distance(1) == 1
