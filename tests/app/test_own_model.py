"""A visitor's own checkpoint: opened, explained, refused in one sentence, kept from others, gone with its visitor."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from app_helpers import components, maps, messages, said, settled
from safetensors.torch import save
from streamlit.runtime import caching

import vizlib
from vizlib.ui.core import formatting, model_loading, user_model_store
from vizlib.ui.core.message_codec import unpack as read
from vizlib.ui.core.model_service import service
from vizlib.ui.core.served import only_this_machine
from vizlib.ui.core.user_model_store import read_labels
from vizlib.ui.widgets import user_model_form

SESSION = "test session id"  # of every AppTest


def weights(name="vit_tiny50", classes=3):
    module = vizlib.load(name, checkpoint="random", num_classes=classes).module
    return save({key: value.contiguous() for key, value in module.state_dict().items()})


def one(at, kind, field):
    return next(widget for widget in getattr(at, kind) if widget.key.startswith(f"own.{field}"))


def fill(at, architecture=None, content=None, labels=None, size=None, name="mine.safetensors"):
    if architecture:
        one(at, "selectbox", "architecture").set_value(architecture)
    if content is not None:
        one(at, "file_uploader", "weights").set_value((name, content, "application/octet-stream"))
    if labels is not None:
        one(at, "file_uploader", "labels").set_value(("labels.txt", labels, "text/plain"))
    if size is not None:
        one(at, "number_input", "size").set_value(size)
    at.button(key="own.open").click().run()
    assert not at.exception
    return at


@pytest.fixture
def form(explore):
    def start(**address):
        at = explore(**({"models": "vit_tiny50"} | address))
        at.button(key="own.show").click().run()
        assert not at.exception
        return at

    return start


@pytest.fixture(autouse=True)
def leaving(monkeypatch):
    """Every visitor leaves in the end."""
    yield
    monkeypatch.setattr(user_model_store, "GRACE", 0.0)
    caching.clear_session_resource_cache(SESSION)
    until(lambda: held() == [] and not any(key.startswith("own:") for key in service()._makers))


def until(condition):
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def store_of(at):
    return at.session_state["user_models.store"]


def held():
    """The keys of the models in the engine's memory that visitors opened."""
    return [key for key in service().backend.host.models._held if key.startswith("own:")]


def test_opens_explains_and_gives_the_code(form, tmp_path, monkeypatch):
    content, labels = weights(), b"\xef\xbb\xbfant\n bee \n\ncat\n"
    at = fill(form(), "vit_tiny50", content, labels)
    assert at.multiselect[0].value == ["vit_tiny50", "own-1"]
    assert at.subheader[1].value == formatting.plain("mine.safetensors") == "mine.safetensors"
    assert sorted(row["label"] for row in components(at, "top_predictions")[1]["rows"]) == ["ant", "bee", "cat"]
    assert not any(widget.key.startswith("own.architecture") for widget in at.selectbox)
    monkeypatch.chdir(tmp_path)
    Path("mine.safetensors").write_bytes(content)
    Path("labels.txt").write_bytes(labels)
    names: dict = {}
    exec(compile(at.code[1].value, "snippet", "exec"), names)  # noqa: S102
    assert np.array_equal(names["explanation"].input_map.astype("<f4"), maps(at)[1][1])
    assert names["model"].labels == ("ant", "bee", "cat")


def test_all_methods_and_classes_are_there(form):
    at = fill(form(), "resnet_tiny50", weights("resnet_tiny50", 4), b"a\nb\nc\nd\n")
    own = components(at, "top_predictions")[1]
    assert own["pickable"]
    at.selectbox(key="explore.own-1.target").set_value(2).run()
    assert components(at, "top_predictions")[1]["chosen"] == 2
    at.selectbox(key="explore.own-1.method").set_value("rollout").run()
    assert "no attention rows" in at.info[0].value


def test_classes_that_do_not_exclude_each_other(form):
    content = weights("vit_tiny50", 3)
    at = form()
    one(at, "selectbox", "activation").set_value("sigmoid")
    at = fill(at, "vit_tiny50", content)
    shares = {row["label"]: row["probability"] for row in components(at, "top_predictions")[1]["rows"]}
    names: dict = {}
    code = at.code[1].value
    assert 'checkpoint="mine.safetensors", activation="sigmoid")' in code
    assert any("· sigmoid" in caption.value for caption in at.caption)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("mine.safetensors").write_bytes(content)
        exec(compile(code, "snippet", "exec"), names)  # noqa: S102
    model, image = names["model"], names["image"]
    expected = model(model.prepare(image))[0].sigmoid().tolist()
    assert [shares[str(index)] for index in range(3)] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("page", ["pages/compare.py", "pages/biases.py"])
