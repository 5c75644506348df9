from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from app_helpers import ROOT, components, image_bytes, maps, said, settled
from PIL import Image

import vizlib
from vizlib.engine.jobs import Job, JobState
from vizlib.evaluation.badge import Badge
from vizlib.ui.core.model_choice import ModelChoice
from vizlib.ui.core.model_service import service
from vizlib.ui.core.pictures import SAMPLES, sample
from vizlib.ui.pages.explore import columns
from vizlib.ui.pages.explore.columns import answer_text
from vizlib.ui.sections import proof, trust
from vizlib.zoo.cards import all_cards

BUNDLED = ["vit_tiny50", "resnet_tiny50"]
TIMM = "resnet18.tv_in1k"


def test_opens_on_both_bundled_models_explained(explore):
    at = explore()
    assert at.title[0].value == "Explore"
    assert [one.value for one in at.subheader] == [all_cards()[name].title for name in BUNDLED]
    assert at.multiselect[0].value == BUNDLED
    for header, values, photo in maps(at):
        assert header["title"] == "Coffee"
        assert header["input"] == [64, 64]
        assert values is not None
        assert np.isfinite(values).all()
        assert values.max() > 0
        assert photo.shape[:2] == tuple(header["shown"])
    lists = components(at, "top_predictions")
    assert [len(one["rows"]) for one in lists] == [5, 5]
    assert [one["pickable"] for one in lists] == [True, True]
    assert [one["chosen"] for one in lists] == [one["rows"][0]["index"] for one in lists]
    assert said(at).count("Explained in") == 2
    assert dict(at.query_params) == {}
    assert not at.error


def test_both_are_right_about_the_picture_that_the_page_opens_on(explore):
    at = explore()
    for words in (at.markdown[2].value, at.markdown[3].value):
        assert re.search(r"\*\*espresso, \d\d\xa0%\*\* · one of 50 classes$", words), words
    assert at.markdown[2].value.startswith("**ViT:**")


def test_with_a_real_model_at_hand_the_page_opens_on_it(packaged, explore):
    at = explore()
    assert at.multiselect[0].value == ["tf_efficientnet_lite0", "vit_tiny50"]
    assert re.match(r"\*\*EfficientNet-Lite0:\*\* \*\*espresso, 9\d\xa0%\*\* · one of 1,000 classes$", at.markdown[2].value)
    assert re.match(r"\*\*ViT:\*\* \*\*espresso, \d\d\xa0%\*\* · one of 50 classes$", at.markdown[3].value)
    assert [header["title"] for header, _, _ in maps(at)] == ["Coffee", "Coffee"]
    assert at.selectbox(key="explore.tf_efficientnet_lite0.method").value == "hires_cam"
    assert not at.error


@pytest.mark.parametrize(
    ("name", "side", "method", "unasked"),
    [
        ("tf_efficientnet_lite0", 224, "occlusion", False),
        ("tf_efficientnet_lite0", 224, "hires_cam", True),
        ("tf_efficientnet_lite0", 224, "rise", False),
        ("tf_efficientnet_lite0", 448, "grad_cam", False),
        ("vit_base_patch16_224.augreg2_in21k_ft_in1k", 224, "grad_cam", False),
        ("vit_tiny50", 64, "shapley_sampling", True),
    ],
)
def test_a_badge_is_measured_unasked_up_to_about_a_minute(name, side, method, unasked):
    assert (trust._effort(ModelChoice(name, card=all_cards()[name]), side * side, [method]) <= trust.QUICK) == unasked


def test_nobody_knows_how_long_a_badge_takes_without_a_card():
    assert trust._effort(ModelChoice("own"), 64, ["saliency"]) > trust.QUICK


@pytest.mark.parametrize(
    ("shares", "sentence"),
    [
        ([0.9, 0.1], "**a, 90\xa0%** · one of 2 classes"),
        ([0.4, 0.35, 0.25], "**a, 40\xa0%** · one of 3 classes · unsure: b has 35\xa0%; perhaps none of them is in the picture"),
        ([0.3, 0.2] + [0.5 / 998] * 998, "**a, 30\xa0%** · one of 1,000 classes · unsure: b has 20\xa0%"),
        ([0.7], "**a, 70\xa0%** · its one class"),
        ([], "no classes: it gives features, not answers"),
    ],
)
def test_how_sure_an_answer_is_follows_from_its_numbers(shares, sentence):
    names = ["a", "b", *(f"c{number}" for number in range(998))]
    assert answer_text([vizlib.Prediction(number, names[number], share, 0.0) for number, share in enumerate(shares)]) == sentence


