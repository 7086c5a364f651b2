# SPDX-License-Identifier: BSD-3-Clause
"""Tamperings of the root page."""

from __future__ import annotations

import struct

from khorig.kho.layout import COMPATIBLE_PROPERTY, MAP_PROPERTY
from khorig.run.tamper.tampering import Tampering
from khorig.run.tamper.target import Target

_TOTALSIZE = 4  # offset in the FDT header
_STRUCT_OFFSET = 8


def _root(target: Target) -> int:
    return target.handover.root.address


def _magic(target: Target) -> str:
    target.ram.write(_root(target), b"\0\0\0\0")
    return "magic of the root set to 0"


def _totalsize(target: Target, size: int) -> str:
    target.ram.write(_root(target) + _TOTALSIZE, struct.pack(">I", size))
    return f"totalsize of the root set to {size}"


def _structure(target: Target) -> str:
    (offset,) = struct.unpack(">I", target.ram.read(_root(target) + _STRUCT_OFFSET, 4))
    target.ram.write(_root(target) + offset, struct.pack(">I", 5))
    return "first structure token of the root set to 5"


def _compatible(target: Target) -> str:
    target.set_property(_root(target), "/", COMPATIBLE_PROPERTY, b"kho-v3\0")
    return "compatible of the root set to kho-v3"


def _without(target: Target, name: str) -> str:
    target.delete_property(_root(target), "/", name)
    return f"'{name}' of the root deleted"


def _map(target: Target, value: int, what: str) -> str:
    target.set_property(_root(target), "/", MAP_PROPERTY, struct.pack("<Q", value))
    return f"map pointer set to {value:#018x}, {what}"


def _map_size(target: Target) -> str:
    target.set_property(_root(target), "/", MAP_PROPERTY, struct.pack("<I", 0x1000))
    return "map pointer truncated to 4 bytes"


def _not_preserved(target: Target) -> str:
    target.clear_key(target.geometry.key(_root(target), 0))
    return f"root page {_root(target):#018x} marked not preserved"


def _scratch_end(target: Target) -> int:
    """The last page of scratch, unused by the next kernel this early."""
    return target.scratch[-1].end - target.geometry.page_size


def _map_root(target: Target) -> int:
    return target.handover.tree.root


ROOT_TAMPERINGS = (
    Tampering("magic", "fdt-magic", _magic),
    Tampering("totalsize-short", "fdt-total-size", lambda t: _totalsize(t, 39)),
    Tampering(
        "totalsize-long", "fdt-total-size", lambda t: _totalsize(t, t.geometry.page_size + 1)
    ),
    Tampering("structure", "fdt-structure", _structure),
    Tampering("compatible-older", "compatible-mismatch", _compatible),
    Tampering(
        "compatible-missing", "compatible-missing", lambda t: _without(t, COMPATIBLE_PROPERTY)
    ),
    Tampering("map-missing", "map-missing", lambda t: _without(t, MAP_PROPERTY)),
    Tampering("map-size", "property-size", _map_size),
    Tampering("map-null", "radix-null", lambda t: _map(t, 0, "null")),
    Tampering("map-unaligned", "unaligned", lambda t: _map(t, _map_root(t) + 8, "unaligned")),
    Tampering("map-beyond-ram", "outside-ram", lambda t: _map(t, t.end_of_ram, "beyond RAM")),
    Tampering("map-in-scratch", "inside-scratch", lambda t: _map(t, _scratch_end(t), "in scratch")),
    Tampering("map-is-root", "overlap", lambda t: _map(t, _root(t), "the root page itself")),
    Tampering("root-not-preserved", "blob-not-preserved", _not_preserved),
)
