"""The released checkpoints of the official implementations: where they are, what they take, what their authors report."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vizlib.geometry import Transform

_T2T = "https://github.com/yitu-opensource/T2T-ViT/releases/download/main/"
_CCT = "https://shi-labs.com/projects/cct/checkpoints/"
_ZIP = "https://github.com/SHI-Labs/Compact-Transformers/files/"
_PVT = "https://github.com/whai362/PVT/releases/download/v2/"
_JX = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-vitjx/"

_CIFAR10 = Transform((32, 32), 1.0, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
_CIFAR100 = Transform((32, 32), 1.0, mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761))
_T2T_CIFAR = Transform((224, 224), 1.0, "bilinear", mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))
_FLOWERS = Transform((224, 224), 1.0, mean=(0.4353, 0.3773, 0.2872), std=(0.2966, 0.2455, 0.2698))
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100 = (
    "apple", "aquarium fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy", "bridge", "bus",
    "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab",
    "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
    "lamp", "lawn mower", "leopard", "lion", "lizard", "lobster", "man", "maple tree", "motorcycle", "mountain", "mouse", "mushroom",
    "oak tree", "orange", "orchid", "otter", "palm tree", "pear", "pickup truck", "pine tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail",
    "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet pepper", "table", "tank", "telephone", "television", "tiger",
    "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow tree", "wolf", "woman", "worm",
)  # fmt: skip

PAPERS = {
    "t2t": "Yuan et al., Tokens-to-Token ViT (2021), https://arxiv.org/abs/2101.11986",
    "compact": "Hassani et al., Escaping the Big Data Paradigm with Compact Transformers (2021), https://arxiv.org/abs/2104.05704",
    "pvt": "Wang et al., Pyramid Vision Transformer (2021), https://arxiv.org/abs/2102.12122",
    "pvt_v2": "Wang et al., PVT v2 (2022), https://arxiv.org/abs/2106.13797",
    "vit": "Dosovitskiy et al., An Image is Worth 16x16 Words (2021), https://arxiv.org/abs/2010.11929",
    "cvt": "Wu et al., CvT: Introducing Convolutions to Vision Transformers (2021), https://arxiv.org/abs/2103.15808",
}
LICENCES = {"t2t": "Clear BSD", "compact": "Apache-2.0", "pvt": "Apache-2.0", "pvt_v2": "Apache-2.0", "cvt": "MIT", "vit": "Apache-2.0"}


_BARE = "a state dict"
_TRAINING = "a training checkpoint with the weights under state_dict_ema"
_JUNE_2021 = "Trained with the authors' first script: its keys may predate today's code, and then it is refused with those that differ."
_INFERRED = "The authors' list gives the file's number only; its name is inferred from the files beside it."
_SMALLER = "The authors count 65,536 parameters fewer than this network has, one position table: where the file lacks it, it is refused."
_NO_FILE = "Nobody released weights of it."


@dataclass(frozen=True)
class Release:
    """One released checkpoint. ``url`` is a file, or for ``hub`` a repository; ``architecture`` names the variant that it fits.

    ``top1`` is what the authors report, in per cent on ``data``. An empty ``url`` means that nobody released weights. ``wrapping``
    is what the file holds, ``note`` what a user should know of it. ``timm`` says that the architecture is one of timm's.
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
    timm: bool = False
    wrapping: str = _BARE
    note: str = ""

    @property
    def address(self) -> str:
        """Where the weights are, as a link; empty where there are none."""
        return f"https://huggingface.co/{self.url}" if self.hub else self.url


def _imagenet(side: int = 224, crop: float = 0.875, fit: str = "crop") -> Transform:
    return Transform(size=(side, side), crop_pct=crop, fit=fit)


def _t2t(architecture: str, top1: float | None, file: str, side: int = 224, note: str = "") -> Release:
    url = _T2T + file if file else ""
    transform = _imagenet(side, 0.9)
    return Release(architecture, "t2t", url, top1, "ImageNet-1k", transform, wrapping=_TRAINING if file else "", note=note)


def _t2t_cifar(architecture: str, top1: float, file: str, classes: int) -> Release:
    labels = CIFAR10 if classes == 10 else CIFAR100
    return Release(
        architecture, "t2t", _T2T + file, top1, f"CIFAR-{classes}", _T2T_CIFAR, labels, classes,
        wrapping="a training checkpoint with the weights under net",
        note="The accuracy is that in the file's name.",
    )  # fmt: skip


