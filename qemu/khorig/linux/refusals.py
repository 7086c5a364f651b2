# SPDX-License-Identifier: BSD-3-Clause
"""What Linux makes of a damaged handover.

A refusal is no crash: Linux says why, goes on as a cold boot, and its user space reports it. Some
damage Linux does not notice; that is a bug of Linux, known by an id, and expected as such.
"""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence

from khorig.linux.chain import is_linux
from khorig.model import RunSpec, StopContext, StopHook
from khorig.tamper.radix_tamperings import RADIX_TAMPERINGS
from khorig.tamper.root_tamperings import ROOT_TAMPERINGS
from khorig.tamper.scratch_tamperings import SCRATCH_TAMPERINGS
from khorig.tamper.target import Target
from khorig.tampered import known_tamperings, tamper_hooks
from khorig.tampered import tampered as refused_by_khorig
from khorig.view.handoff_fields import Field, Handoff
from khorig.view.handover import decode_handover
from khorig.view.layout import COMPATIBLE_PROPERTY, GEOMETRY_4K, MAP_PROPERTY
from khorig.view.memory import RamMemory

_NOT_YET = Field(0, 8, "little", 0)  # the hand-off is not at its place before the jump


@dataclass(frozen=True)
class LinuxRefusal:
    """One way to damage a handover before the jump to a Linux."""

    name: str
    cause: str  # that the Linux's user space reports (init/kernel_log.h)
    apply: Callable[[Target], str]


def _root(target: Target) -> int:
    return target.handover.root.address


def _write(target: Target, offset: int, data: bytes) -> str:
    target.ram.write(_root(target) + offset, data)
    return f"{data.hex()} at {offset} of the root page"


def _compatible(target: Target, value: str) -> str:
    target.set_property(_root(target), "/", COMPATIBLE_PROPERTY, value.encode() + b"\0")
    return f"compatible of the root is {value}"


def _without(target: Target, name: str) -> str:
    target.delete_property(_root(target), "/", name)
    return f"the root has no '{name}'"


def _map(target: Target, value: bytes) -> str:
    target.set_property(_root(target), "/", MAP_PROPERTY, value)
    return f"the map pointer is {value.hex()}"


_ALL = (
    LinuxRefusal("magic", "fdt-structure", lambda t: _write(t, 0, b"\0\0\0\0")),
    LinuxRefusal("totalsize-short", "fdt-structure", lambda t: _write(t, 4, struct.pack(">I", 8))),
    LinuxRefusal("compatible-v1", "compatible-mismatch", lambda t: _compatible(t, "kho-v1")),
    LinuxRefusal("compatible-v3", "compatible-mismatch", lambda t: _compatible(t, "kho-v3")),
    LinuxRefusal("compatible-v99", "compatible-mismatch", lambda t: _compatible(t, "kho-v99")),
    LinuxRefusal(
        "compatible-missing", "compatible-mismatch", lambda t: _without(t, COMPATIBLE_PROPERTY)
    ),
    LinuxRefusal("map-missing", "map-missing", lambda t: _without(t, MAP_PROPERTY)),
    LinuxRefusal("map-size", "map-missing", lambda t: _map(t, struct.pack("<I", 0x1000))),
    LinuxRefusal("map-null", "refused", lambda t: _map(t, bytes(8))),
)

LINUX_REFUSALS: Mapping[str, LinuxRefusal] = {refusal.name: refusal for refusal in _ALL}


def refusals_of(kernels: Sequence[str]) -> tuple[str, ...]:
    """How the handover to the second kernel of a chain can be damaged."""
    if is_linux(kernels[1]):
        return tuple(LINUX_REFUSALS) if not is_linux(kernels[0]) else ()
    if not is_linux(kernels[0]):
        return known_tamperings()
    # A Linux does not say where its root is before it jumps, and has none of khorig's own links.
    usable = (*ROOT_TAMPERINGS, *RADIX_TAMPERINGS, *SCRATCH_TAMPERINGS)
    return tuple(tampering.name for tampering in usable)


def damaged(spec: RunSpec, name: str) -> RunSpec:
    """The first two kernels of the chain with the handover between them damaged, and the refusal
    that this has to cause. Raises KeyError."""
    spec = dataclasses.replace(spec, kernels=spec.kernels[:2], generations=2)
    if not is_linux(spec.kernels[1]):
        return refused_by_khorig(spec, name)
    causes = {2: LINUX_REFUSALS[name].cause}
    return dataclasses.replace(spec, tamper=name, expected_refusals=causes)


def refusal_hooks(spec: RunSpec) -> Sequence[StopHook]:
    """What a session needs to carry `spec.tamper` out."""
    if spec.tamper is None or not is_linux(spec.kernels[1]):
        return tamper_hooks(spec)
    return (RefusalHook(LINUX_REFUSALS[spec.tamper]),)


class RefusalHook:
    """The StopHook that damages what khorig has sealed."""

    def __init__(self, refusal: LinuxRefusal) -> None:
        self._refusal = refusal

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.model.StopHook. Raises CannotTamper, EventFieldError, DecodeError."""
        if (context.at, context.generation) != ("sealed", 1):
            return []
        memory = RamMemory(context.ram)
        root = context.event.address("root")
        target = Target(
            ram=context.ram,
            ranges=tuple(memory.ranges),
            handoff=Handoff(_NOT_YET, _NOT_YET, _NOT_YET, _NOT_YET),
            scratch=(),
            handover=decode_handover(memory, root),
            geometry=GEOMETRY_4K,
        )
        return [f"{self._refusal.name}: {self._refusal.apply(target)}"]
