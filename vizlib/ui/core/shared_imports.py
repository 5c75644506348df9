"""What several visitors' pages import at the same moment: imported by one thread first, for a module that two import may be half there."""

from __future__ import annotations

import importlib
import threading

MODULES = ("pandas", "pyarrow", "plotly.graph_objects", "plotly.subplots")

_lock = threading.Lock()
_thread: threading.Thread | None = None


def begin() -> None:
    """Have the imports begin, once for all."""
    global _thread  # noqa: PLW0603  one thread for the process
    with _lock:
        if _thread is None:
            _thread = threading.Thread(target=_import_all, name="vizlib-imports", daemon=True)
            _thread.start()


def wait() -> None:
    """Wait until they are done; a page calls it when its heading is out, and before anything that may need one of them."""
    begin()
    if _thread is not None:
        _thread.join()


def _import_all() -> None:
    for name in MODULES:
        importlib.import_module(name)
