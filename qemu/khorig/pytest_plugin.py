# SPDX-License-Identifier: BSD-3-Clause
"""Handovers under QEMU as pytest tests (docs/library.md).

    from khorig.pytest_plugin import each_arch

    @each_arch
    def test_handover(rig, machine):
        rig.run(machine, "handover").expect_pass()

A run that fails leaves its folder and says in the test's report what `khorig run` would print: the
verdict, the rule, the page, its owner, and the command that runs it again.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any, Iterator

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import NotPassed, RigResult
from khorig.linux.peer import Peer, find_peer
from khorig.vm.errors import InfraError
from khorig.vm.machines import DEFAULT_MACHINES, MACHINES, machine_named

each_arch = pytest.mark.parametrize("machine", DEFAULT_MACHINES)
each_machine = pytest.mark.parametrize("machine", [machine.name for machine in MACHINES])

_OUT_OF_BAZEL = "TEST_UNDECLARED_OUTPUTS_DIR"
_FAILED = pytest.StashKey[bool]()


class PytestRig(Rig):
    """A Rig for one test: a chain with a Linux that is not built skips it."""

    def run(self, machine: str, *words: Any, **options: Any) -> RigResult:
        """See Rig."""
        for kernel in options.get("kernels", ()):
            if kernel.startswith("linux-"):
                built_peer(machine_named(machine).arch, kernel)
        return super().run(machine, *words, **options)


def built_peer(arch: str, name: str) -> Peer:
    """A Linux in the cache, "linux-7.2"; without it the test is skipped, with the command that
    builds it."""
    try:
        return find_peer(arch, name)
    except InfraError as error:
        pytest.skip(f"{error.what}; {' '.join(error.evidence)}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """See pytest."""
    group = parser.getgroup("khorig", "handovers under QEMU")
    group.addoption(
        "--khorig-out",
        type=Path,
        metavar="DIR",
        help="Keep what every run leaves below DIR.  [default: only that of tests that fail, below "
        "pytest's --basetemp]",
    )
    group.addoption(
        "--khorig-build",
        type=Path,
        metavar="DIR",
        help="Folder with khorig's kernels.  [default: $KHORIG_BUILD, or bazel-bin/kernel of the "
        "checkout]",
    )


def pytest_configure(config: pytest.Config) -> None:
    """See pytest. Processes that tests start use the same kernels."""
    if build := config.getoption("--khorig-build"):
        os.environ["KHORIG_BUILD"] = os.path.abspath(build)


@pytest.fixture
def khorig_out(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Where the runs of a test leave their folders; removed when the test passes, unless
    --khorig-out keeps it."""
    chosen = request.config.getoption("--khorig-out")
    if parent := chosen or os.environ.get(_OUT_OF_BAZEL):
        out = Path(parent).absolute() / re.sub(r"[^\w.,+-]+", "-", request.node.name)
    else:
        out = tmp_path / "khorig"
    yield out
    if not chosen and not request.node.stash.get(_FAILED, False):
        shutil.rmtree(out, ignore_errors=True)


@pytest.fixture
def rig(khorig_out: Path) -> Rig:
    """Runs real kernels under QEMU; see khorig.Rig."""
    return PytestRig(khorig_out)


def pytest_exception_interact(
    node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any], report: object
) -> None:
    """See pytest. The report of a failed test has what is printed about its last run."""
    node.stash[_FAILED] = True
    if call.excinfo is not None and call.excinfo.errisinstance(NotPassed):
        return  # it has the same text
    for rig in getattr(node, "funcargs", {}).values():
        if isinstance(rig, PytestRig) and rig.results and isinstance(report, pytest.TestReport):
            report.sections.append(("khorig", str(rig.results[-1])))
