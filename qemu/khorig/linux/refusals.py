# SPDX-License-Identifier: BSD-3-Clause
"""Linux with a corrupted handover.

A refusal is not a crash: Linux logs the reason, boots cold, and its user space reports it. Damage
that Linux does not detect is a known bug of Linux, with an id, and expected.
"""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence

from khorig.guest.chain_run import ChainRun, is_linux
from khorig.kho.handover import decode_handover
from khorig.kho.ownership import ROOT_OWNER
from khorig.kho.layout import COMPATIBLE_PROPERTY, GEOMETRY_4K, MAP_PROPERTY, Geometry
from khorig.kho.scratch import ELEMENT
from khorig.mem.memory import RamMemory
from khorig.run.judging import StopContext, StopHook
from khorig.run.tamper.handoff_source import find_handoff_source, find_scratch_source
from khorig.run.tamper.radix_tamperings import RADIX_TAMPERINGS
from khorig.run.tamper.root_tamperings import ROOT_TAMPERINGS
from khorig.run.tamper.runs import known_tamperings, tamper_hooks
from khorig.run.tamper.runs import tampered as refused_by_khorig
from khorig.run.tamper.scratch_tamperings import SCRATCH_TAMPERINGS
from khorig.run.tamper.target import Target

_PAGE = GEOMETRY_4K.page_size


@dataclass(frozen=True)
class LinuxDamage:
    """One way to corrupt a handover before the jump to a Linux."""

    name: str
    cause: str  # reported by the Linux's user space (init/kernel_log.h)
    apply: Callable[[Target], str]
    bug: str = ""  # id in the catalogue of bugs if Linux does not detect it; there is no cause then
    lost: str = ""  # owner of the page lost by Linux


def _root(target: Target) -> int:
    return target.handover.root.address


def _write(target: Target, offset: int, data: bytes) -> str:
    target.ram.write(_root(target) + offset, data)
    return f"root page offset {offset} set to {data.hex()}"


def _compatible(target: Target, value: str) -> str:
    target.set_property(_root(target), "/", COMPATIBLE_PROPERTY, value.encode() + b"\0")
    return f"compatible of the root set to {value}"


def _without(target: Target, name: str) -> str:
    target.delete_property(_root(target), "/", name)
    return f"'{name}' of the root deleted"


def _map(target: Target, value: bytes) -> str:
    target.set_property(_root(target), "/", MAP_PROPERTY, value)
    return f"map pointer set to {value.hex()}"


def _stale(target: Target) -> str:
    """A stale root address: the page has been reused."""
    node = target.handover.tree.nodes[0].address
    target.ram.write(target.handoff.root.address, target.handoff.root.encode(node))
    return f"root address set to {node:#018x}, a tracker node"


def _last_area(target: Target, begin: int, size: int) -> str:
    at, areas = find_scratch_source(RamMemory(target.ram), target.handoff)
    target.ram.write(at + (len(areas) - 1) * ELEMENT.size, ELEMENT.pack(begin, size))
    return f"last scratch area set to {begin:#018x}+{size:#x}, was {areas[-1]}"


def _area(target: Target, begin: int, size: int) -> str:
    return _last_area(target, target.scratch[-1].begin + begin, target.scratch[-1].size + size)


def _overlap(target: Target) -> str:
    return _last_area(target, target.scratch[0].begin, target.scratch[0].size)


def _odd(target: Target) -> str:
    field = target.handoff.scratch_size
    target.ram.write(field.address, field.encode(field.value - 1))
    return f"scratch array size set to {field.value - 1}"


def _root_not_preserved(target: Target) -> str:
    return next(t for t in ROOT_TAMPERINGS if t.name == "root-not-preserved").apply(target)


_ALL = (
    LinuxDamage("magic", "fdt-structure", lambda t: _write(t, 0, b"\0\0\0\0")),
    LinuxDamage("totalsize-short", "fdt-structure", lambda t: _write(t, 4, struct.pack(">I", 8))),
    LinuxDamage("compatible-v1", "compatible-mismatch", lambda t: _compatible(t, "kho-v1")),
    LinuxDamage("compatible-v3", "compatible-mismatch", lambda t: _compatible(t, "kho-v3")),
    LinuxDamage("compatible-v99", "compatible-mismatch", lambda t: _compatible(t, "kho-v99")),
    LinuxDamage(
        "compatible-missing", "compatible-mismatch", lambda t: _without(t, COMPATIBLE_PROPERTY)
    ),
    LinuxDamage("map-missing", "map-missing", lambda t: _without(t, MAP_PROPERTY)),
    LinuxDamage("map-size", "map-missing", lambda t: _map(t, struct.pack("<I", 0x1000))),
    LinuxDamage("map-null", "refused", lambda t: _map(t, bytes(8))),
    LinuxDamage("anchor-stale", "fdt-structure", _stale),
    LinuxDamage("scratch-unaligned", "", lambda t: _area(t, _PAGE, -_PAGE), "E6"),
    LinuxDamage("scratch-overlap", "", _overlap, "E6"),
    LinuxDamage("scratch-odd", "", _odd, "G8"),
    LinuxDamage("root-not-preserved", "", _root_not_preserved, "S1", ROOT_OWNER),
)

LINUX_DAMAGES: Mapping[str, LinuxDamage] = {damage.name: damage for damage in _ALL}


def refusals_of(kernels: Sequence[str]) -> tuple[str, ...]:
    """Tamperings for the handover to the second kernel of a chain."""
    if is_linux(kernels[1]):
        return tuple(LINUX_DAMAGES) if not is_linux(kernels[0]) else ()
    if not is_linux(kernels[0]):
        return known_tamperings()
    # Linux does not report its root before the jump, and has none of khorig's links.
    usable = (*ROOT_TAMPERINGS, *RADIX_TAMPERINGS, *SCRATCH_TAMPERINGS)
    return tuple(tampering.name for tampering in usable)


def damaged(spec: ChainRun, name: str) -> ChainRun:
    """The first two kernels of the chain with the handover tampered, and the expected refusal, if
    Linux detects it. Raises KeyError."""
    spec = spec.first(2)
    if not is_linux(spec.kernels[1]):
        return refused_by_khorig(spec, name)
    cause = LINUX_DAMAGES[name].cause
    causes = {2: cause} if cause else {}
    return dataclasses.replace(spec, tamper=name, expected_refusals=causes)


def refusal_hooks(spec: ChainRun) -> Sequence[StopHook]:
    """The stop hooks that apply `spec.tamper`."""
    if spec.tamper is None or not is_linux(spec.kernels[1]):
        return tamper_hooks(spec)
    return (DamageHook(LINUX_DAMAGES[spec.tamper]),)


class DamageHook:
    """The StopHook that corrupts a handover sealed by khorig."""

    def __init__(self, damage: LinuxDamage) -> None:
        self._damage = damage

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook. Raises CannotTamper, EventFieldError, DecodeError."""
        if (context.at, context.generation) != ("sealed", 1):
            return []
        memory = RamMemory(context.ram)
        root, geometry = context.event.address("root"), Geometry(context.page_shift)
        handoff = find_handoff_source(memory, context.machine.arch, root)
        target = Target(
            ram=context.ram,
            ranges=tuple(memory.ranges),
            handoff=handoff,
            scratch=find_scratch_source(memory, handoff)[1],
            handover=decode_handover(memory, root, geometry),
            geometry=geometry,
        )
        return [f"{self._damage.name}: {self._damage.apply(target)}"]
