"""The exams: truths by other ways of working them out, marks by hand, and maps that must pass or fail."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import exam_cases as cases
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_data import folder_layout

import vizlib
from vizlib.catalog.methods import METHODS
from vizlib.engine.progress import told_to
from vizlib.errors import CancelledError, ExamError, MethodError
from vizlib.evaluation.exams import (
    EXAMS,
    ExamReport,
    Mark,
    Question,
    answer_exam,
    box_questions,
    faithfulness_questions,
    grade,
    grid_questions,
    known_questions,
    planted_questions,
    run_exams,
    write_csv,
    write_html,
    write_json,
    write_markdown,
)
from vizlib.evaluation.exams.cards import KNOWN
from vizlib.evaluation.exams.exact_shapley import shapley
from vizlib.evaluation.exams.grading import evidence_share, explain_questions, tile_sums
from vizlib.evaluation.exams.handmade_convnets import CELL, CELLS, pattern, picture
from vizlib.evaluation.exams.known_attribution import KINDS, exact, toy
from vizlib.evaluation.exams.object_boxes import region
from vizlib.evaluation.exams.photographs import load_photographs
from vizlib.evaluation.exams.planted_evidence import RISE, STILL, planted_words
from vizlib.evaluation.exams.report_html import report_page
from vizlib.evaluation.exams.report_markdown import report_markdown
from vizlib.evaluation.exams.summary import summary, unmarked
from vizlib.evaluation.pointing_game import box_masks
from vizlib.evaluation.protocol import BASELINES
from vizlib.explainers.parts.baselines import baseline
from vizlib.geometry import Transform
from vizlib.stats import grouped_bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable


AREAS = [name for name in EXAMS if name != "faithfulness"]  # where the truth is a place


def boxed_set(count: int = 8) -> tuple[list[np.ndarray], list[int], np.ndarray]:
    boxes = np.array([[3 + number, 5, 20 + number, 30] for number in range(count)])
    labels = [number % 5 for number in range(count)]
    return [cases.photograph(label, 9, box=tuple(box)) for label, box in zip(labels, boxes, strict=True)], labels, boxes


@pytest.fixture(scope="module")
def papers() -> dict[str, list[Question]]:
    model = cases.model()
    return {
        "known": known_questions(count=3),
        "planted": planted_questions(model, cases.photographs(), count=8),
        "grid": grid_questions(model, cases.photographs(), count=24),
        "boxes": box_questions(model, boxed_set()),
    }


class TestKnown:
    @pytest.mark.parametrize("players", [1, 3, 5])
    def test_coalitions_give_what_all_orders_give(self, players: int) -> None:
        worths = torch.rand(2**players, generator=torch.Generator().manual_seed(players), dtype=torch.float64)
        found = shapley(players, lambda some: worths[(some * 2 ** torch.arange(players)).sum(1)])
        expected = np.zeros(players)
        for order in permutations(range(players)):
            there = 0
            for player in order:
                expected[player] += float(worths[there | 1 << player] - worths[there]) / math.factorial(players)
                there |= 1 << player
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
        assert float(found.sum()) == pytest.approx(float(worths[-1] - worths[0]))

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_truth_is_the_mean_over_all_orders_of_showing_the_tiles(self, kind: str) -> None:
        question = known_questions(kind, count=2)[1]
        module, x = question.model.module, question.x
        shown = x[0].abs().sum(0).reshape(8, CELL, 8, CELL).sum((1, 3)).nonzero().tolist()
        assert len(shown) == len(KINDS[kind].tiles)
        worths: dict[frozenset[int], float] = {}
        for count in range(len(shown) + 1):
            for some in combinations(range(len(shown)), count):
                seen = torch.zeros_like(x)
                for row, column in (shown[one] for one in some):
                    place = (..., slice(row * CELL, (row + 1) * CELL), slice(column * CELL, (column + 1) * CELL))
                    seen[place] = x[place]
                worths[frozenset(some)] = float(module(seen)[0, 0])
        orders = list(permutations(range(len(shown))))
        expected = np.zeros(CELLS)
        for order in orders:
            for place, player in enumerate(order):
                gain = worths[frozenset(order[: place + 1])] - worths[frozenset(order[:place])]
                expected[tuple(shown[player])] += gain / len(orders)
        found = tile_sums(torch.from_numpy(question.truth), CELLS).numpy()
        np.testing.assert_allclose(found, expected.clip(0), atol=2e-5)
        assert (found > 0).sum() >= 2

    def test_by_hand(self) -> None:
        # One tile of either evidence, 1.2 and 0.8: the weaker is shared out; of the stronger one has 0.8 in common and 0.4 alone.
        parts = [picture({(1, 2): 1.2 * pattern(0)}), picture({(5, 5): 0.8 * pattern(1)})]
        for kind, expected in (("tiles_sum", [1.2, -0.8]), ("tiles_and", [0.4, 0.4]), ("tiles_or", [0.8, 0.4])):
            assert exact(toy(kind), parts).tolist() == pytest.approx(expected, abs=1e-6), kind
        assert exact(toy("tiles_distractor"), parts).tolist() == pytest.approx([1.2, 0], abs=1e-6)
        assert exact(toy("tiles_distractor"), parts)[1] == 0

    def test_tiles_do_not_speak_to_each_others_units(self) -> None:
        all_of_them = torch.stack([pattern(kind) for kind in range(9)]).flatten(1)
        assert torch.equal(all_of_them @ all_of_them.T, 64 * torch.eye(9))

    def test_the_wired_transformers_attend_as_they_are_told(self) -> None:
        x = picture({(0, 0): pattern(0), (3, 4): pattern(2)})
        last = vizlib.trace(toy("vit_reader"), x[0]).attention[-1].weights()[0, 0]
        assert float(last[1]) == pytest.approx(math.exp(8) / (math.exp(8) + 63 + math.exp(-8)))
        assert float(last[1 + 3 * 8 + 4]) < 1e-6
        x = picture({(0, 0): pattern(0), (7, 7): pattern(1)})
        first, second = (site.weights()[0] for site in vizlib.trace(toy("vit_relay"), x[0]).attention)
        assert float(first[1, 64]) > 0.97
        assert float(second[0, 1]) > 0.97
        assert float(toy("vit_relay")(x)[0, 0]) > 0.9

    def test_methods_do_as_theory_says(self) -> None:
        marks = {(method, kind): answer_exam(known_questions(kind, count=4), method)
                 for method in ("input_x_gradient", "guided_backprop", "grad_cam")
                 for kind in ("tiles_sum", "tiles_distractor")}  # fmt: skip
        assert marks["input_x_gradient", "tiles_sum"].value == pytest.approx(1, abs=1e-6)
        assert marks["input_x_gradient", "tiles_distractor"].value == pytest.approx(1, abs=1e-6)
        # What cancels passes where negative gradients may not.
        assert marks["guided_backprop", "tiles_distractor"].value < 0.6
        assert marks["guided_backprop", "tiles_sum"].value > 0.85
        relay = known_questions("vit_relay", count=4)
        # The last layer shows the messenger alone, which is half of it.
        assert answer_exam(relay, "attention").value == pytest.approx(0.49, abs=0.02)
        assert answer_exam(relay, "leave_one_out").value > 0.95

    def test_unknown_kinds_and_the_same_questions_again(self) -> None:
        with pytest.raises(ExamError, match="Did you mean 'tiles_sum'"):
            known_questions("tiles_sun")
        again = known_questions("tiles_or", count=2)
        assert all(torch.equal(one.x, two.x) for one, two in zip(known_questions("tiles_or", count=2), again, strict=True))
        assert not torch.equal(again[0].x, again[1].x)
        assert not torch.equal(known_questions("tiles_or", count=1, seed=1)[0].x, again[0].x)


class TestPlanted:
    def test_every_plant_has_its_effect_and_no_control_has(self, papers: dict[str, list[Question]]) -> None:
        model = cases.model()
        assert len(papers["planted"]) == 8
        for question in papers["planted"]:
            truth, control = question.truth > 0, question.control
            assert truth.sum() == control.sum() == 24 * 24
            assert not (truth & control).any()
            assert not truth[31:33, 31:33].any()
            assert not control[31:33, 31:33].any()
            whole = model(question.x)[0, question.target]
            without, beside = (question.x * torch.from_numpy(~area) for area in (truth, control))
            assert float(whole - model(without)[0, question.target]) >= RISE
            assert abs(float(whole - model(beside)[0, question.target])) <= STILL
            # Nothing but the plant has the colour of its class.
            colour = question.x[0].permute(1, 2, 0).numpy() @ cases.COLOURS[question.target]
            assert ((colour > 0.5) == truth).all()
            assert cases.LABELS[question.target] in question.words

    def test_the_control_is_a_number_of_its_own(self, papers: dict[str, list[Question]]) -> None:
        questions = papers["planted"]
        found = answer_exam(questions, "input_x_gradient")
        assert found.passed
        assert found.value > 0.99
        assert found.control == pytest.approx(0, abs=1e-6)
        assert found.pointing == 1
        fooled = grade(questions, [question.control.astype(float) for question in questions], "saliency")
        assert not fooled.passed
        assert fooled.value == 0
        assert fooled.control == pytest.approx(4096 / 576)

    def test_a_model_that_plants_do_not_move_is_refused(self) -> None:
        model = cases.model()
        # Only colours over nearly half of the picture count.
        deaf = replace(model, module=Changed(lambda x: torch.relu(model.module(x) - 0.4 * cases.GAIN)))
        with pytest.raises(ExamError, match="0 raised the logit of their class by 2 or made it the answer"):
            planted_questions(deaf, cases.photographs(), count=1)
        with pytest.raises(ExamError, match="two classes"):
            planted_questions(model, [cases.photograph(1, number) for number in range(5)])

    @pytest.mark.parametrize(
        ("scores", "new", "said"),
        [
            ((-1.25, 2.0), True, "raises its logit from \u22121.2 to 2.0 and makes it the top answer;"),
            ((3.0, 5.5), False, "raises its logit from 3.0 to 5.5;"),
            ((3.0, 2.5), True, "lowers its logit from 3.0 to 2.5 but makes it the top answer;"),  # the others fell more
            ((3.0, 3.01), True, "leaves its logit at 3.0 and makes it the top answer;"),
        ],
    )
    def test_what_a_plant_did_is_said_as_it_was_measured(self, scores, new, said) -> None:
        text = planted_words(("red", "blue"), scores, -0.31, new_answer=new)
        assert text == f"A cut-out of red {said} the control beside it, of blue, changes it by \u22120.31."

    def test_a_control_that_has_an_effect_is_none(self) -> None:
        model = cases.model()
        # Every further colour takes something from all classes, so that only a control in the host's own colour changes nothing.
        sober = replace(model, module=Changed(lambda x: model.module(x) - 0.7 * model.module(x).sqrt().sum(1, keepdim=True)))
        found = planted_questions(sober, cases.photographs(), count=5)
        assert len(found) == 5
        for question in found:
            assert int((model(question.x)[0] > 1).sum()) == 2

    def test_it_can_be_stopped_in_the_middle(self) -> None:
        def stop(done: float, total: float | None = None, message: str | None = None) -> None:
            raise CancelledError("stop")

        with pytest.raises(CancelledError):
            planted_questions(cases.model(), cases.photographs(), progress=stop)


class Changed(torch.nn.Module):
    """Colours, with something done before or after."""

    num_classes = 5

    def __init__(self, logits: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(x)


class TestGrid:
    def test_a_quarter_alone_still_has_its_answer(self, papers: dict[str, list[Question]]) -> None:
        model, questions = cases.model(), papers["grid"]
        assert len(questions) == 24
        for first in range(0, 24, 4):
            some = questions[first : first + 4]
            assert len({question.target for question in some}) == 4
            assert len({question.group for question in some}) == 1
            assert all(torch.equal(question.x, some[0].x) for question in some)
            assert np.array_equal(sum(question.truth for question in some), np.ones((64, 64)))
            for place, question in enumerate(some):
                row, column = divmod(place, 2)
                assert question.truth[32 * row : 32 * row + 32, 32 * column : 32 * column + 32].all()
                alone = question.x * torch.from_numpy(question.truth).float()
                assert int(model(alone).argmax()) == question.target

    def test_too_few_classes_say_how_many_there_were(self) -> None:
        few = [cases.photograph(label) for label in (0, 1, 1, 2)]
        with pytest.raises(ExamError, match=r"needs 4 photographs of different classes .* of these 4, 4 are answered with confidence"):
            grid_questions(cases.model(), few)

    def test_a_photograph_goes_only_where_it_keeps_its_answer(self) -> None:
        model = cases.model()
        open_eyes = torch.ones(64, 64)
        open_eyes[32:, 32:] = 0.2
        half_blind = replace(model, module=Changed(lambda x: model.module(x * open_eyes)))
        # Without any colour the answer is the first class, of which there is no photograph.
        others = [cases.photograph(label, number) for label in range(1, 5) for number in range(3)]
        assert len(grid_questions(model, others, count=8)) == 8
        with pytest.raises(ExamError, match="12 keep their answer in some quarter"):
            grid_questions(half_blind, others)

    def test_a_map_without_a_class_has_chance(self, papers: dict[str, list[Question]]) -> None:
        one = np.random.default_rng(0).random((64, 64))
        found = grade(papers["grid"], [one] * 24, "rollout")
        assert found.value == pytest.approx(0.25)
        assert found.reference == pytest.approx(0.25)
        assert not found.passed


class TestBoxes:
    @pytest.mark.parametrize(("fit", "size"), [("crop", (64, 64)), ("pad", (64, 64)), ("squash", (48, 80))])
    def test_boxes_go_where_the_picture_goes(self, fit: str, size: tuple[int, int]) -> None:
        image, box = np.zeros((120, 200, 3), np.uint8), (50, 30, 119, 89)
        image[30:90, 50:120] = 255
        transform = Transform(size=size, crop_pct=1.0, mean=(0.5,) * 3, std=(0.5,) * 3, fit=fit)
        model = replace(cases.model(), transform=transform)
        found = region(model, np.array([box]), (120, 200))
        seen = model.prepare(image)[0, 0].numpy() > 0.3  # over two thirds white, for padding is grey
        assert 0.05 < found.mean() < 0.6
        assert (found != seen).mean() < 0.04

    def test_on_the_models_own_pixels_a_box_is_inclusive(self) -> None:
        found = region(cases.model(), np.array([[3, 5, 20, 30]]), (64, 64))
        assert np.array_equal(found, box_masks(torch.tensor([[3, 5, 20, 30]]), (64, 64))[0].numpy())
        both = region(cases.model(), np.array([[3, 5, 20, 30], [40, 0, 40, 0]]), (64, 64))
        assert both.sum() == found.sum() + 1

    def test_a_folder(self, tmp_path) -> None:
        images, labels, boxes = boxed_set(4)
        rows = ["file,label,x0,y0,x1,y1"]
        for number, (image, label, box) in enumerate(zip(images, labels, boxes, strict=True)):
            Image.fromarray(image).save(tmp_path / f"{number}.png")
            rows.append(f"{number}.png,{cases.LABELS[label]},{','.join(map(str, box))}")
        (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
        rows += [
            "broken.jpg,red,0,0,9,9", "gone.png,red,0,0,9,9", "0.png,unicorn,0,0,9,9", "1.png,leaf,9,0,0,9", "1.png,leaf,a,0,0,9",
            "2.png,red,0,0,9,9", "3.png,cyan,0,0,63,63",
        ]  # fmt: skip
        (tmp_path / "boxes.csv").write_text("\n".join(rows), encoding="utf-8")
        found = box_questions(cases.model(), tmp_path)
        # The box over all of 3.png is one region with its other one, and too large.
        assert sorted(cases.LABELS[question.target] for question in found) == ["blue", "leaf", "red"]
        red = next(question for question in found if question.target == 0)
        assert np.array_equal(red.truth > 0, box_masks(torch.from_numpy(boxes[:1]), (64, 64))[0].numpy())
        told = dict(found.skipped)
        assert "damaged" in told["broken.jpg"]
        assert "no file" in told["gone.png"]
        assert "no class 'unicorn'" in told["0.png"]
        assert "turned round" in told["boxes.csv, line 9"]
        assert "not four numbers" in told["boxes.csv, line 10"]
        counted = [reason for what, reason in found.skipped if what == "1 photograph"]
        assert sorted(counted) == ["The box covers more than 50\xa0% of what the model sees.", "The model's answer is not the label."]

    def test_a_training_folder(self, tmp_path) -> None:
        found = box_questions(cases.model(), folder_layout(tmp_path, names=("plum", "cyan")))
        assert sorted(question.target for question in found) == [3, 3, 3, 4, 4, 4]
        assert sorted(question.truth.sum() for question in found) == [64, 64, 128, 128, 192, 192]

    def test_what_is_no_folder_of_boxes(self, tmp_path) -> None:
        with pytest.raises(ExamError, match=r"no boxes\.csv with the columns file, label"):
            box_questions(cases.model(), tmp_path)
        (tmp_path / "boxes.csv").write_text("file,label\na.png,red\n", encoding="utf-8")
        with pytest.raises(ExamError, match="must have a row for each box"):
            box_questions(cases.model(), tmp_path)
        with pytest.raises(ExamError, match="give one of each"):
            box_questions(cases.model(), ([cases.photograph(0)], [0, 1], [[0, 0, 1, 1]]))
        with pytest.raises(ExamError, match="The model's answer is not the label"):
            box_questions(cases.model(), ([cases.photograph(0)], [1], [[0, 0, 9, 9]]))


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return faithfulness_questions(cases.model(), boxed_set(12)[0], count=8)


class TestFaithfulness:
    def test_no_share_is_said_to_be_over_all_or_under_nothing(self, questions: list[Question], monkeypatch: pytest.MonkeyPatch) -> None:
        # A bootstrap of three, widened as it has to be, goes beyond.
        monkeypatch.setattr("vizlib.evaluation.exams.grading.evidence_share", lambda question, values: float(values.mean()))
        high = grade(questions[:3], [np.full((64, 64), share) for share in (1.0, 0.9, 0.6)], "saliency")
        assert (0.4 < high.low < high.value < high.high, high.high) == (True, 1.0)
        low = grade(questions[:3], [np.full((64, 64), share) for share in (0.0, 0.1, 0.4)], "saliency")
        assert (low.low, low.low < low.value < low.high < 0.6) == (0.0, True)

    def test_photographs_are_asked_for_their_own_answer(self, questions: list[Question]) -> None:
        assert len(questions) == len({question.group for question in questions}) == 8
        assert len({question.x.numpy().tobytes() for question in questions}) == 8
        for question in questions:
            shares = cases.model()(question.x).softmax(1)[0]
            assert (int(shares.argmax()), bool(shares.amax() >= 0.5)) == (question.target, True)
            assert cases.LABELS[question.target] in question.words
        grey = [np.full((64, 64, 3), 127, np.uint8)] * 3
        with pytest.raises(ExamError, match="None of these 3 photographs is answered by Colours"):
            faithfulness_questions(cases.model(), grey)

    def test_the_drops_are_those_of_pictures_with_holes(self, questions: list[Question]) -> None:
        question, model = questions[0], cases.model()
        empty = baseline(model, question.x, BASELINES[0])
        whole = float(model(question.x)[0, question.target])
        for row in (0, 40, 127):
            cells = question.hidden.subsets[row].numpy()
            hole = torch.from_numpy(np.kron(cells, np.ones((8, 8))) > 0)
            left = float(model(torch.where(hole, empty, question.x))[0, question.target])
            assert float(question.hidden.drops[0, row]) == pytest.approx(whole - left, abs=1e-4)

    def test_a_mark_is_the_mean_percentile_that_evaluate_gives(self, questions: list[Question]) -> None:
        percentiles, correlations = [], []
        for question in questions:
            found = vizlib.explain(question.model, question.x[0], "input_x_gradient", question.target)
            score = vizlib.evaluate(question.model, question.x[0], found, ["sensitivity_n"])["sensitivity_n"]
            percentiles.append(score.percentile)
            correlations.append(question.hidden.correlation(torch.from_numpy(found.input_map)) - score.value)
        mark = answer_exam(questions, "input_x_gradient")
        assert mark.value == pytest.approx(np.mean(percentiles) / 100)
        np.testing.assert_allclose(correlations, 0, atol=1e-9)
        assert mark.passed
        assert math.isnan(mark.area)
        assert math.isnan(mark.pointing)

    def test_what_is_turned_or_flat_fails(self, questions: list[Question]) -> None:
        maps = explain_questions(questions, "input_x_gradient")
        assert grade(questions, [-one for one in maps], "input_x_gradient").value < 0.1
        for flat in (np.ones((64, 64)), np.zeros((64, 64)), np.full((64, 64), np.nan)):
            found = grade(questions, [flat] * 8, "rollout")
            assert not found.passed
            # The correlation of what never changes is nought: it beats the random maps whose own lies below.
            assert found.value == pytest.approx(np.mean([float((question.hidden.random < 0).double().mean()) for question in questions]))

    def test_one_as_good_counts_half(self, questions: list[Question]) -> None:
        still = replace(questions[0].hidden, drops=torch.zeros(3, 128), random=torch.tensor([-0.5, 0.0, 0.0, 0.5]))
        assert still.share_beaten(torch.rand(64, 64)) == 0.5

    def test_it_is_held_only_where_it_is_named(self, tmp_path) -> None:
        images = boxed_set(6)[0]
        asked = run_exams([cases.model()], ["saliency"], ["faithfulness"], images, questions=4)
        assert [(mark.exam, mark.questions) for mark in asked.marks] == [("faithfulness", 4)]
        assert "pointing" not in write_html(asked, tmp_path / "exam.html").read_text(encoding="utf-8")
        assert "faithfulness" not in {mark.exam for mark in run_exams([cases.model()], ["saliency"], None, images, questions=4).marks}


class TestMarks:
    @pytest.mark.parametrize("exam", AREAS)
    def test_the_truth_passes_and_shuffled_or_turned_maps_fail(self, papers: dict[str, list[Question]], exam: str) -> None:
        questions, rng = papers[exam], np.random.default_rng(0)
        perfect = grade(questions, [question.truth for question in questions], "rollout")
        assert perfect.passed
        assert perfect.value == pytest.approx(1)
        assert perfect.low == pytest.approx(1)
        assert perfect.pointing == 1
        broken = [
            [rng.permutation(question.truth.ravel()).reshape(question.truth.shape) for question in questions],
            [-question.truth for question in questions],
            [np.zeros_like(question.truth) for question in questions],
            [np.ones_like(question.truth) for question in questions],
        ]
        for maps in broken:
            found = grade(questions, maps, "rollout")
            assert not found.passed
            assert found.value < 0.5
        assert grade(questions, broken[2], "rollout").silent == len(questions)
        assert perfect.pictures == len({(id(question.model), question.group) for question in questions})
        assert perfect.counted.startswith(f"{len(questions)} questions")
        assert perfect.counted.endswith("pictures") == (exam == "grid")
        # So does each by itself: what is scaled is the same map.
        scaled = grade(questions, [1e-9 * question.truth for question in questions], "rollout")
        assert scaled.value == pytest.approx(1)

    def test_shuffled_maps_of_a_method_that_passes(self, papers: dict[str, list[Question]]) -> None:
        rng = np.random.default_rng(1)
        for exam in AREAS:
            questions = [question for question in papers[exam] if exam != "known" or question.model.card.name == "tiles_sum"]
            if exam == "known":
                questions = known_questions("tiles_sum", count=5)
            maps = explain_questions(questions, "input_x_gradient")
            assert grade(questions, maps, "input_x_gradient").passed, exam
            shuffled = [rng.permutation(one.ravel()).reshape(one.shape) for one in maps]
            assert not grade(questions, shuffled, "input_x_gradient").passed, exam

    def test_shares_by_hand(self) -> None:
        question = known_questions("tiles_sum", count=1)[0]
        truth = np.zeros((64, 64))
        truth[:8, :8], truth[8:16, :8] = 3, 1  # three quarters and one
        tiles, area = replace(question, truth=truth), replace(question, truth=truth, cells=None)
        values = torch.zeros(64, 64, dtype=torch.float64)
        values[3, 3], values[9, 2], values[60, 60], values[4, 4] = 1, 2, 1, -7  # a quarter, a half, and a quarter elsewhere
        assert evidence_share(tiles, values) == pytest.approx(0.25 + 0.25)
        assert evidence_share(area, values) == pytest.approx(0.75)
        assert evidence_share(area, torch.zeros(64, 64)) == pytest.approx(128 / 4096)
        assert evidence_share(tiles, torch.zeros(64, 64)) == pytest.approx(2 / 64)

    def test_the_interval_draws_whole_groups(self) -> None:
        values = np.random.default_rng(0).random(60)
        low, high, groups = grouped_bootstrap(values, list(range(60)))
        half = 1.96 * values.std() / math.sqrt(59)
        assert groups == 60
        assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
        assert high == pytest.approx(values.mean() + half, abs=0.15 * half)
        # Four times the same pictures say no more than once.
        assert grouped_bootstrap(np.repeat(values, 4), np.repeat(np.arange(60), 4).tolist()) == pytest.approx((low, high, 60))
        narrow = grouped_bootstrap(np.repeat(values, 4), list(range(240)))
        assert narrow[1] - narrow[0] < 0.6 * (high - low)
        assert grouped_bootstrap(values, [0] * 60) == (0, 1, 1)

    def test_the_first_pictures_of_two_models_are_two_pictures(self) -> None:
        questions = known_questions(count=1)
        assert grade(questions, [question.truth for question in questions], "rollout").passed  # six pictures, all of them number 0

    def test_few_pictures_never_pass(self) -> None:
        questions = known_questions("tiles_sum", count=3)
        found = grade(questions, [question.truth for question in questions], "rollout")
        assert found.low > found.reference
        assert not found.passed

    def test_a_batch_is_explained_as_each_question_alone(self, papers: dict[str, list[Question]]) -> None:
        questions = papers["planted"][:4] + papers["boxes"][:2]
        for question, found in zip(questions, explain_questions(questions, "occlusion", window=0.5), strict=True):
            alone = vizlib.explain(question.model, question.x[0], "occlusion", question.target, window=0.5).input_map
            np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-6)

    def test_what_does_not_fit_has_its_reason(self, papers: dict[str, list[Question]]) -> None:
        found = answer_exam(papers["grid"], "rollout")
        assert "does not fit Colours" in found.refused
        assert not found.passed
        assert math.isnan(found.value)
        with pytest.raises(MethodError, match="Did you mean"):
            answer_exam(papers["grid"], "rolout")
        with pytest.raises(MethodError, match="no option"):
            answer_exam(papers["grid"], "saliency", colour=1)
        with pytest.raises(ExamError, match="one exam at a time"):
            answer_exam([*papers["grid"], *papers["boxes"]], "saliency")
        with pytest.raises(ExamError, match="no questions"):
            answer_exam([], "saliency")

    def test_a_listener_hears_of_every_question_and_may_stop_the_work(self, papers: dict[str, list[Question]]) -> None:
        heard: list[tuple[float, float | None]] = []
        with told_to(lambda done, total=None, message=None: heard.append((done, total))):
            answer_exam(papers["boxes"], "occlusion")
        done = [one for one, _ in heard]
        assert done == sorted(done)
        assert heard[-1] == (8, 8)
        assert len(set(done)) > 8  # within the maps, too

        def stop(done: float, total: float | None = None, message: str | None = None) -> None:
            if done > 3:
                raise CancelledError("stop")

        with told_to(stop), pytest.raises(CancelledError):
            answer_exam(papers["boxes"], "occlusion")


@pytest.fixture(scope="module")
def heard() -> list[tuple[float, float, str]]:
    return []


@pytest.fixture(scope="module")
def report(heard):
    blank = vizlib.wrap(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 5)).eval(), input_size=64, labels=cases.LABELS)
    torch.nn.init.zeros_(blank.module[1].weight)
    torch.nn.init.zeros_(blank.module[1].bias)
    return run_exams(
        [cases.model(), blank], ["input_x_gradient", "saliency", "rollout"], None, cases.photographs(), boxed_set(),
        lambda done, total=None, message=None: heard.append((done, total, message)), questions=6,
    )  # fmt: skip


class TestSchool:
    def test_every_mark_is_there_once(self, report) -> None:
        places = [(mark.exam, mark.method, mark.model) for mark in report.marks]
        assert len(places) == len(set(places)) == 3 * (len(KINDS) + 2 * 3)
        found = dict(zip(places, report.marks, strict=True))
        for exam in ("planted", "grid", "boxes"):
            assert "does not fit" in found[exam, "rollout", "Colours"].refused
            assert found[exam, "input_x_gradient", "Colours"].value > 0.95
        assert found["planted", "input_x_gradient", "Colours"].passed
        assert "two classes that the model is sure of" in found["planted", "saliency", "Sequential"].refused
        assert "sure of" in found["grid", "saliency", "Sequential"].refused

    def test_the_progress_goes_one_way(self, report, heard) -> None:
        done = [one for one, _, _ in heard]
        assert done == sorted(done)
        assert heard[-1][0] == heard[-1][1]
        assert any("Planted evidence, Colours: Saliency" in message for _, _, message in heard)

    def test_the_mean_over_models(self, report) -> None:
        found = summary(report.marks)
        mine = [mark for mark in report.marks if (mark.method, mark.exam) == ("saliency", "known")]
        one = found["saliency"]["known"]
        assert one.value == pytest.approx(np.mean([mark.value for mark in mine]))
        assert one.value - one.low == pytest.approx(math.sqrt(sum((mark.value - mark.low) ** 2 for mark in mine)) / len(mine))
        assert (one.passed, one.models) == (6, 6)
        assert found["input_x_gradient"]["planted"].refused == 1
        assert set(found["rollout"]) == {"known"}

    def test_files(self, report, tmp_path) -> None:
        told = json.loads(
            write_json(report, tmp_path / "more" / "exam.json").read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(name)
        )
        assert len(told["marks"]) == len(report.marks)
        assert told["marks"][-1]["refused"]
        assert told["marks"][-1]["value"] is None
        rows = list(csv.DictReader(write_csv(report, tmp_path / "exam.csv").open(encoding="utf-8")))
        assert [row["model"] for row in rows] == [mark.model for mark in report.marks]
        assert float(rows[0]["value"]) == report.marks[0].value
        page = write_html(report, tmp_path / "exam.html").read_text(encoding="utf-8")
        assert "<script" not in page
        assert 'src="http' not in page
        assert page.count("data:image/png") == 4
        without = [mark for mark in report.marks if mark.refused]
        assert f"{len(without)} marks not given, and why" in page
        for kind, idea in KNOWN.items():
            assert f"<b>{kind}</b>: {idea}".replace("'", "&#x27;") in page
        assert "Control: the share of the map on the control over its share of the picture, 1 for an even map." in page
        assert "Yellow: where the evidence is; grey: the control." in page
        text = write_markdown(report, tmp_path / "exam.md").read_text(encoding="utf-8")
        table = [line for line in text.splitlines() if line.startswith("| ")]
        assert table[0] == "| method | Known by construction | Planted evidence | Grid pointing game | Boxes |"
        assert any(line.startswith("| Saliency | 0.") and "of 6" in line for line in table)
        assert all(f"- {kind}: {idea}" in text for kind, idea in KNOWN.items())
        assert not list(tmp_path.rglob("*.part"))
        with pytest.raises(vizlib.VizlibError, match="cannot be written"):
            write_csv(report, tmp_path / "exam.csv" / "under a file.csv")

    def test_what_has_no_mark_is_told_once_for_a_reason(self) -> None:
        def refused(exam: str, method: str, model: str, why: str) -> Mark:
            return Mark.refusal(exam, method, model, "share", f"{METHODS[method].title} does not fit {model}: {why}")

        marks = [refused("known", method, model, "it has no attention.") for model in ("a", "b") for method in ("rollout", "relevance")]
        marks += [refused("known", "deeplift", "b", "it has no ReLU."), Mark.refusal("known", "deeplift", "a", "share", "It broke.")]
        marks += [Mark.refusal("grid", method, "c", "share", "No collage.") for method in ("rollout", "deeplift")]
        marks += [refused(exam, "rollout", "d", "it has no attention.") for exam in ("planted", "boxes")]
        found = unmarked(marks)
        assert [each.text({"a": "A"}) for each in found] == [
            "Known by construction; A and b; Attention rollout and Attention relevance: it has no attention.",
            "Known by construction; b; DeepLIFT: it has no ReLU.",
            "Known by construction; A; DeepLIFT: It broke.",
            "Grid pointing game; c; all methods: No collage.",
            "Planted evidence and Boxes; d; Attention rollout: it has no attention.",
        ]
        assert sum(each.count for each in found) == len(marks)

    def test_files_write_the_interval_of_a_mark_as_pages_do(self) -> None:
        mark = Mark("grid", "saliency", "vit_tiny50", 0.3, 0.2541, 0.35, 0.2512, passed=True, questions=12, unit="share", pictures=12)
        told = ExamReport([mark])
        assert "(0.254 to 0.350)" in report_markdown(told)
        page = report_page(told)
        assert page.count("(0.254 to 0.350)") == 2
        assert "<th>ViT<br>" in page
        assert "ViT is vit_tiny50" in page
        assert "attention is asked of transformers" not in page  # only of models known by construction

    def test_what_is_not_there_is_refused_before_anything_runs(self) -> None:
        with pytest.raises(ExamError, match="Did you mean 'grid'"):
            run_exams([], None, ["gird"])
        with pytest.raises(ExamError, match="made of photographs: give some"):
            run_exams(["vit_tiny50"], None, ["planted"])
        with pytest.raises(ExamError, match="with boxes"):
            run_exams(["vit_tiny50"], None, ["boxes"], cases.photographs())
        with pytest.raises(MethodError, match="There is no method"):
            run_exams([], ["salience"], ["known"])


def test_models_without_classes_or_a_transform_are_refused() -> None:
    headless = vizlib.load("vit_tiny50", checkpoint="random", num_classes=0)
    with pytest.raises(ExamError, match="no classification head"):
        load_photographs(headless, cases.photographs(1))
    bare = replace(cases.model(), transform=None)
    for ask in (
        lambda: planted_questions(bare, cases.photographs(1)),
        lambda: grid_questions(bare, cases.photographs(1)),
        lambda: box_questions(bare, boxed_set(1)),
    ):
        with pytest.raises(ExamError, match="does not say how it takes photographs"):
            ask()


def test_pictures_that_cannot_be_read_are_named(tmp_path) -> None:
    (tmp_path / "text.jpg").write_text("no picture", encoding="utf-8")
    images = {"good": cases.photograph(0), "bad": tmp_path / "text.jpg"}
    found = load_photographs(cases.model(), images)
    assert found.answers.tolist() == [0]
    assert [name for name, _ in found.skipped] == ["bad"]
    with pytest.raises(ExamError, match="None of the 1 images can be read"):
        load_photographs(cases.model(), [tmp_path / "text.jpg"])
