from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest
from app_helpers import ROOT, said
from made_report import made_report

import vizlib
from vizlib.figures.charts import COLOURS, SYMBOLS
from vizlib.figures.model_marks import mark_of
from vizlib.model_report import report_file
from vizlib.ui.core.tables import records_to_csv
from vizlib.ui.pages.models import findings
from vizlib.ui.pages.models import report_tables as tables
from vizlib.ui.pages.models.report_tables import Report
from vizlib.zoo.bundled_models import NAMES
from vizlib.zoo.cards import bundled_cards

PAGE = "pages/models.py"
VIEWS = {"accuracy": 2, "small_data": 1, "confusions": 1, "calibration": 1, "maps": 1, "cards": 0}


@pytest.fixture
def models(explore, monkeypatch):
    """The Models page with this report, whose weights are those that are shipped unless the report says otherwise."""

    def start(report=None, **address):
        if report is not None:
            for card in bundled_cards():
                if card.name in report.get("models", {}):
                    report["models"][card.name]["sha256"] = report["models"][card.name]["sha256"] or card.training["sha256"]
            monkeypatch.setattr(report_file, "read_report", lambda: report)
        return explore(page=PAGE, **address)

    return start


def charts(at):
    return [json.loads(one.proto.spec) for one in at.get("plotly_chart")]


def test_opens_on_what_is_shipped(models):
    report = report_file.read_report()
    at = models()
    assert at.title[0].value == "Models"
    assert not at.error
    assert dict(at.query_params) == {}
    if report:
        assert findings.who_wins(Report(report)) in said(at)
    else:
        assert "have not been measured yet" in said(at)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_all_eight(models, view):
    at = models(made_report(), view=view)
    assert not at.error
    assert len(charts(at)) == VIEWS[view]
    assert "**CCT** is right most often" in said(at)
    assert ["".join(value) for value in dict(at.query_params).values()] == ([view] if view != "accuracy" else [])
    for chart in charts(at):
        layout = chart["layout"]
        titles = [axis["title"]["text"] for name, axis in layout.items() if name.startswith("xaxis") and "title" in axis]
        assert titles


def test_axes_say_how_many_photographs(models):
    for view, images in (("accuracy", "1,250"), ("small_data", "1,250"), ("calibration", "1,250"), ("maps", "547")):
        for chart in charts(models(made_report(), view=view)):
            titles = [axis["title"]["text"] for name, axis in chart["layout"].items() if name[1:5] == "axis" and "title" in axis]
            assert any(images in title for title in titles), (view, titles)


@pytest.mark.parametrize("axis", ["parameters", "multiply_adds", "time", "epochs", "images"])
def test_every_cost(models, axis):
    at = models(made_report(), against=axis)
    assert len(charts(at)) == 2
    named = [trace.get("name") or trace.get("text", [None])[0] for trace in charts(at)[1]["data"]]
    assert "CCT" in named


def test_one_colour_and_symbol_for_a_model_whichever_there_are(models):
    few = ("vit_tiny50", "resnet_tiny50")
    for report in (made_report(), made_report(few, sweep=())):
        ranking = charts(models(report))[0]
        found = {trace["y"][0]: (trace["marker"]["color"], trace["marker"]["symbol"]) for trace in ranking["data"][: len(report["models"])]}
        for name in report["models"]:
            assert found[mark_of(name).label] == (COLOURS[NAMES.index(name)], SYMBOLS[NAMES.index(name)])
    assert len(set(COLOURS)) == len(set(SYMBOLS)) == len(NAMES)


def test_colours_stand_out_on_light_and_dark():
    def light(colour):
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in COLOURS:
        for page in ("#FCFCFB", "#121719"):
            low, high = sorted((light(colour), light(page)))
            assert (high + 0.05) / (low + 0.05) >= 3


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("names", [("vit_tiny50",), ("vit_tiny50", "resnet_tiny50"), ("cct_tiny50",)], ids=lambda names: "+".join(names))
def test_any_subset_of_models(models, view, names):
    at = models(made_report(names, sweep=()), view=view)
    assert not at.error
    if view == "small_data":
        assert "Not trained on a share of the photographs yet" in said(at)


