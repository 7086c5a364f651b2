# SPDX-License-Identifier: BSD-3-Clause
"""A dump as a program sees it: the handover in it, the owner of a page, rules, another dump."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Iterator, Mapping

from khorig.api.preserved_block import PreservedBlock
from khorig.kho.clients.khorig import KHORIG_PATH, MEMBLOCK_PATH, METADATA_PATH, read_store
from khorig.kho.clients.linux import KHO_TEST_PATH, LUO_PATH
from khorig.kho.handover import Handover
from khorig.kho.layout import Geometry
from khorig.kho.owners import Owners
from khorig.kho.snapshot import NoHandover, Snapshot, find_snapshot
from khorig.mem.elf_writer import write_elf
from khorig.mem.formats.dump import Dump, DumpMemory
from khorig.mem.memory import read_bytes
from khorig.rules.check import check, check_unreadable
from khorig.rules.difference import Difference, compare_dumps
from khorig.rules.finding import Finding
from khorig.rules.outcome import Outcome, Status
from khorig.vm.live_dump import open_memory


class OpenDump:
    """A dump of physical memory and the handover in it. A context manager.

        with khorig.open_dump("vmcore") as dump:
            for block in dump.blocks:
                print(hex(block.address), block.size, block.owner)

    Addresses are physical, sizes are bytes. The page size is that of the kernel that wrote the
    handover; no method takes one. Memory is searched for the handover at the first use of what
    needs it, about a second for each GiB that is not zero; this first use may raise NoHandover.
    """

    def __init__(self, dump: Dump, root: int | None = None, generation: int | None = None) -> None:
        """Takes `dump` over and closes it. See `open_dump` for the others."""
        self._dump = dump
        self._root = root
        self._generation = generation

    def __repr__(self) -> str:
        total = sum(r.size for r in self.memory.ranges) >> 20
        parts = (self._dump.arch, self._dump.machine, f"{total} MiB of RAM")
        text = ", ".join(part for part in parts if part)
        found = f"; {self.snapshot!r}" if "snapshot" in self.__dict__ else ""
        return f"<{self.path.name}: {self.format}, {text}{found}>"

    def __enter__(self) -> OpenDump:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file. What was decoded stays; memory cannot be read any more."""
        self.memory.close()

    @property
    def path(self) -> Path:
        """Of the file, or of QEMU's QMP socket."""
        return self._dump.path

    @property
    def format(self) -> str:
        """Such as "ELF core", "kdump", "RAM image, zstd", "machine that runs"."""
        return self._dump.format

    @property
    def memory(self) -> DumpMemory:
        """Physical memory: `ranges`, `view(address, size)`."""
        return self._dump.memory

    @property
    def arch(self) -> str | None:
        """ "x86_64" or "arm64", by the file or else by what names the root; None when neither
        tells. Raises NoHandover when the file does not."""
        return self._dump.arch or self.snapshot.arch

    @cached_property
    def snapshot(self) -> Snapshot:
        """Everything that was decoded. Raises NoHandover."""
        return find_snapshot(self._dump, self._root, self._generation)

    @property
    def handover(self) -> Handover:
        """Root, tracker, fragments and blobs (kho-v4: Linux 7.2, include/linux/kho/abi/
        kexec_handover.h; khorig's own nodes: docs/abi.md). Raises NoHandover."""
        return self.snapshot.handover

    @property
    def geometry(self) -> Geometry:
        """Page size, and the shape of the tracker that follows from it. Raises NoHandover."""
        return self.snapshot.geometry

    @property
    def owners(self) -> Owners:
        """The owner of every preserved page, as runs of page frames. Raises NoHandover."""
        return self.snapshot.owners

    def owner(self, address: int) -> str:
        """Who the page with a byte belongs to: "khorig/stores/db0 page 4", "kho_test folio 3 (order
        2) page 1", "nobody" for a preserved page that no structure names, a node of the tracker, or
        "" for any other page. O(log n) in the number of preserved blocks. Raises NoHandover.
        """
        return self.snapshot.describe(address >> self.geometry.page_shift)

    @property
    def blocks(self) -> Iterator[PreservedBlock]:
        """Every preserved block, in the sequence of the tracker (kho-v4: from the highest order to
        the lowest, then by address); those outside of RAM and those that overlap another are left
        out. Raises NoHandover."""
        snapshot = self.snapshot
        shift, blocks = self.geometry.page_shift, self.handover.blocks
        for frame, order in zip(blocks.frames.tolist(), blocks.orders.tolist()):
            size = 1 << shift + order
            yield PreservedBlock(frame << shift, order, size, snapshot.describe(frame))

    @property
    def clients(self) -> Mapping[str, object]:
        """What is decoded of each client, by the name of its node in the root: "kexec-metadata",
        "memblock" (a tuple of areas), "khorig" (archive, log, stores), "LUO", "kho_test". For a
        client that nothing can read it is the Fragment or Link; None when that is broken, and
        `check` says how. Raises NoHandover."""
        khorig, linux = self.snapshot.clients, self.snapshot.linux
        known: dict[str, object] = {
            METADATA_PATH: khorig.metadata,
            MEMBLOCK_PATH: khorig.reserved or None,
            KHORIG_PATH: khorig,
            LUO_PATH: linux.luo,
            KHO_TEST_PATH: linux.kho_test,
        }
        known |= {f"/{name}": client.state for name, client in self.snapshot.outside.items()}
        found = {}
        for node in self.handover.root.tree.children:
            path = f"/{node.name}"
            raw = self.handover.fragment(path) or self.handover.blob(path)
            found[node.name] = known.get(path) or raw
        return found

    def store(self, name: str) -> bytes:
        """The content of one of khorig's stores (docs/abi.md). Raises KeyError, OutsideRam,
        NoHandover."""
        return read_store(self.memory, self.snapshot.clients.stores[name])

    def read(self, address: int, size: int) -> bytes:
        """A copy of memory. Raises OutsideRam."""
        return read_bytes(self.memory, address, size)

    def outcomes(self) -> list[Outcome]:
        """Every static rule with its outcome, as `khorig check` prints them. Of a root that is
        named but cannot be read, only the rules for roots are evaluated. Raises NoHandover when
        there is no root."""
        try:
            return check(self.snapshot)
        except NoHandover as error:
            named = [candidate for candidate in error.candidates if candidate.error is not None]
            if not named:
                raise
            return check_unreadable(named[0])

    def check(self) -> list[Finding]:
        """What breaks a static rule, in the sequence of the rules; warnings are left out,
        `outcomes` has them. Empty for a sound handover. Raises NoHandover when there is no root."""
        return [
            Finding(outcome.rule.id, violation.text, f"{violation.address:#018x}", violation.owner)
            for outcome in self.outcomes()
            if outcome.status is Status.FAILED
            for violation in outcome.violations
        ]

    def to_elf(self, path: str | os.PathLike[str]) -> None:
        """Writes all memory of the dump as an ELF core, which crash, drgn and gdb open; zeros take
        no room in it. Raises CannotExport when nothing tells the architecture; OSError."""
        try:
            arch = self.arch
        except NoHandover:
            arch = None
        write_elf(self._dump, Path(path), arch)

    def diff(self, later: OpenDump) -> Difference:
        """What is different in a later dump of the same machine, by the use of each page here;
        `.lost` are the page frames that had to stay the same. Both stay open as long as the result
        is used. Raises CannotCompare."""
        try:
            mine = self.snapshot
        except NoHandover:
            mine = None
        return compare_dumps(self._dump, later._dump, mine)


def open_dump(
    path: str | os.PathLike[str],
    machine: str | None = None,
    root: int | None = None,
    generation: int | None = None,
) -> OpenDump:
    """Opens whatever holds the memory of a machine: an ELF core, a kdump file, an image of RAM, or
    the QMP socket of a QEMU (docs/inspect.md has the list).

    `machine` names the layout of an image without description ("q35", "virt"; `khorig list`), which
    is guessed otherwise. `root` is the physical address of the root page where it is known;
    `generation` picks the handover that so many jumps led to when there are several.

    Raises UnreadableDump for a file that is missing or holds no memory that can be read, KeyError
    for an unknown machine. That there is no handover is raised where one is asked for.
    """
    return OpenDump(open_memory(Path(path), machine), root, generation)
