# SPDX-License-Identifier: BSD-3-Clause
"""The same memory in every format is the same handover."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dumps.dump_files import WRITERS, kdump_bytes, used_pages, write_described, write_elf
from measured import cost_of
from view.handover_image import MIB, PAGE, RAM, SCRATCH, HandoverImage, typical_image

from khorig.kho.snapshot import NoHandover, find_snapshot
from khorig.mem.errors import DecodeError
from khorig.mem.formats import UnreadableDump, open_dump
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import PhysRange
from khorig.rules.check import check, is_broken
from khorig.vm import live_dump
from khorig.vm.ram_file import RamFile

_FOUR_GIB = 4 << 30
_MOST_KIB = 300 << 10


@functools.cache
def image() -> HandoverImage:
    made = typical_image()
    made.finish()
    return made


def facts() -> dict[str, Any]:
    scratch = [[hex(a.begin), hex(a.size)] for a in SCRATCH]
    return {
        "arch": "arm64", "machine": "virt", "generation": 1, "at": "sealed",
        "root": hex(image().root), "scratch": scratch, "frames": None, "parameters": None,
    }  # fmt: skip


@pytest.mark.parametrize("format", sorted(WRITERS))
def test_every_format(format: str, tmp_path: Path) -> None:
    path = tmp_path / format
    WRITERS[format](path, image().ram, facts())
    with open_dump(path, "virt" if format == "image" else None) as dump:
        assert dump.memory.ranges == (RAM,)
        assert dump.arch == "arm64"
        is_described = format in ("described.ram", "packed.ram.zst")
        assert (dump.run is not None and dump.run.at == "sealed") is is_described
        known = sum(r.size for r in dump.memory.data())
        used = len(used_pages(image().ram)) * PAGE
        # The file system of the test may not know holes; zstd knows pieces of 8 MiB.
        assert used <= known <= RAM.size
        found = find_snapshot(dump)
        assert found.chosen.address == image().root and found.chosen.state == "whole"
        assert len(found.handover.blocks) == len(image().blocks)
        assert not is_broken(check(found))
        for frame, page in used_pages(image().ram).items():
            assert bytes(dump.memory.view(frame << 12, PAGE)) == page
        assert bytes(dump.memory.view(RAM.begin + 3, 5 * PAGE)) == image().ram.read(
            RAM.begin + 3, 5 * PAGE
        )
        for address, size in ((RAM.begin - 1, 2), (RAM.end - 1, 2), (0, 1), (RAM.begin, -1)):
            with pytest.raises(DecodeError):
                dump.memory.view(address, size)


def test_what_a_core_says_of_its_kernel(tmp_path: Path) -> None:
    for format in ("core", "kdump"):
        WRITERS[format](tmp_path / format, image().ram, facts())
        with open_dump(tmp_path / format) as dump:
            assert (dump.release, dump.page_shift) == ("7.3.0-test", 12)


def test_a_run_states_the_page_size_of_its_images(tmp_path: Path) -> None:
    """A root of two pages of 4 KiB reads as a sound one where pages have 16 KiB, so nothing in
    arm64's memory tells that it is too large."""
    assert image().root % (16 << 10) == 0
    path = tmp_path / "described.ram"
    for stated in (None, 12):
        write_described(path, image().ram, {**facts(), "page_shift": stated})
        with path.open("r+b") as file:
            file.seek(image().root - RAM.begin + 4)
            file.write(struct.pack(">I", 2 * PAGE))
        with open_dump(path) as dump:
            assert dump.page_shift == stated
            if stated is None:
                assert find_snapshot(dump).geometry.page_shift == 14
            else:
                with pytest.raises(NoHandover, match="totalsize 8192, expected 40 to 4096"):
                    find_snapshot(dump)


