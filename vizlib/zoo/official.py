"""The released checkpoints of the official implementations: where they are, what they take, what their authors report."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vizlib.geometry import Transform

_T2T = "https://github.com/yitu-opensource/T2T-ViT/releases/download/main/"
_CCT = "https://shi-labs.com/projects/cct/checkpoints/"
_ZIP = "https://github.com/SHI-Labs/Compact-Transformers/files/"
_PVT = "https://github.com/whai362/PVT/releases/download/v2/"

_CIFAR10 = Transform((32, 32), 1.0, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
_CIFAR100 = Transform((32, 32), 1.0, mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761))
_FLOWERS = Transform((224, 224), 1.0, mean=(0.4353, 0.3773, 0.2872), std=(0.2966, 0.2455, 0.2698))
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

PAPERS = {
    "t2t": "Yuan et al., Tokens-to-Token ViT (2021), https://arxiv.org/abs/2101.11986",
    "compact": "Hassani et al., Escaping the Big Data Paradigm with Compact Transformers (2021), https://arxiv.org/abs/2104.05704",
    "pvt": "Wang et al., Pyramid Vision Transformer (2021), https://arxiv.org/abs/2102.12122",
    "pvt_v2": "Wang et al., PVT v2 (2022), https://arxiv.org/abs/2106.13797",
    "cvt": "Wu et al., CvT: Introducing Convolutions to Vision Transformers (2021), https://arxiv.org/abs/2103.15808",
}
LICENCES = {"t2t": "Clear BSD", "compact": "Apache-2.0", "pvt": "Apache-2.0", "pvt_v2": "Apache-2.0", "cvt": "MIT"}


@dataclass(frozen=True)
class Release:
    """One released checkpoint. ``url`` is a file, or for ``hub`` a repository; ``architecture`` names the variant that it fits.

    ``top1`` is what the authors report, in per cent on ``data``. An empty ``url`` means that nobody released weights.
    """

    architecture: str
    family: str
    url: str
    top1: float | None
    data: str
    transform: Transform
    labels: str | tuple[str, ...] | None = "imagenet-1k"
    classes: int = 1000
    hub: bool = False


def _imagenet(side: int = 224, crop: float = 0.875, fit: str = "crop") -> Transform:
    return Transform(size=(side, side), crop_pct=crop, fit=fit)


def _t2t(architecture: str, top1: float | None, file: str, side: int = 224) -> Release:
    return Release(architecture, "t2t", _T2T + file if file else "", top1, "ImageNet-1k", _imagenet(side, 0.9))


def _cifar(architecture: str, top1: float, url: str, classes: int = 10) -> Release:
    transform = _CIFAR10 if classes == 10 else _CIFAR100
    labels = CIFAR10 if classes == 10 else None
    return Release(architecture, "compact", url, top1, f"CIFAR-{classes}", transform, labels, classes)


def _flowers(architecture: str, top1: float, url: str, side: int) -> Release:
    return Release(architecture, "compact", url, top1, "Flowers-102", replace(_FLOWERS, size=(side, side)), None, 102)


def _pvt(architecture: str, top1: float) -> Release:
    return Release(architecture, "pvt", f"{_PVT}{architecture}.pth", top1, "ImageNet-1k", _imagenet())


def _cvt(architecture: str, repository: str, top1: float | None, side: int) -> Release:
    # At 384 px the authors squash without a crop.
    transform = _imagenet() if side == 224 else _imagenet(side, 1.0, "squash")
    return Release(architecture, "cvt", repository, top1, "ImageNet-1k", transform, hub=True)


RELEASES: dict[str, Release] = {
    "t2t_vit_7": _t2t("t2t_vit_7", 71.7, "71.7_T2T_ViT_7.pth.tar"),
    "t2t_vit_10": _t2t("t2t_vit_10", 75.2, "75.2_T2T_ViT_10.pth.tar"),
    "t2t_vit_12": _t2t("t2t_vit_12", 76.5, "76.5_T2T_ViT_12.pth.tar"),
    "t2t_vit_14": _t2t("t2t_vit_14", 81.5, "81.5_T2T_ViT_14.pth.tar"),
    "t2t_vit_19": _t2t("t2t_vit_19", 81.9, "81.9_T2T_ViT_19.pth.tar"),
    "t2t_vit_24": _t2t("t2t_vit_24", 82.3, "82.3_T2T_ViT_24.pth.tar"),
    "t2t_vit_14_384": _t2t("t2t_vit_14_384", 83.3, "83.3_T2T_ViT_14.pth.tar", 384),
    "t2t_vit_24_token_labelled": _t2t("t2t_vit_24_token_labelled", 84.2, "84.2_T2T_ViT_24.pth.tar"),
    "t2t_vit_t_14": _t2t("t2t_vit_t_14", 81.7, "81.7_T2T_ViTt_14.pth.tar"),
    "t2t_vit_t_19": _t2t("t2t_vit_t_19", 82.4, "82.4_T2T_ViTt_19.pth.tar"),
    "t2t_vit_t_24": _t2t("t2t_vit_t_24", 82.6, "82.6_T2T_ViTt_24.pth.tar"),
    "t2t_vit_14_resnext": _t2t("t2t_vit_14_resnext", None, ""),
    "t2t_vit_14_wide": _t2t("t2t_vit_14_wide", None, ""),
    "cct_7_3x1_32": _cifar("cct_7_3x1_32", 96.53, f"{_CCT}pretrained/cct_7_3x1_32_cifar10_300epochs.pth"),
    "cct_7_3x1_32_c100": _cifar("cct_7_3x1_32_c100", 80.92, f"{_CCT}pretrained/cct_7_3x1_32_cifar100_300epochs.pth", 100),
    "cct_7_3x1_32_sine": _cifar("cct_7_3x1_32_sine", 98.00, f"{_CCT}pretrained/cct_7_3x1_32_sine_cifar10_5000epochs.pth"),
    "cct_7_3x1_32_sine_c100": _cifar("cct_7_3x1_32_sine_c100", 82.87, f"{_CCT}pretrained/cct_7_3x1_32_sine_cifar100_5000epochs.pth", 100),
    "cct_7_7x2_224_sine": _flowers("cct_7_7x2_224_sine", 97.19, f"{_CCT}pretrained/cct_7_7x2_224_flowers102.pth", 224),
    "cct_14_7x2_224": Release(
        "cct_14_7x2_224", "compact", f"{_CCT}pretrained/cct_14_7x2_224_imagenet.pth", 80.67, "ImageNet-1k", _imagenet(224, 0.9)
    ),
    "cct_14_7x2_384": Release(
        "cct_14_7x2_384", "compact", f"{_CCT}finetuned/cct_14_7x2_384_imagenet.pth", 82.71, "ImageNet-1k", _imagenet(384, 0.9)
    ),
    "cct_14_7x2_384_fl": _flowers("cct_14_7x2_384_fl", 99.76, f"{_CCT}finetuned/cct_14_7x2_384_flowers102.pth", 384),
    "cct_2_3x2_32": _cifar("cct_2_3x2_32", 89.17, f"{_ZIP}6666059/cct2-3x2_cifar10_best.pth.zip"),
    "cct_4_3x2_32": _cifar("cct_4_3x2_32", 91.45, f"{_ZIP}6666061/cct4-3x2_cifar10_best.pth.zip"),
    "cct_6_3x1_32": _cifar("cct_6_3x1_32", 94.81, f"{_ZIP}6657185/cct6-3x1_cifar10_best.pth.zip"),
    "cct_6_3x2_32": _cifar("cct_6_3x2_32", 93.56, f"{_ZIP}6658604/cct6-3x2_cifar10_best.pth.zip"),
    "cct_7_3x2_32": _cifar("cct_7_3x2_32", 93.83, f"{_ZIP}6657152/cct7-3x2_cifar10_best.pth.zip"),
    "cvt_6_4_32": _cifar("cvt_6_4_32", 92.58, f"{_ZIP}6666075/cvt6-4_cifar10.pth.zip"),
    "cvt_7_4_32": _cifar("cvt_7_4_32", 92.43, f"{_ZIP}6666077/cvt7-4_cifar10.pth.zip"),
    "vit_lite_6_4_32": _cifar("vit_lite_6_4_32", 90.94, f"{_ZIP}6666085/vitlite6-4_cifar10.pth.zip"),
    "vit_lite_7_4_32": _cifar("vit_lite_7_4_32", 91.38, f"{_ZIP}6666087/vitlite7-4_cifar10.pth.zip"),
    **{
        name: Release(name, "compact", "", None, "CIFAR-10", _CIFAR10, CIFAR10, 10)
        for name in ("cvt_2_4_32", "cvt_4_4_32", "vit_lite_2_4_32", "vit_lite_4_4_32")
    },
    "pvt_tiny": _pvt("pvt_tiny", 75.1),
    "pvt_small": _pvt("pvt_small", 79.8),
    "pvt_medium": _pvt("pvt_medium", 81.2),
    "pvt_large": _pvt("pvt_large", 81.7),
    "cvt_13": _cvt("cvt_13", "microsoft/cvt-13", 81.6, 224),
    "cvt_21": _cvt("cvt_21", "microsoft/cvt-21", 82.5, 224),
    "cvt_13_384": _cvt("cvt_13", "microsoft/cvt-13-384", 83.0, 384),
    "cvt_21_384": _cvt("cvt_21", "microsoft/cvt-21-384", 83.3, 384),
    "cvt_13_384_22k": _cvt("cvt_13", "microsoft/cvt-13-384-22k", 83.3, 384),
    "cvt_21_384_22k": _cvt("cvt_21", "microsoft/cvt-21-384-22k", 84.9, 384),
    "cvt_w24": _cvt("cvt_w24", "microsoft/cvt-w24-384-22k", 87.6, 384),
}

# The parameters of each architecture, without building it.
PARAMETERS: dict[str, int] = {
    "t2t_vit_7": 4_310_222, "t2t_vit_10": 5_889_230, "t2t_vit_12": 6_941_902, "t2t_vit_14": 21_545_550, "t2t_vit_19": 39_177_422,
    "t2t_vit_24": 64_105_934, "t2t_vit_14_384": 21_691_470, "t2t_vit_24_token_labelled": 64_105_934, "t2t_vit_t_14": 21_541_070,
    "t2t_vit_t_19": 39_172_942, "t2t_vit_t_24": 64_101_454, "t2t_vit_14_resnext": 21_545_550, "t2t_vit_14_wide": 25_156_302,
    "cct_7_3x1_32": 3_760_139, "cct_7_3x1_32_c100": 3_783_269, "cct_7_3x1_32_sine": 3_760_139, "cct_7_3x1_32_sine_c100": 3_783_269,
    "cct_7_7x2_224_sine": 4_573_735, "cct_14_7x2_224": 22_367_273, "cct_14_7x2_384": 22_513_193, "cct_14_7x2_384_fl": 22_167_463,
    "cct_6_3x1_32": 3_233_803, "cct_6_3x2_32": 3_326_923, "cct_7_3x2_32": 3_853_259, "cct_4_3x2_32": 482_123, "cct_2_3x2_32": 283_723,
    "cvt_2_4_32": 214_539, "cvt_4_4_32": 412_939, "cvt_6_4_32": 3_190_283, "cvt_7_4_32": 3_716_619, "vit_lite_2_4_32": 214_666,
    "vit_lite_4_4_32": 413_066, "vit_lite_6_4_32": 3_190_538, "vit_lite_7_4_32": 3_716_874, "pvt_tiny": 13_229_288,
    "pvt_small": 24_485_864, "pvt_medium": 44_208_104, "pvt_large": 61_369_320, "cvt_13": 19_997_480, "cvt_21": 31_622_696,
    "cvt_w24": 277_196_392,
}  # fmt: skip
# PVT v2's official files are read by timm's own names; timm hosts the same weights.
PVT_V2: dict[str, tuple[int, float]] = {
    "pvt_v2_b0": (3_666_760, 70.5), "pvt_v2_b1": (14_009_000, 78.7), "pvt_v2_b2": (25_362_856, 82.0), "pvt_v2_b2_li": (22_553_512, 82.1),
    "pvt_v2_b3": (45_238_696, 83.1), "pvt_v2_b4": (62_556_072, 83.6), "pvt_v2_b5": (81_956_008, 83.8),
}  # fmt: skip
