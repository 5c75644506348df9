"""Do the lower bounds of requirements.txt hold? Run by hand: ``python tests/packaging/lowest.py --keep torch torchvision timm captum``.

Makes an environment with every requirement at its lower bound, except those to ``--keep``, which come from the environment that runs
this, and runs a part of the tests in it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = (
    "tests/unit/images", "tests/unit/test_images.py", "tests/unit/test_geometry.py", "tests/unit/cli/test_cli.py",
    "tests/unit/explainers/test_invariants.py", "tests/unit/figures", "tests/app/test_explore.py", "tests/app/test_models_page.py",
)  # fmt: skip


def bounds() -> dict[str, str]:
    """The lower bound of every requirement by name."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {match[1]: match[2] for line in lines if (match := re.match(r"([\w-]+)>=([\d.]+)", line))}


def main() -> int:
    """Install and test; the exit code of the tests."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--keep", nargs="*", default=[], metavar="NAME", help="requirements to take from this environment")
    keep = set(arguments.parse_args().keep)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = next(path for path in (Path(folder) / "bin" / "python", Path(folder) / "Scripts" / "python.exe") if path.exists())
        pins = [f"{name}=={bound}" for name, bound in bounds().items() if name not in keep]
        tests = ["pytest", "pytest-xdist", "pytest-timeout", "hypothesis"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *pins, *tests], check=True)
        if keep:
            own = subprocess.run(
                [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True
            )
            # Behind what was just installed: only what is missing there comes from here.
            shared = [path for path in sys.path if path.endswith("site-packages")]
            (Path(own.stdout.strip()) / "kept.pth").write_text("\n".join(shared) + "\n", encoding="utf-8")
        print(*pins, sep="\n")
        present = [test for test in TESTS if (ROOT / test).exists()]
        return subprocess.run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *present], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
