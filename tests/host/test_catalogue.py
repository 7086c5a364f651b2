# SPDX-License-Identifier: BSD-3-Clause
"""The catalogue of bugs is whole, and names nothing that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutant_list import read_lists

from khorig.guest.poke import parse_poke
from khorig.rules.bug import PHASES, Bug, State
from khorig.rules.bugs import CatalogueError, bugs, read_bugs
from khorig.rules.finding import Verdict
from khorig.rules.registry import RULES
from khorig.rules.way import Way
from khorig.run.damage.catalogue import DAMAGES
from khorig.run.tamper.catalogue import TAMPERINGS
from khorig.vm.machines import MACHINES

ROOT = Path(__file__).resolve().parents[2]

# R18 was found by the rig itself.
LAST = {"R": 18, "S": 8, "L": 14, "Q": 13, "J": 18, "E": 16, "T": 12, "G": 9, "A": 10, "I": 8,
        "N": 17}  # fmt: skip
WAYS = [(bug, way) for bug in bugs().values() for way in bug.ways]


def test_every_bug_has_a_row() -> None:
    expected = [f"{letter}{number}" for letter in LAST for number in range(1, LAST[letter] + 1)]
    assert list(bugs()) == expected
    assert list(LAST) == list(PHASES)


@pytest.mark.parametrize("bug", bugs().values(), ids=list(bugs()))
def test_a_row_is_decided(bug: Bug) -> None:
    assert bug.what and bug.origin
    if bug.state is State.FOUND:
        assert bug.ways and not bug.reason
    else:
        assert len(bug.reason) > 20 and not bug.ways
    if bug.state is State.LINUX_IS_RIGHT:
        assert bug.reason.startswith("7."), "the version"


@pytest.mark.parametrize(("bug", "way"), WAYS, ids=[f"{b.id}-{w.means}" for b, w in WAYS])
def test_a_way_names_what_is_there(bug: Bug, way: Way) -> None:
    defects = (way.fault, way.damage, way.poke, way.defect, way.header, way.mutant, way.test)
    assert sum(map(bool, defects)) == 1
    assert set(way.machines) <= {machine.name for machine in MACHINES}
    assert not way.rule or way.rule in RULES
    assert not way.damage or way.damage in DAMAGES
    assert not way.poke or parse_poke(way.poke)
    assert not way.mutant or way.mutant in {mutant.name for mutant in read_lists(ROOT)}
    if way.is_run:
        assert way.rule and way.generation and way.machines
        assert way.verdict in (Verdict.FAIL, Verdict.CRASH, Verdict.HANG)
    if way.test:
        file, _, name = way.test.partition("::")
        assert f"def {name or 'test_'}" in (ROOT / file).read_text(encoding="utf-8")


def test_every_damage_is_of_a_bug() -> None:
    """Tamperings have a use of their own."""
    used = {way.damage for _, way in WAYS}
    assert set(DAMAGES) - set(TAMPERINGS) <= used


ROW = """
[[bug]]
id = "R1"
what = "w"
from = "f"
state = "found"
[[bug.made]]
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROW.replace("what", "waht"), "bug R1: unknown key 'waht'"),
        (ROW.replace('state = "found"', 'state = "lost"'), "bug R1: 'lost' is not a valid State"),
        (ROW.replace('what = "w"\n', ""), "bug R1: 'what'"),
        (ROW + 'falut = "x"', "bug R1: unknown key 'falut'"),
        (ROW + 'defect = { knobs = 1 }', "bug R1: unknown option 'knobs'"),
        (ROW + 'verdict = "GOOD"', "bug R1: 'GOOD' is not a valid Verdict"),
        (ROW + ROW, "bug R1 is there twice"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        read_bugs(text)


def test_no_bug_that_was_found_is_lost() -> None:
    """At least so many are found."""
    assert sum(bug.state is State.FOUND for bug in bugs().values()) >= 90
