"""How much of the tests runs: all with FULL=1, as before a release; by default what takes some minutes; least with FAST=1.

By default the tables of tests/large_tables.txt are sampled, and the longest cases of tests/slow_tests.txt and the browser's tests left
out; FAST=1 takes the first case of every unit test, without all that the second file names; `make times` writes both again. REST=1, for
continuous integration after `make coverage`, which has run the quick ones: what the default leaves out, and each VIZLIB_TURN, which is the
commit there, other cases where there are many. Of the longest and of the browser's tests the first case of each, and of their other cases
a fifth and a third; a tenth of what is beyond the samples, and half of what `make test` has run before the commit. REST=1 FULL=1: all that
`make coverage` has not run.
"""

import os
import signal
import time
from collections import defaultdict
from pathlib import Path

import pytest
from sampled_cases import CASES, FIFTH, HALF, TENTH, THIRD, has_its_turn, sample

HERE = Path(__file__).parent
SLOW, LARGE, BROWSER = HERE / "slow_tests.txt", HERE / "large_tables.txt", HERE / "browser"
COVERED = {HERE / "unit", HERE / "parity"}  # whose quick cases `make coverage` runs
NOTED = 0.5  # seconds of processor time that the first case of a test may take for FAST
LONG = 1.0  # and that a case may take by default
TABLE = 1.5  # and that the cases of one test take in all, those aside, before they are sampled
QUICK, IN_BROWSER = 0.1, 7.0  # what a case takes that the file does not name, about
TURN = os.environ.get("VIZLIB_TURN", "")

