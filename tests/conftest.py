"""`make test FAST=1`: of every test its first case, without those that tests/slow_tests.txt names; `make times` writes that file again."""

import os
from pathlib import Path

import pytest

SLOW = Path(__file__).parent / "slow_tests.txt"
SECONDS = 0.5  # that the first case of a test may take, with what is set up for it


def pytest_collection_modifyitems(config, items):
    if not os.environ.get("VIZLIB_FAST"):
        return
    seen = set(SLOW.read_text(encoding="utf-8").split())
    chosen, left = [], []
    for item in items:
        (left if _function(item.nodeid) in seen else chosen).append(item)
        seen.add(_function(item.nodeid))
    items[:] = chosen
    config.hook.pytest_deselected(items=left)


class Times:
    """How long the first case of each test took, from its set-up to its end."""

    def __init__(self):
        self.first, self.seconds = {}, {}

    def pytest_runtest_logreport(self, report):
        name = _function(report.nodeid)
        if self.first.setdefault(name, report.nodeid) == report.nodeid:
            self.seconds[name] = self.seconds.get(name, 0.0) + report.duration

    def pytest_sessionfinish(self):
        SLOW.write_text("".join(f"{name}\n" for name, taken in sorted(self.seconds.items()) if taken > SECONDS), encoding="utf-8")


def pytest_configure(config):
    if os.environ.get("VIZLIB_TIMES") and "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(Times())


def _function(nodeid: str) -> str:
    return nodeid.partition("[")[0]


@pytest.hookimpl(trylast=True)
def pytest_report_header():
    return ["FAST: first cases of quick tests alone; make test runs them all"] if os.environ.get("VIZLIB_FAST") else []
