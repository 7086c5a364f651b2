# SPDX-License-Identifier: BSD-3-Clause
"""The host's half of the probe, with nobody or a script on the other side."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from khorig.guest.khorig_run import KhorigRun
from khorig.mem.guest_ram import GuestRam, OutsideGuestRam, RamRegion
from khorig.mem.memory import PhysRange
from khorig.vm.build_outputs import Images, build_directories
from khorig.vm.command import Wiring, qemu_argv
from khorig.vm.errors import InfraError
from khorig.vm.machines import machine_named
from khorig.vm.probe import control_block as block
from khorig.vm.probe.errors import NoProbe, ProbeLimit
from khorig.vm.probe.plugin import ProbeOptions, api_of, find_probe
from khorig.vm.probe.probe import Probe
from khorig.vm.probe.records import Access, ProbeStop
from khorig.vm.ram_file import assumed

_OPTIONS = ProbeOptions(Path("/probe,1.so"), reports_physical=False, stores=True, fetches=True)
_REGIONS = (RamRegion(0, 0x10000, 0), RamRegion(1 << 32, 0x10000, 0x10000))


class Plugin:
    """QEMU's end: the same memory and socket."""

    def __init__(self, probe: Probe) -> None:
        wiring = probe.wiring()
        self.memory, self.socket = os.dup(wiring.control), os.dup(wiring.socket)

    def read(self, part: str, form: str, at: int = 0) -> tuple[int, ...]:
        data = os.pread(self.memory, struct.calcsize(form), block.OFFSETS[part] + at)
        return struct.unpack(form, data)

    def write(self, part: str, data: bytes, at: int = 0) -> None:
        os.pwrite(self.memory, data, block.OFFSETS[part] + at)

    def store(self, number: int, sequence: int | None = None, size: int = 8) -> None:
        """Puts record `number` (from 0) into the ring and counts it."""
        access = block.ACCESS.pack(1, 0x1000 + number, 0xFFFF0040, 0x40, number)
        sequence = number + 1 if sequence is None else sequence
        record = block.STORE.pack(sequence, access, size, b"before", b"after")
        self.write("ring", record, number % block.RING_RECORDS * block.STORE.size)
        self.write("stores", struct.pack("<Q", number + 1))

    def close(self) -> None:
        os.close(self.memory)
        os.close(self.socket)


@pytest.fixture
def ram() -> GuestRam:
    return GuestRam(memoryview(bytearray(range(256)) * 0x200), _REGIONS)


@pytest.fixture
def probe(ram: GuestRam) -> Iterator[Probe]:
    with Probe(_OPTIONS) as probe:
        yield probe


@pytest.fixture
def plugin(probe: Probe, ram: GuestRam) -> Iterator[Plugin]:
    plugin = Plugin(probe)
    probe.attach(ram, assumed(_REGIONS).pieces)
    yield plugin
    plugin.close()


def test_both_halves_have_one_layout() -> None:
    binary = build_directories()[0].parent / "qemu" / "probe" / "print_layout"
    said = subprocess.run([str(binary)], capture_output=True, text=True, check=True).stdout
    theirs = {name: int(value) for name, value in (line.split() for line in said.splitlines())}
    sizes = {
        "Region": block.REGION.size,
        "Range": block.RANGE.size,
        "Access": block.ACCESS.size,
        "Absence": block.ABSENCE.size,
        "Absence.first": block.ABSENCE.size - block.ACCESS.size,
        "Store": block.STORE.size,
        "Store.after": block.STORE.size - block.MAX_STORE_BYTES,
        "StopRecord": block.STOP_RECORD.size,
        "magic": block.MAGIC,
        "state": block.STATE_OFFSET,
    }
    assert theirs == {**block.OFFSETS, **sizes}