def test_on_the_pages_that_take_several_models(visit, page):
    at = visit(page, models="vit_tiny50", **({"images": "cat,coffee"} if "compare" in page else {}))
    at.button(key="own.show").click().run()
    at = settled(fill(at, "resnet_tiny50", weights("resnet_tiny50", 3)))
    assert at.multiselect[0].value == ["vit_tiny50", "own-1"]
    if "compare" in page:
        assert "know different classes, so they are compared by features only." in said(at)
        assert len(messages(at, "layer_pair")) == 1
    else:
        header, arrays = read(messages(at, "response_lab")[0])
        assert [model["title"] for model in header["models"]] == ["ViT", "mine.safetensors"]
        assert arrays["1.answers"].shape[1] == 3
        first, second = header["models"]
        assert first["colour"] != second["colour"]
    assert 'vizlib.load("resnet_tiny50", checkpoint="mine.safetensors")' in "\n".join(code.value for code in at.code)


@pytest.mark.parametrize(
    ("page", "architecture", "component"), [("attention", "vit_tiny50", "attention_canvas"), ("compact", "cct_tiny50", "tokenizer_columns")]
)
def test_on_the_pages_of_one_model(visit, page, architecture, component):
    at = visit(f"pages/{page}.py")
    at.button(key="own.show").click().run()
    at = settled(fill(at, architecture, weights(architecture)))
    assert at.selectbox(key=f"{page}.model").value == "own-1"
    assert b"mine.safetensors" in messages(at, component)[0] or page == "attention"
    assert messages(at, component)
    assert f'vizlib.load("{architecture}", checkpoint="mine.safetensors")' in "\n".join(code.value for code in at.code)
    assert "own" not in str(dict(at.query_params))


def test_a_page_that_cannot_show_it_says_why(visit):
    at = visit("pages/compact.py", model="cct_tiny50")
    at.button(key="own.show").click().run()
    at = settled(fill(at, "resnet_tiny50", weights("resnet_tiny50")))
    assert at.selectbox(key="compact.model").value == "cct_tiny50"
    assert "Not offered here: mine.safetensors (another architecture)." in said(at)


def test_no_link_carries_it(form):
    at = fill(form(), "resnet_tiny50", weights("resnet_tiny50"))
    at.selectbox(key="explore.own-1.target").set_value(1).run()
    written = str(dict(at.query_params))
    assert "own" not in written
    assert store_of(at).cards["own-1"].identity not in written
    assert dict(at.query_params)["models"] in ("vit_tiny50", ["vit_tiny50"])
    at.multiselect[0].set_value(["own-1"]).run()
    assert dict(at.query_params) == {}
    assert components(at, "top_predictions")[0]["chosen"] == 1
    assert "a checkpoint of your own is not part of it" in at.caption[-2].value + at.caption[-1].value


def test_another_input_size(form):
    at = fill(form(), "vit_tiny50", weights(), size=96)
    assert maps(at)[1][0]["input"] == [96, 96]
    assert "image_size=96" in at.code[1].value


def test_the_size_that_weights_were_trained_at_is_read_from_them(form, monkeypatch):
    cards = {**user_model_form.all_cards(), "levit_128s": None}  # a test cannot type what the list does not hold
    monkeypatch.setattr(user_model_form, "all_cards", lambda: cards)
    with torch.random.fork_rng():
        module = timm.create_model("levit_128s", img_size=128, num_classes=3)
    content = save({key: value.contiguous() for key, value in module.state_dict().items()})
    at = fill(form(), "levit_128s", content)
    assert not at.error
    assert maps(at)[1][0]["input"] == [128, 128]
    assert any("levit" in markdown.value and "yours alone" in markdown.value for markdown in at.markdown)
    renamed = save({f"hiera.embeddings.patch_embeddings.{key}": value.contiguous() for key, value in module.state_dict().items()})
    at = fill(form(), "levit_128s", renamed)
    assert at.error[0].value.startswith("The weights are laid out as transformers names them, which levit_128s does not: give the folder")


