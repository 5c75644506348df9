"""``python -m vizlib.ui.core.server_start run app.py``: Streamlit's command line, with the app's workers starting beside it."""

from __future__ import annotations

import sys

import numpy as np  # noqa: F401  before any thread: Plotly looks for it while it loads and takes one that another thread has half imported

from vizlib.errors import VizlibError
from vizlib.ui.core.workers import processes


def main() -> None:
    """Begin with what takes longest; a visitor's first map waits for the imports of a worker."""
    try:
        processes.begin()
    except VizlibError as error:  # a variable of the environment that means nothing
        sys.exit(str(error))
    from streamlit.web.cli import main as streamlit

    import vizlib.ui.core.navigation  # noqa: F401  or the first visitor's browser would wait for it with a frame of its own

    streamlit(prog_name="streamlit")


if __name__ == "__main__":
    main()
