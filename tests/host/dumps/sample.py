# SPDX-License-Identifier: BSD-3-Clause
"""A handover with every client that is known, to be broken in one place."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Collection, Mapping, Sequence

import numpy as np
from view.frame_table_writer import write_frame_table
from view.handover_image import (
    LOG_TEXT,
    MIB,
    PAGE,
    RAM,
    SCRATCH,
    FdtValue,
    HandoverImage,
    add_metadata,
    log_bytes,
)

from khorig.kho.snapshot import NoHandover, Snapshot, find_snapshot
from khorig.mem.formats import Dump, RunFacts
from khorig.mem.memory import LeftOut, PhysRange, RamMemory
from khorig.rules.check import check, check_unreadable
from khorig.rules.outcome import Status

LOW = PhysRange(0, MIB)
BOOT_PARAMS = SCRATCH[0].begin
SETUP_DATA = BOOT_PARAMS + PAGE
ARRAY = BOOT_PARAMS + 0x2000
FRAME_TABLE = BOOT_PARAMS + MIB
_FREE, _ALLOCATED, _TAIL = 0x20, 0x40, 31


class ImageMemory(RamMemory):
    """An image's memory as a dump has it, which may lack some pages."""

    def __init__(self, image: HandoverImage, left_out: Collection[int] = ()) -> None:
        super().__init__(image.ram)
        self._left_out = left_out

    def view(self, address: int, size: int) -> memoryview:
        if any(PhysRange(page, PAGE).overlaps(address, size) for page in self._left_out):
            raise LeftOut(address, size)
        return super().view(address, size)

    def data(self) -> Sequence[PhysRange]:
        """Where the image may have written: all but most of scratch."""
        return [PhysRange(r.begin, min(r.size, 32 * MIB)) for r in self.ranges if r.size]

    def forget(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""


class Image(HandoverImage):
    """RAM below 1 MiB, too, of which nothing is allocated."""

    def __init__(self) -> None:
        super().__init__(ram=(LOW, RAM))

    def allocate(self, order: int = 0) -> int:
        self._next = max(self._next, RAM.begin)
        return super().allocate(order)


class Sample:
    """The parts of a handover. Change them, then `finish`, then change memory."""

    def __init__(self) -> None:
        self.image = image = Image()
        self.generation = 1
        self.scratch: list[PhysRange] = list(SCRATCH)
        self.array = ARRAY
        self.frame_table = FRAME_TABLE  # where the guest says it is
        self.array_size: int | None = None
        self.root_size = PAGE
        self.anchored: int | None = None  # the root that the hand-off names, if another
        self.changes: dict[str, FdtValue] = {}
        self.left_out: set[int] = set()  # addresses of pages
        self.frames: dict[int, int] = {}  # entries of the frame table that are wrong
        add_metadata(image, 1)
        self.reserved_area = image.preserved_block(4)
        self.reserved: Mapping[str, FdtValue] = {
            "compatible": "reserve-mem-v1", "start": self.reserved_area, "size": 16 * PAGE,
        }  # fmt: skip
        self.stored = [image.preserved_block(0) for _ in range(3)]
        self.store = image.vmalloc(self.stored)
        self.store_size = 3 * PAGE - 5
        self.log = image.preserved_page(log_bytes(LOG_TEXT, PAGE - 32))
        self._linux()

    def _linux(self) -> None:
        image = self.image
        self.folios = [(image.preserved_block(2), 2), (image.preserved_block(0), 0)]
        entries = b"".join(
            struct.pack("<QQ", at >> 12 | 3 << 52, index)
            for (at, _), index in zip(self.folios, (0, 4))
        )
        self.memfd_array = image.preserved_page(entries)
        described = struct.pack(
            "<QQIIQ16s", 7, 5 * PAGE, 0, 0, 2, image.vmalloc([self.memfd_array])
        )
        self.memfd = image.preserved_page(described)
        file = struct.pack("<48sQQ", b"memfd-v2", self.memfd, 0x21)
        self.files = image.preserved_page(struct.pack("<QQ", 0, 1) + file)
        session = struct.pack("<64sQQ", b"vm", self.files, 1)
        self.sessions = image.preserved_page(struct.pack("<QQ", 0, 1) + session)
        flb = struct.pack("<QQ", 1, 1) + struct.pack("<48sQQ", b"shared", 1, 1)
        self.flb = image.preserved_page(flb)
        luo = struct.pack("<8sQQQ", b"luo-v5", 3, self.sessions, self.flb)
        self.luo = image.preserved_page(luo)
        image.clients["LUO"] = image.link(self.luo, len(luo))
        self.test_folios = [(image.preserved_block(order), order) for order in (0, 3, 1)]
        words = [at | order for at, order in self.test_folios]
        self.test_array = image.preserved_page(struct.pack("<3Q", *words))
        self.test_magic = 0x4B484F21
        self.test_sum = self._sum()

    def _sum(self) -> int:
        total = 0
        for at, order in self.test_folios:
            content = np.frombuffer(self.image.ram.read(at, PAGE << order), dtype="<u4")
            total += sum(content.tolist())
        return total % 0xFFFFFFFF

    def _kho_test(self) -> None:
        image = self.image
        number = struct.Struct("<I")
        fragment = image.fragment(
            {
                "compatible": "kho-test-v1",
                "magic": number.pack(self.test_magic),
                "data": {
                    "nr_folios": number.pack(3),
                    "folios_info": image.vmalloc([self.test_array]),
                    "csum": number.pack(self.test_sum),
                },
            }
        )
        image.clients["kho_test"] = image.link(fragment)

    def finish(self) -> Sample:
        """Writes what was not written yet."""
        image = self.image
        self._kho_test()
        self.memblock = image.fragment({"compatible": "memblock-v1", "mem0": self.reserved})
        image.clients.setdefault("memblock", image.link(self.memblock))
        store: FdtValue = {
            "compatible": "khorig-store-v1",
            "vmalloc": self.store,
            "size": self.store_size,
        }
        stores = image.fragment({"compatible": "khorig-stores-v1", "db0": store})
        self.khorig = image.fragment(
            {"compatible": "khorig-v1", "log": image.link(self.log), "stores": image.link(stores)}
        )
        image.clients["khorig"] = image.link(self.khorig)
        image.finish(**self.changes)
        self.write_handoff()
        self.write_frames()
        return self

    def write_handoff(self) -> None:
        """boot_params with a setup_data, and the scratch array."""
        ram = self.image.ram
        size = 16 * len(self.scratch) if self.array_size is None else self.array_size
        root = self.image.root if self.anchored is None else self.anchored
        values = struct.pack("<4Q", root, self.root_size, self.array, size)
        self.image.write_u64(BOOT_PARAMS + 0x250, SETUP_DATA)
        ram.write(SETUP_DATA, struct.pack("<QII", 0, 10, 32) + values)
        areas = b"".join(struct.pack("<QQ", a.begin, a.size) for a in self.scratch)
        ram.write(self.array, areas)

    def write_frames(self) -> None:
        """The page allocator's table over RAM, of which all is free that was not allocated."""
        table = np.full(RAM.size >> 12, _FREE, dtype=np.uint8)
        for at, order in self.image.allocated:
            first = at - RAM.begin >> 12
            table[first : first + (1 << order)] = _ALLOCATED | _TAIL
            table[first] = _ALLOCATED | order
        for at, value in self.frames.items():
            table[at - RAM.begin >> 12] = value
        write_frame_table(self.image.ram, FRAME_TABLE, table.tobytes())

    def dump(self) -> Dump:
        """The memory as a dump of a run."""
        table = (self.frame_table, RAM.begin >> 12, RAM.size >> 12)
        run = RunFacts(self.generation, "sealed", self.image.root, None, (), table)
        memory = ImageMemory(self.image, self.left_out)
        return Dump(Path("sample"), "test", memory, "x86_64", "q35", 12, None, run)

    def snapshot(self) -> Snapshot:
        """What is read of it."""
        return find_snapshot(self.dump())


def broken(dump: Dump) -> dict[str, Status]:
    """The rules that a dump does not keep."""
    try:
        outcomes = check(find_snapshot(dump))
    except NoHandover as error:
        outcomes = check_unreadable(error.candidates[0])
    return {
        outcome.rule.id: outcome.status
        for outcome in outcomes
        if outcome.status in (Status.FAILED, Status.WARNING)
    }
