"""What a reader calls a layer: counted from 1, by stage where there are stages. Code, files and addresses have the module's own name."""

from __future__ import annotations

import re

_ROUND = re.compile(r"tokens_to_token\.attention(\d+)")
_TOKENIZER = re.compile(r"tokenizer\.(\d+)")
_STAGED = (  # the stage's number, that of its first, and the layer's number in it
    (re.compile(r"(?:block|layer)(\d+)\.(\d+)"), 1),
    (re.compile(r"stage(\d+)\.blocks\.(\d+)"), 0),
    (re.compile(r"(?:layers|stages|transformers)[._](\d+)\.blocks\.(\d+)"), 0),
    (re.compile(r"stages\.(\d+)\.(\d+)(?=$|\.)"), 0),  # an NFNet's, a RepVGG's
    (re.compile(r"blocks\.(\d+)\.(\d+)(?=$|\.)"), 0),  # an EfficientNet's
)
_STAGE = re.compile(r"(?:layers|stages)[._](\d+)(?=$|\.downsample\.)|stages\.(\d+)(?=\.norm$)")
_WITHOUT_ATTENTION = (  # what such a part is called, and its number's first
    (re.compile(r"tokenizer\.conv_layers\.(\d+)\.0"), "convolution {} of the tokenizer", 0),
    (re.compile(r"patch_embed(\d+)"), "the patch embedding of stage {}", 1),
    (re.compile(r"stage(\d+)\.patch_embed\.proj"), "the patch embedding of stage {}", 0),
    (re.compile(r"s(\d+)"), "stage {}", 1),  # a RegNet's
    (re.compile(r"features\.denseblock(\d+)"), "dense block {}", 1),
    (re.compile(r"features\.transition(\d+)"), "transition {}", 1),
    (re.compile(r"features\.(\d+)"), "module {} of the features", 0),  # a VGG's, whose convolutions its names do not count
    (re.compile(r"pre_logits\.fc(\d+)"), "fully connected layer {}", 1),  # a VGG's
    (re.compile(r"stem\.conv(\d+)"), "convolution {} of the stem", 1),
    (re.compile(r"stem\.norm(\d+)"), "norm {} of the stem", 1),
)
_AROUND_STAGES = {  # a plain stem is one part; a deep one has convolutions, norms and activations in turn
    "conv1": "the stem", "conv_stem": "the stem", "stem": "the stem", "stem.0": "the stem",
    "conv1.0": "convolution 1 of the stem", "conv1.1": "norm 1 of the stem", "conv1.3": "convolution 2 of the stem",
    "conv1.4": "norm 2 of the stem", "conv1.6": "convolution 3 of the stem", "bn1": "the norm after the stem",
    "stem.1": "the norm after the stem", "conv_head": "the last convolution", "final_conv": "the last convolution",
    "bn2": "the norm after the last convolution", "features.conv0": "the stem", "features.norm0": "the norm after the stem",
    "features.norm5": "the last norm",
}  # fmt: skip
_PLAIN = re.compile(r"(?:classifier\.)?blocks\.(\d+)")


def layer_title(name: str) -> str:
    """A layer, an attention or a residual branch by its module's name: "layer 6" of blocks.5, "stage 2, layer 1" of block2.0.

    What lies deeper in a layer and is not its attention keeps its own name behind; a name that follows none of these stays as it is.
    """
    if name in _AROUND_STAGES:
        return _AROUND_STAGES[name]
    for pattern, words, first in _WITHOUT_ATTENTION:
        if match := pattern.fullmatch(name):
            return words.format(int(match[1]) + 1 - first)
    title, rest = _counted(name)
    rest = re.sub(r"^\.(?:attn|self_attn)$", "", rest).removeprefix(".")
    return f"{title}, {rest}" if title and rest else title or name


def _counted(name: str) -> tuple[str, str]:
    for pattern, first in _STAGED:
        if match := pattern.match(name):
            return f"stage {int(match[1]) + 1 - first}, layer {int(match[2]) + 1}", name[match.end() :]
    if match := _STAGE.match(name):
        return f"stage {int(match[1] or match[2]) + 1}", name[match.end() :]
    for pattern, word, first in ((_ROUND, "round", 1), (_TOKENIZER, "tokenizer", 0), (_PLAIN, "layer", 0)):
        if match := pattern.match(name):
            return f"{word} {int(match[1]) + 1 - first}", name[match.end() :]
    return "", name
