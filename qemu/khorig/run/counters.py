# SPDX-License-Identifier: BSD-3-Clause
"""What works across a jump counts in memory."""

from __future__ import annotations

from typing import Mapping

from khorig.kho.clients.live_cpu import read_iterations
from khorig.kho.clients.live_device import read_live_count
from khorig.kho.snapshot import Snapshot
from khorig.mem.errors import DecodeError
from khorig.mem.memory import OutsideRam
from khorig.rules.stop import Stop


def read_counters(stop: Stop, snapshot: Snapshot | None) -> Mapping[str, int]:
    """The counters of a handover by name, as they are now. One that cannot be read is left out: a
    rule has it."""
    if snapshot is None:
        return {}
    live, cpu = snapshot.clients.live, snapshot.clients.live_cpu
    try:
        counters = {"iterations": read_iterations(stop.memory, cpu)} if cpu else {}
        return {**counters, live.owner: read_live_count(stop.memory, live)} if live else counters
    except (DecodeError, OutsideRam):
        return {}
