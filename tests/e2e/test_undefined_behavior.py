# SPDX-License-Identifier: BSD-3-Clause
"""Every scenario in the kernel that UndefinedBehaviorSanitizer checks (kernel/ubsan)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.vm.build_outputs import find_elf

_SOURCE = Path(__file__).parents[2] / "kernel" / "defects" / "restore.cc"

# Scenario and options, small enough for a kernel that takes twice the instructions.
_RUNS: dict[str, dict[str, Any]] = {
    "chain": {"generations": 5},
    "churn": {"extra_options": ("operations=20000",)},
    "handover": {"smp": 4, "extra_options": ("megabytes=16",)},
    "live-cpu": {"smp": 2},
    "recursion": {"extra_options": ("fragments=300",)},
    "storm": {"smp": 4},
}


@pytest.fixture(autouse=True)
def _checked_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KHORIG_BUILD", str(find_elf("x86_64").parent / "ubsan"))


@pytest.mark.parametrize("scenario", sorted(_RUNS))
@each_arch
def test_no_scenario_does_what_is_not_defined(rig: Rig, machine: str, scenario: str) -> None:
    rig.run(machine, scenario, **_RUNS[scenario]).expect_pass()


@each_arch
def test_undefined_behavior_is_a_panic_with_its_line(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "handover", fault="undefined-behavior")
    found = result.findings[0]
    assert (found.verdict, found.rule, found.generation) == (Verdict.CRASH, "KHR-I102", 2), found
    where = re.search(
        r"undefined behavior: shift: 1 by 64 in .* \(kernel/defects/restore\.cc:(\d+)\)",
        str(found),
    )
    assert where, found
    line = _SOURCE.read_text().splitlines()[int(where[1]) - 1]
    assert "word << width" in line, line
    assert "ShiftByWidth" in "\n".join(found.evidence), found.evidence
