# SPDX-License-Identifier: BSD-3-Clause
"""The guest RAM that a run asks QEMU for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from khorig.guest.spec import RunSpec
from khorig.mem.guest_ram import RamRegion


@dataclass(frozen=True)
class RamBackend:
    """A memory backend of QEMU, whose first byte is at `offset` of the rig's files."""

    name: str
    size: int
    node: int | None = None  # the NUMA node that it is
    offset: int = 0


@dataclass(frozen=True)
class RamSpec:
    """RAM in one backend, or in one for each NUMA node with memory."""

    size: int
    nodes: tuple[int, ...]  # bytes of each; without any there is no NUMA
    # Whether RAM lies where the machine's table has it: no option could have moved it.
    is_plain: bool

    @property
    def backends(self) -> tuple[RamBackend, ...]:
        """Those of QEMU, by address."""
        if not self.nodes:
            return (RamBackend("ram", self.size),)
        return tuple(
            RamBackend(f"ram{node}", size, node, sum(self.nodes[:node]))
            for node, size in enumerate(self.nodes)
            if size
        )


def ram_spec(spec: RunSpec) -> RamSpec:
    """The RAM of a run."""
    return RamSpec(
        spec.memory, spec.numa, is_plain=not (spec.numa or spec.machine_options or spec.extra_qemu)
    )


@dataclass(frozen=True)
class RamMap:
    """Where RAM is."""

    regions: tuple[RamRegion, ...]  # ascending, not adjacent in both guest and files
    # One or more for each backend, with the begin of each in the addresses that QEMU's
    # qemu_plugin_hwaddr_phys_addr reports before QEMU 8.2.
    pieces: tuple[tuple[RamRegion, int], ...]


def assumed(regions: Sequence[RamRegion]) -> RamMap:
    """The map of a machine that is as its table says, with one backend."""
    # QEMU's block of RAM begins where its first region does (`info mtree -f`).
    pieces = tuple((region, regions[0].gpa + region.offset) for region in regions)
    return RamMap(tuple(regions), pieces)
