# SPDX-License-Identifier: BSD-3-Clause
"""Guest RAM: addresses, bounds, files and images."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khorig.mem.guest_ram import GuestRam, OutsideGuestRam, RamRegion
from khorig.vm.errors import InfraError
from khorig.vm.machines import MACHINES, Machine, machine_named
from khorig.vm.ram_file import RamFile
from khorig.vm.ram_image import save_ram_image

_MIB = 1 << 20
_GIB = 1 << 30


@pytest.mark.parametrize(
    "name, size, regions",
    [  # what `info mtree -f` of QEMU 7.2 says
        ("q35", 2815 * _MIB, [(0, 2815 * _MIB, 0)]),
        ("q35", 2816 * _MIB, [(0, 2 * _GIB, 0), (4 * _GIB, 768 * _MIB, 2 * _GIB)]),
        ("q35", 6 * _GIB, [(0, 2 * _GIB, 0), (4 * _GIB, 4 * _GIB, 2 * _GIB)]),
        ("pc", 3583 * _MIB, [(0, 3583 * _MIB, 0)]),
        ("pc", 3584 * _MIB, [(0, 3 * _GIB, 0), (4 * _GIB, 512 * _MIB, 3 * _GIB)]),
        ("microvm", 3072 * _MIB, [(0, 3 * _GIB, 0)]),
        ("microvm", 3583 * _MIB, [(0, 3 * _GIB, 0), (4 * _GIB, 511 * _MIB, 3 * _GIB)]),
        ("virt", 6 * _GIB, [(_GIB, 6 * _GIB, 0)]),
    ],
)
def test_ram_lies_where_qemu_puts_it(
    name: str, size: int, regions: list[tuple[int, int, int]]
) -> None:
    found = machine_named(name).ram_regions(size)
    assert [(r.gpa, r.size, r.offset) for r in found] == regions


@given(st.sampled_from(MACHINES), st.integers(1, 16 * _GIB))
def test_ram_maps_are_whole(machine: Machine, size: int) -> None:
    regions = machine.ram_regions(size)
    assert sum(r.size for r in regions) == size
    at = 0
    for region in regions:
        assert region.offset == at
        at += region.size
    assert all(a.end <= b.gpa for a, b in zip(regions, regions[1:]))


def _ram() -> GuestRam:
    buffer = memoryview(bytearray(range(256)) * 32)
    return GuestRam(buffer, [RamRegion(0x1000, 0x1000, 0), RamRegion(0x8000, 0x1000, 0x1000)])


def test_addresses_reach_their_bytes() -> None:
    ram = _ram()
    assert ram.read(0x1001, 3) == b"\x01\x02\x03"
    assert ram.read(0x8002, 1) == b"\x02"
    ram.write(0x8FF8, b"\1\0\0\0\0\0\0\0")
    assert ram.read_u64(0x8FF8) == 1
    assert ram.size == 0x2000


@pytest.mark.parametrize(
    "gpa, size",
    [(0xFFF, 1), (0x2000, 1), (0x1FFF, 2), (0x7FFF, 2), (0x9000, 0x10), (0x1000, -1),
     (-1, 2), (1 << 64, 1), (0x1000, 1 << 64)],
)  # fmt: skip
def test_nothing_outside_is_reached(gpa: int, size: int) -> None:
    ram = _ram()
    assert not ram.contains(gpa, size)
    with pytest.raises(OutsideGuestRam):
        ram.view(gpa, size)
    if size > 0 and size < 100:
        with pytest.raises(OutsideGuestRam):
            ram.write(gpa, bytes(size))


def test_a_region_outside_its_file_is_refused() -> None:
    with pytest.raises(ValueError):
        GuestRam(memoryview(bytearray(10)), [RamRegion(0, 11, 0)])


def test_only_what_was_written_takes_room(tmp_path: Path) -> None:
    with RamFile(1 << 30) as file:
        ram = file.guest_ram([RamRegion(0, 1 << 30, 0)])
        ram.write(3 << 28, b"here")
        extents = file.extents()
        assert sum(size for _, size in extents) <= 1 << 21
        assert any(begin <= 3 << 28 < begin + size for begin, size in extents)
        save_ram_image(file, tmp_path / "x", {"at": "entry"})
    image = tmp_path / "x.ram.zst"
    assert image.stat().st_size < _MIB
    sidecar = json.loads((tmp_path / "x.json").read_text())
    assert (sidecar["at"], sidecar["size"]) == ("entry", 1 << 30)
    raw = tmp_path / "raw"
    subprocess.run(["zstd", "-dq", "--sparse", image, "-o", raw], check=True)
    assert raw.stat().st_size == 1 << 30
    with raw.open("rb") as stream:
        stream.seek(3 << 28)
        assert stream.read(5) == b"here\0"


def test_only_what_was_written_counts_as_written() -> None:
    with RamFile(4 * _MIB) as file:
        ram = file.guest_ram([RamRegion(1 << 32, 4 * _MIB, 0)])
        ram.write((1 << 32) + _MIB, b"here")
        written = [ram.written((1 << 32) + n * 4096, 4096) for n in (0, 255, 256, 1023)]
        # The file system may know larger pieces than pages, but none that begins before the write.
        assert written[:3] == [False, False, True] and not written[3]
    assert _ram().written(0x1000, 1), "a buffer cannot tell"


@pytest.mark.parametrize("written", [(5, 3), (3 * 8, 1), (8 * 2 + 7, 2), (0, 17)])
def test_an_image_has_every_byte_at_its_place(tmp_path: Path, written: tuple[int, int]) -> None:
    """Holes and written memory of any length, in units of MiB; an image has frames of 8."""
    begin, size = (number * _MIB for number in written)
    with RamFile(27 * _MIB) as file:
        ram = file.guest_ram([RamRegion(0, 27 * _MIB, 0)])
        pattern = os.urandom(4096) * (size // 4096)
        ram.write(begin, pattern)
        save_ram_image(file, tmp_path / "x", {})
    packed = tmp_path / "x.ram.zst"
    raw = subprocess.run(["zstd", "-dcq", packed], check=True, capture_output=True).stdout
    assert len(raw) == 27 * _MIB
    assert raw[begin : begin + size] == pattern
    assert not any(raw[:begin]) and not any(raw[begin + size :])


def test_a_large_guest_needs_room_for_what_it_touches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RamFile(1 << 40, lambda directory: 600 << 20) as file:
        assert file.directory == "/dev/shm"
    room = {"/dev/shm": 1 << 20, str(tmp_path): 600 << 20}
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with RamFile(2 * _MIB, room.__getitem__) as file:
        assert file.directory == str(tmp_path)


def test_guest_ram_without_room_is_an_error_that_names_the_room() -> None:
    with pytest.raises(InfraError, match="no space left for guest RAM: 2 MiB needed") as caught:
        RamFile(2 * _MIB, lambda directory: _MIB)
    assert "/dev/shm: 1 MiB free" in caught.value.evidence


def test_a_folder_that_cannot_be_written_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only /dev/shm, as some containers have it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("os.access", lambda path, mode: path != "/dev/shm")
    with RamFile(2 * _MIB) as file:
        assert file.directory == str(tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(InfraError) as caught:
        RamFile(2 * _MIB)
    assert all("not writable" in line for line in caught.value.evidence)


def test_a_ram_file_has_no_name() -> None:
    with RamFile(_MIB) as file:
        name = os.readlink(f"/proc/self/fd/{file.descriptors[0]}")
        assert name.startswith(f"{file.directory}/") and name.endswith(" (deleted)")
        assert os.fstat(file.descriptors[0]).st_nlink == 0


def test_a_view_that_is_kept_does_not_break_the_end() -> None:
    with RamFile(_MIB) as file:
        view = file.guest_ram([RamRegion(0, _MIB, 0)]).view(0, 16)
    assert bytes(view) == bytes(16)
