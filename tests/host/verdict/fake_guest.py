# SPDX-License-Identifier: BSD-3-Clause
"""A guest that exists only as memory and events: it seals, jumps and restores as a test wants."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Sequence

import libfdt
import xxhash
from view.frame_table_writer import ENTRIES, write_frame_table
from verdict.fake_tables import write_tables
from view.handover_image import PAGE, RAM, SCRATCH, FdtValue, HandoverImage, typical_image

from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.machine import CpuMode, CpuModes, DeviceStates, MachineFacts, RunningCpu
from khorig.guest.spec import RunSpec
from khorig.kho.layout import GEOMETRY_4K
from khorig.mem.formats.dump import Dump
from khorig.mem.memory import RamMemory
from khorig.rules.finding import Finding
from khorig.rules.stop import Stop
from khorig.run.judge import RunJudge
from khorig.run.judging import StopContext

FREE, ALLOCATED, TAIL = 0x20, 0x40, 0x1F
SCRATCH_BIT = 0x80
FRAMES = RAM.size // PAGE
TABLE = SCRATCH[1].begin  # the frame table lies in scratch
FRAME_BYTES = TABLE + ENTRIES
PARAMETERS = SCRATCH[0].begin + 0x10000
KHO_DATA = PARAMETERS + 0x1000 + 16
ARRAY = PARAMETERS + 0x2000
NOTHING_FOUND: dict[str, Any] = {
    **{"masters": [], "interrupts": [], "watchdogs": []},
    **{"last_bus": 0, "virtio": 0, "console": False},
}


class FakeGuest:
    """Two generations of a kernel. Memory is written by `seal`; every field and every byte may be
    changed by the test before the next step."""

    def __init__(self, seed: int = 1) -> None:
        self.image: HandoverImage = typical_image(seed)
        self.spec = KhorigRun(arch="x86_64", machine="q35", generations=2)
        self.judge = RunJudge(self.spec)
        self.segments: list[list[str]] = [["kernel", hex(SCRATCH[0].begin), hex(0x10000)]]
        self.stop_fields: dict[str, Any] = {}
        self.restored_fields: dict[str, Any] = {}
        self.ledger: list[tuple[int, int]] = []
        self.ledger_store = 0
        self.devices = DeviceStates(seen=("PCI functions",))
        self.levels = 4
        self.modes = CpuModes(
            (CpuMode(0, 0xFFFFFFFF80001000, 0x80010033, 0x20, 0xD00),), frozenset({"NXE"})
        )
        self.found = dict(NOTHING_FOUND)
        # RFLAGS, CR0, CR4, EFER and RSI at the entry of every kernel.
        self.registers = [0x2, 0x80000031, 0x20, 0x500, PARAMETERS]
        self.left_out: set[int] = set()  # blocks that the ledger is to lack

    def entry(self) -> str:
        """Of the kernel, whatever its place: a bzImage's."""
        return hex(int(self.segments[0][1], 16) + 0x200)

    # ---- memory

    def seal(self) -> None:
        """Completes the image with a ledger, the root, a frame table and a hand-off."""
        self._write_ledger()
        self.image.finish()
        self.write_frames(self.image.allocated)
        self.write_handoff()
        tree_pages = sum(1 << order for _, order in self.image.blocks)
        self.stop_fields = {
            "root": hex(self.image.root),
            "blocks": len(self.image.blocks),
            "pages": tree_pages,
            "nodes": len(self.image.nodes),
            "ledger_pages": len(self.ledger),
            "free_pages": 1,
            "tables": write_tables(self.image),
        }
        self.restored_fields = {
            "blocks": len(self.image.blocks),
            "pages": tree_pages,
            "bytes": tree_pages * PAGE,
            "stores": 3,
            "fragments": 6,
            "depth": 5,
        }

    def _write_ledger(self) -> None:
        """Adds the store "ledger" in a fragment below the other stores'."""
        image = self.image
        keys = [((1 << 52 - order) | (at >> 12 + order), at, order) for at, order in image.blocks]
        for _, at, order in sorted(keys):
            if at in self.left_out or self._later(at):
                continue
            for page in range(at, at + (PAGE << order), PAGE):
                self.ledger.append((page, xxhash.xxh64_intdigest(image.ram.read(page, PAGE))))
        raw = b"".join(struct.pack("<QQ", *entry) for entry in self.ledger)
        pages = []
        for begin in range(0, len(raw), PAGE):
            pages.append(image.preserved_page(raw[begin : begin + PAGE]))
        self.ledger_store = pages[0]
        pages_of = image.vmalloc(pages)
        node: FdtValue = {
            "compatible": "khorig-store-v1",
            "vmalloc": pages_of,
            "size": len(raw),
        }
        ledger = image.fragment({"compatible": "khorig-stores-v1", "ledger": node})
        self._link_last_stores(ledger)

    def _later(self, address: int) -> bool:
        """Root, fragments and the generation record are written after the ledger."""
        head = self.image.ram.read(address, 4)
        return address == self.image.root or head in (b"\xd0\x0d\xfe\xed", b"\x01\0\0\0")

    def _link_last_stores(self, ledger: int) -> None:
        """Hangs the ledger's fragment below the last fragment of stores, in place."""
        for at, order in self.image.blocks:
            page = bytearray(self.image.ram.read(at, PAGE))
            if order or page[:4] != b"\xd0\x0d\xfe\xed" or libfdt.fdt_path_offset(page, "/db1") < 0:
                continue
            node = libfdt.fdt_add_subnode(page, 0, "more")
            libfdt.fdt_setprop(page, node, "blob-size", struct.pack("<Q", PAGE), 8)
            libfdt.fdt_setprop(page, node, "preserved-data", struct.pack("<Q", ledger), 8)
            self.image.ram.write(at, bytes(page))

    def write_frames(self, allocated: Sequence[tuple[int, int]]) -> None:
        """The allocator's table: these blocks are in use, everything else is free."""
        table = bytearray([FREE]) * FRAMES
        for area in SCRATCH:
            first = (area.begin - RAM.begin) // PAGE
            for frame in range(first, first + area.size // PAGE):
                table[frame] |= SCRATCH_BIT
        for at, order in allocated:
            first = (at - RAM.begin) // PAGE
            for frame in range(first, first + (1 << order)):
                table[frame] = ALLOCATED | TAIL
            table[first] = ALLOCATED | order
        write_frame_table(self.image.ram, TABLE, bytes(table))

    def write_handoff(self) -> None:
        """boot_params with the handover, and the scratch array."""
        ram = self.image.ram
        ram.write(PARAMETERS + 0x250, struct.pack("<Q", PARAMETERS + 0x1000))
        areas = b"".join(struct.pack("<QQ", a.begin, a.size) for a in SCRATCH)
        ram.write(ARRAY, areas)
        kho = struct.pack("<4Q", self.image.root, PAGE, ARRAY, len(areas))
        ram.write(PARAMETERS + 0x1000, struct.pack("<QII", 0, 10, 32) + kho)

    # ---- events

    def says(self, kind: str, generation: int, **fields: Any) -> GuestEvent:
        """An event, which the judge gets."""
        event = GuestEvent(kind, generation, 0, 0.0, fields)
        assert self.judge.on_event(event) == []
        return event

    def stops(self, at: str, generation: int, **fields: Any) -> list[Finding]:
        """A stop."""
        event = self.says("stop", generation, at=at, **fields)
        machine = MachineFacts("x86_64", "q35", RAM.size)
        seen: dict[str, Any] = {"devices": self.devices, "modes": self.modes}
        return self.judge.on_stop(
            StopContext(generation, at, event, self.image.ram, machine, **seen)
        )

    def boots(self, generation: int) -> None:
        image = [self.segments[0][1], hex(int(self.segments[0][1], 16) + 0x10000)]
        self.image.ram.write(int(image[0], 16) + 0x100, struct.pack("<5Q", *self.registers))
        self.says(
            "boot", generation, parameters=hex(PARAMETERS), image=image, handover=generation > 1
        )

    def has_memory(self, generation: int) -> None:
        scratch = [[hex(a.begin), hex(a.size)] for a in SCRATCH]
        frames = {"table": hex(TABLE), "first": RAM.begin // PAGE, "count": FRAMES}
        self.says("mode", generation, levels=self.levels)
        self.says("memory", generation, frames=frames, scratch=scratch)
        self.says("found", generation, **self.found)

    # ---- the steps of a run

    def first_generation(self) -> list[Finding]:
        """From the first boot to the stop `sealed`."""
        self.boots(1)
        assert self.stops("entry", 1) == []
        self.has_memory(1)
        self.says("segments", 1, list=self.segments, entry=self.entry())
        return self.stops("sealed", 1, **self.stop_fields)

    def enters(self) -> list[Finding]:
        """The second generation's stop `entry`."""
        self.boots(2)
        return self.stops("entry", 2)

    def restores(self) -> list[Finding]:
        """The second generation's stop `restored`."""
        self.has_memory(2)
        self.says("restored", 2, **self.restored_fields)
        return self.stops("restored", 2)


def sealed_guest() -> FakeGuest:
    """A guest whose memory is complete and right."""
    guest = FakeGuest()
    guest.seal()
    return guest


def first(findings: list[Finding], rule: str, address: int | None, owner: str) -> Finding:
    """The first finding, which must be of this rule, place and owner."""
    assert findings
    finding = findings[0]
    expected = "" if address is None else f"{address:#018x}"
    assert (finding.rule, finding.where, finding.owner) == (rule, expected, owner), finding
    return finding


def block_of(guest: FakeGuest, order: int) -> int:
    return next(at for at, o in guest.image.blocks if o == order)


def stop_of(
    memory: RamMemory,
    spec: RunSpec,
    generation: int = 1,
    at: str = "sealed",
    facts: GuestFacts | None = None,
    running_cpus: tuple[RunningCpu, ...] = (),
) -> Stop:
    """A stop of a machine with this memory, for a rule that is looked at alone."""
    machine = Dump(Path(at), "live machine", memory, "x86_64", "q35", GEOMETRY_4K.page_shift)
    event = GuestEvent("stop", generation, 0, 0.0, {"ev": "stop", "at": at})
    facts = facts or GuestFacts()
    return Stop(generation, at, event, machine, facts, GEOMETRY_4K, spec, running_cpus)