@pytest.mark.parametrize("stated", [13, "4096", -12, [], True])
def test_a_page_size_that_is_none(stated: object, tmp_path: Path) -> None:
    path = tmp_path / "described.ram"
    write_described(path, image().ram, {**facts(), "page_shift": stated})
    with pytest.raises(UnreadableDump, match="page_shift"):
        open_dump(path)


def test_holes_and_addresses_above_4_gib(tmp_path: Path) -> None:
    regions = [
        RamRegion(0, MIB, 0),
        RamRegion(_FOUR_GIB, MIB, MIB),
        RamRegion(1 << 40, MIB, 2 * MIB),
    ]
    ram = GuestRam(memoryview(bytearray(3 * MIB)), regions)
    ram.write((1 << 40) + 5, b"far away")
    write_elf(tmp_path / "core", ram, {"arch": "x86_64"})
    with open_dump(tmp_path / "core") as dump:
        assert dump.memory.ranges == tuple(PhysRange(r.gpa, r.size) for r in regions)
        assert bytes(dump.memory.view((1 << 40) + 5, 8)) == b"far away"
        with pytest.raises(DecodeError):
            dump.memory.view(MIB - 1, 2)


def test_a_view_over_two_segments(tmp_path: Path) -> None:
    regions = [RamRegion(0, MIB, MIB), RamRegion(MIB, MIB, 0)]
    ram = GuestRam(memoryview(bytearray(2 * MIB)), regions)
    ram.write(MIB - 2, b"ab")
    ram.write(MIB, b"cd")
    write_elf(tmp_path / "core", ram, {"arch": "x86_64"})
    with open_dump(tmp_path / "core") as dump:
        assert dump.memory.ranges == (PhysRange(0, 2 * MIB),)
        assert bytes(dump.memory.view(MIB - 2, 4)) == b"abcd"


def test_a_live_machine(tmp_path: Path) -> None:
    with RamFile(RAM.size) as file:
        ram = file.guest_ram([RamRegion(RAM.begin, RAM.size, 0)])
        for frame, page in used_pages(image().ram).items():
            ram.write(frame << 12, page)
        with open_dump(Path(f"/proc/self/fd/{file.descriptors[0]}"), "virt") as dump:
            found = find_snapshot(dump)
            assert found.chosen.state == "whole"
            ram.write(image().root, b"GARBAGE!")
            assert bytes(dump.memory.view(image().root, 8)) == b"GARBAGE!"
            del found


def test_the_machine_of_an_image_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    with open_dump(path) as dump:
        assert dump.machine == "q35" and dump.memory.ranges[1].begin == _FOUR_GIB
    with path.open("r+b") as file:
        file.write(b"\xd0\x0d\xfe\xed")
    with open_dump(path) as dump:
        assert dump.machine == "virt" and dump.memory.ranges[0].begin == 1 << 30


def test_files_that_are_no_dump(tmp_path: Path) -> None:
    cases = {
        "empty": b"",
        "elf32": b"\x7fELF\x01\x01\x01" + bytes(100),
        "no-core": b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, 62) + bytes(60),
        "short-elf": b"\x7fELF\x02\x01",
        "kdump": b"KDUMP   " + bytes(600),
        "flattened": b"makedumpfile\0\0\0\0" + struct.pack(">qq", 1, 1) + bytes(5000),
        "no-pieces": b"makedumpfile\0\0\0\0"
        + struct.pack(">qq", 1, 1).ljust(4080, b"\0")
        + struct.pack(">qq", -1, -1),
        "zstd": b"\x28\xb5\x2f\xfd" + bytes(3),
    }
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UnreadableDump) as caught:
            open_dump(path).memory.close()
        assert caught.value.why and "\n" not in str(caught.value), name
    with pytest.raises(UnreadableDump):
        open_dump(tmp_path)


