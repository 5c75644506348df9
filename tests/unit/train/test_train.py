"""Training: the data layouts, the augmentation, the loop that survives being killed, and what is shipped."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_data import NAMES, WNIDS, folder_layout, jpeg, parquet_layout
from torch import nn

import vizlib
from vizlib.datasets.classes import FIFTY
from vizlib.datasets.labelled import find_photos
from vizlib.datasets.tiny_imagenet import ImageSet, read_split
from vizlib.errors import TrainingError
from vizlib.model_report.accuracy import match_classes, measure_accuracy, numbering_note
from vizlib.stats import wilson
from vizlib.train import recipes
from vizlib.train.api import train_bundled
from vizlib.train.augment import MEAN, STD, Augment, crop_and_flip, normalise
from vizlib.train.bf16_kernels import ProcessorKernels
from vizlib.train.export import export
from vizlib.train.loop import MatrixMuon, Progress, accuracy, fingerprint, moving_average, optimisers, schedule, train
from vizlib.train.muon import StackedMuon
from vizlib.train.recipes import RECIPES, Recipe
from vizlib.zoo import bundled_models

if TYPE_CHECKING:
    from pathlib import Path

TINY = Recipe(epochs=2, batch=4, rate=1e-2, muon=True, ema=0.5, operations=1, mix=0.5, plain=0.5)


class Network(nn.Module):
    """A kernel and a matrix inside blocks, and everything else outside."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 8, stride=8)
        self.norm = nn.BatchNorm2d(8)
        self.block_conv = nn.Conv2d(8, 8, 3, padding=1)
        self.block_linear = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block_conv(self.norm(self.stem(x)).relu()).relu()
        return self.head(self.block_linear(x.mean((2, 3))).relu())


def network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network()


class TestData:
    def test_the_public_layout(self, splits: tuple[ImageSet, ImageSet]) -> None:
        data, val = splits
        assert data.images.shape == (12, 3, 64, 64)
        assert data.images.dtype == np.uint8
        assert data.labels.tolist() == [0] * 6 + [1] * 6
        assert data.classes == NAMES
        assert data.boxes[2].tolist() == [2, 1, 62, 63]
        assert len(val) == 6
        assert val.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert val.boxes[5].tolist() == [0, 0, 63, 2]

    def test_both_layouts_hold_the_same_images(self, tmp_path: Path, splits: tuple[ImageSet, ImageSet]) -> None:
        home = parquet_layout(tmp_path / "parquet")
        for split, other in zip(("train", "val"), splits, strict=True):
            images = read_split(home, split)
            assert images.classes == other.classes
            for label in (0, 1):
                own_images, other_images = images.images[images.labels == label], other.images[other.labels == label]
                np.testing.assert_array_equal(own_images, other_images)
        assert read_split(home, "val").boxes[0].tolist() == [1, 2, 60, 63]

    def test_of_a_larger_set_the_fifty_classes_are_read(self, tmp_path: Path) -> None:
        wnids = tuple(sorted([wnid for wnid, _ in FIFTY] + ["n00000001", "n99999999"]))
        home = folder_layout(tmp_path, wnids, wnids, train=1, val=1)
        for split in ("train", "val"):
            image_set = read_split(home, split)
            assert image_set.classes == tuple(name for _, name in FIFTY)
            assert sorted(image_set.labels.tolist()) == list(range(50))
        image = image_set.images[image_set.labels.tolist().index(11)]
        np.testing.assert_array_equal(image, _pixels(jpeg(wnids.index(FIFTY[11][0]), 1000)))

    def test_the_fifty_classes_are_those_of_the_bundled_models(self) -> None:
        assert vizlib.models()[0].labels == tuple(name for _, name in FIFTY)

    def test_classes_json_chooses_and_orders_the_folders(self, tmp_path: Path) -> None:
        home = folder_layout(tmp_path, ("n1", "n2", "n3"), ("a", "b", "c"))
        (home / "classes.json").write_text(json.dumps([{"wnid": "n3", "name": "sea"}, {"wnid": "n1", "name": "air"}]), encoding="utf-8")
        val = read_split(home, "val")
        assert val.classes == ("sea", "air")
        assert sorted(val.labels.tolist()) == [0, 0, 0, 1, 1, 1]

    def test_other_sizes_are_resized_and_grey_becomes_rgb(self, tmp_path: Path) -> None:
        from PIL import Image

        home = folder_layout(tmp_path)
        Image.new("L", (100, 80), 77).save(home / "train" / WNIDS[0] / "images" / "n00000001_0.JPEG")
        assert (read_split(home, "train").images[0] == 77).all()

    @pytest.mark.parametrize("fault", ["nothing", "damaged", "no annotations", "no shards", "labels", "classes"])
    def test_what_is_wrong_is_said(self, tmp_path: Path, fault: str) -> None:
        home = tmp_path / "data"
        if fault == "nothing":
            home.mkdir()
        elif fault == "damaged":
            path = folder_layout(home) / "train" / WNIDS[1] / "images" / "n00000002_3.JPEG"
            path.write_bytes(path.read_bytes()[:300])
        elif fault == "no annotations":
            (folder_layout(home) / "val" / "val_annotations.txt").unlink()
        elif fault == "no shards":
            parquet_layout(home)
            for path in home.glob("train*"):
                path.unlink()
        elif fault == "labels":
            parquet_layout(home)
            (home / "classes.json").write_text(json.dumps([{"wnid": "n1", "name": "only"}]), encoding="utf-8")
        else:
            (parquet_layout(home) / "classes.json").write_text("{", encoding="utf-8")
        with pytest.raises(TrainingError, match="data"):
            read_split(home, "val" if fault == "no annotations" else "train")

    def test_smaller_shares_are_subsets(self, splits: tuple[ImageSet, ImageSet]) -> None:
        data = splits[0]
        half, third = data.fraction(0.5), data.fraction(1 / 3)
        assert (len(half), len(third)) == (6, 4)
        rows = {image.tobytes() for image in half.images}
        assert all(image.tobytes() in rows for image in third.images)


