# SPDX-License-Identifier: BSD-3-Clause
"""`khorig catalogue` prints what the file of bugs has, and says what it cannot make."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from khorig.cli import exit_codes
from khorig.cli.catalogue import catalogue
from khorig.out.catalogue import bugs_without_rule, count_line, unreached_rules
from khorig.rules.bug import State
from khorig.rules.bugs import bugs, read_bugs


def invoke(*words: str) -> Result:
    return CliRunner(mix_stderr=False).invoke(catalogue, words, standalone_mode=False)


def test_every_row_is_in_the_table() -> None:
    lines = invoke().stdout.splitlines()
    rows = {line.split()[0]: line for line in lines if line.startswith("  ")}
    for bug in bugs().values():
        assert bug.what in rows[bug.id] and bug.state.value in rows[bug.id]
        assert all(rule in rows[bug.id] for rule in bug.rules)
    assert count_line(bugs()) in lines


def test_the_counts_add_up() -> None:
    counts = [int(word) for word in count_line(bugs()).split() if word.isdigit()]
    assert counts[0] == len(bugs()) == sum(counts[1:])


def test_one_row_is_whole() -> None:
    text = invoke("r2").stdout
    bug = bugs()["R2"]
    for wanted in (bug.what, bug.phase, "fa759cd75bce", *(way.means for way in bug.ways)):
        assert wanted in text
    assert "FAIL by KHR-I022 in generation 1" in text


def test_json() -> None:
    document = json.loads(invoke("--json").stdout)
    assert [row["id"] for row in document["bugs"]] == list(bugs())
    assert document["rules_without_bug"] == unreached_rules(bugs())
    row = json.loads(invoke("G1", "--json").stdout)
    assert row["ways"][0]["run"]["kernels"] == ["linux-7.3"] * 3


def test_an_unknown_bug_is_refused() -> None:
    result = invoke("R44")
    assert result.exception and "unknown bug 'R44'" in str(result.exception)
    assert "R4" in str(result.exception)


def test_what_nobody_can_make_is_not_made() -> None:
    bug = next(b for b in bugs().values() if b.state is State.IMPOSSIBLE)
    result = invoke("run", bug.id)
    assert result.return_value == exit_codes.NOTHING_RAN
    assert bug.reason in result.stdout


def test_what_a_test_makes_is_named() -> None:
    result = invoke("run", "L7", "T8")
    assert result.return_value == exit_codes.NOTHING_RAN
    assert "python3 -m pytest tests/linux/test_known_bugs.py::test_l7" in result.stdout
    assert "scripts/khorig mutants --of kernel-handover release-twice" in result.stdout


@pytest.mark.parametrize(
    ("way", "rules", "without"),
    [
        ('damage = "magic"\nrule = "KHR-I001"\ngeneration = 1', {"KHR-I001"}, []),
        ('mutant = "boot/e820-count"', set(), ["R1"]),
    ],
)
def test_holes(way: str, rules: set[str], without: list[str]) -> None:
    head = '[[bug]]\nid = "R1"\nwhat = "w"\nfrom = "f"\nstate = "found"\n[[bug.made]]\n'
    found = read_bugs(head + way)
    assert not rules & set(unreached_rules(found))
    assert "KHR-I002" in unreached_rules(found)
    assert bugs_without_rule(found) == without
