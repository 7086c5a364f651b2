# SPDX-License-Identifier: BSD-3-Clause
"""Compares the machine that QEMU has made with the one that the rig judges by."""

from __future__ import annotations

import re
from typing import Any, Iterator

from khorig.guest.spec import RunSpec
from khorig.mem.untrusted import shown
from khorig.vm.errors import InfraError
from khorig.vm.machines.machine import Machine
from khorig.vm.qmp import Qmp

# In QEMU's type of a machine: "pc-q35-7.2-machine", "pc-i440fx-7.2-machine", "virt-7.2-machine".
_TYPES = {"pc": r"pc(-i440fx-[\d.]+)?", "q35": r"(pc-)?q35(-[\d.]+)?"}


def check_machine(qmp: Qmp, machine: Machine, spec: RunSpec) -> None:
    """Asks a QEMU whose arguments a user has added to, by whatever way: options, or a file for
    -readconfig. Raises InfraError when the rig would judge another machine than the one that
    runs."""
    wrong = list(_differences(qmp, machine, spec))
    if wrong:
        raise InfraError(f"QEMU made another machine: {'; '.join(wrong)}")


def _differences(qmp: Qmp, machine: Machine, spec: RunSpec) -> Iterator[str]:
    kind = qmp.execute("qom-get", path="/machine", property="type")
    expected = _TYPES.get(machine.name, rf"{re.escape(machine.name)}(-[\d.]+)?")
    if not isinstance(kind, str) or re.fullmatch(f"{expected}-machine", kind) is None:
        yield f"its type is {shown(kind)}, expected {machine.name}"
    cpus = qmp.execute("query-cpus-fast")
    count = len(cpus) if isinstance(cpus, list) else 0
    if count != spec.smp:
        yield f"{count} CPUs, expected --smp {spec.smp}"
    kvm = qmp.execute("query-kvm")
    accel = "kvm" if isinstance(kvm, dict) and kvm.get("enabled") is True else "tcg"
    if accel != spec.accel:
        yield f"accelerator {accel}, expected {spec.accel}"
    for name, address in _cpus(cpus):
        if qmp.execute("qom-get", path=address, property=machine.cpu_property) is not True:
            yield f"CPU {name} is no 64-bit CPU"
            return


def _cpus(cpus: Any) -> Iterator[tuple[str, str]]:
    """Number and QOM path of the first CPU; all are of one model."""
    if isinstance(cpus, list) and cpus and isinstance(cpus[0], dict):
        path = cpus[0].get("qom-path")
        if isinstance(path, str):
            yield "0", path
