"""What an explanation costs beside its floor: ``python benchmarks/floors.py`` is ``vizlib bench``, run from the checkout."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vizlib.cli import app

if __name__ == "__main__":
    app(["bench", *sys.argv[1:]], prog_name="vizlib")