def test_a_wrong_variant_is_one_sentence_and_nothing_is_lost(form):
    at = fill(form(), "resnet_tiny50", weights(), b"ant\nbee\ncat\n")
    assert at.error[0].value == "The weights do not fit resnet_tiny50; they are those of vit_tiny50: load them by that name."
    assert at.multiselect[0].value == ["vit_tiny50"]
    assert one(at, "file_uploader", "weights").value.name == "mine.safetensors"
    assert held() == []
    assert list(Path(store_of(at)._folder.name).iterdir()) == []
    fill(at, "vit_tiny50")
    assert [row["label"] for row in components(at, "top_predictions")[1]["rows"]]
    assert not at.error


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Choose the architecture"),
        ({"architecture": "vit_tiny50"}, "Add the file with the weights"),
        ({"architecture": "vit_tiny50", "content": b""}, "mine.safetensors is empty"),
        ({"architecture": "vit_tiny50", "content": b"\x80\x02cos\nsystem\n."}, "mine.safetensors"),
        ({"architecture": "vit_tiny50", "content": b"no weights at all"}, "is called .safetensors and is not one: convert it"),
        ({"architecture": "vit_tiny50", "content": "cut"}, "damaged or truncated safetensors"),
        ({"architecture": "vit_tiny50", "content": "whole", "labels": b"a\nb\n"}, "3 classes and was given 2 labels"),
        ({"architecture": "vit_tiny50", "content": "whole", "labels": b"\xff\xfe\x00"}, "labels.txt is not a text file"),
        ({"architecture": "vit_tiny50", "content": "whole", "labels": b"\n \n"}, "holds no labels"),
        ({"architecture": "vit_tiny50", "content": "whole", "size": 50}, "50"),
    ],
)
def test_what_cannot_be_opened_says_so_in_the_librarys_words(form, given, words):
    contents = {"cut": weights()[:4000], "whole": weights()}
    content = given.get("content")
    at = fill(form(), **(given | {"content": contents.get(content, content) if content is not None else None}))
    assert words in at.error[0].value
    assert str(user_model_store.tempfile.gettempdir()) not in at.error[0].value
    assert at.multiselect[0].value == ["vit_tiny50"]
    assert held() == []


def test_which_weights_differ_is_a_click_away(form):
    module = vizlib.load("vit_tiny50", checkpoint="random", num_classes=3).module
    state = {key: value.contiguous() for key, value in module.state_dict().items() if key != "norm.weight"}
    at = fill(form(), "vit_tiny50", save(state))
    assert "\n" not in at.error[0].value
    assert any("missing norm.weight" in code.value for code in at.code)


def test_a_fault_inside_is_no_exception_page(form, monkeypatch):
    monkeypatch.setattr(model_loading, "_check_memory", lambda architecture: 1 / 0)
    at = fill(form(), "vit_tiny50", weights())
    assert "went wrong inside" in at.error[0].value


def test_removing_frees_memory_file_and_answers(form):
    at = fill(form(), "vit_tiny50", weights())
    card = store_of(at).cards["own-1"]
    assert held() == [card.identity]
    assert any(card.identity in models for models, _ in service().dispatcher.results._held)
    assert card.path.is_file()
    at.button(key="own.remove.own-1").click().run()
    assert not at.exception
    assert at.multiselect[0].value == ["vit_tiny50"]
    assert held() == []
    assert not any(card.identity in models for models, _ in service().dispatcher.results._held)
    assert not card.path.exists()


def test_when_the_visitor_leaves_it_is_all_gone(form, monkeypatch):
    monkeypatch.setattr(user_model_store, "GRACE", 0.0)
    at = fill(form(), "vit_tiny50", weights())
    card = store_of(at).cards["own-1"]
    assert held() == [card.identity]
    caching.clear_session_resource_cache(SESSION)  # what Streamlit does when the browser disconnects
    until(lambda: held() == [] and not card.path.parent.exists())
    assert card.identity not in service()._makers
    assert store_of(at).cards == {}


def test_who_was_only_cut_off_finds_it_again(form, monkeypatch):
    at = fill(form(), "vit_tiny50", weights())
    card, before = store_of(at).cards["own-1"], maps(at)[1][1]
    caching.clear_session_resource_cache(SESSION)
    until(lambda: held() == [])
    at.session_state["job_slots.slots"] = {}  # or the page would show the answer it already has
    at.run()
    assert held() == [card.identity]
    assert np.array_equal(maps(at)[1][1], before)
    assert store_of(at)._back.is_set()