def test_rollout_and_sink_are_the_whole(explore):
    at = explore(vit_tiny50__method="rollout")
    assert "of the walk ends in learned tokens or padding" in said(at)
    header, values, _ = maps(at)[0]
    assert header["unitValue"] * values.size == pytest.approx(1.0, abs=1e-9)
    assert values.sum(dtype=np.float64) < 1


def test_another_sample(explore):
    at = explore(sample="rocket")
    assert {header["title"] for header, *_ in maps(at)} == {"Rocket"}
    at.session_state["explore.sample"] = "cat"
    at.run()
    assert {header["title"] for header, *_ in maps(at)} == {"Cat"}
    assert at.query_params["sample"] in ("cat", ["cat"])


def test_samples_are_those_of_the_packages_named_in_their_code():
    for name in SAMPLES:
        exec(sample(name).imports)  # noqa: S102
        assert np.array_equal(sample(name).pixels, vizlib.read_image(eval(sample(name).code)))  # noqa: S307


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (image_bytes((50, 40), "L"), (40, 50)),
        (image_bytes((50, 40), "RGBA"), (40, 50)),
        (image_bytes((90, 60), kind="JPEG"), (60, 90)),
        (image_bytes((1, 1)), (1, 1)),
        (image_bytes((900, 30)), (30, 900)),
        (image_bytes((30, 900)), (900, 30)),
    ],
    ids=["grey", "transparent", "jpeg", "one pixel", "wide", "tall"],
)
def test_odd_pictures_are_explained(explore, content, size):
    at = explore()
    at.file_uploader[0].set_value(("odd.png", content, "image/png")).run()
    assert not at.exception
    assert not at.error
    assert [tuple(header["image"]) for header, *_ in maps(at)] == [size, size]
    assert all(values is not None for _, values, _ in maps(at))
    assert components(at, "image_gallery")[0]["chosen"] == "yours"
    assert 'vizlib.read_image("odd.png")' in at.code[0].value


def test_a_turned_photograph_is_shown_upright(explore):
    exif = Image.Exif()
    exif[0x0112] = 6
    at = explore()
    at.file_uploader[0].set_value(("turned.jpg", image_bytes((90, 60), kind="JPEG", exif=exif.tobytes()), "image/jpeg")).run()
    assert [tuple(header["image"]) for header, *_ in maps(at)] == [(90, 60), (90, 60)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "damaged"),
        ("cut.jpg", image_bytes((200, 200), kind="JPEG")[:3000], "damaged"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "SVG drawing"),
        ("text.png", b"this is no picture", "not an image"),
        ("empty.png", b"", "empty"),
    ],
)
def test_a_bad_upload_is_said_and_the_picture_stays(explore, name, content, words):
    at = explore(sample="coffee")
    at.file_uploader[0].set_value((name, content, "image/png")).run()
    assert not at.exception
    assert words in at.error[0].value
    assert {header["title"] for header, *_ in maps(at)} == {"Coffee"}


def test_an_upload_is_taken_even_where_its_callback_is_dropped(explore, monkeypatch):
    """Which is what Streamlit does where two requests of a page meet."""
    from streamlit.runtime.state.session_state import WStates

    at = explore()
    monkeypatch.setattr(WStates, "call_callback", lambda self, widget_id: None)
    at.file_uploader[0].set_value(("good.png", image_bytes((70, 50)), "image/png")).run()
    assert components(at, "image_gallery")[0]["chosen"] == "yours"
    assert not at.file_uploader[0].value


def test_a_bad_upload_after_a_good_one(explore):
    at = explore()
    at.file_uploader[0].set_value(("good.png", image_bytes((70, 50)), "image/png")).run()
    at.file_uploader[0].set_value(("bad.png", b"no", "image/png")).run()
    assert "not an image" in at.error[0].value
    assert {header["title"] for header, *_ in maps(at)} == {"good.png"}


