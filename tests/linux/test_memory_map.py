# SPDX-License-Identifier: BSD-3-Clause
"""Memory maps across jumps to Linux: one of more entries than boot_params has room for, and RAM
that a kernel gets or loses on the way."""

from __future__ import annotations

import re
import struct
from itertools import islice
from pathlib import Path
from typing import Any, Iterator, Sequence


from khorig.api.rig import Rig
from khorig.mem.guest_ram import GuestRam
from khorig.mem.memory import PhysRange, RamMemory
from khorig.rules.finding import Verdict
from khorig.rules.temporal.definitions import RAM_OF_COLD_BOOT
from khorig.run.judging import StopContext
from khorig.run.tamper.handoff_source import find_handoff_source, find_scratch_source

PAGE = 4096
# khorig keeps up to 64 pieces of RAM; a hole of several entries makes the map longer all the same.
HOLES, PAGES = 30, 4
SPARE = 16 * HOLES
LOWEST = 64 << 20  # of what is looked at: below lies what firmware and kernels are loaded to
# boot_params (Linux: arch/x86/include/uapi/asm/bootparam.h)
MAGIC, COUNT, SETUP_DATA, TABLE, ROOM = 0x202, 0x1E8, 0x250, 0x2D0, 128
ENTRY = struct.Struct("<QQI")  # address, size, type
RAM, RESERVED = 1, 2
SETUP_E820_EXT = 1

Entry = tuple[int, int, int]


def with_holes(entries: Sequence[tuple[Any, ...]], holes: Sequence[int]) -> Iterator[Entry]:
    """The map with PAGES pages of RAM reserved at each of these places."""
    for begin, size, kind in entries:
        end = begin + size
        for hole in sorted(h for h in holes if kind == RAM and begin < h < end):
            yield begin, hole - begin, RAM
            for page in range(PAGES):
                yield hole + page * PAGE, PAGE, RESERVED
            begin = hole + PAGES * PAGE
        yield begin, end - begin, kind


def untouched_pages(ram: GuestRam, scratch: Sequence[PhysRange]) -> Iterator[int]:
    """Pages that nobody has ever written to, so that nobody uses them, in no scratch area."""
    for region in ram.regions:
        for page in range(max(region.gpa, LOWEST), region.end, PAGE):
            in_scratch = any(area.overlaps(page, PAGE) for area in scratch)
            if not in_scratch and not ram.written(page, PAGE):
                yield page


class Fragment:
    """Gives the next kernel a map with holes, the end of it in a node of setup_data."""

    def __init__(self) -> None:
        self.entries = 0

    def __call__(self, context: StopContext) -> list[str]:
        if (context.at, context.generation) != ("sealed", 1):
            return []
        ram, memory = context.ram, RamMemory(context.ram)
        root = context.event.address("root")
        handoff = find_handoff_source(memory, context.machine.arch, root)
        spare = list(islice(untouched_pages(ram, find_scratch_source(memory, handoff)[1]), SPARE))
        holes = [
            spare[at] for at in range(0, 15 * HOLES, 8) if spare[at + 7] - spare[at] == 7 * PAGE
        ][:HOLES]
        parameters = handoff.root.address & -PAGE
        while ram.read(parameters + MAGIC, 4) != b"HdrS":
            parameters -= PAGE
        count = ram.read(parameters + COUNT, 1)[0]
        old = ENTRY.iter_unpack(ram.read(parameters + TABLE, count * ENTRY.size))
        new = [ENTRY.pack(*entry) for entry in with_holes(list(old), holes)]
        # It waits where nothing is copied to: the kernel reads it before it knows of free memory.
        rest, node = b"".join(new[ROOM:]), spare[-1]
        first = ram.read(parameters + SETUP_DATA, 8)
        ram.write(node, first + struct.pack("<II", SETUP_E820_EXT, len(rest)) + rest)
        ram.write(parameters + SETUP_DATA, node.to_bytes(8, "little"))
        ram.write(parameters + TABLE, b"".join(new[:ROOM]))
        ram.write(parameters + COUNT, bytes([ROOM]))
        self.entries = len(new)
        return [f"the memory map has {len(new)} entries, {len(new) - ROOM} of them at {node:#x}"]


def test_linux_gets_all_of_a_long_memory_map(rig: Rig) -> None:
    fragment = Fragment()
    result = rig.run("q35", kernels=("khorig", "khorig", "linux-7.3"), hooks=(fragment,))
    result.expect_pass()
    assert fragment.entries > ROOM
    console = (Path(result.directory) / "console.log").read_text(errors="replace")
    final = console[console.index("extended physical RAM map:") :]
    found = re.findall(r"\[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]\s+(?:device )?reserved", final)
    sizes = [int(end, 16) + 1 - int(begin, 16) for begin, end in found]
    assert sizes.count(PAGES * PAGE) == HOLES


HOLE = 42 << 20


def test_what_firmware_reserved_is_ram_after_kexec(rig: Rig) -> None:
    """Linux does not hand on what memmap= reserves: as with a firmware whose word is lost (N12)."""
    options = (f"1:memmap={HOLE >> 20}M$0x8000000",)
    result = rig.run("q35", kernels=("linux-7.3", "linux-7.3"), linux_options=options)
    assert result.verdict is Verdict.FAIL
    cause = result.findings[0]
    assert (cause.rule, cause.generation) == (RAM_OF_COLD_BOOT, 2)
    assert cause.what.startswith("42 MiB at [0x0000000008000000, 0x000000000aa00000) are RAM")
    assert cause.what.endswith("in generation 1, the cold boot, 'Reserved'")


class Shortened:
    """A StopHook: takes the last of RAM out of the device tree that the next kernel gets."""

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook."""
        if (context.at, context.generation) != ("sealed", 1):
            return []
        ram = context.ram
        root = context.event.address("root")
        handoff = find_handoff_source(RamMemory(ram), context.machine.arch, root)
        tree = handoff.root.address & -PAGE
        while ram.read(tree, 4) != b"\xd0\x0d\xfe\xed":
            tree -= PAGE
        size = int.from_bytes(ram.read(tree + 4, 4), "big")
        reg = (0x40000000).to_bytes(8, "big")
        at = ram.read(tree, size).index(reg + (1 << 30).to_bytes(8, "big"))
        ram.write(tree + at + 8, ((1 << 30) - HOLE).to_bytes(8, "big"))
        return [f"the last {HOLE >> 20} MiB are not in the device tree at {tree:#x}"]


def test_ram_that_a_linux_does_not_get_is_lost(rig: Rig) -> None:
    result = rig.run("virt", kernels=("khorig", "linux-7.3"), hooks=(Shortened(),))
    assert result.verdict is Verdict.FAIL
    [cause] = (finding for finding in result.findings if finding.rule == RAM_OF_COLD_BOOT)
    assert cause.generation == 2 and cause.what.startswith("42 MiB at [0x000000007d600000")


def test_a_linux_that_is_told_to_have_less_has_lost_nothing(rig: Rig) -> None:
    options = ("3:mem=512M",)
    for machine in ("q35", "virt"):
        result = rig.run(machine, kernels=("linux-7.3", "khorig", "linux-7.3"),
                         linux_options=options)  # fmt: skip
        assert not [f for f in result.findings if f.rule == RAM_OF_COLD_BOOT], str(result)
