"""Which names a request may give the app: those of this machine, or the operator's."""

from __future__ import annotations

import pytest

from vizlib.cli.app import HOSTS_VARIABLE, LOOPBACK, allowed_hosts

OPTION = "--server.allowedHosts="
HERE = [OPTION + name for name in LOOPBACK]


@pytest.mark.parametrize(
    ("names", "for_others", "variable", "options"),
    [
        ([], False, None, []),
        ([], True, None, [OPTION + "*"]),
        (["a.example"], True, None, [*HERE, OPTION + "a.example"]),
        (["a.example", "b.example"], False, None, [*HERE, OPTION + "a.example", OPTION + "b.example"]),
        ([], True, "c.example", []),
        (["a.example"], True, "c.example", [*HERE, OPTION + "a.example"]),
    ],
)
def test_the_names_that_are_let_in(monkeypatch, names, for_others, variable, options):
    monkeypatch.delenv(HOSTS_VARIABLE, raising=False)
    if variable:
        monkeypatch.setenv(HOSTS_VARIABLE, variable)
    assert allowed_hosts(names, for_others=for_others) == options