def test_another_visitor_neither_sees_nor_names_it(form, explore):
    at = fill(form(), "vit_tiny50", weights())
    card = store_of(at).cards["own-1"]
    for name in ("own-1", card.identity):
        other = explore(models=name)
        assert name not in other.multiselect[0].value
        assert not any("mine.safetensors" in option for option in other.multiselect[0].options)


def test_evicted_it_is_loaded_again(form):
    at = fill(form(), "vit_tiny50", weights())
    service().unload(store_of(at).cards["own-1"].identity)
    at.session_state["explore.sample"] = "coffee"
    at.run()
    assert not at.error
    assert {header["title"] for header, *_ in maps(at)} == {"Coffee"}
    assert all(values is not None for _, values, _ in maps(at))


def test_paths_only_on_this_machine(form, tmp_path, monkeypatch):
    at = form()
    assert not any(widget.key.startswith("own.path") for widget in at.text_input)
    monkeypatch.setattr(user_model_form, "_local", lambda: True)
    at.run()
    module = vizlib.load("vit_tiny50", checkpoint="random", num_classes=3).module
    torch.save(module.state_dict(), tmp_path / "best.pth")
    one(at, "text_input", "path").set_value(str(tmp_path / "worst.pth"))
    fill(at, "vit_tiny50")
    assert "worst.pth does not exist" in at.error[0].value
    one(at, "text_input", "path").set_value(str(tmp_path / "best.pth"))
    fill(at, "vit_tiny50")
    assert at.multiselect[0].value == ["vit_tiny50", "own-1"]
    at.button(key="own.remove.own-1").click().run()
    assert (tmp_path / "best.pth").is_file()  # it is not ours to delete


def test_a_folder_says_its_architecture_itself(form, tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers", reason="a folder as transformers saves it")
    config = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        id2label={0: "ant", 1: "bee", 2: "cat"}, label2id={"ant": 0, "bee": 1, "cat": 2},
    )  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "mine")
    monkeypatch.setattr(user_model_form, "_local", lambda: True)
    at = form()
    monkeypatch.chdir(tmp_path)
    one(at, "text_input", "path").set_value(str(tmp_path / "mine"))
    fill(at)
    assert at.multiselect[0].value == ["vit_tiny50", "own-1"]
    assert sorted(row["label"] for row in components(at, "top_predictions")[1]["rows"]) == ["ant", "bee", "cat"]
    names: dict = {}
    exec(compile(at.code[1].value, "snippet", "exec"), names)  # noqa: S102
    assert np.array_equal(names["explanation"].input_map.astype("<f4"), maps(at)[1][1])
    at.button(key="own.remove.own-1").click().run()
    assert (tmp_path / "mine" / "config.json").is_file()


HERE = {"Host": "localhost:8501", "Origin": "http://localhost:8501"}


@pytest.mark.parametrize(
    ("address", "headers", "local"),
    [
        ("127.0.0.1", HERE, True),
        ("::1", {"Host": "[::1]:8501", "Origin": "http://[::1]:8501"}, True),
        ("0.0.0.0", HERE, False),  # noqa: S104
        (None, HERE, False),
        ("127.0.0.1", HERE | {"Host": "example.org"}, False),
        ("127.0.0.1", HERE | {"Origin": "https://example.org"}, False),
        ("127.0.0.1", HERE | {"Origin": "http://localhost.example.org"}, False),
        ("127.0.0.1", HERE | {"X-Forwarded-For": "10.0.0.1"}, False),
        ("127.0.0.1", {"Host": "localhost"}, False),
        ("127.0.0.1", {}, False),
    ],
)
def test_when_a_page_is_for_this_machine_only(address, headers, local):
    assert only_this_machine(address, headers) == local


def test_labels_and_names():
    assert read_labels(b"\xef\xbb\xbfa\r\n b c \n\n", "l.txt") == ("a", "b c")
    assert formatting.plain("a_*b*[x](y)") == "a\\_\\*b\\*\\[x\\]\\(y)"