def test_the_regions_say_where_this_qemu_reports_ram(plugin: Plugin, ram: GuestRam) -> None:
    high = plugin.read("regions", "<QQQQ", block.REGION.size)
    assert high == (1 << 32, 0x10000, 0x10000, 0x10000)  # an address in QEMU's block
    newer = ProbeOptions(Path("p.so"), reports_physical=True)
    with Probe(newer) as other:
        theirs = Plugin(other)
        other.attach(ram, assumed(_REGIONS).pieces)
        assert theirs.read("regions", "<QQQQ", block.REGION.size)[3] == 1 << 32
        theirs.close()


def test_a_stop_is_reported_and_answered(probe: Probe, plugin: Plugin) -> None:
    probe.stop_on_fetch([PhysRange(0x4000, 0x2000), PhysRange(0x8000, 0)])
    assert plugin.read("fetch_armed", "<II") == (1, 1)
    assert plugin.read("fetch", "<QQ") == (0x4000, 0x6000)
    record = block.STOP_RECORD.pack(block.FETCH_STOP, 2, 0x4010, 0x4010, 7)
    os.write(plugin.socket, record[:10])
    assert probe.receive() == []  # not whole yet
    os.write(plugin.socket, record[10:])
    assert probe.receive() == [ProbeStop("fetch", 2, 0x4010, 0x4010, 7)]
    probe.resume()
    assert os.read(plugin.socket, 8) == b"g"
    probe.stop_on_fetch([])
    assert plugin.read("fetch_armed", "<II") == (0, 0)


def test_an_address_stop_knows_no_physical_address(probe: Probe, plugin: Plugin) -> None:
    probe.stop_at(0xFFFFFFFF81000000)
    assert plugin.read("address_armed", "<II") == (1, 1)
    assert plugin.read("addresses", "<Q") == (0xFFFFFFFF81000000,)
    fields = (block.ADDRESS_STOP, 0, 0xFFFFFFFF81000000, block.NO_PHYSICAL, 0)
    os.write(plugin.socket, block.STOP_RECORD.pack(*fields))
    assert probe.receive() == [ProbeStop("address", 0, 0xFFFFFFFF81000000, None)]


def test_watched_pages_are_copied_and_sorted(probe: Probe, plugin: Plugin, ram: GuestRam) -> None:
    ram.write(0x1_0000_2000, b"high")
    probe.watch([0x100002, 3, 3])
    assert plugin.read("watch_armed", "<II") == (1, 2)
    assert plugin.read("pages", "<QQ") == (0x3000, 0x12000)
    assert plugin.read("shadow", "<4B", 4096) == tuple(b"high")
    with pytest.raises(OutsideGuestRam):
        probe.watch([0x500])


def test_stores_come_in_their_order(probe: Probe, plugin: Plugin) -> None:
    for number in range(3):
        plugin.store(number)
    first, _, last = probe.stores()
    assert (first.cpu, first.pc, first.virtual, first.physical) == (1, 0x1000, 0xFFFF0040, 0x40)
    assert (first.before, first.after) == (b"before\0\0", b"after\0\0\0")
    assert last.instruction == 2 and probe.dropped == 0


def test_the_ring_keeps_the_newest(probe: Probe, plugin: Plugin) -> None:
    for number in (block.RING_RECORDS - 1, block.RING_RECORDS, block.RING_RECORDS + 1):
        plugin.store(number)
    assert [store.instruction for store in probe.stores()] == [
        block.RING_RECORDS - 1,
        block.RING_RECORDS,
        block.RING_RECORDS + 1,
    ]
    assert probe.dropped == 2


def test_a_record_that_is_being_written_is_left_out(probe: Probe, plugin: Plugin) -> None:
    plugin.store(0)
    plugin.store(1, sequence=0)
    assert [store.instruction for store in probe.stores()] == [0]