def test_memory_that_starts_like_a_dump(tmp_path: Path) -> None:
    ram = GuestRam(memoryview(bytearray(MIB)), [RamRegion(0, MIB, 0)])
    for magic in (b"\x7fELF\x02\x01\x01", b"KDUMP   ", b"makedumpfile\0"):
        ram.write(0, magic)
        path = tmp_path / "x.ram"
        WRITERS["described.ram"](path, ram, {**facts(), "root": None})
        with open_dump(path) as dump:
            assert dump.memory.ranges == (PhysRange(0, MIB),), magic
        path.with_suffix(".json").unlink()
        with open_dump(path, "q35") as dump:
            assert dump.memory.ranges == (PhysRange(0, MIB),), magic
        with pytest.raises(UnreadableDump):
            open_dump(path)


def test_a_description_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x.ram"
    path.write_bytes(bytes(MIB))
    good: dict[str, Any] = {**facts(), "size": MIB, "ram_map": [["0x0", hex(MIB), "0x0"]]}
    beside = tmp_path / "x.json"
    cases: tuple[Any, ...] = (
        {**good, "size": MIB - 1}, {**good, "size": MIB + 1},
        {**good, "ram_map": [["0x0", hex(2 * MIB), "0x0"]]},
        {**good, "ram_map": [[1]]}, {**good, "root": "here"}, {"at": 1}, [], "x",
    )  # fmt: skip
    for bad in cases:
        beside.write_text(json.dumps(bad))
        with pytest.raises(UnreadableDump):
            open_dump(path)
    beside.write_text(json.dumps(good))
    open_dump(path).memory.close()


def test_kdump_says_what_it_cannot_unpack(tmp_path: Path) -> None:
    path = tmp_path / "kdump"
    content = bytearray(kdump_bytes(image().ram, "arm64"))
    bitmaps = struct.unpack_from("<I", content, 436)[0]
    table = (2 + bitmaps) * PAGE
    for frame in range(RAM.size >> 12):
        struct.pack_into("<I", content, table + 24 * frame + 12, 4)
    path.write_bytes(content)
    with pytest.raises(UnreadableDump, match="compressed with snappy: .*`makedumpfile -c`"):
        open_dump(path)


def test_a_part_of_a_kdump_that_was_split(tmp_path: Path) -> None:
    path = tmp_path / "kdump"
    content = bytearray(kdump_bytes(image().ram, "arm64"))
    struct.pack_into("<I", content, PAGE + 12, 1)
    path.write_bytes(content)
    with pytest.raises(UnreadableDump, match="split dump: .*`makedumpfile --reassemble`"):
        open_dump(path)


def test_a_damaged_page_of_lzo(tmp_path: Path) -> None:
    path = tmp_path / "kdump"
    content = kdump_bytes(image().ram, "arm64", 2)
    bitmaps = struct.unpack_from("<I", content, 436)[0]
    table = np.frombuffer(content, "<u8,<u4,<u4,<u8", RAM.size >> 12, (2 + bitmaps) * PAGE)
    packed = table["f2"] == 2
    frame = int(np.flatnonzero(packed & (table["f0"] > table["f0"][0]))[-1])
    offset, size = int(table["f0"][frame]), int(table["f1"][frame])
    for damaged in (b"\xff" * size, bytes(size), content[offset + 1 : offset + 1 + size]):
        path.write_bytes(content[:offset] + damaged + content[offset + size :])
        with open_dump(path) as dump:
            with pytest.raises(DecodeError):
                dump.memory.view(RAM.begin + (frame << 12), PAGE)


def test_a_damaged_page_hides_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "kdump"
    content = bytearray(kdump_bytes(image().ram, "arm64"))
    bitmaps = struct.unpack_from("<I", content, 436)[0]
    victim = image().allocated[-1][0]
    entry = (2 + bitmaps) * PAGE + 24 * (victim - RAM.begin >> 12)
    struct.pack_into("<QII", content, entry, 0, 100, 1)
    path.write_bytes(content)
    with open_dump(path) as dump:
        with pytest.raises(DecodeError):
            dump.memory.view(victim, PAGE)
        assert find_snapshot(dump).chosen.address == image().root


