"""The logit lens against the network's own parts, applied by hand to what each block gave."""

from __future__ import annotations

import pytest
import torch
import zoo_cases as zoo

import vizlib
from vizlib.analysis import logit_lens

READ = [*zoo.TRANSFORMERS, "cct", "compact_vit", "vit_lite"]
REFUSED = ["resnet", "pvt", "pvt_v2", "cvt", "swin", "t2t_performer"]


def states(module, blocks, x):
    """What each of ``blocks`` gives of x, taken by hooks of the test's own."""
    kept = []
    hooks = [block.register_forward_hook(lambda *call: kept.append(call[-1].detach())) for block in blocks]
    with torch.no_grad():
        module(x)
    for hook in hooks:
        hook.remove()
    return kept


@pytest.mark.parametrize("name", READ)
def test_the_last_block_gives_the_models_own_logits(name):
    model, x = zoo.model(name), zoo.inputs(name)
    lens = logit_lens(model, x[0])
    with torch.no_grad():
        torch.testing.assert_close(lens.logits[-1], model.module(x)[0], rtol=1e-5, atol=1e-6)
    assert lens.target == int(lens.logits[-1].argmax())
    assert len(lens.blocks) == len(set(lens.blocks)) == len(lens.logits)
    grid = vizlib.trace(model, x[0]).attention[0].query_grid
    assert lens.patches.logits.shape == (len(lens.blocks), *grid.shape)


def by_hand(name, module, tokens):
    """The head of each kind on tokens (B, N, C), written out."""
    if name == "token":
        return module.head(module.norm(tokens)[:, 0])
    if name == "mean":
        return module.head(module.fc_norm(tokens[:, 1:].mean(1)))
    if name == "distilled":
        tokens = module.norm(tokens)
        return (module.head(tokens[:, 0]) + module.head_dist(tokens[:, 1])) / 2
    if name == "pool":
        return module.head(module.fc_norm(module.attn_pool(module.norm(tokens))))
    head = module.classifier  # "cct"
    tokens = head.norm(tokens)
    weights = head.attention_pool(tokens).softmax(1)
    return head.fc((weights * tokens).sum(1))


@pytest.mark.parametrize("name", ["token", "mean", "distilled", "pool", "cct"])
def test_every_block_and_every_patch_alone_are_read_by_the_head(name):
    model, x = zoo.model(name), zoo.inputs(name, seed=3)
    module = model.module
    blocks = module.classifier.blocks if name == "cct" else module.blocks
    lens = logit_lens(model, x[0], target=2)
    prefix = {"token": 1, "mean": 1, "distilled": 2}.get(name, 0)
    for index, tokens in enumerate(states(module, blocks, x)):
        with torch.no_grad():
            torch.testing.assert_close(lens.logits[index], by_hand(name, module, tokens)[0], rtol=1e-4, atol=1e-5)
            # A patch alone: the whole set of tokens is that patch's, so that a mean or a pool of them is it.
            cells = tokens[0, prefix:]
            alone = torch.stack([by_hand(name, module, cell.expand(1, tokens.shape[1], -1))[0] for cell in cells])
        torch.testing.assert_close(lens.patches.logits[index].flatten(), alone[:, 2], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(lens.patches.probabilities[index].flatten(), alone.softmax(1)[:, 2], rtol=1e-4, atol=1e-6)
        assert lens.patches.answers[index].flatten().tolist() == alone.argmax(1).tolist()
    assert lens.target == 2


def test_the_answer_is_settled_where_it_leads_to_the_end():
    model, x = zoo.model("token"), zoo.inputs("token")
    lens = logit_lens(model, x[0], patches=False)
    assert lens.patches is None
    answers = lens.answers.tolist()
    settled = next(start for start in range(len(answers)) if len(set(answers[start:])) == 1)
    assert lens.settled == settled
    rows = torch.tensor([[0.0, 1], [1, 0], [0, 1], [0, 1]])
    assert vizlib.analysis.LogitLens((), rows, rows, 1, "", None).settled == 2
    assert vizlib.analysis.LogitLens((), rows[2:], rows, 1, "", None).settled == 0


def test_a_network_that_is_read_by_running_it_has_a_lens_without_patches():
    import timm

    module = timm.create_model("levit_128s", num_classes=7).eval()
    traced = vizlib.wrap(module, input_size=(224, 224))
    assert "layers" in traced.adapter.refusals  # its grids shrink
    module = timm.create_model("cait_xxs24_224", num_classes=7, embed_dim=24, num_heads=2, depth=2).eval()
    model = vizlib.wrap(module, input_size=(224, 224))
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    lens = logit_lens(model, x[0])
    with torch.no_grad():
        torch.testing.assert_close(lens.logits[-1], module(x)[0], rtol=1e-5, atol=1e-6)
        # The head of a CaiT is its class attention, its norm and its classifier.
        tokens = states(module, module.blocks, x)[0]
        row = module.cls_token
        for block in module.blocks_token_only:
            row = block(tokens, row)
        expected = module.head(module.norm(torch.cat([row, tokens], 1))[:, 0])
    torch.testing.assert_close(lens.logits[0], expected[0], rtol=1e-4, atol=1e-5)
    assert lens.patches is None
    assert "as many passes" in lens.no_patches


@pytest.mark.parametrize("name", REFUSED)
def test_where_the_head_reads_one_stage_alone_there_is_a_reason(name):
    with pytest.raises(vizlib.MethodError, match=r"The logit lens does not fit .*head reads the .* of the last stage"):
        logit_lens(zoo.model(name), zoo.inputs(name)[0])


def test_a_model_without_classes_and_a_batch_are_refused():
    import timm

    module = timm.create_model("vit_tiny_patch16_224", num_classes=0, embed_dim=24, depth=1, num_heads=2, img_size=32)
    with pytest.raises(vizlib.TargetError, match="answers in no classes"):
        logit_lens(vizlib.wrap(module.eval(), input_size=(32, 32)), torch.zeros(3, 32, 32))
    with pytest.raises(vizlib.ImageError, match="one prepared tensor"):
        logit_lens(zoo.model("token"), zoo.inputs("token", images=2))
    with pytest.raises(vizlib.TargetError):
        logit_lens(zoo.model("token"), zoo.inputs("token")[0], target=99)


def test_nothing_of_the_model_changes():
    model, x = zoo.model("cct"), zoo.inputs("cct")
    before = {key: value.clone() for key, value in model.module.state_dict().items()}
    logit_lens(model, x[0])
    assert all(torch.equal(value, before[key]) for key, value in model.module.state_dict().items())
    assert not any(part._forward_hooks for part in model.module.modules())
