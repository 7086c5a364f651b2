# SPDX-License-Identifier: BSD-3-Clause
"""Builds the `Stop` that rules get."""

from __future__ import annotations

from pathlib import Path

from khorig.guest.facts import GuestFacts
from khorig.guest.spec import RunSpec
from khorig.kho.layout import Geometry
from khorig.mem.formats.dump import Dump
from khorig.mem.memory import RamMemory
from khorig.rules.stop import Stop
from khorig.run.judging import StopContext


def make_stop(context: StopContext, facts: GuestFacts, spec: RunSpec) -> Stop:
    """The live machine as a dump. Valid as long as `context`."""
    machine = Dump(
        Path(f"gen{context.generation}.{context.at}"),
        "live machine",
        RamMemory(context.ram),
        context.machine.arch,
        context.machine.name,
        context.page_shift,
    )
    return Stop(
        generation=context.generation,
        at=context.at,
        event=context.event,
        machine=machine,
        facts=facts,
        geometry=Geometry(context.page_shift),
        spec=spec,
        running_cpus=context.running_cpus,
        devices=context.devices,
        translate=context.translate,
        level=context.level,
        modes=context.modes,
        outside=context.accesses.outside if context.accesses else (),
    )
