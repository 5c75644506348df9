"""What every explanation method is, what it needs of a model and which options it takes; light enough to read before anything is loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vizlib.catalog.families import FAMILIES
from vizlib.errors import MethodError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Option:
    """One option of a method: its default, and either its ``choices`` or the ``low`` and ``high`` end of its range.

    ``words`` may stand in the place of a number, ``text`` is the name of a part or the part itself; a model whose refusals name what the
    option ``needs`` has no use for it.
    """

    name: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    words: tuple[str, ...] = ()
    needs: str = ""
    text: bool = False

    def check(self, value: Any, method: str) -> Any:
        """The value in the default's type; MethodError with the choices or the range when it is outside."""
        if self.text:
            if isinstance(value, str) or hasattr(value, "named_modules"):
                return value
            raise MethodError(
                f"{method} takes {self.name} as the name of a part of the model, or the part itself, not {str(value)[:40]!r}."
            )
        if self.choices:
            if not isinstance(value, str) or value not in self.choices:
                raise MethodError(f"{method} takes {self.name} as one of {', '.join(self.choices)}, not {value!r}.")
            return value
        if isinstance(value, str) and value in self.words:
            return value
        other = "".join(f" or as {word!r}" for word in self.words)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise MethodError(f"{method} takes {self.name} as a number{other}, not {value!r}.")
        if isinstance(self.default, int) and int(value) != value:
            raise MethodError(f"{method} takes {self.name} as a whole number{other}, not {value!r}.")
        if (self.low is not None and not value >= self.low) or (self.high is not None and not value <= self.high):
            raise MethodError(f"{method} takes {self.name} from {self.low} to {self.high}{other}, not {value!r}.")
        return type(self.default)(value)


