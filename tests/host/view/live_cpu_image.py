# SPDX-License-Identifier: BSD-3-Clause
"""Writes the handover of a CPU that runs on, its page tables included, from the ABI text."""

from __future__ import annotations

import struct
from pathlib import Path

from view.handover_image import PAGE, HandoverImage, add_metadata

from khorig.kho.snapshot import Snapshot, snapshot_of_stop
from khorig.mem.formats.dump import Dump, RunFacts

SIZE = 136
MAGIC = 0x7570632D6576696C
NX = 1 << 63
# Present, writable, accessed, dirty; an EL1 page: valid, accessed, not for EL0, normal.
X86_TABLE, X86_READ, X86_WRITE = 0x23, 0x61 | NX, 0x63 | NX
ARM_TABLE, ARM_EXECUTE, ARM_READ, ARM_WRITE = 3, 1 << 54 | 0x787, 3 << 53 | 0x787, 3 << 53 | 0x707


class LiveImage(HandoverImage):
    """A handover with a CPU that runs on."""

    def __init__(self, arch: str = "x86_64") -> None:
        super().__init__()
        self.arch = arch
        add_metadata(self, 1)
        self.tables = [self.preserved_page() for _ in range(4 if arch == "x86_64" else 3)]
        self.text, self.stack, self.counter, self.mailbox = (
            self.preserved_page() for _ in range(4)
        )
        self.window = self.text & ~0x1FFFFF
        self.virtual = [self.text + n * PAGE for n in range(4)]
        self.write_u64(self.counter, 77)
        self.write_tables()
        self.blob = self.preserved_page(self.description())

    def description(self) -> bytes:
        tables = [*self.tables, 0, 0][:5]
        pages = zip((self.text, self.stack, self.counter, self.mailbox), self.virtual)
        words = [MAGIC, 1, 50, len(self.tables), *tables, *(w for page in pages for w in page)]
        return struct.pack("<17Q", *words)

    def entry(self, virtual: int, level: int) -> int:
        """Where the entry of that level lies; 0 is the last."""
        table = self.tables[len(self.tables) - 1 - level]
        return table + 8 * (virtual >> (12 + 9 * level) & 511)

    def write_tables(self) -> None:
        x86 = self.arch == "x86_64"
        for level in range(len(self.tables) - 1, 0, -1):
            below = self.tables[len(self.tables) - level]
            self.write_u64(self.entry(self.text, level), below | (X86_TABLE if x86 else ARM_TABLE))
        rights = (0x61, X86_WRITE, X86_WRITE, X86_READ)
        if not x86:
            rights = (ARM_EXECUTE, ARM_WRITE, ARM_WRITE, ARM_READ)
        pages = (self.text, self.stack, self.counter, self.mailbox)
        for virtual, physical, bits in zip(self.virtual, pages, rights):
            self.write_u64(self.entry(virtual, 0), physical | bits)

    def linked(self, size: int = SIZE) -> int:
        khorig = self.fragment({"compatible": "khorig-v1", "live-cpu": self.link(self.blob, size)})
        self.clients["khorig"] = self.link(khorig)
        return self.finish()

    def snapshot(self) -> Snapshot:
        root = self.linked()
        run = RunFacts(generation=1, at="sealed", root=root)
        dump = Dump(Path("live"), "test", self.memory, self.arch, "q35", 12, run=run)
        return snapshot_of_stop(dump)
