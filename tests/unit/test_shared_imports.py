"""Modules that several pages import at once."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys, threading
from vizlib.ui.core import shared_imports
assert not set(shared_imports.MODULES) & set(sys.modules)
importers, seen = set(), []
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in shared_imports.MODULES:
            importers.add(threading.current_thread().name)
sys.meta_path.insert(0, Watch())
def visit():
    shared_imports.wait()
    import pandas, plotly.graph_objects
    seen.append((pandas.DataFrame, plotly.graph_objects.Figure))
threads = [threading.Thread(target=visit, name=f"visitor {n}") for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert len(seen) == 8, seen
assert importers == {"vizlib-imports"}, importers
"""


def test_one_thread_imports_what_many_visitors_need():
    subprocess.run([sys.executable, "-c", CODE], check=True, timeout=120)
