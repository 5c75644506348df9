"""One way to count layers: from 1, by stage where there are stages."""

from __future__ import annotations

import re

import pytest

import vizlib
from vizlib.analysis.features.layers import taps
from vizlib.figures.layer_names import layer_title
from vizlib.zoo.bundled_models import NAMES


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("blocks.5", "layer 6"),
        ("blocks.11.attn", "layer 12"),
        ("classifier.blocks.0.self_attn", "layer 1"),
        ("block2.1", "stage 2, layer 2"),
        ("layer4.0", "stage 4, layer 1"),
        ("layer2.0.downsample", "stage 2, layer 1, downsample"),
        ("stage0.blocks.0.attn", "stage 1, layer 1"),
        ("layers.2.blocks.5", "stage 3, layer 6"),
        ("stages.0.blocks.1.norm2", "stage 1, layer 2, norm2"),
        ("tokens_to_token.attention2.attn", "round 2"),
        ("tokenizer.0", "tokenizer 1"),
        ("encoder.layers.encoder_layer_3", "encoder.layers.encoder_layer_3"),
        ("stages.3", "stage 4"),
        ("readout", "readout"),
        ("stages.3.norm", "stage 4, norm"),
        ("layers.1.downsample.norm", "stage 2, downsample.norm"),
        ("layers.11.attention", "layers.11.attention"),
        ("tokenizer.conv_layers.2.0", "convolution 3 of the tokenizer"),
        ("patch_embed4", "the patch embedding of stage 4"),
        ("stage2.patch_embed.proj", "the patch embedding of stage 3"),
        ("blocks.6.0", "stage 7, layer 1"),
        ("blocks.1.2.conv_pw", "stage 2, layer 3, conv_pw"),
        ("s3", "stage 3"),
        ("conv1", "the stem"),
        ("conv1.3", "convolution 2 of the stem"),
        ("conv_stem", "the stem"),
        ("bn1", "the norm after the stem"),
        ("bn2", "the norm after the last convolution"),
        ("features.denseblock4", "dense block 4"),
        ("features.transition1", "transition 1"),
        ("features.norm5", "the last norm"),
        ("features.18", "module 19 of the features"),
        ("pre_logits.fc2", "fully connected layer 2"),
        ("stages.2.5", "stage 3, layer 6"),
        ("transformers.1.blocks.0", "stage 2, layer 1"),
    ],
)
def test_titles(name, title):
    assert layer_title(name) == title


@pytest.mark.parametrize("name", [*NAMES, "swin_tiny_patch4_window7_224", "pvt_v2_b0", "cvt_13", "efficientnet_b0"])
def test_every_layer_of_the_families_has_a_title_of_its_own(name):
    model = vizlib.load(name, checkpoint="random")
    titles = [layer_title(tap.name) for tap in taps(model, model.card.input_size)]
    assert len(set(titles)) == len(titles)
    assert all(re.fullmatch(r"(stage \d+, layer \d+|(layer|round|tokenizer|stage) \d+)", title) for title in titles), titles
    numbers = [tuple(map(int, re.findall(r"\d+", title))) for title in titles if "layer" in title]
    assert numbers == sorted(numbers)
    assert not numbers or numbers[0] in ((1,), (1, 1))