def test_the_address_restores_the_view(explore):
    address = {
        "sample": "astronaut",
        "models": "resnet_tiny50,vit_tiny50",
        "fit": "pad",
        "opacity": "0.35",
        "colors": "magma",
        "scale": "one",
        "resnet_tiny50.target": "7",
        "vit_tiny50.method": "attention",
        "vit_tiny50.layer": "2",
        "vit_tiny50.head_fusion": "max",
    }
    at = explore(**{name.replace(".", "__"): value for name, value in address.items()})
    assert at.multiselect[0].value == ["resnet_tiny50", "vit_tiny50"]
    assert components(at, "top_predictions")[0]["chosen"] == 7
    assert components(at, "map_controls")[0]["appearance"] == {"opacity": 0.35, "colormap": "magma", "scale": "one"}
    code = at.code[1].value
    assert 'method="attention"' in code
    assert 'fit="pad"' in code
    assert "layer=2" in code
    assert {name: "".join(value) for name, value in dict(at.query_params).items()} == address


def test_an_address_that_means_nothing_opens_the_page(explore):
    at = explore(sample="nobody", models="none", fit="twist", opacity="7", colors="jet", vit_tiny50__method="x", resnet_tiny50__target="y")
    assert at.multiselect[0].value == BUNDLED
    assert dict(at.query_params) == {}


def test_a_link_followed_in_a_running_session(explore):
    at = explore(sample="rocket")
    at.query_params.clear()
    at.query_params["sample"] = "coffee"
    at.run()
    assert {header["title"] for header, *_ in maps(at)} == {"Coffee"}


def test_a_cold_deep_link_gets_the_frame(explore):
    at = explore(page="pages/explore.py", sample="coffee")
    assert at.title[0].value == "Explore"
    assert {header["title"] for header, *_ in maps(at)} == {"Coffee"}


def test_a_method_that_does_not_fit_says_why(explore):
    at = explore(vit_tiny50__method="rollout", resnet_tiny50__method="rollout")
    assert "no attention rows to follow" in at.info[0].value
    assert [values is None for _, values, _ in maps(at)] == [False, True]
    assert len(components(at, "top_predictions")[1]["rows"]) == 5


def test_a_class_that_is_not_there(explore):
    at = explore(models="resnet_tiny50", resnet_tiny50__target="99")
    assert "classes 0 to 49" in at.info[0].value
    assert components(at, "top_predictions")[0]["pickable"]


def test_any_class_can_be_searched(explore):
    at = explore(models="resnet_tiny50")
    before, answered = maps(at)[0][1], components(at, "top_predictions")[0]["rows"]
    wanted = next(index for index in range(50) if index not in [row["index"] for row in answered])
    at.selectbox(key="explore.resnet_tiny50.target").set_value(wanted).run()
    chosen = components(at, "top_predictions")[0]
    assert chosen["chosen"] == wanted
    assert [row["index"] for row in chosen["rows"]] == [row["index"] for row in answered] + [wanted]
    assert not np.array_equal(before, maps(at)[0][1])


def test_the_residual_weight_is_a_number_or_measured(explore):
    at = explore(models="vit_tiny50", vit_tiny50__method="rollout", vit_tiny50__residual_weight="norms")
    measured = maps(at)[0][1]
    assert at.query_params["vit_tiny50.residual_weight"] == "norms"
    key = "explore.vit_tiny50.residual_weight"
    at.button_group(key=f"{key}.word").set_value("number").run()
    assert at.session_state[key] == 0.5
    assert not np.array_equal(measured, maps(at)[0][1])
    at.slider(key=f"{key}.number").set_value(0.8).run()
    assert at.query_params["vit_tiny50.residual_weight"] == "0.8"
    at.button_group(key=f"{key}.word").set_value("norms").run()
    assert np.array_equal(measured, maps(at)[0][1])