def test_frames_are_the_same_however_often_they_are_looked_at(tmp_path: Path) -> None:
    frame = 8 * MIB
    ram = GuestRam(memoryview(bytearray(6 * frame)), [RamRegion(0, 6 * frame, 0)])
    noise = np.random.default_rng(1)
    ram.write(0, noise.bytes(6 * frame))
    path = tmp_path / "x.ram.zst"
    WRITERS["packed.ram.zst"](path, ram, {**facts(), "machine": "q35", "arch": "x86_64"})
    with open_dump(path) as dump:
        for _ in range(5):
            for at in (5 * frame, 0, 3 * frame, frame - 5, 2 * frame, 4 * frame + 3):
                assert bytes(dump.memory.view(at, 10)) == ram.read(at, 10)
            dump.memory.forget()
        assert bytes(dump.memory.view(1, 6 * frame - 1)) == ram.read(1, 6 * frame - 1)


def test_pages_of_a_kdump_that_are_not_packed_come_together(tmp_path: Path) -> None:
    ram = GuestRam(memoryview(bytearray(MIB)), [RamRegion(0, MIB, 0)])
    noise = np.random.default_rng(1)
    for page in range(0, 256, 3):  # two of three are noise, the third can be packed
        ram.write(page * PAGE, noise.bytes(min(2 * PAGE, MIB - page * PAGE)))
    path = tmp_path / "kdump"
    for pack in (0, 1):
        path.write_bytes(kdump_bytes(ram, "x86_64", pack))
        with open_dump(path) as dump:
            assert bytes(dump.memory.view(0, MIB)) == ram.read(0, MIB)
            assert bytes(dump.memory.view(PAGE + 7, 100 * PAGE)) == ram.read(PAGE + 7, 100 * PAGE)


def test_a_large_sparse_image_costs_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(64 << 30)
        for frame, page in used_pages(image().ram).items():
            os.pwrite(file.fileno(), page, (frame << 12) - RAM.begin)

    def look() -> None:
        with open_dump(path, "virt") as dump:
            assert find_snapshot(dump).chosen.state == "whole"

    assert cost_of(look).grown_kib < _MOST_KIB


@pytest.mark.parametrize("format", sorted(WRITERS))
def test_a_file_that_shrinks_while_it_is_open(tmp_path: Path, format: str) -> None:
    path = tmp_path / format
    WRITERS[format](path, image().ram, facts())
    with open_dump(path, "virt") as dump:
        os.truncate(path, 4096)
        with pytest.raises(
            UnreadableDump, match=r"file was truncated while open: \d+ bytes before"
        ):
            for r in dump.memory.data():
                for begin in range(r.begin, r.end, PAGE):
                    dump.memory.view(begin, PAGE)


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad sector."""

    def fail(*arguments: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "dump"
    path.write_bytes(bytes(MIB))
    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(UnreadableDump, match="cannot be read at 0x0: Input/output error"):
        open_dump(path, "virt")


def test_a_qmp_socket_that_others_wait_for_is_named(tmp_path: Path) -> None:
    """A blocking connect() would wait with them, for ever."""
    path = str(tmp_path / "vm.qmp")
    with contextlib.ExitStack() as stack:
        server, *waiting = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(9))
        server.bind(path)
        server.listen(1)  # as QEMU does
        with contextlib.suppress(BlockingIOError):
            for client in waiting:
                client.setblocking(False)
                client.connect(path)
        with pytest.raises(UnreadableDump, match="others wait for QEMU on QMP already"):
            live_dump.open_memory(tmp_path / "vm.qmp")


def test_a_busy_qmp_socket_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU greets the next client when the one before has left."""
    monkeypatch.setattr(live_dump, "_ANSWER_S", 0.2)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "vm.qmp"))
        server.listen()
        with pytest.raises(UnreadableDump, match="one client at a time, is there another?"):
            live_dump.open_memory(tmp_path / "vm.qmp")
