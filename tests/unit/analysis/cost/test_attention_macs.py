"""vizlib.analysis.cost.attention_macs against torch's own counter of operations and figures worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vizlib.analysis.cost.attention_macs import attention_macs, block_macs, hard_split_steps, linear_macs, performer_macs, soft_split_steps
from vizlib.errors import VizlibError
from vizlib.zoo import bundled_models
from vizlib.zoo.networks import t2t


def counted(run):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 2


def test_small_cases_by_hand():
    assert linear_macs(10, 3, 4) == 120
    assert attention_macs(5, 2, 8) == 160
    assert performer_macs(3, 4, 2) == 2 * 3 * 4 * 2 + 3 * 4 * 2 + 3 * 4 * 2 + 3 * 2
    steps = hard_split_steps((64, 64), 8, width=192)
    assert [(step.shape, step.macs) for step in steps] == [((64, 192), 0), ((64, 192), 64 * 192 * 192)]


@pytest.mark.parametrize("tokens", ["performer", "transformer"])
def test_tokens_to_token_by_torchs_counter(tokens):
    module = bundled_models.build("t2t_tiny50" if tokens == "performer" else "t2t_t_tiny50").eval()
    split = module.tokens_to_token
    steps = soft_split_steps((64, 64), split.splits, token_width=32, width=192, tokens=tokens)
    assert [step.grid for step in steps if step.name.startswith("soft split")] == [(32, 32), (16, 16), (8, 8)]
    assert [step.shape for step in steps if step.name.startswith("soft split")] == [(1024, 147), (256, 288), (64, 288)]
    assert sum(step.macs for step in steps) == counted(lambda: split(torch.zeros(1, 3, 64, 64)))


def test_the_published_model_by_torchs_counter():
    module = t2t.build("t2t_vit_7").eval()
    split = module.tokens_to_token
    steps = soft_split_steps((224, 224), split.splits, token_width=64, width=256)
    assert steps[-1].shape == (196, 256)
    assert sum(step.macs for step in steps) == counted(lambda: split(torch.zeros(1, 3, 224, 224)))


def test_a_block_by_torchs_counter():
    block = bundled_models.build("t2t_tiny50").eval().blocks[0]
    assert block_macs(65, 192, 3) == counted(lambda: block(torch.zeros(1, 65, 192)))


def test_the_performer_is_cheaper_only_where_there_are_many_tokens():
    assert performer_macs(3136, 64, 32) < attention_macs(3136, 3136, 64) / 40
    assert performer_macs(32, 64, 32) > attention_macs(32, 32, 64)


def test_an_unknown_token_transformer_is_refused():
    with pytest.raises(VizlibError, match="no token transformer"):
        soft_split_steps((64, 64), [(7, 2, 3)], tokens="linear")