def test_what_superpixels_add_up_to_is_not_said_of_the_map(explore):
    at = explore(models="vit_tiny50", vit_tiny50__method="shapley_sampling", vit_tiny50__pieces="10", vit_tiny50__orders="1")
    made = vizlib.explain(vizlib.load("vit_tiny50"), sample("coffee").pixels, "shapley_sampling", pieces=10, orders=1)
    pieces = len(np.unique(made.input_map))
    assert f"The values of its {pieces} superpixels add up to {made.facts['sum']:.3f}, and the score changes by" in said(at)
    assert "The map adds up" not in said(at)


def test_another_method_has_its_own_options(explore):
    """A layer is a number to attention and a name to a CAM, and HiRes-CAM's gradient is no other's default."""
    at = explore(models="vit_tiny50", vit_tiny50__method="attention", vit_tiny50__layer="2")
    assert at.session_state["explore.vit_tiny50.layer"] == 2
    for method, options in (
        ("grad_cam", {"layer": "", "gradient": "plain"}),
        ("hires_cam", {"layer": "", "gradient": "libra"}),
        ("relevance", {"gradient": "plain"}),
        ("attention", {"layer": -1}),
    ):
        at.selectbox(key="explore.vit_tiny50.method").set_value(method).run()
        assert not at.exception
        assert {name: at.session_state[f"explore.vit_tiny50.{name}"] for name in options} == options
    at.session_state["explore.vit_tiny50.layer"] = 3
    at.selectbox(key="explore.vit_tiny50.method").set_value("attention_x_gradient").run()
    assert at.session_state["explore.vit_tiny50.layer"] == 3, "what means the same stays"


@pytest.mark.parametrize(
    ("method", "option", "plain", "weighed"),
    [("rollout", "key_weights", "even", "value_norm"), ("gradient_rollout", "head_weights", "none", "l2")],
)
def test_what_keys_and_heads_count_is_chosen_beside_the_map_and_in_the_link(explore, method, option, plain, weighed):
    at = explore(models="vit_tiny50", vit_tiny50__method=method, **{f"vit_tiny50__{option}": weighed})
    linked = maps(at)[0][1]
    picker = at.button_group(key=f"explore.vit_tiny50.{option}")
    assert picker.value == weighed
    picker.set_value(plain).run()
    assert f"vit_tiny50.{option}" not in at.query_params
    assert not np.array_equal(linked, maps(at)[0][1])
    at = explore(models="vit_tiny50", vit_tiny50__method=method, **{f"vit_tiny50__{option}": "most"})
    assert at.button_group(key=f"explore.vit_tiny50.{option}").value == plain


def test_only_a_distilled_model_offers_its_two_classifiers(explore):
    at = explore(models="vit_tiny50", vit_tiny50__method="rollout")
    assert "explore.vit_tiny50.head_fusion" in {one.key for one in at.button_group}
    assert "explore.vit_tiny50.classifier" not in {one.key for one in at.button_group}


def test_lift_is_told_from_shares(explore):
    at = explore(models="vit_tiny50", vit_tiny50__method="rollout", vit_tiny50__show="lift")
    header, values, _ = maps(at)[0]
    assert (header["unit"], header["unitValue"]) == ("lift", 1.0)
    assert header["highest"] == pytest.approx(float(np.nanmax(values)), rel=1e-6)
    assert header["peak"] == pytest.approx(max(2.0, float(np.nanquantile(values, 0.99))), rel=1e-6)


def test_no_models(explore):
    at = explore(models="")
    assert "Choose a model" in at.info[0].value
    assert maps(at) == []


def test_other_models_are_offered_before_they_are_fetched(explore, loads):
    def offline(name, progress):
        raise vizlib.DownloadError("The hub could not be reached: this machine may be offline.")

    loads(offline)
    at = explore(models=TIMM)
    assert "47\u00a0MB" in said(at)
    assert "bsd-3-clause" in said(at)
    assert maps(at)[0][1] is None
    at.button(key=f"fetch.{TIMM}").click().run()
    assert "may be offline" in at.error[0].value
    at.button(key=f"again.column.{TIMM}").click().run()
    assert "may be offline" in at.error[0].value


def test_a_fault_inside_is_no_exception_page(explore, loads):
    loads(lambda name, progress: 1 / 0)
    at = explore(models=TIMM)
    at.button(key=f"fetch.{TIMM}").click().run()
    assert "went wrong inside" in at.error[0].value
    assert "division" not in said(at)