def _cifar(architecture: str, top1: float | None, url: str, classes: int = 10, wrapping: str = _BARE, note: str = "") -> Release:
    transform, labels = (_CIFAR10, CIFAR10) if classes == 10 else (_CIFAR100, CIFAR100)
    return Release(architecture, "compact", url, top1, f"CIFAR-{classes}", transform, labels, classes, wrapping=wrapping, note=note)


def _zip(architecture: str, top1: float, file: str, classes: int = 10, *notes: str) -> Release:
    """A checkpoint of the authors' first script: a zipped state dict, 200 epochs unless its name says 500."""
    note = " ".join([_JUNE_2021, *notes])
    return _cifar(architecture, top1, f"{_ZIP}{file}.pth.zip", classes, "a zip that holds one state dict", note)


def _flowers(architecture: str, top1: float, file: str, side: int) -> Release:
    return Release(architecture, "compact", _CCT + file, top1, "Flowers-102", replace(_FLOWERS, size=(side, side)), None, 102)


def _cct_imagenet(architecture: str, top1: float, file: str, side: int) -> Release:
    return Release(architecture, "compact", _CCT + file, top1, "ImageNet-1k", _imagenet(side, 0.9))


def _pvt(name: str, top1: float, family: str = "pvt") -> Release:
    return Release(name, family, f"{_PVT}{name}.pth", top1, "ImageNet-1k", _imagenet(), timm=family == "pvt_v2")


def _cvt(architecture: str, repository: str, top1: float | None, side: int) -> Release:
    # At 384 px the authors squash without a crop.
    transform = _imagenet() if side == 224 else _imagenet(side, 1.0, "squash")
    return Release(
        architecture, "cvt", f"microsoft/{repository}", top1, "ImageNet-1k", transform, hub=True,
        wrapping="a state dict in the layout of transformers",
        note="The authors' own folder is reported unreachable: this is the copy on the hub, which is tagged apache-2.0.",
    )  # fmt: skip


