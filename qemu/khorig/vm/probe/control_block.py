# SPDX-License-Identifier: BSD-3-Clause
"""Layout of the memory shared with the probe (qemu/probe/control_block.h)."""

from __future__ import annotations

import struct
from typing import Mapping

MAGIC = 0x3130_4542_4F52_504B
PAGE = 4096
MAX_REGIONS = 160
MAX_RANGES = 64
MAX_ADDRESSES = 16
MAX_PAGES = 1024
RING_RECORDS = 65536
MAX_STORE_BYTES = 32
ALL_CPUS = 0xFFFF_FFFF
NO_PHYSICAL = (1 << 64) - 1

ABSENT, READY, MAPPED, NO_RAM = range(4)  # state
FETCH_STOP, ADDRESS_STOP = 1, 2

HEADER = struct.Struct("<QQII")  # magic, size, state, number of regions
REGION = struct.Struct("<QQQQ")  # gpa, size, offset, reported
RANGE = struct.Struct("<QQ")
FLAG = struct.Struct("<II")  # armed, number of entries
WORD = struct.Struct("<Q")
ACCESS = struct.Struct("<QQQQQ")  # cpu, pc, virtual, physical, instruction
ABSENCE = struct.Struct("<IIQQ40s")  # armed, cpu, ranges, count, the first access
STORE = struct.Struct(f"<Q40sQ{MAX_STORE_BYTES}s{MAX_STORE_BYTES}s")
STOP_RECORD = struct.Struct("<IIQQQ")  # kind, cpu, pc, physical, instruction


def _layout() -> Mapping[str, int]:
    parts = (
        ("header", HEADER.size),
        ("regions", MAX_REGIONS * REGION.size),
        ("fetch_armed", FLAG.size),
        ("fetch", MAX_RANGES * RANGE.size),
        ("address_armed", FLAG.size),
        ("addresses", MAX_ADDRESSES * WORD.size),
        ("watch_armed", FLAG.size),
        ("pages", MAX_PAGES * WORD.size),
        ("stores", WORD.size),
        ("instructions", WORD.size),
        ("watched_from", WORD.size),
        ("fetches_outside", ABSENCE.size + MAX_RANGES * RANGE.size),
        ("stores_outside", ABSENCE.size + MAX_RANGES * RANGE.size),
        ("ring", RING_RECORDS * STORE.size),
        ("shadow", MAX_PAGES * PAGE),
    )
    offsets, at = {}, 0
    for name, size in parts:
        offsets[name] = at
        at += size
    return {**offsets, "end": at}


OFFSETS = _layout()  # of each part, and of the end
STATE_OFFSET = 16
SIZE = OFFSETS["end"]