def test_a_model_without_classes(explore, loads):
    name = "vit_small_patch14_dinov2.lvd142m"
    loads(lambda name, progress: vizlib.load(name, checkpoint="random", image_size=56))
    at = explore(models=name)
    at.button(key=f"fetch.{name}").click().run()
    assert "no classes" in said(at)
    assert maps(at)[0][1] is not None
    assert components(at, "top_predictions") == []


def cosine(name, one, other):
    model = vizlib.load(name) if isinstance(name, str) else name
    features = [model(model.prepare(sample(title).pixels))[0].double() for title in (one, other)]
    return float(torch.nn.functional.cosine_similarity(*features, dim=0))


def test_more_like_the_picture_beside_it(explore, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    at = explore(models="vit_tiny50", second="cat")
    answers = [values for _, values, _ in maps(at)]
    at.toggle(key="explore.explain.toggle").set_value(True).run()
    settled(at)
    assert at.query_params["explain"] in ("likeness", ["likeness"])
    model = vizlib.load("vit_tiny50")
    for (_, values, _), own, (picture, other), before in zip(
        maps(at), ("coffee", "cat"), (("Coffee", "Cat"), ("Cat", "Coffee")), answers, strict=True
    ):
        target = vizlib.similar_to(sample(other.lower()).pixels)
        expected = vizlib.explain(model, sample(own).pixels, "relevance", target)
        assert np.array_equal(expected.input_map.astype("<f4"), values)
        assert not np.array_equal(values, before)
        assert f"What makes this picture like **{other}**: the model's class scores for the two have a cosine of" in said(at)
        assert picture in said(at)
    assert said(at).count(f"**{cosine('vit_tiny50', 'coffee', 'cat'):.2f}** (1: the same direction") == 2
    assert "tests passed" not in said(at)  # badges are of an answer
    names: dict = {}
    exec(compile(at.code[0].value, "snippet", "exec"), names)  # noqa: S102
    assert np.array_equal(names["explanation"].input_map.astype("<f4"), maps(at)[0][1])
    at.selectbox(key="explore.vit_tiny50.method").set_value("rollout").run()
    settled(at)
    assert said(at).count("Attention rollout gives the same map whatever is asked") == 2
    at.toggle(key="explore.explain.toggle").set_value(False).run()
    assert "whatever is asked" not in said(at)
    assert "explain" not in at.query_params


def test_a_model_without_classes_has_maps_by_gradients_of_a_likeness(explore, loads):
    name = "vit_small_patch14_dinov2.lvd142m"
    loads(lambda name, progress: vizlib.load(name, checkpoint="random", image_size=56))
    at = explore(models=name, **{f"{name}__method": "saliency"}, second="cat")
    at.button(key=f"fetch.{name}").click().run()
    settled(at)
    assert maps(at)[0][1] is None
    assert "Choose a picture under *Beside it*, and *More like this picture*" in said(at)
    at.toggle(key="explore.explain.toggle").set_value(True).run()
    settled(at)
    assert "does not fit" not in at.selectbox(key=f"explore.{name}.method").options[0]
    assert [values.max() > 0 for _, values, _ in maps(at)] == [True, True]
    model = vizlib.load(name, checkpoint="random", image_size=56)
    assert said(at).count(f"the model's features for the two have a cosine of **{cosine(model, 'coffee', 'cat'):.2f}**") == 2
    assert "Choose a picture" not in said(at)


def test_snippets_run_and_give_the_map_on_the_page(explore, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    at = explore(resnet_tiny50__target="7", vit_tiny50__method="rollout", vit_tiny50__head_fusion="max", colors="magma", fit="squash")
    for code, (_, values, _) in zip(at.code, maps(at), strict=True):
        names: dict = {}
        exec(compile(code.value, "snippet", "exec"), names)  # noqa: S102
        assert np.array_equal(names["explanation"].input_map.astype("<f4"), values)
        assert vizlib.read_image(Path("map.png")).shape == (400, 600, 3)


def test_pages_import_nothing_heavy():
    script = """
import ast, pathlib, sys
import vizlib.ui.core.navigation
for page in pathlib.Path("pages").glob("*.py"):
    for node in ast.parse(page.read_text()).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            exec(compile(ast.Module([node], []), str(page), "exec"))
heavy = {"torch", "timm", "captum", "cv2", "skimage", "torchvision"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_page_answers_to_its_name_too(explore):
    at = explore()
    names = {page["url_pathname"] for page in at._registered_pages.values()}
    assert {"", "explore", "attention"} <= names
    alias = next(key for key, page in at._registered_pages.items() if page["url_pathname"] == "explore")
    at._page_hash = alias
    at.query_params["sample"] = "rocket"
    at.run()
    assert not at.exception
    assert at.title[0].value == "Explore"
    assert {header["title"] for header, *_ in maps(at)} == {"Rocket"}


def test_a_badge_comes_by_itself_for_a_small_model_and_says_what_it_stands_on(explore, monkeypatch):
    made = proof.Proof({}, {}, Badge("mixed", "Made up.", 5, 7, ()), None, ("One thing was left out.",), 0.0)
    monkeypatch.setattr(proof, "measure_proof", lambda *_, **__: made)
    monkeypatch.delenv(trust.BADGES_VARIABLE)
    at = explore(models="vit_tiny50", vit_tiny50__method="saliency")
    assert ":orange-badge[5 of 7 tests passed] Made up." in said(at)
    assert "One thing was left out." in said(at)


def test_a_badge_is_measured_when_it_is_asked_for(explore, monkeypatch):
    made = proof.Proof({}, {}, Badge("passed", "Made up too.", 7, 7, ()), None, (), 0.0)
    monkeypatch.setattr(proof, "measure_proof", lambda *_, **__: made)
    at = explore(models="resnet_tiny50", resnet_tiny50__method="saliency")
    assert "tests passed" not in said(at)
    at.button(key="trust.resnet_tiny50.measure").click().run()
    assert ":green-badge[7 of 7 tests passed] Made up too." in said(settled(at))


def test_in_a_crowd_a_badge_is_asked_for_or_known_already(explore, monkeypatch):
    made = proof.Proof({}, {}, Badge("passed", "Made up for a crowd.", 6, 7, ()), None, (), 0.0)
    monkeypatch.setattr(proof, "measure_proof", lambda *_, **__: made)
    monkeypatch.delenv(trust.BADGES_VARIABLE)
    dispatcher = service().dispatcher
    for number in range(5):
        dispatcher.arrive(f"another {number}")
    at = explore(models="vit_tiny50", vit_tiny50__method="input_x_gradient")
    assert "tests passed" not in said(at)
    at.button(key="trust.vit_tiny50.measure").click().run()
    assert "Made up for a crowd." in said(settled(at))
    other = explore(models="vit_tiny50", vit_tiny50__method="input_x_gradient")  # who comes later sees what was measured
    assert "Made up for a crowd." in said(other)
    for number in range(5):
        dispatcher.leave(f"another {number}")


@pytest.mark.skipif(
    not (os.environ.get("VIZLIB_FULL_TABLE") or os.environ.get("VIZLIB_REST")), reason="half a minute: as in continuous integration"
)
def test_the_map_that_the_page_opens_on_passes_its_badge(explore, monkeypatch):
    """The real measurement, of the transformer: what the first page says of the map it shows."""
    monkeypatch.delenv(trust.BADGES_VARIABLE)
    at = explore(models="vit_tiny50")
    assert ":green-badge[7 of 7 tests passed]" in said(at)


class Endless(Job):
    """A map that is never there."""

    def __init__(self):
        super().__init__("endless")
        self.state = JobState.RUNNING

    def wait(self, timeout=None):
        """Nobody waits for it."""
        return False


def test_the_answer_does_not_wait_for_a_map_that_takes_long(explore, monkeypatch):
    monkeypatch.setattr(columns, "submit_explanation", lambda *_: Endless())
    at = explore()
    for words in (at.markdown[2].value, at.markdown[3].value):
        assert re.search(r"\*\*espresso, \d\d\xa0%\*\* · one of 50 classes$", words), words
    assert all(values is None for _, values, _ in maps(at))
    assert sorted(slot for slot in at.session_state["job_slots.slots"] if slot.startswith("ranking.")) == [
        "ranking.resnet_tiny50",
        "ranking.vit_tiny50",
    ]
