"""What pages hand over to workers, and what comes back: both travel between processes, and neither brings Streamlit or torch along."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tempfile
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from work_functions import UI, handed_over

import vizlib
from vizlib.analysis.cost.spatial_reduction import Layer
from vizlib.engine import worker_memory
from vizlib.engine.jobs import Progress
from vizlib.evaluation import protocol
from vizlib.evaluation.metrics import sensitivity_n
from vizlib.passes.ablation import HeadAblation
from vizlib.seq2seq import untrained
from vizlib.ui.core.pictures import SAMPLES, handed_in, sample
from vizlib.ui.pages.attention import artifact_work, forward_work, head_work, likeness_work, pass_work, token_work
from vizlib.ui.pages.attribution import detail_work, exam_work, map_work, region_work
from vizlib.ui.pages.audit import audit_work
from vizlib.ui.pages.biases import response_data
from vizlib.ui.pages.compact import tokenizer_data
from vizlib.ui.pages.compare import comparison_work
from vizlib.ui.pages.cvt import projection_data, shuffle_shift_data
from vizlib.ui.pages.learn import lesson_work
from vizlib.ui.pages.models import fetch_work
from vizlib.ui.pages.pvt import attention_cost_work, segmentation_data
from vizlib.ui.pages.seq2seq import length_work, translation_work
from vizlib.ui.pages.seq2seq.decoder_edit import Edit
from vizlib.ui.pages.t2t import channel_grid_data, soft_split_data
from vizlib.ui.sections import feature_pyramid_data, logit_lens_data, proof, reduced_keys_data
from vizlib.ui.widgets import explanation

if TYPE_CHECKING:
    from vizlib.ui.core.pictures import Picture

VIT = "vit_tiny50"
TRANSLATOR, TEXT = "dates_gru_concat", "may 1994"
ROOT = UI.parents[1]


def travelled(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301  it is our own


def run_python(script: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_piece_of_work_is_a_function_of_a_module_that_knows_no_streamlit():
    functions = set(handed_over().values())
    assert len(functions) > 30
    for function in functions:
        assert travelled(partial(function)).func is function
    modules = sorted({function.__module__ for function in functions})
    script = f"import sys, {', '.join(modules)}; print(*{{'streamlit', 'torch', 'timm', 'pandas'}} & set(sys.modules))"
    assert run_python(script).split() == []


def upload() -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer, "PNG")
    return handed_in("mine.png", buffer.getvalue())


@pytest.mark.parametrize("picture", [sample("cat"), upload()], ids=["sample", "upload"])
def test_a_picture_travels(picture):
    assert picture.thumbnail
    copy = travelled(picture)
    assert (copy.identity, copy.title, copy.code, copy.scaling) == (picture.identity, picture.title, picture.code, picture.scaling)
    assert np.array_equal(copy.pixels, picture.pixels)
    assert copy.jpeg == picture.jpeg


def test_a_sample_travels_by_its_name():
    assert len(pickle.dumps(sample("cat"))) < 200
    assert travelled(sample("cat")) is sample("cat")


class Bench:
    """Runs work as a worker does, from a pickle to a pickle, and keeps what came back by the function that made it."""

    def __init__(self) -> None:
        self.results: dict[Any, Any] = {}
        self.pickles: dict[str, bytes] = {}

    def run(self, work, *names):
        copy = travelled(work)
        result = copy(*map(random_model, names), progress=Progress())
        self.keep(work.func, result)
        return result

    def translate(self, work):
        result = self.run(partial(translation_work.ask_translator, work, TRANSLATOR)).result
        self.keep(work.func, result)
        return result

    def keep(self, function, result):
        self.results[function] = result
        self.pickles[function.__qualname__] = pickle.dumps(result)


@cache
def random_model(name):
    return vizlib.load(name, checkpoint="random")


@pytest.fixture(scope="module")
def bench():
    bench, patch = Bench(), pytest.MonkeyPatch()
    patch.setattr(protocol, "PARTS", 2)
    patch.setattr(protocol, "RANDOM_MAPS", 1)
    for place in (protocol, sensitivity_n):
        patch.setattr(place, "SUBSETS_PER_SIZE", 2)
    patch.setattr(exam_work, "QUESTIONS", 1)
    patch.setattr(shuffle_shift_data, "TILES", (2,))
    patch.setattr(segmentation_data, "COUNTS", (2,))
    patch.setattr(translation_work, "_load", untrained)
    patch.setattr(attention_cost_work, "MOST_BYTES", 1 << 16)
    worker_memory.forget(VIT)  # other tests of this process have run it with its trained weights
    run_all(bench)
    yield bench
    patch.undo()
    for name in (TRANSLATOR, VIT):
        worker_memory.forget(name)


def run_all(bench):
    cat, run = {"picture": sample("cat"), "fit": None}, bench.run
    request = pass_work.PassRequest(VIT, sample("cat"), None)
    run(partial(map_work.compute_model_answer, **cat), VIT)
    explained = run(partial(map_work.compute_map, "saliency", goal=None, options={}, coarse=False, **cat), VIT).explanation
    run(partial(proof.compute_proof, sample("cat"), explained), VIT)
    run(partial(proof.compute_shared_proof, explained, identity=VIT, goal=None, **cat), VIT)
    run(partial(detail_work.compute_cascade, explained, picture=sample("cat")), VIT)
    run(partial(detail_work.compute_stability, explained, picture=sample("cat")), VIT)
    run(partial(region_work.compute_region, np.arange(64 * 64).reshape(64, 64) < 999, goal=None, **cat), VIT)
    run(partial(exam_work.compute_exam_report, ("saliency",), ("known",), images={"cat": sample("cat").pixels}), VIT)
    run(partial(explanation.compute_answer, explanation.ExplanationRequest("sample:cat", "rollout", None, None, ()), sample("cat")), VIT)
    run(partial(explanation.compute_ranking, sample("cat"), None), VIT)
    pictures = {"cat": sample("cat").pixels}
    run(
        partial(
            audit_work.compute_audit, pictures=pictures, methods=("saliency",), fit=None, heads=False, lens=True, scores=("sensitivity_n",)
        ),
        VIT,
    )
    with tempfile.TemporaryDirectory() as home:
        vizlib.audit(pictures, random_model(VIT), "saliency", f"{home}/audit")
        run(partial(audit_work.open_audit, f"{home}/audit", ""))
    run(partial(feature_pyramid_data.compute_feature_pyramid, **cat), "pvt_tiny50")
    run(partial(reduced_keys_data.compute_reduced_keys, **cat), "pvt_tiny50")
    run(partial(segmentation_data.compute_segmentation, side=8, **cat), "pvt_tiny50")
    run(partial(attention_cost_work.measure_attention, Layer(8, 1, 1, 16)))
    run(partial(soft_split_data.compute_soft_splits, **cat), "t2t_tiny50", VIT)
    run(partial(channel_grid_data.compute_channel_grids, titles=["ViT", "T2T-ViT"], **cat), VIT, "t2t_tiny50")
    run(partial(projection_data.compute_projections, **cat), "cvt_tiny50")
    run(partial(shuffle_shift_data.compute_shuffle_shift, **cat), "cvt_tiny50")
    run(partial(tokenizer_data.compute_column, "CCT", True, **cat), "cct_tiny50")  # noqa: FBT003
    run(partial(tokenizer_data.compute_drift, **cat), "cct_tiny50")
    run(partial(response_data.compute_response, response_data.Experiment("jpeg"), partner=None, **cat), VIT)
    run(partial(response_data.compute_draws, response_data.Experiment("noise"), **cat), VIT)
    photographs = {name: sample(name).pixels for name in SAMPLES}
    shown = run(partial(comparison_work.compute_comparison, pictures=photographs, fit=None), VIT, "cct_tiny50").shown[0]
    run(partial(comparison_work.compute_attributions, shown=shown, target=3, fit=None, which=(True, False)), VIT, "cct_tiny50")
    run(partial(pass_work.compute_pass, request), VIT)
    run(partial(pass_work.compute_finer_layer, request, 0), VIT)
    run(partial(likeness_work.compute_likeness, request, sample("coffee"), 2), VIT)
    run(partial(likeness_work.compute_head_plane, request, (sample("coffee"),), 2, 1), VIT)
    run(partial(token_work.compute_row, request, 0, 3, None, reverse=True), VIT)
    run(partial(token_work.compute_token_rollout, request, 0, 3), VIT)
    run(partial(head_work.compute_head_statistics, request), VIT)
    run(partial(head_work.compute_ablation, request, HeadAblation({(0, 0): "zero"})), VIT)
    run(partial(forward_work.compute_forward_picture, request), VIT)
    run(partial(artifact_work.compute_artifact_rollouts, request, {(8, 8): [3]}), VIT)
    run(partial(logit_lens_data.compute_depth_answers, sample("cat"), None, None), VIT)
    run(partial(lesson_work.compute_sentence, "bottleneck"))
    run(partial(lesson_work.compute_finding, "tokens", sample("cat")), VIT)
    asked = {"beams": 1, "target": None}
    written = bench.translate(partial(translation_work.compute_translation, text=TEXT, **asked))
    hidden = Edit(tau=2.0, mask=(1,))
    bench.translate(partial(translation_work.compute_outcome, text=TEXT, translation=written, step=0, edit=hidden, **asked))
    bench.translate(partial(translation_work.compute_left_out, text=TEXT, step=0, target=translation_work.given(written)))
    bench.translate(partial(translation_work.compute_shuffled, translation=written, order=tuple(range(len(TEXT)))[::-1]))
    run(partial(length_work.compute_counts, (TRANSLATOR,), (10,), 0, rounds=1, texts=1, gradients=1))


def test_all_work_of_the_pages_was_run(bench):
    elsewhere = {fetch_work.fetch_set}  # asks a hub: tests/unit/ui/test_fetch_set.py
    assert set(bench.results) | elsewhere == set(handed_over().values())


def test_results_are_read_without_torch(bench, tmp_path):
    (tmp_path / "results").write_bytes(pickle.dumps(bench.pickles))
    script = """
