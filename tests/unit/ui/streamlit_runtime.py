"""Streamlit's own runtime, on a loop of its own, for tests of what has no public way."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from unittest.mock import MagicMock

from streamlit.runtime import Runtime, RuntimeConfig


@contextmanager
def running_streamlit(**options):
    """The runtime and its loop, until the end of the block."""
    parts = {name: MagicMock() for name in ("media_file_storage", "uploaded_file_manager", "cache_storage_manager")}
    made = Runtime(RuntimeConfig(script_path="app.py", is_hello=False, **parts, **options))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(made.start(), loop).result(10)
    yield made, loop
    made.stop()
    asyncio.run_coroutine_threadsafe(asyncio.wait_for(made.stopped, 10), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
    Runtime._instance = None