@dataclass(frozen=True)
class MethodCard:
    """What is known of a method before it runs.

    ``needs`` names what a model must have, of ``vizlib.catalog.family.NEEDS``. ``signed``: its map tells evidence
    for the target from evidence against it. ``passes``: about how many images go through the model for one map; with ``each``, such as
    "token", one for each of these, and ``passes`` is about how many there are. ``coarse``: the options of a first look that costs a
    fraction of that. ``wing``: what it reads, and the folder of ``vizlib.explainers.methods`` it lies in.
    """

    name: str
    title: str
    summary: str
    paper: str
    paper_url: str
    needs: tuple[str, ...]
    needs_gradient: bool = False
    class_specific: bool = False
    signed: bool = False
    passes: int = 1
    each: str = ""
    wing: str = "attention"
    options: tuple[Option, ...] = ()
    coarse: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def module(self) -> str:
        """The module whose ``explain`` makes the map."""
        return f"vizlib.explainers.methods.{self.wing}.{self.name}"

    @property
    def families(self) -> tuple[str, ...]:
        """The families that have what it needs; of "other" models only those in which it is found."""
        return tuple(name for name, family in FAMILIES.items() if self.refusal(family.lacks) is None)

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options with their defaults filled in; MethodError for one that the method does not have or cannot take."""
        options = {option.name: option for option in self.options}
        for name in given:
            if name not in options:
                has = f"its options are {', '.join(options)}" if options else "it has no options"
                raise MethodError(f"{self.name} has no option {name!r}; {has}.{nearest(name, list(options))}")
        return {name: option.check(given.get(name, option.default), self.name) for name, option in options.items()}

    def refusal(self, refusals: Mapping[str, str]) -> str | None:
        """Why a model with these refusals cannot be explained by this method, or None."""
        return next((refusals[need] for need in self.needs if need in refusals), None)


_FUSION = Option(
    "head_fusion", "mean", "how the heads become one matrix; maximum and minimum are scaled so that rows sum to 1", ("mean", "max", "min")
)
_RESIDUAL = Option("residual_weight", 0.5, "the share of a token that stays where it is at every attention", low=0.0, high=1.0)
_MEASURED_RESIDUAL = Option(
    "residual_weight",
    0.5,
    "the share of a token that stays where it is at every attention; norms measures it for each token as |x| / (|x| + |what is added|)",
    low=0.0,
    high=1.0,
    words=("norms",),
)
_LAYER = Option(
    "layer", "", "the part whose output is weighed, by its name; empty for the last map that the answer is read from", text=True
)
_CLASSIFIER = Option(
    "classifier",
    "model",
    "which answer of a distilled DeiT is explained: the model's own, which is the mean of its two classifiers, or one of them",
    ("model", "class", "distillation"),
    needs="two_classifiers",
)
_BASELINE = Option(
    "baseline",
    "mean",
    "what stands for the absence of evidence: the training data's mean colour, black, a blur of the picture, or its own mean colour",
    ("mean", "black", "blur", "colour"),
)
_SEED = Option("seed", 0, "where the random numbers start; the same seed gives the same map", low=0, high=2**31 - 1)
_NOISE = Option("noise", 0.1, "the noise's standard deviation, as a share of the picture's own range of values", low=0.0, high=1.0)
_SMOOTHING = (
    Option(
        "smoothing",
        "none",
        "the map of many noisy copies of the picture: their mean (SmoothGrad), or mean square or variance (VarGrad), which have no sign",
        ("none", "mean", "mean_square", "variance"),
    ),
    _NOISE,
    Option("noise_samples", 16, "how many noisy copies", low=2, high=512),
    _SEED,
)
_GRADIENT_HELP = (
    "the slopes that are passed back: plain, or balanced, so that input times gradient keeps its sum from layer to layer. libra "
    "(LibraGrad) holds attention and the scale of norms constant and lets activations gate; cp (CP-LRP) holds all gates constant too; attn "
    "(AttnLRP) shares products evenly. cp and attn were published as forms of LRP, on which its authors claim a patent; check before "
    "commercial use"
)
_GRADIENT = Option("gradient", "plain", _GRADIENT_HELP, ("plain", "libra", "cp", "attn"))
_PIECES = Option("pieces", 40, "into about how many superpixels the picture is cut", low=2, high=400)


def _gradient(
    name: str,
    title: str,
    summary: str,
    paper: str,
    paper_url: str,
    *,
    needs: tuple[str, ...] = ("head",),
    signed: bool = True,
    passes: int = 2,
    wing: str = "gradient",
    options: tuple[Option, ...] = (),
    **coarse: Any,
) -> MethodCard:
    return MethodCard(
        name, title, summary, paper, paper_url, needs,
        needs_gradient=True, class_specific=True, signed=signed, passes=passes, wing=wing, options=options, coarse=coarse,
    )  # fmt: skip


def _perturbation(
    name: str, title: str, summary: str, paper: str, paper_url: str, passes: int, *options: Option, **coarse: Any
) -> MethodCard:
    return MethodCard(
        name, title, summary, paper, paper_url, ("head",),
        class_specific=True, signed=True, passes=passes, wing="perturbation", options=(_BASELINE, *options), coarse=coarse,
    )  # fmt: skip


_CARDS = (
    MethodCard(
        "rollout",
        "Attention rollout",
        "Where the read-out's attention ends when it is followed through every layer down to the pixels.",
        "Abnar and Zuidema, Quantifying Attention Flow in Transformers (2020)",
        "https://arxiv.org/abs/2005.00928",
        needs=("lineage",),
        options=(
            _FUSION,
            _MEASURED_RESIDUAL,
            Option(
                "discard_ratio",
                0.0,
                "the share of each row's smallest weights set to zero before the row is scaled to sum to 1",
                low=0.0,
                high=0.99,
            ),
            Option(
                "key_weights",
                "even",
                "what a key counts beside its attention: the same for all, or by the length of its value in each head (value_norm), the "
                "length part of TokenTM (Wu et al. 2024) as Kobayashi et al. (2020) take it. Left out are TokenTM's gradients, directions "
                "and MLPs and the ratio to the token's own length; rows are scaled to sum to 1",
                ("even", "value_norm"),
            ),
            Option(
                "windows",
                "uniform",
                "how a window's cells share: equally, by the size of its weights, or by what each cell contributed",
                ("uniform", "weight", "contribution"),
            ),
            _CLASSIFIER,
            Option(
                "artifact_tokens",
                "kept",
                "tokens left out of the walk: none, those with far more than their share of it, with a norm that stands out, or both",
                ("kept", "share", "norm", "both"),
            ),
            Option(
                "token",
                -1,
                "whose walk it is: -1 the read-out's, else a token of the last grid, counted from 0, learned ones first",
                low=-1,
            ),
            Option(
                "show",
                "rollout",
                "the rollout, the prior that even attention would give, or the lift: the rollout over the prior",
                ("rollout", "prior", "lift"),
            ),
        ),
    ),
    MethodCard(
        "attention",
        "Raw attention",
        "Where the read-out looks in one layer, with the layers below left out.",
        "Vaswani et al., Attention Is All You Need (2017)",
        "https://arxiv.org/abs/1706.03762",
        needs=("lineage",),
        options=(
            Option("layer", -1, "which attention, counted from 0 at the input or from -1 at the output"),
            Option("head", -1, "which head, counted from 0; -1 takes all of them by head_fusion", low=-1),
            _FUSION,
            _CLASSIFIER,
        ),
    ),
    MethodCard(
        "grad_cam",
        "Grad-CAM",
        "Which places of the last feature map push the class score up.",
        "Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization (2017)",
        "https://arxiv.org/abs/1610.02391",
        needs=("head", "feature_map"),
        needs_gradient=True,
        class_specific=True,
        passes=2,
        wing="cam",
        options=(_LAYER, _GRADIENT),
    ),
    _gradient(
        "layer_cam",
        "Layer-CAM",
        "Which places of a feature map push the class score up, each place with weights of its own.",
        "Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps for Localization (2021)",
        "https://doi.org/10.1109/TIP.2021.3089943",
        needs=("head", "feature_map"),
        signed=False,
        wing="cam",
        options=(_LAYER, _GRADIENT),
    ),
    _gradient(
        "hires_cam",
        "HiRes-CAM",
        "How far each place of a feature map speaks for the class: the map times its slopes, balanced ones unless asked otherwise. What "
        "speaks against it is cut off.",
        "Draelos and Carin, Use HiResCAM instead of Grad-CAM for Faithful Explanations of Convolutional Neural Networks (2020)",
        "https://arxiv.org/abs/2011.08891",
        needs=("head", "feature_map"),
        signed=False,
        wing="cam",
        options=(_LAYER, replace(_GRADIENT, default="libra")),
    ),
    _gradient(
        "grad_cam_plus_plus",
        "Grad-CAM++",
        "Grad-CAM with weights that do not shrink where several places show the class.",
        "Chattopadhay et al., Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep Convolutional Networks (2018)",
        "https://arxiv.org/abs/1710.11063",
        needs=("head", "feature_map"),
        signed=False,
        wing="cam",
        options=(_LAYER, _GRADIENT),
    ),
    MethodCard(
        "eigen_cam",
        "Eigen-CAM",
        "Where a feature map has its strongest pattern, whatever the class.",
        "Muhammad and Yeasin, Eigen-CAM: Class Activation Map using Principal Components (2020)",
        "https://arxiv.org/abs/2008.00299",
        needs=("feature_map",),
        needs_gradient=True,
        passes=2,
        wing="cam",
        options=(_LAYER,),
    ),
    MethodCard(
        "gradient_rollout",
        "Gradient rollout",
        "A rollout that follows only the attention weights that push the target's score up. Unlike the post's, its rows sum to 1 before "
        "the residual is added and not after, no weight is discarded, and it ends on the pixels.",
        "Gildenblat, Exploring Explainability for Vision Transformers (2020)",
        "https://jacobgil.github.io/deeplearning/vision-transformer-explainability",
        needs=("head", "lineage"),
        needs_gradient=True,
        class_specific=True,
        options=(
            _RESIDUAL,
            Option(
                "head_weights",
                "none",
                "what the gradient weighs: every attention weight (none), or whole heads, by the share that each has in the L1 or L2 norms "
                "of the slopes (GMAR, Jo et al. 2025). The heads' mean so weighed is followed as it is, weights that speak against the "
                "target too; unlike theirs the walk ends on the pixels, for any target",
                ("none", "l1", "l2"),
            ),
            _CLASSIFIER,
            _GRADIENT,
        ),
    ),
    MethodCard(
        "relevance",
        "Attention relevance",
        "What attention added to the read-out in favour of the target, layer by layer down to the pixels.",
        "Chefer, Gur and Wolf, Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers (2021)",
        "https://arxiv.org/abs/2103.15679",
        needs=("head", "lineage"),
        needs_gradient=True,
        class_specific=True,
        options=(_CLASSIFIER, _GRADIENT),
    ),
    MethodCard(
        "legrad",
        "LeGrad",
        "Which places would raise the target's score, as each block's own tokens give it, if they were attended to more.",
        "Bousselham et al., LeGrad: An Explainability Method for Vision Transformers via Feature Formation Sensitivity (2025)",
        "https://arxiv.org/abs/2404.03214",
        needs=("head", "lineage", "layers"),
        needs_gradient=True,
        class_specific=True,
        options=(
            Option("layers", 0, "how many blocks count, from the last one down; 0 is all of them", low=0),
            Option(
                "pooling",
                "mean",
                "what the head reads of each block: the mean of all tokens, as in the paper, or what it always reads; "
                "an attention pool always pools",
                ("mean", "readout"),
            ),
            _CLASSIFIER,
            _GRADIENT,
        ),
    ),
    MethodCard(
        "attention_x_gradient",
        "Attention x gradient",
        "Where the read-out looks in one layer, as far as looking there pushes the target's score up.",
        "Chefer, Gur and Wolf, Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers (2021)",
        "https://arxiv.org/abs/2103.15679",
        needs=("head", "lineage"),
        needs_gradient=True,
        class_specific=True,
        passes=2,
        options=(Option("layer", -1, "which attention, counted from 0 at the input or from -1 at the output"), _CLASSIFIER, _GRADIENT),
    ),
    MethodCard(
        "leave_one_out",
        "Leave one token out",
        "How far the score falls without each token of the last grid: exact, one token at a time.",
        "Li, Monroe and Jurafsky, Understanding Neural Networks through Representation Erasure (2016)",
        "https://arxiv.org/abs/1612.08220",
        needs=("head", "lineage", "keys"),
        class_specific=True,
        signed=True,
        passes=100,
        each="token",
        wing="perturbation",
        options=(
            Option(
                "way",
                "best",
                "drop takes the token out after the position embedding, mask hides it from every attention, best drops where it can",
                ("best", "drop", "mask"),
            ),
        ),
    ),
    _gradient(
        "saliency",
        "Saliency",
        "How much each pixel would change the score, whichever way.",
        "Simonyan, Vedaldi and Zisserman, Deep Inside Convolutional Networks (2014)",
        "https://arxiv.org/abs/1312.6034",
        signed=False,
        options=(_GRADIENT, *_SMOOTHING),
    ),
    _gradient(
        "input_x_gradient",
        "Input x gradient",
        "The evidence of each pixel for the target, to first order.",
        "Shrikumar et al., Not Just a Black Box: Learning Important Features Through Propagating Activation Differences (2016)",
        "https://arxiv.org/abs/1605.01713",
        options=(_GRADIENT, *_SMOOTHING),
    ),
    _gradient(
        "balanced",
        "Balanced gradient",
        "The evidence of each pixel by slopes that keep its sum from layer to layer: it adds up to the score, but for biases.",
        "Mehri, Baghshah and Pilehvar, LibraGrad: Balancing Gradient Flow for Universally Better Vision Transformer Attributions (2025)",
        "https://arxiv.org/abs/2411.16760",
        options=(replace(_GRADIENT, default="libra"),),
    ),
    _gradient(
        "integrated_gradients",
        "Integrated gradients",
        "How each pixel changes the score on the way from a picture without evidence; the map adds up to the change.",
        "Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks (2017)",
        "https://arxiv.org/abs/1703.01365",
        passes=40,
        options=(
            _BASELINE,
            Option("steps", 32, "points on the way from the baseline to the picture, at first", low=2, high=1000),
            Option(
                "max_gap", 0.05, "how far off the map's sum may be; steps are doubled until it is not; 1 keeps them", low=0.001, high=1.0
            ),
            _GRADIENT,
            *_SMOOTHING,
        ),
        steps=4,
        max_gap=1.0,
    ),
    _gradient(
        "gradient_shap",
        "Gradient SHAP",
        "Integrated gradients from several baselines at once, at random points under noise.",
        "Lundberg and Lee, A Unified Approach to Interpreting Model Predictions (2017)",
        "https://arxiv.org/abs/1705.07874",
        passes=33,
        options=(Option("samples", 32, "how many random points", low=1, high=2000), _NOISE, _SEED),
        samples=4,
    ),
    _gradient(
        "guided_backprop",
        "Guided backpropagation",
        "The gradient where no ReLU lets a negative one pass: sharp, and close to an edge detector.",
        "Springenberg et al., Striving for Simplicity: The All Convolutional Net (2015)",
        "https://arxiv.org/abs/1412.6806",
        needs=("head", "relu"),
        options=_SMOOTHING,
    ),
    _gradient(
        "deeplift",
        "DeepLIFT",
        "How each pixel's difference from a baseline reaches the score, unit by unit; the map adds up to the change.",
        "Shrikumar, Greenside and Kundaje, Learning Important Features Through Propagating Activation Differences (2017)",
        "https://arxiv.org/abs/1704.02685",
        needs=("head", "relu"),
        passes=4,
        options=(_BASELINE,),
    ),
    _gradient(
        "guided_grad_cam",
        "Guided Grad-CAM",
        "Guided backpropagation where Grad-CAM is high.",
        "Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization (2017)",
        "https://arxiv.org/abs/1610.02391",
        needs=("head", "feature_map", "relu"),
        passes=4,
        wing="cam",
    ),
    _perturbation(
        "occlusion",
        "Occlusion",
        "How far the score falls when a square hides part of the picture.",
        "Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2014)",
        "https://arxiv.org/abs/1311.2901",
        64,
        Option("window", 0.25, "the square's side, as a share of the shorter side", low=0.01, high=1.0),
        Option("stride", 0.125, "how far it moves each time, as a share of the shorter side", low=0.01, high=1.0),
        stride=0.25,
    ),
    MethodCard(
        "patching",
        "Activation patching",
        "How far the score rises when a region's activations in the middle layers are put into a picture without evidence.",
        "Izadi et al., Causal Attribution via Activation Patching (2026)",
        "https://arxiv.org/abs/2603.13652",
        needs=("head", "feature_map"),
        class_specific=True,
        signed=True,
        passes=52,
        wing="perturbation",
        options=(
            _BASELINE,
            Option("cells", 7, "regions along each side, as many as the coarsest of the layers has cells at most", low=2, high=64),
            Option("start", 0.25, "where the layers begin whose activations are put in, as a share of the depth", low=0.0, high=1.0),
            Option("stop", 0.75, "where they end", low=0.0, high=1.0),
        ),
        coarse={"cells": 3},
    ),
    _perturbation(
        "feature_ablation",
        "Superpixel ablation",
        "How far the score falls when a superpixel is hidden.",
        "Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2014)",
        "https://arxiv.org/abs/1311.2901",
        42,
        _PIECES,
        pieces=10,
    ),
    _perturbation(
        "lime",
        "LIME",
        "The weights of a linear model that imitates the network when random superpixels are hidden.",
        "Ribeiro, Singh and Guestrin, Why Should I Trust You? Explaining the Predictions of Any Classifier (2016)",
        "https://arxiv.org/abs/1602.04938",
        300,
        _PIECES,
        Option("samples", 300, "how many pictures with random superpixels hidden", low=10, high=10_000),
        Option("width", 0.25, "how fast a picture counts less with the share that is hidden", low=0.01, high=10.0),
        _SEED,
        samples=50,
    ),
    _perturbation(
        "kernel_shap",
        "Kernel SHAP",
        "Shapley values of superpixels, read off a linear model of random coalitions.",
        "Lundberg and Lee, A Unified Approach to Interpreting Model Predictions (2017)",
        "https://arxiv.org/abs/1705.07874",
        300,
        _PIECES,
        Option("samples", 300, "how many coalitions", low=10, high=10_000),
        _SEED,
        samples=50,
    ),
    _perturbation(
        "shapley_sampling",
        "Shapley sampling",
        "What each superpixel adds on average when they are shown one by one in random orders.",
        "Castro, Gomez and Tejada, Polynomial Calculation of the Shapley Value Based on Sampling (2009)",
        "https://doi.org/10.1016/j.cor.2008.04.004",
        420,
        _PIECES,
        Option("orders", 10, "how many random orders", low=1, high=1000),
        _SEED,
        orders=1,
    ),
    _perturbation(
        "rise",
        "RISE",
        "How far the score rises on average when a pixel is shown through random masks.",
        "Petsiuk, Das and Saenko, RISE: Randomized Input Sampling for Explanation of Black-box Models (2018)",
        "https://arxiv.org/abs/1806.07421",
        400,
        Option("samples", 400, "how many masks", low=10, high=20_000),
        Option("cells", 7, "cells along each side of a mask", low=2, high=64),
        Option("shown", 0.5, "the share of cells that are shown", low=0.05, high=0.95),
        _SEED,
        samples=50,
    ),
)
METHODS: dict[str, MethodCard] = {card.name: card for card in _CARDS}


def method_card(name: str) -> MethodCard:
    """The card of a method; MethodError with the nearest names for one that is not there."""
    if not isinstance(name, str) or name not in METHODS:
        raise MethodError(f"There is no method {str(name)[:40]!r}; there are {', '.join(METHODS)}.{nearest(str(name), list(METHODS))}")
    return METHODS[name]


def fitting(refusals: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The names of the methods that fit a model with these refusals, and the reason for each that does not."""
    reasons = {name: card.refusal(refusals) for name, card in METHODS.items()}
    return tuple(name for name, why in reasons.items() if why is None), {name: why for name, why in reasons.items() if why is not None}
