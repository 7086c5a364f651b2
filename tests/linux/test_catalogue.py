# SPDX-License-Identifier: BSD-3-Clause
"""Every bug of the catalogue that takes a Linux is found as the catalogue says: the control passes,
and the run with the defect fails with that rule first."""

from __future__ import annotations

import pytest

from khorig.api.bug_maker import BugMaker, Made, combinations
from khorig.pytest_plugin import PytestRig


def name_of(made: Made) -> str:
    bug, way, machine = made
    return f"{bug.id}-{way.means}-{machine}"


@pytest.fixture(scope="module", name="maker")
def bug_maker(tmp_path_factory: pytest.TempPathFactory) -> BugMaker:
    """One for all tests: they share controls."""
    return BugMaker(PytestRig(tmp_path_factory.mktemp("catalogue")))


@pytest.mark.parametrize(
    "made", [made for machines in combinations(linux=True) for made in machines], ids=name_of
)
def test_a_bug_is_found(maker: BugMaker, made: Made) -> None:
    bug, way, machine = made
    result = maker.make(bug, way, machine)
    assert result.is_found, f"{bug.id} on {machine}, {way.means}: {result.why_not}"