@pytest.mark.parametrize("section", ["differences", "cost", "history", "small_data", "confusion", "calibration", "localisation", "models"])
def test_a_part_that_is_missing_is_a_sentence(models, section):
    for view in VIEWS:
        report = made_report()
        del report[section]
        at = models(report, view=view)
        assert not at.error
        gone = {"confusion": "confusions", "calibration": "calibration", "localisation": "maps"}
        if gone.get(section) == view:
            assert "The report has no numbers for this yet" in said(at)


def test_no_report_at_all(models):
    at = models({})
    assert "have not been measured yet" in at.info[0].value
    assert [card.title for card in bundled_cards()] == [
        line.strip("*") for line in (one.value for one in at.markdown) if line.startswith("**") and line.endswith("**") and "\n" not in line
    ]


def test_a_damaged_report(models, tmp_path, monkeypatch):
    (tmp_path / "report.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr(report_file.read_report, "__defaults__", (tmp_path,))
    at = models()
    assert "cannot be read" in at.error[0].value
    assert at.title


def test_other_weights_than_were_measured_and_models_that_were_not(models):
    report = made_report(("vit_tiny50",))
    report["models"]["vit_tiny50"]["sha256"] = "0" * 64
    at = models(report)
    assert "weights of ViT have changed" in at.warning[0].value
    assert "Not measured yet: " in said(at)
    assert "ResNet" in said(at)


def test_a_class_and_what_it_is_taken_for(models):
    report = made_report()
    at = models(report, view="confusions", model="pvt_tiny50", **{"class": "11"})
    given, taken, whole = charts(at)
    row = report["confusion"]["pvt_tiny50"][11]
    most = max(row)
    assert given["data"][0]["y"][0] == report["about"]["classes"][row.index(most)]
    assert "of 25 photographs of tabby" in given["layout"]["xaxis"]["title"]["text"]
    assert f"of {sum(line[11] for line in report['confusion']['pvt_tiny50'])} answers tabby" in taken["layout"]["xaxis"]["title"]["text"]
    assert len(whole["layout"]["shapes"]) == 2
    at.selectbox(key="models.class").set_value(3).run()
    assert "".join(at.query_params["class"]) == "3"
    assert "of 25 photographs of goose" in charts(at)[0]["layout"]["xaxis"]["title"]["text"]


def test_an_address_that_means_nothing(models):
    for view in ("nothing", "confusions", "maps"):
        at = models(made_report(), view=view, model="x", measure="x", boxes="x", against="x", **{"class": "99"})
        assert not at.error
        assert "".join(at.query_params.get("view", "")) in ("", view)
        assert set(dict(at.query_params)) <= {"view"}


def test_maps_that_do_not_beat_the_gaussian_are_outlined(models):
    report = made_report()
    scores = report["localisation"]["models"]
    for measure, key in (("ratio", "mass"), ("pointing", "pointing")):
        at = models(report, view="maps", measure=measure, boxes="all")
        beats = [one[method]["all"]["beats_gaussian"][key] for method in vizlib_methods() for one in scores.values() if method in one]
        outlined = [str(trace["marker"]["symbol"]).endswith("-open") for trace in charts(at)[0]["data"]]
        assert outlined == [not beat for beat in beats]
        assert 0 < sum(beats) < len(beats)
        assert f"{sum(beats)} of {len(beats)} pairs of a method and a model beat a Gaussian" in said(at)


def vizlib_methods():
    return [card.name for card in vizlib.methods()]


def test_the_search_finds(models):
    at = models(made_report(), view="cards", find="resnet bsd")
    assert "resnet50.tv_in1k" in at.dataframe[0].value["model"].tolist()
    assert len(at.dataframe[0].value) < 10
    at.text_input(key="models.find").set_value("zebra").run()
    assert "No card says 'zebra'" in at.info[0].value
    at.text_input(key="models.find").set_value("").run()
    assert len(at.dataframe[0].value) == len([card for card in vizlib.models() if card.source != "bundled"])


def test_the_snippet_runs(models, capsys):
    at = models()
    exec(compile(at.code[-1].value, "snippet", "exec"), {})  # noqa: S102
    assert "vizlib train" in capsys.readouterr().out


def test_the_page_draws_without_torch():
    script = """
import sys
from streamlit.testing.v1 import AppTest
from vizlib.ui.core import navigation
for view in ("accuracy", "small_data", "confusions", "calibration", "maps", "cards"):
    at = AppTest.from_file("app.py", default_timeout=300)
    at.switch_page("pages/models.py")
    at.query_params["view"] = view
    at.run()
    assert not at.exception, at.exception
heavy = {"torch", "timm", "captum", "cv2", "skimage", "torchvision"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


class TestFindings:
    """Sentences from numbers that were worked out by hand."""

    def report(self, **changes):
        made = made_report(("vit_tiny50", "cct_tiny50", "resnet_tiny50"))
        return Report(made | changes)

    def test_who_wins(self):
        text = findings.who_wins(self.report())
        assert text == (
            "**CCT** is right most often, for 71.0\u00a0% (68.5 to 73.5\u00a0%) of 1,250 photographs; the plain **ViT** for 60.0\u00a0%, "
            "and the difference is +11.0\u00a0percentage\u00a0points (95\u00a0%: +8.0 to +14.0). These photographs cannot tell it from "
            "**ResNet**; it is ahead of **ViT** beyond chance."
        )

    def test_a_lead_that_chance_could_make(self):
        close = {"cct_tiny50": {"vit_tiny50": [0.01, -0.01, 0.03], "resnet_tiny50": [0.02, 0.001, 0.04]}}
        text = findings.who_wins(self.report(differences=close))
        assert "These photographs cannot tell it from **ViT**; it is ahead of **ResNet** beyond chance." in text

    def test_a_clear_lead(self):
        clear = {"cct_tiny50": {"vit_tiny50": [0.1, 0.05, 0.15], "resnet_tiny50": [0.02, 0.001, 0.04]}}
        assert findings.who_wins(self.report(differences=clear)).endswith(
            "It is ahead of all 2 others beyond chance, each difference taken alone."
        )
        one = {"cct_tiny50": {"vit_tiny50": [0.1, 0.05, 0.15]}}  # the other was never compared
        assert findings.who_wins(self.report(differences=one)).endswith("It is ahead of **ViT** beyond chance.")
        assert "beyond chance" not in findings.who_wins(self.report(differences={}))

    def test_the_best_may_be_several(self):
        made = self.report(differences={})
        made.section("accuracy")["resnet_tiny50"]["top1"] = made.section("accuracy")["cct_tiny50"]["top1"]
        assert findings.who_wins(made).startswith("**CCT** and **ResNet** are right most often, each for 71.0\u00a0% (")

    def test_unequal_training_is_said(self):
        report = made_report()
        report["models"]["vit_tiny50"]["epochs"] = 22
        assert findings.who_wins(Report(report)).endswith(
            "They were not trained equally long: Compact ViT, CCT, T2T performer, T2T transformer, PVT, CvT and ResNet for 12 epochs; ViT "
            "for 22 epochs."
        )

    def test_nobody_and_one_alone(self):
        assert findings.who_wins(Report()) == ""
        assert "no other model is measured yet" in findings.who_wins(Report(made_report(("pvt_tiny50",))))

    def test_small_data(self):
        runs = {
            "vit_tiny50": [{"share": 0.1, "images": 2500, "epochs": 12, "epochs_done": 12, "top1": [0.2, 0.18, 0.22]}],
            "cct_tiny50": [{"share": 0.1, "images": 2500, "epochs": 12, "epochs_done": 12, "top1": [0.35, 0.32, 0.38]}],
            "resnet_tiny50": [{"share": 0.1, "images": 2500, "epochs": 12, "epochs_done": 5, "top1": [0.1, 0.08, 0.12]}],
        }
        report = self.report(small_data=runs)
        assert findings.who_starves(report) == (
            "With 2,500 photographs **CCT** is ahead of **ViT** by 15.0\u00a0percentage\u00a0points (95\u00a0%: 11.4 to 18.6), with 25,000 "
            "ahead of it by 11.0\u00a0percentage\u00a0points (95\u00a0%: 7.3 to 14.7)."
        )
        assert report.unfinished() == ["ResNet on 2,500 photographs (5 of 12 epochs)"]
        assert "resnet_tiny50" not in report.small_data()

    def test_a_gap_of_few_photographs_that_chance_could_make(self):
        runs = {
            "vit_tiny50": [{"share": 0.1, "images": 2500, "epochs": 12, "epochs_done": 12, "top1": [0.2, 0.18, 0.22]}],
            "cct_tiny50": [{"share": 0.1, "images": 2500, "epochs": 12, "epochs_done": 12, "top1": [0.225, 0.205, 0.245]}],
        }
        text = findings.who_starves(self.report(small_data=runs))  # sqrt(0.02^2 + 0.02^2) = 0.028
        assert text.replace("\u00a0", " ").startswith(
            "With 2,500 photographs **CCT** is not to be told from **ViT** (+2.5 percentage points, 95 %: \u22120.3 to +5.3), with 25,000 "
        )
        runs["cct_tiny50"][0]["top1"] = [0.16, 0.14, 0.18]
        assert "is behind **ViT** by 4.0\u00a0percentage" in findings.who_starves(self.report(small_data=runs))

    def test_trainings_of_other_lengths_are_not_compared(self):
        runs = {
            name: [{"share": 0.1, "images": 2500, "epochs": epochs, "epochs_done": epochs, "top1": [0.2, 0.18, 0.22]}]
            for name, epochs in (("vit_tiny50", 12), ("cct_tiny50", 120))
        }
        assert findings.who_starves(self.report(small_data=runs)) == ""

    def test_the_longest_run_counts(self):
        runs = [{"share": 0.1, "images": 2500, "epochs": n, "epochs_done": n, "top1": [0.1 * n, 0.1, 0.9]} for n in (4, 2)]
        assert self.report(small_data={"vit_tiny50": runs}).small_data()["vit_tiny50"][0] == (2500, [0.4, 0.1, 0.9], 4)

    def test_confusions(self):
        report = self.report(confusion={"vit_tiny50": [[20, 5, 0], [0, 25, 0], [9, 1, 15]]})
        report.section("about")["classes"] = ["plum", "leaf", "stone"]
        assert findings.worst_confusion(report, "vit_tiny50") == (
            "The most frequent mistake of **ViT**: it takes **stone** for **plum**, 9 times in 25 (36\u00a0%, 95\u00a0%: 20\u00a0% to "
            "55\u00a0%). Hardest for it is **stone** (60\u00a0% right, 95\u00a0%: 41\u00a0% to 77\u00a0%), easiest is **leaf** (100\u00a0% "
            "right, 95\u00a0%: 87\u00a0% to 100\u00a0%)."
        )

    @pytest.mark.parametrize(
        ("counts", "words"),
        [
            ([[5, 2, 0], [2, 5, 0], [0, 0, 7]], "2 times each. Hardest for it are **plum** and **leaf** (71\u00a0% right), easiest"),
            ([[7, 0, 0], [0, 7, 0], [0, 0, 7]], "**ViT** makes no mistake on these photographs."),
            ([[6, 1, 0], [0, 7, 0], [0, 0, 0]], "easiest is **leaf**"),  # of a class without photographs nothing is known
        ],
    )
    def test_ties_and_nothing(self, counts, words):
        report = self.report(confusion={"vit_tiny50": counts})
        report.section("about")["classes"] = ["plum", "leaf", "stone"]
        assert words in findings.worst_confusion(report, "vit_tiny50")

    def test_calibration(self):
        text = findings.who_knows(self.report(), "vit_tiny50")
        start = "**ViT** is less sure than it should be: 52.0\u00a0% confident on average and right for 60.0\u00a0% (57.3 to 62.7\u00a0%)."
        assert text.startswith(start)
        report = self.report()
        for confidence, words in ((0.6, "as sure as it should be"), (0.62, "as sure as it should be"), (0.7, "surer than it should be")):
            report.section("calibration")["vit_tiny50"]["mean_confidence"] = confidence
            assert words in findings.who_knows(report, "vit_tiny50")

    def test_cost(self):
        assert findings.dearer(self.report()) == (
            "Right most often of these, **CCT** takes 120 million multiply-adds; the dearest, **ResNet**, takes 2.7 times as many, and its "
            "share of right answers differs by \u22122.0\u00a0percentage\u00a0points (95\u00a0%: \u22125.0 to +1.0)."
        )

    def test_maps(self):
        report = made_report(("vit_tiny50",))
        maps = report["localisation"]["models"]["vit_tiny50"]
        for scores in maps.values():
            scores["all"]["beats_gaussian"]["mass"] = False
        text = findings.who_points(Report(report), "ratio", "all")
        assert text.startswith(f"None of {len(maps)} pairs of a method and a model beat a Gaussian")
        next(iter(maps.values()))["all"]["beats_gaussian"]["mass"] = True
        text = findings.who_points(Report(report), "ratio", "all")
        assert text.startswith(f"1 of {len(maps)} pairs of a method and a model beats a Gaussian")
        best = max((scores["all"]["ratio"] for scores in maps.values()), key=lambda ratio: ratio[0])
        meet = sum(scores["all"]["ratio"][2] >= best[1] for scores in maps.values()) - 1
        assert f"{best[0]:.2f} (95\u00a0%: {best[1]:.2f} to {best[2]:.2f}) times" in text
        assert (f"the intervals of {meet} others meet it" in text) == (meet > 1)


class TestTables:
    def test_best_first_with_units(self):
        rows = tables.accuracy_rows(Report(made_report()))
        assert [row["model"] for row in rows][:2] == ["CCT", "CvT"]
        assert rows[0]["multiply-adds, M"] == 120
        assert rows[0]["parameters, M"] == pytest.approx(2.1)
        assert rows[0]["top-1 %"] == pytest.approx(71.04)

    def test_mistakes_come_first(self):
        report = Report(made_report())
        rows = tables.confusion_rows(report, "vit_tiny50")
        assert sum(row["photographs"] for row in rows) == 1250
        wrong = [row["class"] != row["answer"] for row in rows]
        assert wrong == sorted(wrong, reverse=True)

    @pytest.mark.parametrize(
        "rows",
        [
            tables.accuracy_rows(Report(made_report())),
            tables.small_data_rows(Report(made_report())),
            tables.epoch_rows(Report(made_report())),
            tables.confusion_rows(Report(made_report()), "vit_tiny50"),
            tables.calibration_rows(Report(made_report())),
            tables.map_rows(Report(made_report()), "small"),
            [],
        ],
        ids=["accuracy", "small data", "epochs", "confusions", "calibration", "maps", "empty"],
    )
    def test_csv_comes_back(self, rows):
        back = list(csv.DictReader(io.StringIO(records_to_csv(rows))))
        assert back == [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]

    def test_references_stand_above_the_methods(self):
        rows = tables.map_rows(Report(made_report()), "all")
        assert [row["model"] for row in rows[:3]] == ["random", "Gaussian", "centre"]
        assert {row["beats the Gaussian"] for row in rows[3:]} <= {"both", "mass", "pointing", "no"}
