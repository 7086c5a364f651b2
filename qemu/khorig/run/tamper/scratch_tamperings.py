# SPDX-License-Identifier: BSD-3-Clause
"""Tamperings of the scratch array."""

from __future__ import annotations

from khorig.kho.scratch import ELEMENT
from khorig.run.tamper.tampering import Tampering
from khorig.run.tamper.target import CannotTamper, Target


def _area(target: Target, index: int, begin: int, size: int) -> str:
    address = target.handoff.scratch.value + index * ELEMENT.size
    target.ram.write(address, ELEMENT.pack(begin, size))
    return f"scratch area {index} set to {begin:#018x}+{size:#x}"


def _last(target: Target) -> int:
    return len(target.scratch) - 1


def _begin_unaligned(target: Target) -> str:
    area = target.scratch[-1]
    unit = target.geometry.page_size
    return _area(target, _last(target), area.begin + unit, area.size)


def _size_unaligned(target: Target) -> str:
    area = target.scratch[-1]
    return _area(target, _last(target), area.begin, area.size - target.geometry.page_size)


def _area_beyond_ram(target: Target) -> str:
    unit = target.geometry.scratch_alignment
    begin = -(-target.end_of_ram // unit) * unit
    return _area(target, _last(target), begin, unit)


def _overlap(target: Target) -> str:
    if len(target.scratch) < 2:
        raise CannotTamper("only one scratch area")
    area = target.scratch[0]
    return _area(target, _last(target), area.begin, area.size)


SCRATCH_TAMPERINGS = (
    Tampering("scratch-begin-unaligned", "scratch-unaligned", _begin_unaligned),
    Tampering("scratch-size-unaligned", "scratch-unaligned", _size_unaligned),
    Tampering("scratch-area-beyond-ram", "outside-ram", _area_beyond_ram),
    Tampering("scratch-overlap", "scratch-overlap", _overlap),
)
