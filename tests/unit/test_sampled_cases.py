from __future__ import annotations

from collections import Counter
from itertools import pairwise

from sampled_cases import CASES, has_its_turn, sample


def test_a_small_table_runs_whole():
    assert sample([{"name": str(number)} for number in range(CASES)]) == list(range(CASES))


def test_of_one_parameter_so_many_cases_at_even_distances():
    chosen = sample([{"name": str(number)} for number in range(100)])
    assert len(chosen) == CASES
    assert {later - earlier for earlier, later in pairwise(chosen)} <= {8, 9}


def test_of_several_parameters_every_value_is_met_and_no_value_stands_beside_all():
    table = [{"family": f"f{row}", "method": f"m{column}"} for row in range(12) for column in range(30)]
    chosen = [table[number] for number in sample(table)]
    for name, values in (("family", 12), ("method", 30)):
        counts = Counter(case[name] for case in chosen)
        assert len(counts) == values
        assert max(counts.values()) <= 8
    assert len(chosen) <= 41


def test_about_a_tenth_has_its_turn_and_in_the_end_every_case():
    names = [f"tests/test_table.py::test_it[{number}]" for number in range(1000)]
    turns = [{name for name in names if has_its_turn(name, turn)} for turn in map(str, range(100))]
    assert all(60 <= len(turn) <= 140 for turn in turns)
    assert set.union(*turns) == set(names)
    assert turns[0] != turns[1]
    assert turns[0] == {name for name in names if has_its_turn(name, "0")}
