# SPDX-License-Identifier: BSD-3-Clause
"""What a scenario needs of its machine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from khorig.guest.khorig_run import KhorigRun
from khorig.mem.errors import Error
from khorig.vm.machines import machine_named
from khorig.vm.needed_devices import NEEDED_DEVICES


class UnmetNeed(Error):
    """A run's machine lacks what its scenario needs."""


@dataclass(frozen=True)
class Needs:
    """As the scenario's record in the kernel has it."""

    smp: int = 1  # CPUs
    devices: tuple[str, ...] = ()  # of NEEDED_DEVICES

    def __str__(self) -> str:
        smp = (f"smp={self.smp}",) if self.smp > 1 else ()
        return " ".join((*smp, *(f"device={name}" for name in self.devices)))


def parse_needs(text: str) -> Needs:
    """Words such as "smp=2 device=edu". Raises ValueError for any other."""
    smp, devices = 1, []
    for word in text.split():
        name, _, value = word.partition("=")
        if name == "smp" and value.isascii() and value.isdigit() and int(value) > 0:
            smp = int(value)
        elif name == "device" and value in NEEDED_DEVICES:
            devices.append(value)
        else:
            raise ValueError(f"a scenario needs {word!r}, expected smp=N or device=NAME")
    return Needs(smp, tuple(devices))


def with_needs(spec: KhorigRun, needs: Needs) -> KhorigRun:
    """The run with the devices that its scenario needs. Raises UnmetNeed for what cannot be
    added."""
    if spec.smp < needs.smp:
        raise UnmetNeed(f"scenario '{spec.scenario}' needs {needs.smp} CPUs: --smp {needs.smp}")
    machine = machine_named(spec.machine)
    for name in needs.devices:
        if (why := NEEDED_DEVICES[name].refuses(machine)) is not None:
            raise UnmetNeed(f"scenario '{spec.scenario}' needs {name}, and {why}")
    return dataclasses.replace(spec, devices=needs.devices)
