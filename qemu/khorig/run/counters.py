# SPDX-License-Identifier: BSD-3-Clause
"""What works across a jump counts in memory."""

from __future__ import annotations

from typing import Mapping

from khorig.kho.clients.live_device import read_live_count
from khorig.kho.snapshot import Snapshot
from khorig.mem.errors import DecodeError
from khorig.mem.memory import OutsideRam
from khorig.rules.stop import Stop


def read_counters(stop: Stop, snapshot: Snapshot | None) -> Mapping[str, int]:
    """The counters of a handover by name, as they are now. One that cannot be read is left out: a
    rule has it."""
    live = snapshot.clients.live if snapshot else None
    if live is None:
        return {}
    try:
        return {live.owner: read_live_count(stop.memory, live)}
    except (DecodeError, OutsideRam):
        return {}
