# SPDX-License-Identifier: BSD-3-Clause
"""The rights of the kernel's pages: what they forbid is an exception, and the kernel names it."""

from __future__ import annotations

import re

import pytest

from khorig.api.rig import Rig
from khorig.rules.finding import Verdict

MACHINES = [
    ("q35", ()),
    ("virt", ()),
    ("virt", ("-machine", "virtualization=on")),
]
IDS = ["q35", "virt", "virt-el2"]

IMAGE = {"q35": "0xffffffff80[0-9a-f]{6}", "virt": "0x7f80[0-9a-f]{6}"}
# PSTATE.A (Arm ARM, C5.2.19): a CPU that sets it takes no SError.
MASKED_SERRORS = 0x100
# Where an identity-mapped page of RAM lies.
RAM = {"q35": "0x[0-9a-f]{7,8}", "virt": "0x[4-9a-f][0-9a-f]{7}"}


def permission(machine: str, access: str) -> str:
    """How the machine's kernel names an access that an entry forbids."""
    if machine == "q35":
        return rf"#PF page fault \(not allowed, {access}\)"
    kind = "instruction" if access == "fetch" else "data"
    return rf"{kind} abort \(permission, {access}\)"


@pytest.mark.parametrize("fault", ["write-text", "write-constants", "execute-data", "execute-ram"])
@pytest.mark.parametrize(("machine", "extra_qemu"), MACHINES, ids=IDS)
def test_a_forbidden_access_is_an_exception(
    rig: Rig, machine: str, extra_qemu: tuple[str, ...], fault: str
) -> None:
    result = rig.run(machine, "chain", fault=fault, extra_qemu=extra_qemu)
    assert (result.verdict, result.rule) == (Verdict.CRASH, "KHR-I102"), result.cause
    found = result.findings[0]
    access = "write" if fault.startswith("write") else "fetch"
    place = RAM[machine] if fault == "execute-ram" else IMAGE[machine]
    expected = rf"panic: {permission(machine, access)} at address {place} at .*"
    assert re.fullmatch(expected, found.what), found.what
    assert found.generation == 2
    if access == "write":
        assert "WriteByte" in found.what


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize(("machine", "extra_qemu"), MACHINES, ids=IDS)
def test_a_stack_overflow_is_named(
    rig: Rig, machine: str, extra_qemu: tuple[str, ...], cpus: int
) -> None:
    """On the first CPU of one, and on the last of several: each has a guard of its own."""
    fault = "stack-overflow" if cpus == 1 else "stack-overflow-ap"
    result = rig.run(machine, "chain", smp=cpus, fault=fault, extra_qemu=extra_qemu)
    assert (result.verdict, result.rule) == (Verdict.CRASH, "KHR-I102"), result.cause
    found = result.findings[0]
    why = "not mapped, write" if machine == "q35" else "translation, write"
    expected = rf"panic: stack overflow \({why}\) at address {IMAGE[machine]} at .*OverflowStack.*"
    assert re.fullmatch(expected, found.what), found.what
    # The backtrace is that of the stack that overflowed.
    evidence = "\n".join(found.evidence)
    assert evidence.count("OverflowStack+") > 5, evidence
    if machine == "virt":
        saved = re.search(r"spsr ([0-9a-f]{8})", evidence)
        assert saved and not int(saved.group(1), 16) & MASKED_SERRORS, evidence


@pytest.mark.parametrize(("machine", "extra_qemu"), MACHINES, ids=IDS)
def test_the_first_cpu_of_several_has_its_guard_too(
    rig: Rig, machine: str, extra_qemu: tuple[str, ...]
) -> None:
    result = rig.run(machine, "chain", smp=2, fault="stack-overflow", extra_qemu=extra_qemu)
    assert result.verdict is Verdict.CRASH
    assert result.findings[0].what.startswith("panic: stack overflow"), result.findings[0].what