def test_what_is_outside_is_counted_from_the_start_on(probe: Probe, plugin: Plugin) -> None:
    probe.expect_inside("fetch", [PhysRange(0x1000, 0x1000)], cpu=3)
    assert plugin.read("fetches_outside", "<IIQQ") == (1, 3, 1, 0)
    assert plugin.read("fetches_outside", "<QQ", block.ABSENCE.size) == (0x1000, 0x2000)
    assert probe.outside("fetch").first is None
    first = block.ACCESS.pack(3, 0xFF00, 0xFF00, block.NO_PHYSICAL, 9)
    plugin.write("fetches_outside", struct.pack("<Q", 5) + first, 16)
    seen = probe.outside("fetch")
    assert (seen.count, seen.first) == (5, Access(3, 0xFF00, 0xFF00, None, 9))
    probe.expect_inside("fetch", [PhysRange(0x1000, 0x1000)], cpu=3)
    assert probe.outside("fetch") == seen, "a CPU that is counting would see fields change"
    probe.expect_inside("fetch", [PhysRange(0x2000, 0x1000)], cpu=3)
    assert probe.outside("fetch").count == 0
    probe.expect_inside("store", [])
    assert plugin.read("stores_outside", "<II") == (1, block.ALL_CPUS)


@pytest.mark.parametrize(
    ("state", "why"), [(block.READY, "was not loaded"), (block.NO_RAM, "no guest RAM")]
)
def test_a_probe_that_does_not_work_is_named(
    probe: Probe, plugin: Plugin, state: int, why: str
) -> None:
    plugin.write("header", struct.pack("<I", state), block.STATE_OFFSET)
    with pytest.raises(InfraError, match=why):
        probe.check()
    plugin.write("header", struct.pack("<I", block.MAPPED), block.STATE_OFFSET)
    probe.check()


def test_what_does_not_fit_is_refused(probe: Probe, plugin: Plugin, ram: GuestRam) -> None:
    with pytest.raises(ProbeLimit, match="64 ranges, not 65"):
        probe.stop_on_fetch([PhysRange(at, 1) for at in range(65)])
    with pytest.raises(ProbeLimit, match="16 addresses, not 17"):
        probe.stop_at(*range(17))
    with pytest.raises(ProbeLimit, match="160 regions"):
        probe.attach(ram, assumed(_REGIONS * 100).pieces)


def test_qemu_that_is_gone_is_no_error(probe: Probe, plugin: Plugin) -> None:
    os.close(plugin.socket)
    assert probe.receive() == [] and probe.closed
    probe.resume()
    plugin.socket = os.open("/dev/null", os.O_RDONLY)


def test_the_command_line_names_the_plugin_and_its_descriptors(probe: Probe) -> None:
    machine = machine_named("q35")
    images = Images(Path("k"), Path("a"))
    wiring = Wiring((3,), 4, 5, probe.wiring())
    words = qemu_argv(machine, KhorigRun("x86_64", "q35"), images, wiring)
    theirs = probe.wiring()
    options = f"control={theirs.control},socket={theirs.socket},ram=3,stores=on,fetches=on"
    assert words[words.index("-plugin") + 1] == f"/probe,,1.so,{options}"
    assert wiring.descriptors == (3, 4, 5, theirs.control, theirs.socket)
    bare = Wiring((3,), 4, 5)
    assert "-plugin" not in qemu_argv(machine, KhorigRun("x86_64", "q35"), images, bare)


@pytest.mark.parametrize(
    ("version", "api"),
    [((6, 2), None), ((7, 2), 1), ((8, 2), 1), ((9, 0), 2), ((10, 0), 4), ((11, 1), 7)],
)
def test_each_qemu_gets_the_plugin_for_its_interface(
    version: tuple[int, int], api: int | None
) -> None:
    assert api_of(version) == api


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo QEMU emulator version 6.2.0; echo -plugin", "QEMU 6.2 is too old"),
        ("echo QEMU emulator version 8.2.1", "QEMU 8.2 was built without plugins"),
        ("echo hello", "names no version"),
        ("exit 1", "names no version"),
        ("echo QEMU emulator version 7.2.22; echo -plugin", "is not built"),
    ],
)
def test_there_is_no_probe_without_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    binary = tmp_path / "qemu-system-x86_64"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("KHORIG_BUILD", str(tmp_path / "kernel"))
    with pytest.raises(NoProbe, match=why):
        find_probe("qemu-system-x86_64")
    with pytest.raises(NoProbe, match="not installed"):
        find_probe("qemu-system-vax")
