"""The cards of the official releases against the lists of their authors, and against the networks themselves."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import pytest
import torch

import vizlib
from vizlib.zoo.loading_plans import others_that_fit, plan_for
from vizlib.zoo.official_releases import CIFAR10, CIFAR100, ON_TIMM, RELEASES, parameters
from vizlib.zoo.weights import fill_random

FACTS = Path(__file__).resolve().parents[4] / "shared" / "MODELS.md"
OFFICIAL = RELEASES | ON_TIMM
# name: the end of its address, top-1 in per cent, classes, side of the input.
RELEASED = {
    "t2t_vit_7": ("main/71.7_T2T_ViT_7.pth.tar", 71.7, 1000, 224), "t2t_vit_10": ("main/75.2_T2T_ViT_10.pth.tar", 75.2, 1000, 224),
    "t2t_vit_12": ("main/76.5_T2T_ViT_12.pth.tar", 76.5, 1000, 224), "t2t_vit_14": ("main/81.5_T2T_ViT_14.pth.tar", 81.5, 1000, 224),
    "t2t_vit_19": ("main/81.9_T2T_ViT_19.pth.tar", 81.9, 1000, 224), "t2t_vit_24": ("main/82.3_T2T_ViT_24.pth.tar", 82.3, 1000, 224),
    "t2t_vit_14_384": ("main/83.3_T2T_ViT_14.pth.tar", 83.3, 1000, 384),
    "t2t_vit_24_token_labelled": ("main/84.2_T2T_ViT_24.pth.tar", 84.2, 1000, 224),
    "t2t_vit_t_14": ("main/81.7_T2T_ViTt_14.pth.tar", 81.7, 1000, 224), "t2t_vit_t_19": ("main/82.4_T2T_ViTt_19.pth.tar", 82.4, 1000, 224),
    "t2t_vit_t_24": ("main/82.6_T2T_ViTt_24.pth.tar", 82.6, 1000, 224),
    "t2t_vit_14_c10": ("main/cifar10_t2t-vit_14_98.3.pth", 98.3, 10, 224),
    "t2t_vit_14_c100": ("main/cirfar100_t2t-vit-14_88.4.pth", 88.4, 100, 224),
    "t2t_vit_19_c10": ("main/cifar10_t2t-vit_19_98.4.pth", 98.4, 10, 224),
    "t2t_vit_19_c100": ("main/cifar100_t2t-vit-19_89.0.pth", 89.0, 100, 224),
    "cct_7_3x1_32": ("pretrained/cct_7_3x1_32_cifar10_300epochs.pth", 96.53, 10, 32),
    "cct_7_3x1_32_c100": ("pretrained/cct_7_3x1_32_cifar100_300epochs.pth", 80.92, 100, 32),
    "cct_7_3x1_32_sine": ("pretrained/cct_7_3x1_32_sine_cifar10_5000epochs.pth", 98.00, 10, 32),
    "cct_7_3x1_32_sine_c100": ("pretrained/cct_7_3x1_32_sine_cifar100_5000epochs.pth", 82.87, 100, 32),
    "cct_7_3x1_32_sine_1500ep": ("pretrained/cct_7_3x1_32_sine_cifar10_1500epochs.pth", 97.48, 10, 32),
    "cct_7_3x1_32_sine_c100_1500ep": ("pretrained/cct_7_3x1_32_sine_cifar100_1500epochs.pth", 82.72, 100, 32),
    "cct_7_7x2_224_sine": ("pretrained/cct_7_7x2_224_flowers102.pth", 97.19, 102, 224),
    "cct_14_7x2_224": ("pretrained/cct_14_7x2_224_imagenet.pth", 80.67, 1000, 224),
    "cct_14_7x2_384": ("finetuned/cct_14_7x2_384_imagenet.pth", 82.71, 1000, 384),
    "cct_14_7x2_384_fl": ("finetuned/cct_14_7x2_384_flowers102.pth", 99.76, 102, 384),
    "vit_lite_7_4_32": ("6666087/vitlite7-4_cifar10.pth.zip", 91.38, 10, 32),
    "vit_lite_7_4_32_c100": ("6666088/vitlite7-4_cifar100.pth.zip", 69.75, 100, 32),
    "vit_lite_6_4_32": ("6666085/vitlite6-4_cifar10.pth.zip", 90.94, 10, 32),
    "vit_lite_6_4_32_c100": ("6666086/vitlite6-4_cifar100.pth.zip", 69.20, 100, 32),
    "cvt_7_4_32": ("6666077/cvt7-4_cifar10.pth.zip", 92.43, 10, 32), "cvt_7_4_32_c100": ("6666078/cvt7-4_cifar100.pth.zip", 73.01, 100, 32),
    "cvt_6_4_32": ("6666075/cvt6-4_cifar10.pth.zip", 92.58, 10, 32), "cvt_6_4_32_c100": ("6666076/cvt6-4_cifar100.pth.zip", 72.25, 100, 32),
    "cct_2_3x2_32": ("6666059/cct2-3x2_cifar10.pth.zip", 89.17, 10, 32), "cct_2_3x2_32_c100": ("6666060/", 66.90, 100, 32),
    "cct_4_3x2_32": ("6666061/", 91.45, 10, 32), "cct_4_3x2_32_c100": ("6666066/", 70.46, 100, 32),
    "cct_6_3x2_32": ("6658604/cct6-3x2_cifar10_best.pth.zip", 93.56, 10, 32), "cct_6_3x2_32_c100": ("6658605/", 74.47, 100, 32),
    "cct_7_3x2_32": ("6657152/cct7-3x2_cifar10_best.pth.zip", 93.83, 10, 32), "cct_7_3x2_32_c100": ("6657154/", 74.92, 100, 32),
    "cct_7_3x1_32_200ep": ("6644400/cct7-3x1_cifar10_best.pth.zip", 94.78, 10, 32),
    "cct_7_3x1_32_c100_200ep": ("6657226/", 77.05, 100, 32), "cct_6_3x1_32": ("6657185/", 94.81, 10, 32),
    "cct_6_3x1_32_c100": ("6657221/", 76.71, 100, 32), "cct_6_3x1_32_500ep": ("6730781/cct6-3x1_cifar10_500.pth.zip", 95.29, 10, 32),
    "cct_6_3x1_32_c100_500ep": ("6730783/", 77.31, 100, 32),
    "pvt_tiny": ("v2/pvt_tiny.pth", 75.1, 1000, 224), "pvt_small": ("v2/pvt_small.pth", 79.8, 1000, 224),
    "pvt_medium": ("v2/pvt_medium.pth", 81.2, 1000, 224), "pvt_large": ("v2/pvt_large.pth", 81.7, 1000, 224),
    "pvt_v2_b0": ("v2/pvt_v2_b0.pth", 70.5, 1000, 224), "pvt_v2_b1": ("v2/pvt_v2_b1.pth", 78.7, 1000, 224),
    "pvt_v2_b2": ("v2/pvt_v2_b2.pth", 82.0, 1000, 224), "pvt_v2_b2_li": ("v2/pvt_v2_b2_li.pth", 82.1, 1000, 224),
    "pvt_v2_b3": ("v2/pvt_v2_b3.pth", 83.1, 1000, 224), "pvt_v2_b4": ("v2/pvt_v2_b4.pth", 83.6, 1000, 224),
    "pvt_v2_b5": ("v2/pvt_v2_b5.pth", 83.8, 1000, 224),
    "cvt_13": ("microsoft/cvt-13", 81.6, 1000, 224), "cvt_21": ("microsoft/cvt-21", 82.5, 1000, 224),
    "cvt_13_384": ("microsoft/cvt-13-384", 83.0, 1000, 384), "cvt_21_384": ("microsoft/cvt-21-384", 83.3, 1000, 384),
    "cvt_13_384_22k": ("microsoft/cvt-13-384-22k", 83.3, 1000, 384), "cvt_21_384_22k": ("microsoft/cvt-21-384-22k", 84.9, 1000, 384),
    "cvt_w24": ("microsoft/cvt-w24-384-22k", 87.6, 1000, 384),
    "jx_vit_large_p16_384": ("v0.1-vitjx/jx_vit_large_p16_384-b3be5167.pth", None, 1000, 384),
}  # fmt: skip


def test_every_release_has_a_card_with_its_facts() -> None:
    cards = {card.name: card for card in vizlib.models()}
    for name, (end, top1, classes, side) in RELEASED.items():
        card, release = cards[name], OFFICIAL[name]
        assert f"/{end}" in card.url
        assert card.url.startswith("https://")
        assert (card.accuracy and 100 * card.accuracy.top1) == (top1 and pytest.approx(top1))
        assert (release.classes, card.input_size) == (classes, (side, side))
        assert card.wrapping
        assert card.preprocessing.startswith(("short side", "squashed"))
        assert card.licence in ("Clear BSD", "Apache-2.0", "MIT")
        if end.endswith("/"):  # only the file's number is known
            assert "inferred" in card.note
    unreleased = set(OFFICIAL) - set(RELEASED)
    assert len(unreleased) == 6
    assert all(not cards[name].url and "Nobody released" in cards[name].note and cards[name].accuracy is None for name in unreleased)
    assert len({card.url for card in cards.values() if card.url}) == len(RELEASED)


def test_no_file_of_the_list_was_forgotten() -> None:
    if not FACTS.is_file():
        pytest.skip("The list of the models' facts is not beside this checkout.")
    text = FACTS.read_text(encoding="utf-8")
    urls = " ".join(release.address for release in OFFICIAL.values())
    files = re.findall(r"[\w./-]+\.pth(?:\.tar|\.zip)?", text)
    wanted = {file.rsplit("/", 1)[-1] for file in files if "{" not in file and not file.startswith(("CvT", ".", "-"))}
    numbers = set(re.findall(r"`(6[67]\d{5})", text))
    assert len(wanted) > 40
    assert len(numbers) == 22
    missing = [file for file in [*wanted, *numbers] if file not in urls and not file.startswith(("224x224", "384x384"))]
    assert not [file for file in missing if file not in ("_1500epochs.pth", "epochs.pth")]


@pytest.mark.parametrize("name", list(OFFICIAL))
def test_a_card_counts_the_parameters_of_its_network(name: str) -> None:
    release = OFFICIAL[name]
    with torch.device("meta"):
        module = plan_for(name).build(release.classes, release.transform.size)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters(name)


def test_labels_are_as_many_as_classes() -> None:
    assert len(CIFAR10) == len(set(CIFAR10)) == 10
    assert len(CIFAR100) == len(set(CIFAR100)) == 100
    assert list(CIFAR100) == sorted(CIFAR100)
    for release in OFFICIAL.values():
        assert len(release.labels) == release.classes if isinstance(release.labels, tuple) else True


def test_preprocessing_of_the_families() -> None:
    assert OFFICIAL["t2t_vit_14"].transform.crop_pct == 0.9
    assert OFFICIAL["pvt_v2_b0"].transform.crop_pct == OFFICIAL["pvt_tiny"].transform.crop_pct == 0.875
    assert OFFICIAL["t2t_vit_14_c10"].transform.std == (0.2023, 0.1994, 0.2010)
    assert OFFICIAL["t2t_vit_14_c10"].transform.interpolation == "bilinear"
    assert OFFICIAL["cct_7_3x1_32"].transform.std == (0.2470, 0.2435, 0.2616)
    assert (OFFICIAL["cvt_13"].transform.fit, OFFICIAL["cvt_13_384"].transform.fit) == ("crop", "squash")
    assert plan_for("pvt_v2_b0").transform(torch.nn.Identity()).crop_pct == 0.875  # timm's own is 0.9
    card = next(card for card in vizlib.models() if card.name == "pvt_tiny")
    assert card.preprocessing.startswith("short side to 256 px, then the middle 224 x 224 (bicubic); mean 0.485")


def saved(module: torch.nn.Module, wrapped: object = None) -> bytes:
    buffer = io.BytesIO()
    torch.save(module.state_dict() if wrapped is None else wrapped, buffer)
    return buffer.getvalue()


def test_a_missing_sinusoid_is_made_and_one_in_the_file_stays(tmp_path) -> None:
    module = vizlib.load("cct_7_3x1_32_sine", checkpoint="random").module
    state = module.state_dict()
    (tmp_path / "own.pth").write_bytes(saved(module))
    kept = vizlib.load("cct_7_3x1_32_sine", checkpoint=tmp_path / "own.pth").module.classifier.positional_emb
    assert torch.equal(kept, state["classifier.positional_emb"])
    table = state.pop("classifier.positional_emb")
    (tmp_path / "less.pth").write_bytes(saved(module, state))
    made = vizlib.load("cct_7_3x1_32_sine", checkpoint=tmp_path / "less.pth").module.classifier.positional_emb
    assert made.shape == table.shape == (1, 256, 256)
    assert made[0, 3, 10].item() == pytest.approx(math.sin(3 / 10000 ** (10 / 256)), abs=1e-6)
    assert made[0, 3, 11].item() == pytest.approx(math.cos(3 / 10000 ** (10 / 256)), abs=1e-6)
    with pytest.raises(vizlib.CheckpointError, match="positional_emb"):
        vizlib.load("cct_7_3x1_32", checkpoint=tmp_path / "less.pth")  # its table was learnt: nothing can stand in for it


def test_official_pvt_v2_files_are_read(tmp_path) -> None:
    model = vizlib.load("pvt_v2_b0", checkpoint="random")
    state = {}
    for key, value in model.module.state_dict().items():
        name = re.sub(r"^stages\.(\d)\.downsample", lambda found: f"patch_embed{int(found[1]) + 1}", key)
        name = re.sub(r"^patch_embed\.", "patch_embed1.", name)
        name = re.sub(r"^stages\.(\d)\.blocks\.(\d+)", lambda found: f"block{int(found[1]) + 1}.{found[2]}", name)
        name = re.sub(r"^stages\.(\d)\.norm", lambda found: f"norm{int(found[1]) + 1}", name)
        state[name.replace("mlp.dwconv.", "mlp.dwconv.dwconv.")] = value
    assert "block1.0.mlp.dwconv.dwconv.weight" in state
    torch.save(state, tmp_path / "pvt_v2_b0.pth")
    again = vizlib.load("pvt_v2_b0", checkpoint=tmp_path / "pvt_v2_b0.pth")
    x = torch.ones(1, 3, 224, 224)
    assert torch.equal(again(x), model(x))


@pytest.mark.parametrize(
    ("made", "asked", "named"),
    [
        ("vit_tiny50", "resnet_tiny50", "vit_tiny50"),
        ("pvt_tiny", "pvt_v2_b0", "pvt_tiny"),
        ("pvt_v2_b0", "vit_tiny50", "pvt_v2_b0"),
        ("resnet18.tv_in1k", "resnet34.tv_in1k", "resnet18.tv_in1k"),
    ],
)
def test_weights_of_another_architecture_are_told_by_name(made: str, asked: str, named: str, tmp_path) -> None:
    with torch.random.fork_rng():
        module = plan_for(made).build(7, None)
    fill_random(module)
    path = tmp_path / "seven.pth"
    path.write_bytes(saved(module))
    before = torch.random.get_rng_state()
    with pytest.raises(vizlib.CheckpointError, match=f"those of {re.escape(named)}: load"):
        vizlib.load(asked, checkpoint=path)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert others_that_fit(plan_for(made), path) == []
    with pytest.raises(vizlib.CheckpointError, match="of another shape"):
        vizlib.load(made, checkpoint=path, num_classes=8)