def _pixels(content: bytes) -> np.ndarray:
    return vizlib.read_image(content).transpose(2, 0, 1)


class TestAugment:
    def images(self) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(1)
        return torch.randint(0, 256, (10, 3, 64, 64), dtype=torch.uint8, generator=generator), torch.arange(10) % 3

    @pytest.mark.parametrize(("operations", "mix"), [(0, 0.0), (2, 0.0), (1, 1.0)])
    def test_shapes_and_soft_labels(self, operations: int, mix: float) -> None:
        images, labels = self.images()
        augment = Augment(3, smallest=0.3, operations=operations, magnitude=7, mix=mix)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            x, targets = augment(images, labels)
            torch.manual_seed(3)
            again, same = augment(images, labels)
        assert x.shape == (10, 3, 64, 64)
        assert x.dtype == torch.float32
        torch.testing.assert_close(targets.sum(1), torch.ones(10))
        assert torch.equal(x, again)
        assert torch.equal(targets, same)
        assert (targets.max(1).values < 1).any() == (mix == 1.0)
        assert images.dtype == torch.uint8

    def test_a_whole_crop_is_the_image_or_its_mirror(self) -> None:
        images, _ = self.images()
        # An area of 1 still has an aspect, so a smooth ramp tells where the pixels came from.
        ramp = torch.arange(64.0).expand(10, 3, 64, 64)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            out = crop_and_flip(ramp, smallest=0.999)
        rising = (out[:, 0, 32, 40] > out[:, 0, 32, 20]).sum()
        assert 0 < int(rising) < 10
        assert out.min() >= 0
        assert out.max() <= 63
        assert crop_and_flip(images, 0.5).dtype == torch.float32

    def test_normalising_is_what_the_models_take(self) -> None:
        image = np.full((64, 64, 3), 128, np.uint8)
        x = normalise(torch.from_numpy(image.transpose(2, 0, 1).copy())[None])
        expected = [(128 / 255 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
        torch.testing.assert_close(x[0, :, 0, 0], torch.tensor(expected), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(x, vizlib.load("vit_tiny50", checkpoint="random").prepare(image), rtol=1e-5, atol=1e-6)


class TestLoop:
    def test_the_schedule_rises_and_falls(self) -> None:
        rates = [schedule(step, 100, 0.1) for step in range(100)]
        assert rates[0] == pytest.approx(0.1)
        assert rates[9] == 1.0
        assert max(rates) == 1.0
        assert rates[10:] == sorted(rates[10:], reverse=True)
        assert rates[-1] < 0.001
        assert schedule(0, 1, 0.0) == 1.0

    def test_a_killed_run_goes_on_to_the_same_bits(self, tmp_path: Path, splits: tuple[ImageSet, ImageSet]) -> None:
        whole, history = train(network(), TINY, *splits, tmp_path / "whole")

        def kill(progress: Progress) -> None:
            if progress.epoch == 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(network(), TINY, *splits, tmp_path / "cut", report=kill)
        reports: list[Progress] = []
        resumed, again = train(network(), TINY, *splits, tmp_path / "cut", report=reports.append)
        assert {progress.epoch for progress in reports} == {1}
        for name, tensor in whole.state_dict().items():
            assert torch.equal(tensor, resumed.state_dict()[name]), name
        assert [_timeless(row) for row in again] == [_timeless(row) for row in history]
        assert len(json.loads((tmp_path / "cut" / "history.json").read_text(encoding="utf-8"))) == 2
        finished, last = train(network(), TINY, *splits, tmp_path / "cut", report=pytest.fail)
        assert torch.equal(finished.state_dict()["head.weight"], whole.state_dict()["head.weight"])
        assert last == again

    def test_a_run_leaves_the_global_generator_alone(self, tmp_path: Path, splits: tuple[ImageSet, ImageSet]) -> None:
        before = torch.random.get_rng_state()
        train(network(), replace(TINY, epochs=1), *splits, tmp_path)
        assert torch.equal(before, torch.random.get_rng_state())

    def test_another_recipe_model_or_data_set_is_refused(self, tmp_path: Path, splits: tuple[ImageSet, ImageSet]) -> None:
        data, val = splits
        train(network(), TINY, data, val, tmp_path)
        other = replace(data, labels=data.labels[::-1].copy())
        wider = network()
        wider.head = nn.Linear(8, 3)
        for module, plan, images in ((network(), replace(TINY, rate=0.1), data), (wider, TINY, data), (network(), TINY, other)):
            with pytest.raises(TrainingError, match="another recipe, model or data set"):
                train(module, plan, images, val, tmp_path)
        assert fingerprint(TINY, network(), data) == fingerprint(TINY, network(), data)

    def test_a_damaged_checkpoint_is_said(self, tmp_path: Path, splits: tuple[ImageSet, ImageSet]) -> None:
        for content in (b"", b"nothing of torch", b"PK\x03\x04 cut"):
            (tmp_path / "last.pt").write_bytes(content)
            with pytest.raises(TrainingError, match="damaged"):
                train(network(), TINY, *splits, tmp_path)

    def test_too_few_images_are_said(self, tmp_path: Path, splits: tuple[ImageSet, ImageSet]) -> None:
        with pytest.raises(TrainingError, match="do not fill one batch"):
            train(network(), replace(TINY, batch=13), *splits, tmp_path)

    def test_the_result_is_the_average(self, tmp_path: Path, splits: tuple[ImageSet, ImageSet]) -> None:
        """With a decay of 0 the average is the last step; with 1 it stays the first."""
        module = network()
        last, _ = train(module, replace(TINY, ema=0.0), *splits, tmp_path / "last")
        for averaged, own in zip(last.parameters(), module.parameters(), strict=True):
            assert torch.equal(averaged, own)
        start = network()
        module = network()
        train(module, replace(TINY, epochs=1), *splits, tmp_path / "slow")
        assert not torch.equal(start.head.weight, module.head.weight)

    def test_accuracy_counts(self, splits: tuple[ImageSet, ImageSet]) -> None:
        class Always(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.tensor([[0.0, 1.0]]).repeat(len(x), 1)

        module = Always().train()
        assert accuracy(module, splits[1], batch=4) == (0.5, 1.0)
        assert module.training


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "images_per_second"}


class TestMuon:
    def test_kernels_are_updated_in_place_as_flattened_matrices(self) -> None:
        generator = torch.Generator().manual_seed(0)
        kernel = nn.Parameter(torch.randn(8, 4, 3, 3, generator=generator).to(memory_format=torch.channels_last))
        matrix = nn.Parameter(torch.randn(6, 5, generator=generator))
        copies = [nn.Parameter(kernel.detach().permute(0, 2, 3, 1).reshape(8, -1).clone()), nn.Parameter(matrix.detach().clone())]
        optimiser = MatrixMuon([kernel, matrix], rate=0.02, weight_decay=0.1)
        theirs = torch.optim.Muon(copies, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
        where = kernel.data_ptr()
        for _ in range(3):
            kernel.grad = torch.randn(8, 4, 3, 3, generator=generator).to(memory_format=torch.channels_last)
            matrix.grad = torch.randn(6, 5, generator=generator)
            copies[0].grad = kernel.grad.permute(0, 2, 3, 1).reshape(8, -1).clone()
            copies[1].grad = matrix.grad.clone()
            optimiser.step()
            theirs.step()
        assert kernel.data_ptr() == where
        assert torch.equal(kernel.detach().permute(0, 2, 3, 1).reshape(8, -1), copies[0].detach())
        assert torch.equal(matrix.detach(), copies[1].detach())

    def test_a_kernel_in_another_layout_is_refused(self) -> None:
        with pytest.raises(TrainingError, match="channels-last"):
            MatrixMuon([nn.Parameter(torch.randn(8, 4, 3, 3))], rate=0.1, weight_decay=0.0)

    @pytest.mark.parametrize(("bfloat16", "kind"), [(True, MatrixMuon), (False, StackedMuon)])
    def test_every_parameter_is_in_one_group(self, bfloat16: bool, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vizlib.train.loop.has_bfloat16", lambda _: bfloat16)
        module = network().to(memory_format=torch.channels_last)
        adam, muon = optimisers(module, TINY)
        assert isinstance(muon, kind)
        (taken,) = (
            [parameter for parameter, _ in muon.pairs] if isinstance(muon, MatrixMuon) else group["params"] for group in muon.param_groups
        )
        assert {id(parameter) for parameter in taken} == {id(module.block_conv.weight), id(module.block_linear.weight)}
        adam_parameters = [parameter for group in adam.param_groups for parameter in group["params"]]
        assert len(adam_parameters) + len(taken) == len(list(module.parameters()))
        assert all(parameter.ndim < 2 for parameter in adam.param_groups[1]["params"])
        assert adam.param_groups[1]["weight_decay"] == 0


class TestBundled:
    @pytest.fixture
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in RECIPES:
            monkeypatch.setitem(recipes.RECIPES, name, replace(TINY, epochs=1))

    @pytest.mark.parametrize("name", list(RECIPES))
    def test_train_ship_and_load_back(self, quick: None, tmp_path: Path, name: str) -> None:
        home = parquet_layout(tmp_path / "data")
        val = read_split(home, "val")
        module, history = train_bundled(name, home, tmp_path / "run")
        facts = export(name, module, val, history, tmp_path / "weights", f"vizlib train {name} --data DIR", images=12)
        path = tmp_path / "weights" / f"{name}.safetensors"
        assert {tensor.dtype for tensor in load_file(path).values()} <= {torch.float16, torch.int64}
        assert not list((tmp_path / "weights").glob("*.part"))
        assert json.loads((tmp_path / "weights" / f"{name}.json").read_text(encoding="utf-8")) == json.loads(json.dumps(facts))
        assert facts["labels"] == list(NAMES)
        assert facts["training"]["images"] == 12
        model = vizlib.load(name, checkpoint=path, labels=NAMES)
        right = [
            vizlib.predict(model, image.transpose(1, 2, 0), top=1)[0].index == label
            for image, label in zip(val.images, val.labels, strict=True)
        ]
        assert np.mean(right) == facts["accuracy"]["top1"]

    def test_another_length_is_another_run_and_not_shipped(self, quick: None, tmp_path: Path) -> None:
        home = parquet_layout(tmp_path / "data")
        module, history = train_bundled("resnet_tiny50", home, tmp_path / "run", epochs=2)
        with pytest.raises(TrainingError, match="2 of 1 epochs"):
            export("resnet_tiny50", module, read_split(home, "val"), history, tmp_path / "weights", "")
        assert not (tmp_path / "weights").exists()
        with pytest.raises(TrainingError, match="another recipe"):
            train_bundled("resnet_tiny50", home, tmp_path / "run")

    def test_unknown_names_are_said(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match="vit_tiny50"):
            train_bundled("vit_tiny5", tmp_path, tmp_path)


class TestScore:
    def test_the_interval_is_wilsons(self) -> None:
        low, high = wilson(81, 263)  # Newcombe (1998), table 1
        assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
        assert wilson(0, 20)[0] == 0.0
        assert wilson(20, 20)[1] == 1.0
        assert not any(math.isnan(end) for end in (*wilson(0, 1), *wilson(1, 1)))

    def test_layouts_give_the_same_score(self, tmp_path: Path) -> None:
        model = vizlib.load("vit_tiny50", checkpoint="random", num_classes=2, labels=NAMES)
        folder_layout(tmp_path / "public")
        parquet_layout(tmp_path / "parquet")
        for label, name in enumerate(NAMES):
            (tmp_path / "own" / "val" / name).mkdir(parents=True)
            for number in range(3):
                (tmp_path / "own" / "val" / name / f"{number}.jpg").write_bytes(jpeg(label, 1000 + number))
        scores = [measure_accuracy(model, find_photos(tmp_path / which)) for which in ("public", "parquet", "own", "own/val")]
        assert {score.images for score in scores} == {6}
        assert len({score.first for score in scores}) == 1
        assert all(score.top5 is None for score in scores)
        assert [score.matched for score in scores] == ["name"] * 4

    def test_matching(self, tmp_path: Path) -> None:
        bundled_models = vizlib.load("vit_tiny50")
        wnids = [(wnid, wnid) for wnid, _ in FIFTY]
        assert match_classes(bundled_models, [*wnids[10:20], ("n00000001", "")]) == ([*range(10, 20), None], "WordNet id")
        assert match_classes(bundled_models, [("tabby", "tabby"), ("goose", "goose")]) == ([11, 3], "name")
        assert match_classes(bundled_models, [("7", "7"), ("12", "12")]) == ([7, 12], "number")
        plain = vizlib.load("vit_tiny50", checkpoint="random", num_classes=2)
        assert match_classes(plain, [("x", "x"), ("y", "y")]) == ([0, 1], "sorted order of the folders")
        with pytest.raises(TrainingError, match=r"The 2 classes \(x, y\) cannot be matched to the 50 .*WordNet id, label or number"):
            match_classes(bundled_models, [("x", "x"), ("y", "y")])

    def test_folders_of_numbers_may_have_been_numbered_otherwise(self, tmp_path: Path) -> None:
        for number in range(11):
            (tmp_path / "val" / str(number)).mkdir(parents=True)
            (tmp_path / "val" / str(number) / "one.jpg").write_bytes(jpeg(number % 2, number))
        score = measure_accuracy(vizlib.load("vit_tiny50", checkpoint="random", num_classes=11), find_photos(tmp_path))
        assert (score.images, score.classes, score.matched, score.left_out) == (11, 11, "number", 0)
        assert "ImageFolder" in score.note

    def test_a_class_that_a_model_does_not_know_moves_no_other(self) -> None:
        """A folder that is named otherwise than its label once had all of them matched in sorted order: birds were held to be dogs."""
        known = vizlib.load("vit_tiny50", checkpoint="random", num_classes=3, labels=["cat", "dog", "bird"])
        assert match_classes(known, [(name, name) for name in ("Cats", "bird", "dog")]) == ([None, 2, 1], "name")
        assert match_classes(known, [(name, name) for name in ("bird", "cat", "dog", "other things")]) == ([2, 0, 1, None], "name")
        with pytest.raises(TrainingError, match=r"cannot be matched to the 3 .*by label or number"):
            match_classes(known, [(name, name) for name in ("chat", "chien", "oiseau")])
        bundled = vizlib.load("vit_tiny50")
        wnid = FIFTY[7][0]
        assert match_classes(bundled, [(wnid, wnid), ("other things", "other things")]) == ([7, None], "WordNet id")
        # ImageFolder has '10' before '2': who trained so is told.
        twelve = sorted(map(str, range(12)))
        plain = vizlib.load("vit_tiny50", checkpoint="random", num_classes=12)
        numbers, how = match_classes(plain, [(name, name) for name in twelve])
        assert numbers == [int(name) for name in twelve]
        assert "by which '10' is class 2: " in numbering_note(how, twelve)
        assert "0, 1, 10 and so on" in numbering_note(how, twelve)
        assert not numbering_note(how, [f"{number:02}" for number in range(12)])
        assert not numbering_note(how, list(map(str, range(12))))  # a data set's own numbers, in their order
        relabelled = vizlib.load("vit_tiny50", checkpoint="random", num_classes=12, labels=twelve)
        assert match_classes(relabelled, [(name, name) for name in twelve]) == (list(range(12)), "name")
        # Two folders that would be one class tell nothing by their names.
        with pytest.raises(TrainingError):
            match_classes(known, [("cat", "cat"), ("CAT", "CAT")])
        assert match_classes(known, [(name, name) for name in ("CAT", "cat", "dog")]) == ([None, None, 1], "name")

    def test_imagenet_folders_are_in_index_order(self) -> None:
        from timm.data import ImageNetInfo

        model = vizlib.load("resnet10t", checkpoint="random", labels=ImageNetInfo().label_descriptions())
        wnids = sorted(ImageNetInfo().label_names())
        assert match_classes(model, [(wnid, wnid) for wnid in wnids]) == (list(range(1000)), "WordNet id")
        numbers, matched_by = match_classes(model, [(wnid, name) for wnid, name in FIFTY])
        assert matched_by == "WordNet id"
        assert "tabby" in model.label(numbers[11] or 0)

    def test_limits_spread_and_unreadable_photos_are_told(self, tmp_path: Path) -> None:
        model = vizlib.load("vit_tiny50", checkpoint="random", num_classes=2, labels=NAMES)
        home = folder_layout(tmp_path)
        (home / "val" / "images" / "val_0_1.JPEG").write_bytes(b"no image")
        score = measure_accuracy(model, find_photos(home))
        assert (score.images, len(score.unreadable)) == (5, 1)
        assert "val_0_1.JPEG" in score.unreadable[0]
        assert measure_accuracy(model, find_photos(home), limit=2).images == 2
        for path in (home / "val" / "images").iterdir():
            path.write_bytes(b"")
        with pytest.raises(TrainingError, match="None of the 6"):
            measure_accuracy(model, find_photos(home))
        with pytest.raises(TrainingError, match="no validation photographs"):
            find_photos(home / "train" / WNIDS[0] / "images")


class TestKernels:
    @pytest.mark.parametrize("scale", [None, 0.3])
    def test_written_out_attention_and_grouped_convolutions_give_the_same_gradients(self, scale: float | None) -> None:
        generator = torch.Generator().manual_seed(0)
        q, k, v = (torch.randn(2, 3, tokens, 8, generator=generator).requires_grad_() for tokens in (5, 7, 7))
        x = torch.randn(2, 6, 9, 9, generator=generator).requires_grad_()
        weight = torch.randn(6, 1, 3, 3, generator=generator).requires_grad_()

        def gradients() -> tuple[torch.Tensor, ...]:
            y = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=scale)
            z = torch.nn.functional.conv2d(x, weight, None, (2, 2), (1, 1), (1, 1), 6)
            return torch.autograd.grad(y.square().sum() + z.square().sum(), (q, k, v, x, weight))

        plain = gradients()
        with ProcessorKernels():
            other = gradients()
        for expected, actual in zip(plain, other, strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)

    def test_what_is_not_plain_or_not_short_stays_with_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        called: list[int] = []

        def spy(*_: torch.Tensor, **__: float) -> torch.Tensor:
            called.append(1)
            return torch.zeros(())

        monkeypatch.setattr("vizlib.train.bf16_kernels.unfused_attention", spy)
        attention = torch.nn.functional.scaled_dot_product_attention
        q = torch.randn(1, 1, 4, 8)
        with ProcessorKernels():
            attention(q, q, q, is_causal=True)
            attention(q, q, q, attn_mask=torch.zeros(4, 4))
            attention(torch.randn(1, 1, 600, 8), q, q)
            assert not called
            attention(q, q, q)
        assert called == [1]

    def test_a_grouped_convolution_runs_in_float32_under_autocast(self) -> None:
        conv = torch.nn.Conv2d(4, 4, 3, padding=1, groups=4)
        with torch.autocast("cpu", torch.bfloat16):
            assert conv(torch.randn(1, 4, 8, 8)).dtype == torch.bfloat16
            with ProcessorKernels():
                assert conv(torch.randn(1, 4, 8, 8)).dtype == torch.float32


@pytest.mark.parametrize("has", [True, False])
def test_a_processor_without_bfloat16_trains_in_float32(
    has: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, splits: tuple[ImageSet, ImageSet]
) -> None:
    monkeypatch.setattr("vizlib.train.loop.has_bfloat16", lambda _: has)
    module, dtypes = network(), set()

    def note(part: nn.Module, _: Any, result: torch.Tensor) -> None:
        if part.training:
            dtypes.add(result.dtype)

    for part in (module.stem, module.block_linear, module.head):
        part.register_forward_hook(note)
    train(module, replace(TINY, epochs=1), *splits, tmp_path)
    assert dtypes == {torch.bfloat16 if has else torch.float32}


def test_the_moving_average_forgets_its_start_and_then_decays() -> None:
    update = moving_average(0.5)
    average, values = [torch.zeros(()), torch.tensor(0)], [torch.ones(()), torch.tensor(3)]
    update(average, values, torch.tensor(1))  # keeps 2/11
    assert float(average[0]) == pytest.approx(9 / 11)
    assert int(average[1]) == 3
    update(average, [torch.zeros(()), torch.tensor(4)], torch.tensor(100))  # keeps a half
    assert float(average[0]) == pytest.approx(9 / 22)


FIRST_AND_LAST = {
    "vit_tiny50": ((8, 8), (8, 8)),
    "compact_vit_tiny50": ((8, 8), (8, 8)),
    "cct_tiny50": ((8, 8), (8, 8)),
    "t2t_tiny50": ((32, 32), (8, 8)),
    "t2t_t_tiny50": ((32, 32), (8, 8)),
    "pvt_tiny50": ((32, 32), (4, 4)),
    "cvt_tiny50": ((16, 16), (4, 4)),
}


@pytest.mark.parametrize("name", bundled_models.NAMES)
def test_every_bundled_architecture_keeps_to_the_terms(name: str) -> None:
    model = vizlib.load(name, checkpoint="random")
    assert 2.0e6 <= model.card.parameters <= 2.4e6
    assert recipes.recipe(name) == recipes.recipe("vit_tiny50")
    grids = [site.query_grid.shape for site in vizlib.trace(model, torch.zeros(3, 64, 64)).attention]
    assert (grids[0], grids[-1]) == FIRST_AND_LAST[name] if grids else name == "resnet_tiny50"
    assert len(set(grids)) == {"pvt_tiny50": 4, "cvt_tiny50": 3, "t2t_tiny50": 3, "t2t_t_tiny50": 3}.get(name, min(1, len(grids)))
