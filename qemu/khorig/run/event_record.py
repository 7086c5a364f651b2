# SPDX-License-Identifier: BSD-3-Clause
"""What happens to a VM, as the journal has it."""

from __future__ import annotations

from typing import Any

from khorig.vm.probe.records import ProbeStop
from khorig.vm.qmp import QmpEvent
from khorig.vm.serial_port import ConsoleLine, GarbledLine
from khorig.vm.vm import Exited, VmEvent


def event_record(event: VmEvent) -> tuple[str, dict[str, Any]]:
    """The kind of the record, and its fields."""
    if isinstance(event, ConsoleLine):
        return "console", {"text": event.text}
    if isinstance(event, GarbledLine):
        return "garbled", {"text": event.text, "why": event.why}
    if isinstance(event, QmpEvent):
        return "qmp", {"name": event.name, "data": event.data}
    if isinstance(event, ProbeStop):
        count = {"instruction": event.instruction} if event.instruction else {}
        return "probe", {"stop": event.kind, "cpu": event.cpu, "pc": hex(event.pc), **count}
    if isinstance(event, Exited):
        return "exit", {"status": event.status}
    return "guest", {"event": event.fields}