FULL, FAST, TIMES, REST = (bool(os.environ.get(f"VIZLIB_{name}")) for name in ("FULL_TABLE", "FAST", "TIMES", "REST"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    slow = _noted(SLOW)
    if not (TIMES or (FULL and not FAST and not REST) or _named_by_hand(config)):
        _leave_out(config, items, slow)
    if hasattr(config, "workerinput"):
        _longest_files_first(items, slow)


def _noted(path: Path) -> dict[str, float]:
    """The seconds of processor time of a test or a case by its name."""
    return {name: float(seconds) for seconds, name in (line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines())}


def _leave_out(config, items, slow: dict[str, float]) -> None:
    if FAST:
        left = _after_the_first(items, {_function(name) for name in slow})
    elif REST:
        covered = [item for item in items if COVERED & set(item.path.parents)]
        later = _after_the_first(covered, {_function(name) for name in slow})
        left = {item: None for item in covered if item not in later}
        if not FULL:
            beyond = _beyond_the_sample(items, set())
            left |= {item: None for item in _of_make_test(items, beyond, slow) if not has_its_turn(item.nodeid, TURN, HALF)}
            left |= {item: None for item in beyond if not has_its_turn(item.nodeid, TURN, TENTH)}
            left |= {item: None for item in _other_long(items, slow) if not has_its_turn(item.nodeid, TURN, FIFTH)}
            left |= {item: None for item in _other_visits(items) if not has_its_turn(item.nodeid, TURN, THIRD)}
    else:
        left = _beyond_the_sample(items, {name for name, seconds in slow.items() if seconds > LONG})
        if not any("browser" in argument for argument in config.args):
            left |= {item: None for item in items if BROWSER in item.path.parents}
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=list(left))


def _longest_files_first(items, slow: dict[str, float]) -> None:
    """A file's tests stay with one worker, and a long file begun last would keep the others waiting."""
    seconds = defaultdict(float)
    for item in items:
        seconds[item.path] += slow.get(item.nodeid, IN_BROWSER if BROWSER in item.path.parents else QUICK)
    items.sort(key=lambda item: -seconds[item.path])


def _named_by_hand(config) -> bool:
    """Whether single tests were asked for: all of their cases run."""
    return any("::" in argument for argument in config.args) or bool(config.option.keyword)


def _after_the_first(items, seen: set[str]) -> dict:
    left = {}
    for item in items:
        if _function(item.nodeid) in seen:
            left[item] = None
        seen.add(_function(item.nodeid))
    return left


def _beyond_the_sample(items, long: set[str]) -> dict:
    tables = defaultdict(list)
    for item in items:
        tables[_function(item.nodeid)].append(item)
    left, large = {}, _noted(LARGE)
    for name, table in tables.items():
        kept = set(sample([_values(item) for item in table]) if name in large else range(len(table)))
        left |= {item: None for number, item in enumerate(table) if number not in kept or item.nodeid in long}
    return left


def _of_make_test(items, beyond, slow: dict[str, float]) -> list:
    """What `make test` runs, so that it was asked before each commit."""
    return [item for item in items if item not in beyond and slow.get(item.nodeid, 0.0) <= LONG and BROWSER not in item.path.parents]


def _other_long(items, slow: dict[str, float]) -> list:
    """The longest cases of a test after the first of them, those of the browser aside."""
    long = [item for item in items if slow.get(item.nodeid, 0.0) > LONG and BROWSER not in item.path.parents]
    return list(_after_the_first(long, set()))


def _other_visits(items) -> list:
    """The cases of the browser's tests after the first: other models, sizes, themes, pictures."""
    asked = [item for item in items if BROWSER in item.path.parents]
    return list(_after_the_first(asked, set()))


def _values(item) -> dict[str, str]:
    callspec = getattr(item, "callspec", None)
    return {name: repr(value)[:200] for name, value in callspec.params.items()} if callspec else {}


def _function(nodeid: str) -> str:
    return nodeid.partition("[")[0]


class Times:
    """The processor time of every case, from its set-up to its end, of this process and those it started."""

    def __init__(self):
        self.first, self.seconds = {}, {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item):
        return (yield from self._measured(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item):
        return (yield from self._measured(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item):
        return (yield from self._measured(item))

    @staticmethod
    def _measured(item):
        before = _processor_time()
        try:
            return (yield)
        finally:
            item.user_properties.append(("processor time", _processor_time() - before))

    def pytest_runtest_logreport(self, report):
        if report.when == "teardown":
            self.seconds[report.nodeid] = sum(seconds for what, seconds in report.user_properties if what == "processor time")
            self.first.setdefault(_function(report.nodeid), report.nodeid)

    def pytest_sessionfinish(self):
        if "PYTEST_XDIST_WORKER" in os.environ or not self.seconds:  # cases that were only listed tell no times
            return
        firsts = set(self.first.values())
        noted = {name: taken for name, taken in self.seconds.items() if taken > LONG or (name in firsts and taken > NOTED)}
        tables = defaultdict(list)
        for name, taken in self.seconds.items():
            tables[_function(name)].append(taken if taken <= LONG else 0.0)
        large = {name: sum(table) for name, table in tables.items() if len(table) > CASES and sum(table) > TABLE}
        for path, named in ((SLOW, noted), (LARGE, large)):
            path.write_text("".join(f"{taken:.1f} {name}\n" for name, taken in sorted(named.items())), encoding="utf-8")
        print(f"\n{sum(self.seconds.values()):.0f} seconds of processor time in {len(self.seconds)} cases")


def _processor_time() -> float:
    now = os.times()
    return time.process_time() + now.children_user + now.children_system


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background: commands that tests interrupt would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if TIMES:
        config.pluginmanager.register(Times())


@pytest.hookimpl(trylast=True)
def pytest_report_header():
    if FAST:
        return ["FAST: first cases of quick tests alone; make test runs more, make test FULL=1 all"]
    if REST:
        some = (
            "all"
            if FULL
            else "half of what make test runs, a tenth of what is beyond its samples, of the longest and of the browser's tests the first "
            f"case, and a fifth and a third of the others (VIZLIB_TURN={TURN})"
        )
        return [f"{some}, but what make coverage runs"]
    return [] if FULL or TIMES else ["large tables are sampled, the longest cases and the browser left out; make test FULL=1 runs all"]
