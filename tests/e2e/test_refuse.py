# SPDX-License-Identifier: BSD-3-Clause
"""A damaged handover is refused with its cause; nothing is touched, nothing crashes, and the next
kernel starts cold."""

from __future__ import annotations

import pytest
from untouched import Untouched

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.run.tamper.catalogue import TAMPERINGS
from khorig.run.tamper.hook import TamperHook

MIB = 1 << 20

STOPS = ("sealed", "entry", "refused", "restored")


@pytest.mark.parametrize("name", sorted(TAMPERINGS))
@each_arch
def test_refused_with_its_cause(rig: Rig, machine: str, name: str) -> None:
    tampering = TAMPERINGS[name]
    untouched = Untouched(TamperHook(tampering))
    result = rig.run(
        machine,
        "refuse",
        hooks=[untouched],
        generations=2,
        memory=48 * MIB,
        tamper=name,
        stops=STOPS,
        expected_refusals={2: tampering.cause},
    )
    result.expect_pass()
    assert untouched.compared, "the guest did not stop at 'refused'"
    assert untouched.touched == [], "written outside scratch before the refusal"
    refused = result.events("refused")
    assert [event["cause"] for event in refused] == [tampering.cause]


@each_arch
def test_an_undamaged_handover_is_not_refused(rig: Rig, machine: str) -> None:
    """The control: a scenario that expects a refusal fails without one."""
    result = rig.run(
        machine, "refuse", generations=2, memory=64 * MIB, expected_refusals={2: "fdt-magic"}
    )
    assert result.verdict is Verdict.FAIL
    assert (
        "generation 2 accepted a corrupted handover, expected refusal with fdt-magic"
        in result.cause
    )