RELEASES: dict[str, Release] = {
    "t2t_vit_7": _t2t("t2t_vit_7", 71.7, "71.7_T2T_ViT_7.pth.tar"),
    "t2t_vit_10": _t2t("t2t_vit_10", 75.2, "75.2_T2T_ViT_10.pth.tar"),
    "t2t_vit_12": _t2t("t2t_vit_12", 76.5, "76.5_T2T_ViT_12.pth.tar"),
    "t2t_vit_14": _t2t("t2t_vit_14", 81.5, "81.5_T2T_ViT_14.pth.tar"),
    "t2t_vit_19": _t2t("t2t_vit_19", 81.9, "81.9_T2T_ViT_19.pth.tar"),
    "t2t_vit_24": _t2t("t2t_vit_24", 82.3, "82.3_T2T_ViT_24.pth.tar"),
    "t2t_vit_14_384": _t2t("t2t_vit_14_384", 83.3, "83.3_T2T_ViT_14.pth.tar", 384),
    "t2t_vit_24_token_labelled": _t2t(
        "t2t_vit_24_token_labelled", 84.2, "84.2_T2T_ViT_24.pth.tar",
        note="Trained with token labelling: the file may hold heads that this network lacks, and then it is refused with their names.",
    ),
    "t2t_vit_t_14": _t2t("t2t_vit_t_14", 81.7, "81.7_T2T_ViTt_14.pth.tar"),
    "t2t_vit_t_19": _t2t("t2t_vit_t_19", 82.4, "82.4_T2T_ViTt_19.pth.tar"),
    "t2t_vit_t_24": _t2t("t2t_vit_t_24", 82.6, "82.6_T2T_ViTt_24.pth.tar"),
    "t2t_vit_14_resnext": _t2t("t2t_vit_14_resnext", None, "", note=_NO_FILE),
    "t2t_vit_14_wide": _t2t("t2t_vit_14_wide", None, "", note=_NO_FILE),
    "t2t_vit_14_c10": _t2t_cifar("t2t_vit_14", 98.3, "cifar10_t2t-vit_14_98.3.pth", 10),
    "t2t_vit_14_c100": _t2t_cifar("t2t_vit_14", 88.4, "cirfar100_t2t-vit-14_88.4.pth", 100),  # spelled so by the authors
    "t2t_vit_19_c10": _t2t_cifar("t2t_vit_19", 98.4, "cifar10_t2t-vit_19_98.4.pth", 10),
    "t2t_vit_19_c100": _t2t_cifar("t2t_vit_19", 89.0, "cifar100_t2t-vit-19_89.0.pth", 100),
    "cct_7_3x1_32": _cifar("cct_7_3x1_32", 96.53, f"{_CCT}pretrained/cct_7_3x1_32_cifar10_300epochs.pth"),
    "cct_7_3x1_32_c100": _cifar("cct_7_3x1_32_c100", 80.92, f"{_CCT}pretrained/cct_7_3x1_32_cifar100_300epochs.pth", 100),
    "cct_7_3x1_32_sine": _cifar("cct_7_3x1_32_sine", 98.00, f"{_CCT}pretrained/cct_7_3x1_32_sine_cifar10_5000epochs.pth"),
    "cct_7_3x1_32_sine_c100": _cifar("cct_7_3x1_32_sine_c100", 82.87, f"{_CCT}pretrained/cct_7_3x1_32_sine_cifar100_5000epochs.pth", 100),
    "cct_7_3x1_32_sine_1500ep": _cifar("cct_7_3x1_32_sine", 97.48, f"{_CCT}pretrained/cct_7_3x1_32_sine_cifar10_1500epochs.pth"),
    "cct_7_3x1_32_sine_c100_1500ep": _cifar(
        "cct_7_3x1_32_sine_c100", 82.72, f"{_CCT}pretrained/cct_7_3x1_32_sine_cifar100_1500epochs.pth", 100
    ),
    "cct_7_7x2_224_sine": _flowers("cct_7_7x2_224_sine", 97.19, "pretrained/cct_7_7x2_224_flowers102.pth", 224),
    "cct_14_7x2_224": _cct_imagenet("cct_14_7x2_224", 80.67, "pretrained/cct_14_7x2_224_imagenet.pth", 224),
    "cct_14_7x2_384": _cct_imagenet("cct_14_7x2_384", 82.71, "finetuned/cct_14_7x2_384_imagenet.pth", 384),
    "cct_14_7x2_384_fl": _flowers("cct_14_7x2_384_fl", 99.76, "finetuned/cct_14_7x2_384_flowers102.pth", 384),
    "cct_2_3x2_32": _zip("cct_2_3x2_32", 89.17, "6666059/cct2-3x2_cifar10"),
    "cct_2_3x2_32_c100": _zip("cct_2_3x2_32", 66.90, "6666060/cct2-3x2_cifar100", 100, _INFERRED),
    "cct_4_3x2_32": _zip("cct_4_3x2_32", 91.45, "6666061/cct4-3x2_cifar10", 10, _INFERRED),
    "cct_4_3x2_32_c100": _zip("cct_4_3x2_32", 70.46, "6666066/cct4-3x2_cifar100", 100, _INFERRED),
    "cct_6_3x1_32": _zip("cct_6_3x1_32", 94.81, "6657185/cct6-3x1_cifar10_best", 10, _INFERRED, _SMALLER),
    "cct_6_3x1_32_c100": _zip("cct_6_3x1_32", 76.71, "6657221/cct6-3x1_cifar100_best", 100, _INFERRED, _SMALLER),
    "cct_6_3x1_32_500ep": _zip("cct_6_3x1_32", 95.29, "6730781/cct6-3x1_cifar10_500", 10, _SMALLER),
    "cct_6_3x1_32_c100_500ep": _zip("cct_6_3x1_32", 77.31, "6730783/cct6-3x1_cifar100_500", 100, _INFERRED, _SMALLER),
    "cct_6_3x2_32": _zip("cct_6_3x2_32", 93.56, "6658604/cct6-3x2_cifar10_best"),
    "cct_6_3x2_32_c100": _zip("cct_6_3x2_32", 74.47, "6658605/cct6-3x2_cifar100_best", 100, _INFERRED),
    "cct_7_3x1_32_200ep": _zip("cct_7_3x1_32", 94.78, "6644400/cct7-3x1_cifar10_best"),
    "cct_7_3x1_32_c100_200ep": _zip("cct_7_3x1_32", 77.05, "6657226/cct7-3x1_cifar100_best", 100, _INFERRED),
    "cct_7_3x2_32": _zip("cct_7_3x2_32", 93.83, "6657152/cct7-3x2_cifar10_best"),
    "cct_7_3x2_32_c100": _zip("cct_7_3x2_32", 74.92, "6657154/cct7-3x2_cifar100_best", 100, _INFERRED),
    "cvt_6_4_32": _zip("cvt_6_4_32", 92.58, "6666075/cvt6-4_cifar10"),
    "cvt_6_4_32_c100": _zip("cvt_6_4_32", 72.25, "6666076/cvt6-4_cifar100", 100),
    "cvt_7_4_32": _zip("cvt_7_4_32", 92.43, "6666077/cvt7-4_cifar10"),
    "cvt_7_4_32_c100": _zip("cvt_7_4_32", 73.01, "6666078/cvt7-4_cifar100", 100),
    "vit_lite_6_4_32": _zip("vit_lite_6_4_32", 90.94, "6666085/vitlite6-4_cifar10"),
    "vit_lite_6_4_32_c100": _zip("vit_lite_6_4_32", 69.20, "6666086/vitlite6-4_cifar100", 100),
    "vit_lite_7_4_32": _zip("vit_lite_7_4_32", 91.38, "6666087/vitlite7-4_cifar10"),
    "vit_lite_7_4_32_c100": _zip("vit_lite_7_4_32", 69.75, "6666088/vitlite7-4_cifar100", 100),
    **{
        name: _cifar(name, None, "", wrapping="", note=_NO_FILE)
        for name in ("cvt_2_4_32", "cvt_4_4_32", "vit_lite_2_4_32", "vit_lite_4_4_32")
    },
    "pvt_tiny": _pvt("pvt_tiny", 75.1),
    "pvt_small": _pvt("pvt_small", 79.8),
    "pvt_medium": _pvt("pvt_medium", 81.2),
    "pvt_large": _pvt("pvt_large", 81.7),
    "cvt_13": _cvt("cvt_13", "cvt-13", 81.6, 224),
    "cvt_21": _cvt("cvt_21", "cvt-21", 82.5, 224),
    "cvt_13_384": _cvt("cvt_13", "cvt-13-384", 83.0, 384),
    "cvt_21_384": _cvt("cvt_21", "cvt-21-384", 83.3, 384),
    "cvt_13_384_22k": _cvt("cvt_13", "cvt-13-384-22k", 83.3, 384),
    "cvt_21_384_22k": _cvt("cvt_21", "cvt-21-384-22k", 84.9, 384),
    "cvt_w24": _cvt("cvt_w24", "cvt-w24-384-22k", 87.6, 384),
}  # fmt: skip
# Official files of networks that timm builds.
ON_TIMM: dict[str, Release] = {
    "pvt_v2_b0": _pvt("pvt_v2_b0", 70.5, "pvt_v2"),
    "pvt_v2_b1": _pvt("pvt_v2_b1", 78.7, "pvt_v2"),
    "pvt_v2_b2": _pvt("pvt_v2_b2", 82.0, "pvt_v2"),
    "pvt_v2_b2_li": _pvt("pvt_v2_b2_li", 82.1, "pvt_v2"),
    "pvt_v2_b3": _pvt("pvt_v2_b3", 83.1, "pvt_v2"),
    "pvt_v2_b4": _pvt("pvt_v2_b4", 83.6, "pvt_v2"),
    "pvt_v2_b5": _pvt("pvt_v2_b5", 83.8, "pvt_v2"),
    "jx_vit_large_p16_384": Release(
        "vit_large_patch16_384", "vit", f"{_JX}jx_vit_large_p16_384-b3be5167.pth", None, "ImageNet-1k",
        Transform((384, 384), 1.0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)), timm=True,
        note="The ViT-L/16 of T2T-ViT's Figure 2; timm no longer lists this file, so its preprocessing is that of timm's other ViT-L/16.",
    ),
}  # fmt: skip

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
# Those whose head is not that of their architecture, and those that timm builds.
PARAMETERS_BY_NAME: dict[str, int] = {
    "t2t_vit_14_c10": 21_164_400, "t2t_vit_14_c100": 21_199_050, "t2t_vit_19_c10": 38_732_912, "t2t_vit_19_c100": 38_773_322,
    "cct_2_3x2_32_c100": 295_333, "cct_4_3x2_32_c100": 493_733, "cct_6_3x1_32_c100": 3_256_933, "cct_6_3x1_32_c100_500ep": 3_256_933,
    "cct_6_3x2_32_c100": 3_350_053, "cct_7_3x1_32_c100_200ep": 3_783_269, "cct_7_3x2_32_c100": 3_876_389, "cvt_6_4_32_c100": 3_213_413,
    "cvt_7_4_32_c100": 3_739_749, "vit_lite_6_4_32_c100": 3_213_668, "vit_lite_7_4_32_c100": 3_740_004, "pvt_v2_b0": 3_666_760,
    "pvt_v2_b1": 14_009_000, "pvt_v2_b2": 25_362_856, "pvt_v2_b2_li": 22_553_512, "pvt_v2_b3": 45_238_696, "pvt_v2_b4": 62_556_072,
    "pvt_v2_b5": 81_956_008, "jx_vit_large_p16_384": 304_715_752,
}  # fmt: skip


def parameters(name: str) -> int:
    """The parameters of a release, without building it."""
    return PARAMETERS_BY_NAME.get(name) or PARAMETERS[RELEASES[name].architecture]
