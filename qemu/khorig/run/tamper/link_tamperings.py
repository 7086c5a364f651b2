# SPDX-License-Identifier: BSD-3-Clause
"""Tamperings of the links between root, fragments and blobs."""

from __future__ import annotations

import struct
from typing import Iterator

import libfdt

from khorig.kho.clients.khorig import KHORIG_PATH, STORES_PATH
from khorig.kho.layout import DATA_PROPERTY, MAX_FRAGMENT_DEPTH, SIZE_PROPERTY
from khorig.run.tamper.tampering import Tampering
from khorig.run.tamper.target import Target

_CLIENT = KHORIG_PATH  # its node in the root has the same path
_NESTED = "/log"  # a link in khorig's fragment
_STORES = "/stores"


def _in_root(target: Target, name: str, value: bytes, what: str) -> str:
    target.set_property(target.handover.root.address, _CLIENT, name, value)
    return f"'{name}' of client {_CLIENT} set to {what}"


def _in_khorig(target: Target, node: str, name: str, value: int) -> str:
    raw = struct.pack("<Q", value)
    target.set_property(target.fragment(KHORIG_PATH).address, node, name, raw)
    return f"'{name}' of {KHORIG_PATH}{node} set to {value:#018x}"


def _size_zero(target: Target) -> str:
    return _in_root(target, SIZE_PROPERTY, bytes(8), "0")


def _size_cut(target: Target) -> str:
    return _in_root(target, SIZE_PROPERTY, struct.pack("<I", 4096), "4 bytes")


def _size_missing(target: Target) -> str:
    target.delete_property(target.handover.root.address, _CLIENT, SIZE_PROPERTY)
    return f"'{SIZE_PROPERTY}' of client {_CLIENT} deleted"


def _data_missing(target: Target) -> str:
    target.delete_property(target.fragment(KHORIG_PATH).address, _NESTED, DATA_PROPERTY)
    return f"'{DATA_PROPERTY}' of {KHORIG_PATH}{_NESTED} deleted"


def _size_huge(target: Target) -> str:
    return _in_khorig(target, _NESTED, SIZE_PROPERTY, 1 << 60)


def _nested_size_zero(target: Target) -> str:
    return _in_khorig(target, _NESTED, SIZE_PROPERTY, 0)


def _not_preserved(target: Target) -> str:
    return _in_khorig(target, _NESTED, DATA_PROPERTY, next(target.spare_pages()))


def _beyond_ram(target: Target) -> str:
    value = struct.pack("<Q", target.end_of_ram)
    return _in_root(target, DATA_PROPERTY, value, "an address beyond RAM")


def _to_itself(target: Target) -> str:
    address = target.fragment(KHORIG_PATH).address
    return _in_khorig(target, _STORES, DATA_PROPERTY, address)


def _to_root(target: Target) -> str:
    return _in_khorig(target, _STORES, DATA_PROPERTY, target.handover.root.address)


def _totalsize(target: Target) -> str:
    address = target.fragment(STORES_PATH).address
    size = target.geometry.page_size + 1
    target.ram.write(address + 4, struct.pack(">I", size))
    return f"totalsize of fragment {STORES_PATH} set to {size}"


def _chain(target: Target, length: int, spare: Iterator[int]) -> int:
    """Writes a chain of preserved fragments to spare pages. Returns the first."""
    below = 0
    for _ in range(length):
        fdt = libfdt.FdtSw()
        fdt.finish_reservemap()
        fdt.begin_node("")
        if below:
            fdt.begin_node("next")
            fdt.property(DATA_PROPERTY, struct.pack("<Q", below))
            fdt.property(SIZE_PROPERTY, struct.pack("<Q", target.geometry.page_size))
            fdt.end_node()
        fdt.end_node()
        below = next(spare)
        target.ram.write(below, bytes(fdt.as_fdt().as_bytearray()))
        target.set_key(target.geometry.key(below, 0), spare)
    return below


def _too_deep(target: Target) -> str:
    first = _chain(target, MAX_FRAGMENT_DEPTH, target.spare_pages())
    _in_root(target, DATA_PROPERTY, struct.pack("<Q", first), "a chain")
    return f"chain of {MAX_FRAGMENT_DEPTH} fragments added below {_CLIENT}"


LINK_TAMPERINGS = (
    Tampering("size-zero", "blob-size-range", _size_zero),
    Tampering("size-missing", "blob-size-missing", _size_missing),
    Tampering("size-cut", "property-size", _size_cut),
    Tampering("size-huge", "blob-size-range", _size_huge),
    Tampering("nested-size-zero", "blob-size-range", _nested_size_zero),
    Tampering("data-missing", "data-missing", _data_missing),
    Tampering("data-beyond-ram", "outside-ram", _beyond_ram),
    Tampering("blob-not-preserved", "blob-not-preserved", _not_preserved),
    Tampering("fragment-to-itself", "fragment-cycle", _to_itself),
    Tampering("fragment-to-root", "fragment-cycle", _to_root),
    Tampering("fragment-totalsize", "fdt-total-size", _totalsize),
    Tampering("fragment-too-deep", "fragment-depth", _too_deep),
)
