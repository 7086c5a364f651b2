# SPDX-License-Identifier: BSD-3-Clause
"""Every bug of the catalogue that khorig's own kernel can have is found as the catalogue says: the
control passes, and the run with the defect fails with that rule first."""

from __future__ import annotations

import pytest

from khorig.api.bug_maker import BugMaker, Made, combinations
from khorig.pytest_plugin import PytestRig
from khorig.rules.bugs import bugs
from khorig.run.faults import known_faults


def name_of(made: Made) -> str:
    bug, way, machine = made
    return f"{bug.id}-{way.means}-{machine}"


WAYS = combinations(linux=False)
# One way to make each bug, on one machine; the others at night.
FIRST = list({made[0].id: made for machines in reversed(WAYS) for made in machines[:1]}.values())
OTHERS = [made for machines in WAYS for made in machines if made not in FIRST]


@pytest.fixture(scope="module", name="maker")
def bug_maker(tmp_path_factory: pytest.TempPathFactory) -> BugMaker:
    """One for all tests: they share controls."""
    return BugMaker(PytestRig(tmp_path_factory.mktemp("catalogue")))


def expect_found(maker: BugMaker, made: Made) -> None:
    bug, way, machine = made
    result = maker.make(bug, way, machine)
    assert result.is_found, f"{bug.id} on {machine}, {way.means}: {result.why_not}"


def test_faults_are_the_kernels() -> None:
    """And each says of which bugs it is one."""
    known = known_faults()
    for bug in bugs().values():
        for way in bug.ways:
            if way.fault:
                assert bug.id in known[way.fault].bugs, f"{bug.id}: fault {way.fault}"


@pytest.mark.parametrize("made", FIRST, ids=name_of)
def test_a_bug_is_found(maker: BugMaker, made: Made) -> None:
    expect_found(maker, made)


@pytest.mark.parametrize("made", OTHERS, ids=name_of)
def test_a_bug_is_found_in_other_ways(maker: BugMaker, made: Made) -> None:
    expect_found(maker, made)
