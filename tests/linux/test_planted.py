# SPDX-License-Identifier: BSD-3-Clause
"""Bugs planted in Linux's own code are found between two Linuxes, soon, and are the giver's or the
receiver's as they should be."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

import pytest
from planted_tree import PATCHES, PlantedTree

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.linux.build import missing_packages
from khorig.linux.source import linux_apt
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import GUEST, MEMFDS
from khorig.vm.machines import machine_named

_VERSION = "7.3"
_PACKAGE = f"linux-source-{_VERSION}"
_SOON_S = 120.0  # a whole run, on a busy host; it takes 15


@dataclass(frozen=True)
class Bug:
    """A patch, and what the rig has to say of the kernel that has it."""

    patch: str
    rule: str
    words: str  # a regular expression for the cause
    gives: bool = (
        True  # whether it shows when the kernel hands over, or when it takes over and dies
    )


BUGS = (
    Bug(
        "memfd-last-folio",
        GUEST,
        r"liveupdate: memfd 'whole' .*, preserved: 1 of 300 pages lost their content: page 299: "
        r"word at \+0x0 is 0x0, expected 0x[0-9a-f]+",
    ),
    Bug("memfd-flags", MEMFDS, r"memfd 'whole': \d+ of \d+ folios are not dirty and up to date"),
    Bug("memfd-size", "KHR-I057", r".*a folio for page 37 of a file of 37 pages"),
    Bug("memfd-seals", MEMFDS, r"memfd 'sealed': seals 0x7 is handed over, expected 0xf"),
    Bug("unpreserved-tail", "KHR-I047", "page of memblock/reference is not preserved"),
    Bug("given-back", GUEST, "BUG: Bad page state in process swapper", gives=False),
)


@pytest.fixture(name="tree", scope="module")
def tree_fixture() -> PlantedTree:
    """The tree, in the user's cache."""
    if missing := [*missing_packages(), *(() if shutil.which("patch") else ("patch",))]:
        pytest.skip(f"missing packages: apt-get install {' '.join(missing)}")
    if linux_apt().kept(_PACKAGE) is None:
        pytest.skip(f"no {_PACKAGE} in the cache: scripts/khorig linux build --version {_VERSION}")
    return PlantedTree(_VERSION)


def test_every_patch_is_tried() -> None:
    assert {path.stem for path in PATCHES.glob("*.patch")} == {bug.patch for bug in BUGS}


@each_arch
@pytest.mark.parametrize("bug", BUGS, ids=[bug.patch for bug in BUGS])
def test_a_planted_bug_is_named_and_blamed(
    rig: Rig, machine: str, bug: Bug, tree: PlantedTree
) -> None:
    tree.plant(PATCHES / f"{bug.patch}.patch")
    planted = tree.build(machine_named(machine).arch).pinned
    sound = f"linux-{_VERSION}"
    guilty = 1 if bug.gives else 2
    for kernels in ((planted, sound), (sound, planted), (planted, planted)):
        result = rig.run(machine, kernels=kernels)
        if kernels[guilty - 1] == planted:
            _is_named(result, bug, guilty)
        else:
            result.expect_pass()


def _is_named(result: RigResult, bug: Bug, guilty: int) -> None:
    assert result.findings[0].generation == guilty, result
    named = [f for f in result.findings if f.rule == bug.rule and re.match(bug.words, f.what)]
    assert named, result
    if bug.gives:
        assert result.verdict is Verdict.FAIL and result.findings[0].rule == bug.rule, result
    else:  # the first cause may be a page that had changed by then, which the rig finds as well
        assert named[0].verdict is Verdict.CRASH, result
    assert result.wall_s < _SOON_S, result