def test_an_architecture_too_large_for_the_server_is_refused_before_it_is_built(monkeypatch):
    monkeypatch.setattr(model_loading, "available_memory", lambda: 400_000_000)
    wish = user_model_store.LoadRequest("vit_large_patch16_224.augreg_in21k_ft_in1k", Path("x.safetensors"), "x.safetensors")
    with pytest.raises(vizlib.ModelError, match=r"1217 MB.*200 MB"):
        wish.load(lambda *_: None)
    with pytest.raises(vizlib.ModelError, match=r"resnet152.* takes 241 MB"):
        user_model_store.LoadRequest("resnet152", Path("x"), "x").load(lambda *_: None)


def test_a_name_that_nobody_knows_is_answered_with_the_nearest():
    with pytest.raises(vizlib.ModelError, match="'vit_tiny50'"):
        user_model_store.LoadRequest("vit_tiny5O", Path("x"), "x").load(lambda *_: None)


def test_a_model_removed_while_it_opens_is_not_kept():
    job = SimpleNamespace(cancel=lambda: None, done=False)
    store = user_model_store.UserModelStore(service())
    identity = "own:gone"
    service()._makers[identity] = lambda progress: None
    store.opening = user_model_store.PendingLoad(identity, user_model_store.LoadRequest("vit_tiny50", Path("none"), "none"), job)
    store.close()
    assert identity not in service()._makers
    with pytest.raises(vizlib.CancelledError, match="removed"):
        service()._maker(identity)(None)


@pytest.fixture
def code(tmp_path, monkeypatch):
    """What ``vizlib app --model`` hands over: two models of the user's own code, of which the second fails."""
    lines = ("import vizlib", "def net():", "    return vizlib.load('vit_tiny50').module", "def broken():", "    return 1 / 0")
    (tmp_path / "code_of_mine.py").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(user_model_store.CODE_VARIABLE, "code_of_mine:net,code_of_mine:broken")
    monkeypatch.setattr(user_model_form, "_local", lambda: True)


def with_code(start, **address):
    at = start(**address)
    until(lambda: (at.run(), store_of(at).failures)[1])
    return settled(at.run())


def test_models_of_ones_own_code_are_opened_and_failures_said(explore, code, monkeypatch, tmp_path):
    at = with_code(explore, models="vit_tiny50")
    monkeypatch.chdir(tmp_path)  # where the snippet writes its picture
    assert at.multiselect[0].value == ["vit_tiny50", "own-1"]
    own = maps(at)[1][1]
    assert [error.value for error in at.error] == [
        "code_of_mine\\:broken raised ZeroDivisionError (line 5 of code_of_mine.py): division by zero."
    ]
    names: dict = {}
    exec(compile(at.code[1].value, "snippet", "exec"), names)  # noqa: S102
    assert np.array_equal(names["explanation"].input_map.astype("<f4"), own)
    at.button(key="own.remove.own-1").click().run()
    assert at.run().multiselect[0].value == ["vit_tiny50"]  # and it does not come back


def test_a_model_of_ones_own_code_reaches_the_attention_page(visit, code):
    at = visit("pages/attention.py")
    until(lambda: (at.run(), store_of(at).failures and messages(at, "attention_canvas"))[1])
    assert at.selectbox(key="attention.model").value == "own-1"


def test_the_next_model_of_ones_own_code_opens_while_the_page_looks_on(explore, code, tmp_path, monkeypatch):
    go = tmp_path / "go"
    lines = ("import pathlib, time, vizlib", "def net():", "    return vizlib.load('vit_tiny50').module", "def slow():")
    waits = (f"    while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)", "    return vizlib.load('resnet_tiny50').module")
    (tmp_path / "slow_code_of_mine.py").write_text("\n".join((*lines, *waits)), encoding="utf-8")
    monkeypatch.setenv(user_model_store.CODE_VARIABLE, "slow_code_of_mine:net,slow_code_of_mine:slow")
    at = explore(models="vit_tiny50")
    try:
        assert at.multiselect[0].value == ["vit_tiny50", "own-1"]
        assert at.button(key="stop.own")  # what follows a job brings the page back when it ends
    finally:
        go.touch()
    assert store_of(at).opening.job.wait(30)
    assert settled(at.run()).multiselect[0].value == ["vit_tiny50", "own-1", "own-2"]


def test_own_code_is_run_only_where_the_app_serves_its_own_machine(explore, code, monkeypatch):
    monkeypatch.setattr(user_model_form, "_local", lambda: False)
    at = explore(models="vit_tiny50")
    assert (store_of(at).opening, at.multiselect[0].value) == (None, ["vit_tiny50"])
