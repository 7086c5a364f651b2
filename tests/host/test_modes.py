# SPDX-License-Identifier: BSD-3-Clause
"""Modes of the CPUs are read from QEMU's answers."""

from __future__ import annotations

from typing import Any

import pytest

from khorig.guest.machine import CpuMode, CpuModes
from khorig.vm.errors import InfraError
from khorig.vm.modes import read_modes
from khorig.vm.qmp import QmpClosed

CPU = """
CPU#{}
RAX=0000000000000000 RBX=0000000000000000 RCX=0000000000000000 RDX=0000000000060fb1
RIP={:016x} RFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0
CR0={:08x} CR2=0000000000000000 CR3=0000000000201000 CR4={:08x}
EFER={:016x}
"""


def word(leaf: int, register: str, features: int, subleaf: int | None = None) -> dict[str, Any]:
    found = {"cpuid-input-eax": leaf, "cpuid-register": register, "features": features}
    return found if subleaf is None else {**found, "cpuid-input-ecx": subleaf}


class FakeQmp:
    """Answers as QEMU 7.2 does."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "query-cpus-fast": [{"cpu-index": 0, "qom-path": "/machine/unattached/device[0]"}],
            "qom-get": [
                word(7, "EBX", 1 << 7, 0),
                word(7, "EBX", 0xFFFFFFFF, 1),
                word(7, "ECX", 1 << 16 | 1 << 3, 0),
                word(0x80000001, "EDX", 1 << 20),
            ],
            "info registers -a": CPU.format(0, 0xFFFFFFFF80001000, 0x80010033, 0x1020, 0xD00)
            + CPU.format(1, 0xFFF0, 0x60000010, 0, 0),
        }

    def execute(self, command: str, **arguments: Any) -> Any:
        answer = self.answers[command]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def monitor(self, command: str, cpu: int = 0) -> str:
        return str(self.execute(command))


def test_registers_and_features() -> None:
    cpus = (
        CpuMode(0, 0xFFFFFFFF80001000, 0x80010033, 0x1020, 0xD00),
        CpuMode(1, 0xFFF0, 0x60000010, 0, 0),
    )
    expected = CpuModes(cpus, frozenset({"SMEP", "LA57", "PKE", "NXE"}))
    assert read_modes(FakeQmp()) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "command, answer",
    [
        ("query-cpus-fast", []),
        ("query-cpus-fast", {}),
        ("query-cpus-fast", [{"cpu-index": 0}]),
        ("query-cpus-fast", [1]),
        ("qom-get", InfraError("QMP error: no such property")),
        ("qom-get", ["smep"]),
        ("qom-get", [word(7, "EBX", -1)]),
        ("qom-get", [{"cpuid-input-eax": 7}]),
        ("info registers -a", "CPU#0\nRIP=0000000000001000\n"),
    ],
)
def test_what_cannot_be_read_is_named(command: str, answer: Any) -> None:
    qmp = FakeQmp()
    qmp.answers[command] = answer
    modes = read_modes(qmp)  # type: ignore[arg-type]
    assert modes.unread and not modes.cpus


def test_qemu_that_is_gone() -> None:
    qmp = FakeQmp()
    qmp.answers["qom-get"] = QmpClosed("QEMU closed the QMP connection")
    with pytest.raises(QmpClosed):
        read_modes(qmp)  # type: ignore[arg-type]
