# SPDX-License-Identifier: BSD-3-Clause
"""RAM that a kernel behind a jump has and the first one had not."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

import pytest
from verdict.fake_guest import stop_of
from view.firmware_image import PARAMETERS, FirmwareImage

from khorig.guest.chain_run import ChainRun
from khorig.guest.event import EventFieldError, GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.kho.boot.memory_map import MapEntry, read_memory_map
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange
from khorig.rules.plan import Plan
from khorig.rules.stop import Stop
from khorig.rules.temporal.definitions import RAM_OF_COLD_BOOT
from khorig.rules.temporal.memory_maps import MemoryMaps

MIB = 1 << 20
HOLE = 42 * MIB
LOW = ((0, 0x1000, "Reserved"), (0x1000, 0x9F000, "System RAM"), (0xD0000, 0x20000, "ACPI Tables"))
COLD = (*LOW, (MIB, 199 * MIB, "System RAM"), (200 * MIB, HOLE, "Reserved"),
        (242 * MIB, 14 * MIB, "System RAM"))  # fmt: skip
SPEC = ChainRun("x86_64", "q35", kernels=("linux-7.3", "khorig", "linux-7.3"))


def told(*ranges: tuple[int, int, str], generation: int = 1, **more: Any) -> GuestEvent:
    listed = [[hex(begin), hex(size), name] for begin, size, name in ranges]
    fields = {"ev": "memory-map", "ranges": listed, "last": True, "limited": False, **more}
    return GuestEvent("memory-map", generation, 0, 0.0, fields)


def linux(*ranges: tuple[int, int, str], generation: int = 1, **more: Any) -> Stop:
    """A Linux whose user space runs."""
    facts = GuestFacts()
    if ranges:
        facts.take(told(*ranges, generation=generation, **more))
    return stop_of(FirmwareImage().memory, SPEC, generation, "restored", facts)


def khorig(*regions: tuple[int, int, int]) -> Stop:
    """The entry of the khorig in between, with an e820 of begin, end and type."""
    image = FirmwareImage()
    image.boot_params(*regions)
    return stop_of(image.memory, SPEC, 2, "entry", GuestFacts(parameters=PARAMETERS))


def compared(*stops: Stop) -> list[str]:
    maps = MemoryMaps()
    found = [[finding.what for finding in maps.check(stop)] for stop in stops]
    assert not any(found[:-1]), found
    return found[-1]


def test_the_same_map_is_no_finding() -> None:
    e820 = (
        (0, 0xA0000, 1),
        (MIB, 200 * MIB, 1),
        (200 * MIB, 242 * MIB, 2),
        (242 * MIB, 256 * MIB, 1),
    )
    assert compared(linux(*COLD), khorig(*e820), linux(*COLD, generation=3)) == []
    # Pieces of RAM that lie side by side are one; the page at 0 is Linux's own.
    pieces = ((0x1000, 0x9F000, "System RAM"), (MIB, 100 * MIB, "System RAM"),
              (101 * MIB, 99 * MIB, "System RAM"), (242 * MIB, 14 * MIB, "System RAM"))  # fmt: skip
    assert compared(linux(*COLD), linux(*pieces, generation=3)) == []


def test_ram_that_firmware_had_reserved() -> None:
    all_ram = (*LOW, (MIB, 255 * MIB, "System RAM"))
    words = "in generation 1, the cold boot, 'Reserved'"
    [what] = compared(linux(*COLD), linux(*all_ram, generation=3))
    assert what.startswith(
        "42 MiB at [0x000000000c800000, 0x000000000f200000) are RAM in generation"
    )
    assert what.endswith(words)
    [what] = compared(linux(*COLD), khorig((0, 0xA0000, 1), (MIB, 256 * MIB, 1)))
    assert what.startswith("42 MiB at") and what.endswith(words)
    [what] = compared(linux(*COLD), khorig((0, MIB, 1), (MIB, 200 * MIB, 1)))
    assert "'ACPI Tables'" in what


def test_more_ram_than_there_was() -> None:
    longer = (*COLD, (256 * MIB, MIB, "System RAM"))
    [what] = compared(linux(*COLD), linux(*longer, generation=3))
    assert what.startswith("1 MiB at") and what.endswith("the cold boot, in no range")
    limited = linux(*COLD, limited=True)
    assert compared(limited, linux(*longer, generation=3)) == [], "mem= left it out"
    assert compared(limited, linux((MIB, 255 * MIB, "System RAM"), generation=3)) != []


def test_ram_that_is_lost() -> None:
    less = (*LOW, (MIB, 150 * MIB, "System RAM"), (151 * MIB, 49 * MIB, "Device"))
    found = compared(linux(*COLD), linux(*less, generation=3))
    assert found[0].startswith("49 MiB at") and found[0].endswith("'Device' in generation 3")
    assert found[1].startswith("14 MiB at") and "in no range" in found[1]
    assert compared(linux(*COLD), linux(*less, generation=3, limited=True)) == []
    small = (*COLD[:3], (MIB, 199 * MIB - 4096, "System RAM"), *COLD[4:])
    assert compared(linux(*COLD), linux(*small, generation=3)) == []


def test_what_cannot_be_looked_at_is_a_finding() -> None:
    assert compared(linux()) == ["no 'memory-map' event before this stop"]
    assert compared(linux(*COLD, last=False)) == ["no 'memory-map' event before this stop"]
    assert compared(linux((0, 4096, "Reserved"))) == ["the memory map has no RAM"]
    nothing = stop_of(FirmwareImage().memory, SPEC, 2, "entry")
    assert compared(nothing) == ["no 'boot' event before this stop"]
    image = FirmwareImage()
    image.put(PARAMETERS + 0x1E8, bytes([200]))
    broken = stop_of(image.memory, SPEC, 2, "entry", GuestFacts(parameters=PARAMETERS))
    [finding] = MemoryMaps().check(broken)
    assert (finding.rule, "200 regions" in finding.what) == (RAM_OF_COLD_BOOT, True)


@pytest.mark.parametrize(
    "ranges",
    [None, "all", [["0x0", "0x1000"]], [["0x0", 1, "x"]], [["0x0", "-1", "x"]], [["0x0", "0x1", 2]],
     [["0x0", "0x1", "x"]] * 5000],
)  # fmt: skip
def test_a_wrong_map_is_named(ranges: Any) -> None:
    with pytest.raises(EventFieldError):
        GuestFacts().take(told(**{"ranges": ranges}))


def test_a_map_of_pvh() -> None:
    image = FirmwareImage()
    start = struct.pack("<IIIIQQQQII", 0x336EC578, 1, 0, 0, 0, 0, 0, PARAMETERS + 0x100, 2, 0)
    table = struct.pack("<QQIIQQII", 0, 0x9FC00, 1, 0, 0xF0000, 0x10000, 2, 0)
    image.put(PARAMETERS, start)
    image.put(PARAMETERS + 0x100, table)
    assert read_memory_map(image.memory, "x86_64", PARAMETERS) == (
        MapEntry(PhysRange(0, 0x9FC00), "RAM"),
        MapEntry(PhysRange(0xF0000, 0x10000), "reserved"),
    )
    image.put(PARAMETERS + 48, struct.pack("<I", 5000))
    with pytest.raises(DecodeError, match="5000 regions"):
        read_memory_map(image.memory, "x86_64", PARAMETERS)


def test_where_it_is_due() -> None:
    def due(spec: ChainRun) -> list[tuple[int, str]]:
        places = [(g, at) for g in (1, 2, 3) for at in ("entry", "restored", "sealed")]
        return [place for place in places if RAM_OF_COLD_BOOT in Plan(spec).due(*place)]

    assert due(SPEC) == [(1, "restored"), (2, "entry"), (3, "restored")]
    assert due(dataclasses.replace(SPEC, boot="uefi")) == [(1, "restored"), (3, "restored")]
    khorigs = dataclasses.replace(SPEC, kernels=("khorig", "linux-7.3", "khorig"))
    assert due(khorigs) == [(1, "entry"), (2, "restored"), (3, "entry")]
    assert due(dataclasses.replace(khorigs, boot="uefi")) == []
    assert due(dataclasses.replace(khorigs, stops=("sealed", "restored"))) == []