import pickle, sys
sys.modules |= dict.fromkeys(["torch", "timm", "captum", "streamlit"])
for name, content in pickle.load(open(sys.argv[1], "rb")).items():
    try:
        pickle.loads(content)
    except ImportError as error:
        print(name, error)
print(*{"pandas", "scipy", "cv2", "skimage", "plotly"} & set(sys.modules))
"""
    assert run_python(script, str(tmp_path / "results")).split() == []


def test_results_are_drawn_and_given_away_without_torch(bench, tmp_path):
    (tmp_path / "results").write_bytes(pickle.dumps(bench.pickles))
    script = """
import pickle, sys
sys.modules |= dict.fromkeys(["torch", "timm", "captum"])
from vizlib.ui.pages.attribution.exam import report_bytes
from vizlib.ui.pages.compare.comparison_jobs import arrays_npz, table_csv, to_html
from vizlib.ui.pages.compare.layer_pair_data import pack_layer_pair
from vizlib.ui.pages.cvt.shuffle_shift_data import pack_shuffle_shift
from vizlib.ui.pages.pvt import segmentation
from vizlib.ui.pages.seq2seq import downloads
from vizlib.ui.pages.t2t import soft_split_data
from vizlib.ui.sections import feature_pyramid
results = {name: pickle.loads(content) for name, content in pickle.load(open(sys.argv[1], "rb")).items()}
comparison = results["compute_comparison"]
shown = comparison.shown[0]
files = [
    pack_layer_pair(comparison, shown, [((0, 0), (1, 0))], {}),
    to_html(comparison, shown, results["compute_attributions"]),
    arrays_npz(comparison),
    table_csv(comparison, "layers"),
    pack_shuffle_shift([results["compute_shuffle_shift"]]),
    segmentation._png([results["compute_segmentation"]], 2),
    feature_pyramid._png([results["compute_feature_pyramid"]], "pca"),
    soft_split_data.to_png(results["compute_soft_splits"], "groups", shared=True, groups=4),
    report_bytes(results["compute_exam_report"], "html"),
    downloads.png(results["compute_translation"]),
]
print(*(len(content) > 100 for content in files))
"""
    assert run_python(script, str(tmp_path / "results")).split() == ["True"] * 10


def test_a_pass_that_is_not_remembered_is_made_again(bench):
    request = pass_work.PassRequest(VIT, sample("cat"), None)
    before = bench.results[token_work.compute_row]
    worker_memory.forget(VIT)
    again = bench.run(partial(token_work.compute_row, request, 0, 3, None, reverse=True), VIT)
    assert np.array_equal(again.weights, before.weights)
