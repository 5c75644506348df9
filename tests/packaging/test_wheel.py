"""The wheel is the whole product: built, installed beside the environment's dependencies, and used where no checkout is in sight."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
_MAPPED = {"app.py": "vizlib/_product/app.py", "pages": "vizlib/_product/pages", "assets": "vizlib/_product/assets"}


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel, and an empty folder to use it from."""

    bin: Path
    empty: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """One of the environment's programs, in the empty folder."""
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]], cwd=self.empty, env=_environment(), capture_output=True, text=True, timeout=300
        )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "STREAMLIT_"))} | {"OMP_NUM_THREADS": "1"}


def _build(kind: str, source: Path, folder: Path) -> Path:
    # The build backend is called as pip calls it, in this environment: nothing is fetched.
    script = f"import sys; from hatchling import build; print(build.build_{kind}(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", script, str(folder)], cwd=source, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the project alone, so that nothing that lies about is built in, and nothing built is left behind."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in _tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("wheel", checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=120)
    folder = home / ("Scripts" if os.name == "nt" else "bin")
    own = subprocess.run(
        [str(folder / "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True
    )
    dependencies = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (Path(own.stdout.strip()) / "dependencies.pth").write_text("\n".join(dependencies) + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "python"), "install", "--no-deps", "--no-index", "--quiet", str(wheel)]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    empty = tmp_path_factory.mktemp("empty")
    return Installed(folder, empty)


def _tracked() -> list[str]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("What belongs to the project is read from git, and this is no checkout of it.")
    listed = subprocess.run(["git", "ls-files", "-z", "--cached"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_every_file_of_the_product_is_in_the_wheel(wheel: Path) -> None:
    expected = set()
    for name in _tracked():
        top = name.partition("/")[0]
        if top == "vizlib":
            expected.add(name)
        elif top in _MAPPED:
            expected.add(_MAPPED[top] + name[len(top) :])
    expected.add("vizlib/_product/.streamlit/config.toml")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("METADATA"))
        licences = {Path(name).name for name in archive.namelist() if ".dist-info/licenses/" in name}
    assert names == expected
    assert licences == {"LICENSE", "NOTICE"}
    required = {
        re.split(r"[><=]", line)[0].strip() for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if line[:1].isalpha()
    }
    assert {
        re.split(r"[><=;]", line[15:])[0].strip()
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist: ") and "extra" not in line
    } == required


def test_the_source_archive_builds_the_same_wheel(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    source = _build("sdist", checkout, tmp_path)
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    again = _build("wheel", next((tmp_path / "unpacked").iterdir()), tmp_path)
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {entry.filename: entry.CRC for entry in first.infolist()} == {entry.filename: entry.CRC for entry in second.infolist()}


def test_the_library_works_without_a_checkout(installed: Installed) -> None:
    script = """
import json, vizlib
from skimage import data
model = vizlib.load("vit_tiny50")
explanation = vizlib.explain(model, data.cat(), "rollout")
print(json.dumps({
    "home": vizlib.__file__,
    "bundled": [card.name for card in vizlib.models() if card.source == "bundled"],
    "trained": [card.name for card in vizlib.models() if card.source == "bundled" and card.accuracy is not None],
    "label": explanation.label, "sum": float(explanation.input_map.sum() + explanation.sink),
}))
"""
    done = installed.run("python", "-c", script)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert not Path(told["home"]).is_relative_to(ROOT)
    assert len(told["bundled"]) == len(told["trained"]) == 8
    assert told["sum"] == pytest.approx(1, abs=1e-9)
    here = subprocess.run(
        [sys.executable, "-c", script.replace('"home": vizlib.__file__', '"home": ""')],
        cwd=ROOT, env=_environment(), capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert json.loads(here.stdout.splitlines()[-1]) == told | {"home": ""}


def test_the_commands_work_without_a_checkout(installed: Installed) -> None:
    from vizlib.cli import app

    listed = installed.run("vizlib", "models", "--json")
    assert listed.returncode == 0, listed.stderr
    assert {"vit_tiny50", "resnet_tiny50"} <= {card["name"] for card in json.loads(listed.stdout)}
    for command in app.registered_commands:
        assert command.name is not None
        done = installed.run("vizlib", *command.name.split(), "--help")
        assert done.returncode == 0, done.stderr
    help_of_app = installed.run("python", "-m", "vizlib", "app", "--help")
    assert {"--port", "--address", "--no-browser"} <= set(re.findall(r"--[a-z-]+", help_of_app.stdout))


@pytest.fixture
def served(installed: Installed) -> Iterator[int]:
    """The port of an app that was started in a folder whose own settings, those of some other project, ask for the opposite."""
    other = installed.empty / ".streamlit" / "config.toml"
    other.parent.mkdir(exist_ok=True)
    other.write_text(
        '[browser]\ngatherUsageStats = true\n[client]\nshowErrorDetails = "full"\n[server]\naddress = "0.0.0.0"\n'
        '[theme.light]\nprimaryColor = "#ff0000"\n',
        encoding="utf-8",
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(installed.bin / "vizlib"), "app", "--port", str(port), "--no-browser"]
    log = installed.empty / "server.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=installed.empty, env=_environment(), stdout=output, stderr=subprocess.STDOUT)
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5)
                    break
                except OSError:
                    assert process.poll() is None, log.read_text(encoding="utf-8")
                    time.sleep(0.1)
            yield port
            said = log.read_text(encoding="utf-8")  # before the end: what the interpreter says on its way down is not the app's
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:  # its imports may still be under way; how it ends is not what is tested here
                process.kill()
                process.wait()
            shutil.rmtree(other.parent)
    assert "Traceback" not in said


def test_the_app_starts_in_an_empty_folder_with_its_own_settings(installed: Installed, served: int) -> None:
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    with urllib.request.urlopen(f"http://127.0.0.1:{served}/") as page:
        assert b"<html" in page.read()
    start = BackMsg()
    start.rerun_script.query_string = ""
    start.rerun_script.SetInParent()
    heading = session = None
    pages = 0
    with connect(
        f"ws://127.0.0.1:{served}/_stcore/stream", subprotocols=["streamlit"], max_size=None, origin=f"http://127.0.0.1:{served}"
    ) as ws:  # type: ignore[list-item, arg-type]
        ws.send(start.SerializeToString())
        until = time.monotonic() + 120
        while heading is None:
            assert time.monotonic() < until, "no heading came"
            message = ForwardMsg()
            message.ParseFromString(ws.recv(timeout=60))
            kind = message.WhichOneof("type")
            if kind == "new_session":
                session = message.new_session
            elif kind == "delta":
                element = message.delta.new_element
                assert element.WhichOneof("type") != "exception", element.exception.message
                if element.WhichOneof("type") == "heading":
                    heading = element.heading.body
            elif kind == "navigation":
                pages = len(message.navigation.app_pages)
    assert session is not None
    assert pages == 1 + len(list((ROOT / "pages").glob("*.py")))  # /explore is a link too, beside the root
    assert session.config.gather_usage_stats is False
    light = settings["theme"]["light"]["primaryColor"]
    assert light in {session.custom_theme.primary_color, session.custom_theme.light.primary_color}
    assert _upgrade(served, f"127.0.0.1:{served}") == 101
    assert _upgrade(served, f"elsewhere.example:{served}") == 403  # a name that came to point here
    if Path("/proc/net/tcp").exists():
        table = Path("/proc/net/tcp").read_text(encoding="ascii") + Path("/proc/net/tcp6").read_text(encoding="ascii")
        rows = [line.split() for line in table.splitlines() if ":" in line]
        assert {row[1] for row in rows if row[1].endswith(f":{served:04X}") and row[3] == "0A"} == {f"0100007F:{served:04X}"}
    shown = installed.run(
        "python", "-c",
        "from streamlit import config; from vizlib.files.product import product_root;"
        "config._main_script_path = str(product_root() / 'app.py');"
        "print(*(config.get_option(name) for name in ('client.showErrorDetails', 'server.address', 'browser.gatherUsageStats')))",
    )  # fmt: skip
    assert shown.stdout.split() == ["none", "127.0.0.1", "False"], shown.stderr


def _upgrade(port: int, host: str) -> int:
    """The status that a websocket's first request gets which names this host."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "streamlit"}
    connection.request(
        "GET", "/_stcore/stream", headers={"Host": host, "Origin": f"http://{host}", "Connection": "Upgrade", "Upgrade": "websocket", **key}
    )
    status = connection.getresponse().status
    connection.close()
    return status


def test_every_page_opens_without_a_checkout(installed: Installed) -> None:
    done = installed.run("python", str(ROOT / "tests/packaging/open_pages.py"))
    assert done.returncode == 0, done.stderr
    pages = [json.loads(line) for line in done.stdout.splitlines()]
    assert [page["page"] for page in pages] == sorted(path.stem for path in (ROOT / "pages").glob("*.py"))
    assert not [page for page in pages if page["wrong"] or not page["title"]]
    home = Path(pages[0]["home"])
    assert home.is_relative_to(installed.bin.parent), home


def test_a_taken_port_is_one_sentence(installed: Installed) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = installed.run("vizlib", "app", "--port", str(port), "--no-browser")
    assert done.returncode == 2
    assert f"Port {port}" in done.stderr
    assert "Traceback" not in done.stderr
