# SPDX-License-Identifier: BSD-3-Clause
"""Events of QEMU that end a run."""

from __future__ import annotations

from typing import Protocol

from khorig.mem.untrusted import Untrusted
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import DEVICES_OFF, GUEST
from khorig.vm.errors import InfraError
from khorig.vm.qmp import Qmp

_DEATHS = {"GUEST_PANICKED": "guest panic reported by QEMU", "RESET": "unexpected reset"}


class Course(Protocol):
    """What is needed of a khorig.run.sequence.Sequence."""

    @property
    def executing(self) -> int:
        ...

    @property
    def has_jumped(self) -> bool:
        ...


def violation(name: str, qmp: Qmp, course: Course) -> tuple[str, str, Verdict] | None:
    """The rule that an event's name says was violated, what happened, and the verdict."""
    if name == "WATCHDOG":
        return DEVICES_OFF, _expired(qmp, course), Verdict.FAIL
    return (GUEST, _DEATHS[name], Verdict.CRASH) if name in _DEATHS else None


def _expired(qmp: Qmp, course: Course) -> str:
    """The event does not name the device. Every kernel of khorig stops watchdogs between its event
    `jump` and the jump, so one that expires was armed by the generation before, or by this one once
    it has announced its jump."""
    from khorig.vm.devices.monitor import DeviceMonitor
    from khorig.vm.devices.pci import watchdogs

    try:
        names = watchdogs(DeviceMonitor(qmp))
    except (InfraError, Untrusted, LookupError):
        names = []
    who = course.executing if course.has_jumped else course.executing - 1
    by = f"left armed by generation {who}" if who > 0 else "armed before the first kernel"
    return f"watchdog {' or '.join(names) or 'of the machine'} expired: it was {by}"
