# SPDX-License-Identifier: BSD-3-Clause
"""The handover at a stop, without a judge's records."""

from __future__ import annotations

from pathlib import Path

from khorig.guest.event import EventFieldError
from khorig.kho.snapshot import NoHandover, Snapshot, find_snapshot, snapshot_of_stop
from khorig.mem.errors import DecodeError
from khorig.mem.formats.dump import Dump, RunFacts
from khorig.mem.memory import RamMemory
from khorig.run.judging import StopContext


def snapshot_at(context: StopContext, shift: int) -> Snapshot | None:
    """The handover in memory at a stop, None if none can be read. Linux does not report its root
    before the jump, so all of memory is scanned. `shift`: the binary logarithm of the page size."""
    try:
        root = parameters = None
        if context.at == "entry" and context.boot is not None:
            parameters = context.boot.address("parameters")
        elif "root" in context.event.fields:
            root = context.event.address("root")
        facts = RunFacts(context.generation, context.at, root, parameters)
        machine = context.machine
        memory = RamMemory(context.ram)
        dump = Dump(Path(), "stop", memory, machine.arch, machine.name, shift, run=facts)
        if root is not None or parameters is not None:
            return snapshot_of_stop(dump)
        found = find_snapshot(dump)
        return found if found.chosen.holds_itself else None
    except (DecodeError, EventFieldError, NoHandover):
        return None
