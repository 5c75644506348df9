"""What each measure is, what to look at, and whose it is: the words beside the charts of a comparison. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

READINGS = {"tokens": "places", "pooled": "mean over places"}  # what a reading of layers is called
CHANCE = 0.1  # of CKA, from which on what chance gives is told
ROUGH = 10  # minibatches, from which on their intervals can be taken as they are


@dataclass(frozen=True)
class ChartText:
    """A heading, what to look at, how exactly it was measured, and the paper with its address."""

    title: str
    hint: str
    exactly: str
    paper: str
    link: str


CKA = ChartText(
    "Which layers hold the same",
    "A bright cell means that two layers arrange the same pictures alike, however wide each is. Bright blocks inside one model are "
    "stages that change little; a bright diagonal between two models says that they go through the same stages in the same order.",
    "Centred kernel alignment by the unbiased HSIC over minibatches: means over minibatches of the products, then the ratio. The "
    "rbf kernel's bandwidth is the median distance in the first minibatch. Intervals (95 %) by resampling minibatches, which is rough "
    "where they are few; tokens are the states at the same places of the picture in every layer, bilinear between cells, and those of one "
    "picture count as if they were independent. An unbiased estimate can lie below 0.",
    "Kornblith et al. 2019; Nguyen et al. 2021",
    "https://arxiv.org/abs/2010.15327",
)
DISTANCE = ChartText(
    "How far each layer looks",
    "A dot is one attention head: how far from a patch the patches lie that it looks at. A line is a receptive field: how far from "
    "a layer's middle the pixels lie that move it. Transformers can look far from the first layer on; a ResNet has to grow its "
    "field.",
    "Attention distance is the mean of |query - key| weighted by attention, class tokens left aside. The measured field weighs each"
    " pixel by the squared norm of d cell / d pixel; the field of the architecture alone walks even windows and half of each "
    "residual, without weights. All as shares of the input's diagonal; the measured fields are means over the first few pictures.",
    "Raghu et al. 2021; Luo et al. 2016",
    "https://arxiv.org/abs/2108.08810",
)
ENTROPY = ChartText(
    "How widely each head looks",
    "Low: a head picks few tokens. High: it averages over many. 0 bits is one token, and each bit more doubles their number.",
    "-sum p log2 p of a patch's attention over all tokens, in the mean over patches and pictures.",
    "Dosovitskiy et al. 2021",
    "https://arxiv.org/abs/2010.11929",
)
SIMILARITY = ChartText(
    "Do the tokens of a picture become alike?",
    "A curve that rises to 1 says that all places end up pointing the same way: oversmoothing. What matters is the change with depth.",
    "The mean cosine between different tokens of one picture; the bar is twice the standard error over pictures.",
    "Shi et al. 2022",
    "https://arxiv.org/abs/2202.08625",
)
RANK = ChartText(
    "How many directions are in use",
    "The share of a layer's channels over which its features spread. A low value says that few directions hold most of what varies.",
    "The effective rank, exp of the entropy of the singular values of sampled tokens minus their mean, over the number of channels."
    " With fewer tokens than channels it cannot reach 1, and what it could reach at most is marked by a dotted line.",
    "Roy and Vetterli 2007",
    "https://ieeexplore.ieee.org/document/7098875",
)
SPECTRUM = ChartText(
    "Fine structure with depth",
    "Between layers of one grid, down says that a layer smooths (a low-pass, as self-attention is said to be), up that it sharpens (a "
    "high-pass, as convolutions are said to be).",
    "The natural logarithm of the amplitude at the highest spatial frequency of a layer's map over that at frequency zero, means over "
    "pictures and channels. Grids of different sizes have different highest frequencies, so neither levels nor steps to another grid can "
    "be compared.",
    "Park and Kim 2022",
    "https://arxiv.org/abs/2202.06709",
)
BRANCHES = ChartText(
    "What a block adds, and what it passes on",
    "Near 1 a block mostly passes on what it got; at 1/2 what it adds is as long as what it passes on.",
    "|skip| / (|skip| + |branch|), lengths of each token (or place) in the forward pass: around each attention in a transformer, "
    "around each block before its last activation in a ResNet.",
    "He et al. 2016; Kobayashi et al. 2021",
    "https://arxiv.org/abs/1512.03385",
)
NORM = ChartText(
    "How long the features are",
    "Where a curve jumps, a few channels or tokens may have taken over: the lengths and channels of layer beside layer show whether.",
    "The mean Euclidean length of a token, learned tokens left out.",
    "Darcet et al. 2024",
    "https://arxiv.org/abs/2309.16588",
)
CHANNELS = ChartText(
    "Dead and exploding channels",
    "Channels that hardly ever change, and ones that are many times larger than the rest.",
    "Dead: a standard deviation over all places and pictures below a thousandth of the layer's median, or never above 1e-6. "
    "Exploding: the largest magnitude is over 10 times the median and 8 robust deviations of its logarithm above it.",
    "after Yuan et al. 2021, Figure 2",
    "https://arxiv.org/abs/2101.11986",
)
DIFFERENCE = ChartText(
    "Why one is surer of a class than the other",
    "Blue regions speak for the class more in the first model, red ones more in the second. Beside it, where both look and where "
    "one looks alone.",
    "Integrated gradients of log p_A(c) - log p_B(c) at the pixels of the picture, through both models' own resizing and cropping. "
    "The map sums to how much the difference changed from the baseline to the picture, up to the completeness gap named below it; it "
    "is drawn smoothed by 3\u00a0% of the short side. The sets are the pixels above each model's own 90\u00a0% quantile of |attribution|, "
    "smoothed alike.",
    "Sundararajan et al. 2017",
    "https://arxiv.org/abs/1703.01365",
)
CORRESPONDENCE = ChartText(
    "The same place in the other model",
    "Move over either picture: both show which of their places are most like the one under the pointer.",
    "A place is described by its cosines, in its own model, to sampled places of the first pictures (the anchors, the same in all "
    "models); places are compared by the correlation of these profiles, so that widths may differ. Dark places are unlike, the "
    "yellow frame is around the one most alike, of equals the first.",
    "Moschella et al. 2023",
    "https://arxiv.org/abs/2209.15430",
)


def minibatches(count: int) -> str:
    """How many minibatches CKA is from, and what that makes of its intervals."""
    if count == 1:
        return "From one minibatch, so without intervals."
    told = "too few for the intervals on hover to be relied on" if count < ROUGH else "of which the intervals on hover are made"
    return f"From {count} minibatches, {told}."


def by_chance(reading: str, pictures: int, batches: int) -> str:
    """How far from 0 the CKA of layers lies that have nothing in common, of one row a picture; "" where that is little or rows are many.

    A centred kernel of n rows has n (n - 3) / 2 numbers of its own, and CKA is the cosine of two of them over all minibatches.
    """
    rows = pictures / batches
    if reading != "pooled" or (scatter := (batches * rows * (rows - 3) / 2) ** -0.5) < CHANCE:
        return ""
    return (
        f"A mean over places is one row for each picture, and {pictures} are few: layers that have nothing in common have a CKA of "
        f"0 \u00b1 {scatter:.2f} by chance (standard deviation)."
    )
