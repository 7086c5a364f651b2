# SPDX-License-Identifier: BSD-3-Clause
"""Damage to the boot parameters of the next kernel and to its scratch array, between the seal and
the jump: until then nobody checks them."""

from __future__ import annotations

from typing import Callable

import libfdt

from khorig.kho.fdt import MAGIC_BYTES
from khorig.kho.scratch import ELEMENT
from khorig.mem.guest_ram import GuestRam
from khorig.run.damage.damage import Damage
from khorig.run.tamper.handoff_tamperings import HANDOFF_TAMPERINGS, HandoffTarget
from khorig.run.tamper.target import CannotTamper, Target

_CLOCK = "/pl031@9010000"


def _of_tampering(name: str) -> Damage:
    tampering = next(t for t in HANDOFF_TAMPERINGS if t.name == name)

    def apply(target: Target) -> str:
        place = HandoffTarget(target.ram, target.handoff, target.end_of_ram, target.geometry)
        return tampering.apply(place)

    return Damage(name, f"tampering, found as {tampering.cause}", apply, seen=False)


def _array_overwritten(target: Target) -> str:
    size = len(target.scratch) * ELEMENT.size
    target.ram.write(target.handoff.scratch.value, b"\x90" * size)
    return f"scratch array at {target.handoff.scratch.value:#018x} overwritten"


def _area(shift: int) -> Callable[[Target], str]:
    def apply(target: Target) -> str:
        last, area = len(target.scratch) - 1, target.scratch[-1]
        entry = ELEMENT.pack(area.begin + shift, area.size - shift)
        target.ram.write(target.handoff.scratch.value + last * ELEMENT.size, entry)
        return f"scratch area {last} begins {shift:#x} later"

    return apply


def _tree_around(ram: GuestRam, address: int, page: int) -> int:
    """Where the device tree begins that has a byte at `address`."""
    at = address - address % page
    while ram.read(at, 4) != MAGIC_BYTES:
        at -= page
    return at


def _anchor_twice(target: Target) -> str:
    """As a kernel leaves it that appends its anchor to the one that it was started with."""
    field = target.handoff.root
    begin = _tree_around(target.ram, field.address, target.geometry.page_size)
    size = int.from_bytes(target.ram.read(begin + 4, 4), "big")
    tree = bytearray(target.ram.read(begin, size))
    # Makes room; a kernel does without a clock.
    if libfdt.fdt_del_node(tree, libfdt.fdt_path_offset(tree, _CLOCK)) != 0:
        raise CannotTamper(f"no {_CLOCK} in the device tree")
    once = field.encode(field.value) + target.handoff.root_size.encode(target.geometry.page_size)
    chosen = libfdt.fdt_path_offset(tree, "/chosen")
    error = libfdt.fdt_setprop(tree, chosen, "linux,kho-fdt", once * 2, len(once) * 2)
    if error != 0:
        raise CannotTamper(f"libfdt: {libfdt.fdt_strerror(error)}")
    target.ram.write(begin, bytes(tree))
    return f"/chosen has the anchor {field.value:#018x} twice"


HANDOFF_DAMAGES = (
    *(_of_tampering(tampering.name) for tampering in HANDOFF_TAMPERINGS),
    Damage("array-overwritten", "the scratch array is overwritten", _array_overwritten, seen=False),
    Damage("area-unaligned", "a scratch area begins a page later", _area(0x1000), seen=False),
    Damage("anchor-twice", "/chosen has two anchors (arm64)", _anchor_twice, seen=False),
)
