"""Training for a card, on the CPU: augmentation, the teacher, the stacked optimiser, and runs that stop and go on."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import zoo_cases as zoo
from safetensors.torch import save_file
from test_train import network
from torch import nn
from torch.optim.swa_utils import AveragedModel
from typer.testing import CliRunner

import vizlib
from vizlib.cli import app
from vizlib.datasets.classes import FIFTY
from vizlib.datasets.tiny_imagenet import ImageSet
from vizlib.errors import TrainingError
from vizlib.train import recipes
from vizlib.train.api import train_for_card
from vizlib.train.card_augment import erased, mixed, random_views, recoloured, resharpened, seen_through
from vizlib.train.export import export
from vizlib.train.loop import moving_average
from vizlib.train.muon import StackedMuon
from vizlib.train.on_card import Average, Batches, train_on_card
from vizlib.train.recipes import CardRecipe
from vizlib.train.teacher import ARCHITECTURE, SIDE, Views, load_teacher, teacher_answers, views_of
from vizlib.zoo import cards, loading_plans

if TYPE_CHECKING:
    from pathlib import Path

SMALL = CardRecipe(epochs=3, batch=4, rate=1e-2, muon=True, ema=0.5, mix=0.5, plain=0.4, views=2, operations=0)
CPU = torch.device("cpu")


def photographs(count: int = 6, side: int = 64) -> torch.Tensor:
    return (torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(3)) * 255).round()


class TestAugmentation:
    def test_views_keep_inside_the_photograph_and_turn_a_third(self) -> None:
        views = random_views(4000, 0.35, torch.Generator().manual_seed(0))
        areas = torch.linalg.det(views[:, :, :2])
        assert 0.3 < float(areas.abs().min()) <= float(areas.abs().max()) <= 1.0001
        assert 0.45 < float((areas < 0).float().mean()) < 0.55
        turned = views[:, 0, 1] != 0
        assert 0.3 < float(turned.float().mean()) < 0.37
        corners = torch.tensor([[-1.0, -1], [1, -1], [-1, 1], [1, 1]])
        reached = (views[~turned, :, :2] @ corners.T + views[~turned, :, 2:]).abs().max()
        assert float(reached) <= 1.0001

    def test_a_whole_view_is_the_photograph_and_a_flipped_one_its_mirror(self) -> None:
        images = photographs(2)
        whole = torch.eye(2, 3).expand(2, 2, 3).clone()
        assert torch.allclose(seen_through(images, whole), images, atol=0.05)
        whole[:, 0, 0] = -1
        assert torch.allclose(seen_through(images, whole), images.flip(-1), atol=0.05)
        assert seen_through(images, whole, 160).shape == (2, 3, 160, 160)

    def test_what_is_switched_off_changes_nothing(self) -> None:
        images, targets = photographs(), torch.eye(6)
        assert torch.allclose(recoloured(images, 0.0, grey=0.0), images, atol=1e-3)
        assert torch.equal(resharpened(images, 0.0), images)
        assert torch.equal(erased(images, 0.0), images)
        same, kept = mixed(images, targets, 0.0)
        assert torch.equal(same, images)
        assert torch.equal(kept, targets)

    def test_grey_has_no_colour_and_luma_as_it_was(self) -> None:
        images = photographs()
        grey = recoloured(images, 0.0, grey=1.0)
        assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-3)
        assert torch.allclose(grey[:, 0], 0.299 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2], atol=1e-2)

    def test_sharpening_leaves_even_places_and_moves_edges(self) -> None:
        edge = torch.full((16, 3, 16, 16), 100.0)
        edge[..., 8:] = 150
        torch.manual_seed(0)
        other = resharpened(edge, 1.0)
        assert torch.allclose(other[..., :6], edge[..., :6], atol=1e-3)
        moved = 150 - other[:, 0, 8, 8]  # over- or undershoot of a (x - blur), and blur is 137.5 there
        assert float(moved.min()) < -5
        assert float(moved.max()) <= 12.51

    def test_a_rectangle_of_the_stated_size_is_erased(self) -> None:
        torch.manual_seed(1)
        gone = (erased(torch.ones(500, 3, 64, 64), 1.0) == 0).all(1)
        shares = gone.float().mean((1, 2))
        assert 0.04 < float(shares.min()) < float(shares.max()) < 0.32
        rows, columns = gone.any(2).sum(1), gone.any(1).sum(1)
        assert torch.equal(rows * columns, gone.sum((1, 2)))
        assert 0.2 < float((erased(torch.ones(500, 3, 8, 8), 0.3) == 0).flatten(1).any(1).float().mean()) < 0.4

    def test_targets_are_mixed_as_the_pixels_are(self) -> None:
        torch.manual_seed(2)
        values = torch.arange(1.0, 33)
        images, targets = mixed(values.view(32, 1, 1, 1).expand(32, 3, 32, 32), torch.eye(32), 1.0)
        assert torch.allclose(images.mean((1, 2, 3)), targets @ values, atol=1e-3)
        assert torch.allclose(targets.sum(1), torch.ones(32))
        cut = images.std((1, 2, 3)) > 0
        assert 4 < int(cut.sum()) < 28


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (8, 8)])
def test_stacked_muon_is_torchs_muon(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for _ in range(3)]
    ours, theirs = ([nn.Parameter(tensor.clone()) for tensor in start] for _ in range(2))
    stacked = StackedMuon(ours, 0.02, 0.1)
    reference = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(shape, generator=generator)
            other.grad = one.grad.clone()
        stacked.step()
        reference.step()
    for one, other, first in zip(ours, theirs, start, strict=True):
        moved = (other - first).norm()
        assert float((one - other).detach().norm() / moved) < 0.02  # the products are rounded to bfloat16


def test_stacked_muon_takes_kernels_as_matrices() -> None:
    kernel, gradient = torch.randn(6, 4, 3, 3), torch.randn(6, 4, 3, 3)
    as_kernel, as_matrix = nn.Parameter(kernel.contiguous(memory_format=torch.channels_last)), nn.Parameter(kernel.reshape(6, 36).clone())
    as_kernel.grad, as_matrix.grad = gradient.clone(), gradient.reshape(6, 36).clone()
    StackedMuon([as_kernel], 0.1, 0.0).step()
    StackedMuon([as_matrix], 0.1, 0.0).step()
    assert torch.allclose(as_kernel.detach().reshape(6, 36), as_matrix.detach(), atol=1e-3)


def test_the_average_is_that_of_the_cpus_loop() -> None:
    module = network()
    ours, theirs = Average(module, 0.9), AveragedModel(module, multi_avg_fn=moving_average(0.9), use_buffers=True)
    theirs.update_parameters(module)  # the first one copies
    with torch.no_grad():
        for step in range(3):
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step)))
            ours.updates = int(theirs.n_averaged)
            ours.update()
            theirs.update_parameters(module)
    for name, tensor in theirs.module.state_dict().items():
        if tensor.is_floating_point():
            assert torch.allclose(ours.state[name], tensor, atol=1e-6)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = timm.create_model(ARCHITECTURE).state_dict()
    path = tmp_path_factory.mktemp("teacher") / "teacher.pth"
    torch.save(state, path)
    return path


class TestTeacher:
    @pytest.fixture
    def few(self) -> ImageSet:
        images = photographs(4).byte().numpy()
        return ImageSet(
            images, torch.tensor([0, 1, 0, 1]).numpy(), torch.zeros(4, 4, dtype=torch.long).numpy(), (FIFTY[0][1], FIFTY[11][1])
        )

    def test_it_answers_for_the_classes_by_their_wordnet_ids(self, weights: Path, few: ImageSet) -> None:
        teacher, numbers = load_teacher(weights, few.classes)
        images, whole = torch.from_numpy(few.images), torch.eye(2, 3).expand(4, 2, 3)
        upright = F.interpolate(images.float(), SIDE, mode="bilinear", align_corners=False)
        with torch.inference_mode():
            expected = teacher(upright / 127.5 - 1)[:, [1, 281]]  # ImageNet's goldfish and tabby
        assert torch.allclose(teacher_answers(teacher, numbers, images, whole), expected, atol=1e-2)

    def test_answers_are_kept_and_belong_to_their_photographs(self, weights: Path, few: ImageSet, tmp_path: Path) -> None:
        kept = tmp_path / "answers.pt"
        first = views_of(few, 2, weights, CPU, keep=kept)
        again = views_of(few, 2, tmp_path / "gone.pth", CPU, keep=kept)
        assert first.logits is not None
        assert again.logits is not None
        assert torch.equal(first.logits, again.logits)
        assert torch.equal(first.views, again.views)
        with pytest.raises(TrainingError, match="other photographs"):
            views_of(few, 3, weights, CPU, keep=kept)

    def test_what_is_wrong_is_said(self, weights: Path, few: ImageSet, tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match="fifty classes"):
            load_teacher(weights, ("plum", "leaf"))
        with pytest.raises(TrainingError, match=r"cannot be used: .*absent\.pth"):
            load_teacher(tmp_path / "absent.pth", few.classes)
        save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
        with pytest.raises(TrainingError, match="cannot be used: The weights do not fit"):
            load_teacher(tmp_path / "other.safetensors", few.classes)


def test_targets_are_the_stated_mixture(splits: tuple[ImageSet, ImageSet]) -> None:
    data = splits[0]
    logits = torch.randn(len(data), 2, len(data.classes)).half()
    views = Views(random_views(2 * len(data), 0.5, torch.Generator().manual_seed(0)).view(len(data), 2, 2, 3), logits)
    batches = Batches(data, views, replace(SMALL, teacher=0.7, temperature=2.0, smoothing=0.1), CPU)
    rows, view = torch.tensor([2, 0]), torch.tensor([1, 0])
    hard = F.one_hot(torch.from_numpy(data.labels)[rows], len(data.classes)) * 0.9 + 0.1 / len(data.classes)
    soft = torch.stack([(logits[2, 1].float() / 2).softmax(0), (logits[0, 0].float() / 2).softmax(0)])
    assert torch.allclose(batches.targets(rows, view), 0.3 * hard + 0.7 * soft, atol=1e-6)
    images, targets = batches(rows)
    assert images.shape == (2, 3, 64, 64)
    assert torch.allclose(targets.sum(1), torch.ones(2))


class TestRuns:
    def run(self, data: ImageSet, val: ImageSet, folder: Path, recipe: CardRecipe = replace(SMALL, views=0), stop_at: float | None = None):  # noqa: B008
        views = views_of(data, 4, None, CPU)
        return train_on_card(network(), recipe, data, views, val, folder, device="cpu", compiled=False, stop_at=stop_at)

    def test_a_run_that_was_stopped_goes_on_to_the_same_bits(self, tmp_path: Path, splits: tuple[ImageSet, ImageSet]) -> None:
        whole, history = self.run(*splits, tmp_path / "whole")
        _, first = self.run(*splits, tmp_path / "cut", stop_at=time.monotonic() - 1)
        assert len(first) == 1
        resumed, second = self.run(*splits, tmp_path / "cut")
        assert [row["loss"] for row in second] == [row["loss"] for row in history]
        assert len(history) == 3
        for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
            assert torch.equal(one, other)

    def test_the_generator_is_left_alone_and_another_recipe_refused(self, tmp_path: Path, splits: tuple[ImageSet, ImageSet]) -> None:
        before = torch.random.get_rng_state()
        self.run(*splits, tmp_path)
        assert torch.equal(torch.random.get_rng_state(), before)
        with pytest.raises(TrainingError, match="another recipe"):
            self.run(*splits, tmp_path, replace(SMALL, views=0, rate=0.5))
        with pytest.raises(TrainingError, match="do not agree"):
            self.run(*splits, tmp_path / "taught", SMALL)
        with pytest.raises(TrainingError, match="do not fill one batch"):
            self.run(*splits, tmp_path / "large", replace(SMALL, views=0, batch=512))

    def test_the_command_trains_and_ships(
        self,
        tmp_path: Path,
        splits: tuple[ImageSet, ImageSet],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(recipes.KINDS, "card-alone", replace(SMALL, views=0, epochs=1))
        monkeypatch.setattr("vizlib.datasets.tiny_imagenet.read_split", lambda _, split: splits[split == "val"])
        monkeypatch.chdir(tmp_path)
        words = ["train", "resnet_tiny50", "--data", "x", "--recipe", "card-alone", "--device", "cpu"]
        result = CliRunner().invoke(app, [*words, "--ship", "shipped"])
        assert result.exit_code == 0, result.output
        facts = json.loads((tmp_path / "shipped/resnet_tiny50.json").read_text(encoding="utf-8"))
        assert facts["training"]["recipe"]["batch"] == 4
        assert "--recipe card-alone" in facts["training"]["command"]
        assert vizlib.load("resnet_tiny50", checkpoint="shipped/resnet_tiny50.safetensors", num_classes=len(splits[0].classes))

    @pytest.mark.parametrize("name", ["vit_tiny50", "compact_vit_tiny50", "t2t_tiny50"])
    def test_a_finer_grid_is_trained_shipped_and_loaded(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def photographs_of(seed: int) -> ImageSet:
            random = np.random.default_rng(seed)
            labels = np.arange(16)
            return ImageSet(random.integers(0, 256, (16, 3, 64, 64), dtype=np.uint8), labels, np.zeros((16, 4), np.int64), tuple(FIFTY))

        plan = replace(recipes.FINE, epochs=1, batch=8)
        monkeypatch.setitem(recipes.KINDS, "card-fine", plan)
        train, val = photographs_of(0), photographs_of(1)
        module, history = train_for_card(name, train, val, tmp_path / "run", kind="card-fine", device="cpu", compiled=False)
        facts = export(name, module, val, history, tmp_path / "weights", "", plan=plan)
        assert facts["input_size"] == [128, 128]
        monkeypatch.setattr(cards, "ASSETS", tmp_path)
        monkeypatch.setattr(loading_plans, "all_cards", lambda: {card.name: card for card in cards.bundled_cards()})
        model = vizlib.load(name, checkpoint=tmp_path / f"weights/{name}.safetensors", labels=FIFTY)
        site = vizlib.trace(model, val.images[0].transpose(1, 2, 0)).attention[-1]
        assert (site.query_grid.height, site.query_grid.width) == (16, 16)
        answers = vizlib.predict(model, [image.transpose(1, 2, 0) for image in val.images], top=1)
        right = np.mean([answer[0].index == label for answer, label in zip(answers, val.labels, strict=True)])
        assert right == pytest.approx(facts["accuracy"]["top1"], abs=0.07)  # one of 16 photographs may tip with the rounding of a resize

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--recipe", "card"], "has a teacher"),
            (["--recipe", "cart"], "Did you mean 'card'"),
            (["--teacher", "x"], "go with --recipe"),
            (["--recipe", "card-alone", "--share", "0.5"], "--recipe cpu"),
        ],
    )
    def test_what_does_not_go_together_is_said(
        self,
        words: list[str],
        said: str,
        splits: tuple[ImageSet, ImageSet],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("vizlib.datasets.tiny_imagenet.read_split", lambda _, split: splits[split == "val"])
        result = CliRunner().invoke(app, ["train", "resnet_tiny50", "--data", "x", "--device", "cpu", *words])
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("name", ["t2t_performer", "cct"])
def test_networks_are_one_graph_for_the_compiler(name: str) -> None:
    module = zoo.ALL[name]()
    torch._dynamo.reset()
    assert torch._dynamo.explain(module)(torch.zeros(1, 3, 32, 32)).graph_break_count == 0
