# SPDX-License-Identifier: BSD-3-Clause
"""UEFI's tables in memory."""

from __future__ import annotations

import struct
from dataclasses import replace

import libfdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view import firmware_image as image
from view.firmware_image import FirmwareImage

from khorig.kho.boot.efi import FirmwareTable, SystemTable, read_again
from khorig.kho.boot.efi_map import EfiMap, read_descriptors, read_efi_map
from khorig.kho.boot.memory_map import MapEntry, free_ranges, read_memory_map
from khorig.mem.errors import DecodeError
from khorig.mem.memory import OutsideRam, PhysRange


MIB = 1 << 20


def found(firmware: FirmwareImage) -> SystemTable:
    system = firmware.find()
    assert system is not None
    return system


def table(firmware: FirmwareImage, name: str) -> FirmwareTable:
    one = found(firmware).table(name)
    assert one is not None
    return one


def problem(firmware: FirmwareImage, name: str) -> tuple[str, str]:
    (one,) = table(firmware, name).problems
    return one.id, one.text


def test_all_tables() -> None:
    firmware = FirmwareImage()
    system = found(firmware)
    assert (system.address, system.array) == (image.SYSTEM_TABLE, image.ARRAY)
    names = [str(image.FOREIGN), "ACPI 2.0", "MEMATTR", "SMBIOS3", "RNG seed", "INITRD"]
    assert [table.name for table in system.tables] == names
    assert not any(table.problems for table in system.tables)
    acpi = table(firmware, "ACPI 2.0")
    assert [part.name for part in acpi.parts] == ["RSDP", "XSDT", "FACP", "DSDT", "FACS"]
    assert [part.name for part in acpi.parts if part.changes] == ["FACS"]
    (attributes,) = table(firmware, "MEMATTR").parts
    assert attributes.area == PhysRange(image.ATTRIBUTES, 16 + 3 * 48)
    smbios = table(firmware, "SMBIOS3")
    assert [part.area for part in smbios.parts] == [
        PhysRange(image.SMBIOS3, 24),
        PhysRange(image.STRUCTURES, 64),
    ]
    assert read_again(firmware.memory, system, image.EFI_MAP) == system


def test_an_array_with_a_virtual_address() -> None:
    firmware = FirmwareImage()
    firmware.finish(0xFFFFFFFEFE000000 + image.ARRAY)
    assert found(firmware).array == image.ARRAY
    firmware.finish(0xFFFFFFFEFE000000 + image.ARRAY + 8)
    assert firmware.find() is None


def test_a_wrong_checksum_is_no_system_table() -> None:
    firmware = FirmwareImage()
    firmware.bytes[image.SYSTEM_TABLE + 24] ^= 1
    assert firmware.find() is None


def test_memory_attributes() -> None:
    firmware = FirmwareImage()
    firmware.put(image.ATTRIBUTES, struct.pack("<4I", 1, 1705287680, 48, 0))
    id, text = problem(firmware, "MEMATTR")
    assert id == "memory-attributes"
    assert text == "1705287680 entries, at most 200 (twice the memory map's 100)"
    firmware.put(image.ATTRIBUTES, struct.pack("<4I", 3, 3, 48, 0))
    assert problem(firmware, "MEMATTR") == ("memory-attributes", "version 3, expected 1 or 2")
    firmware.put(image.ATTRIBUTES, struct.pack("<4I", 2, 3, 40, 0))
    assert "descriptors of 40 bytes, the memory map's have 48" in problem(firmware, "MEMATTR")[1]


@pytest.mark.parametrize(
    ("at", "name", "id"),
    [
        (image.RSDP + 10, "ACPI 2.0", "acpi-checksum"),
        (image.DSDT + 40, "ACPI 2.0", "acpi-checksum"),
        (image.RSDP, "ACPI 2.0", "acpi-signature"),
        (image.DSDT + 7, "ACPI 2.0", "acpi-length"),
        (image.SMBIOS3 + 7, "SMBIOS3", "smbios-anchor"),
        (image.SMBIOS3, "SMBIOS3", "smbios-anchor"),
        (image.SEED + 3, "RNG seed", "efi-table-size"),
        (image.INITRD + 7, "INITRD", "outside-ram"),
    ],
)
def test_a_flipped_bit_is_named(at: int, name: str, id: str) -> None:
    firmware = FirmwareImage()
    firmware.bytes[at] ^= 0x40
    assert table(firmware, name).problems[0].id == id
    others = (t for t in found(firmware).tables if t.name != name)
    assert not any(other.problems for other in others)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, image.SIZE - 1), st.integers(0, 255)), max_size=8))
def test_damage_raises_nothing(changes: list[tuple[int, int]]) -> None:
    firmware = FirmwareImage()
    places = (image.ARRAY, image.RSDP, image.XSDT, image.FADT, image.ATTRIBUTES, image.SMBIOS3)
    for number, (offset, value) in enumerate(changes):
        firmware.bytes[places[number % len(places)] + offset % 256] = value
    firmware.find()


def test_the_memory_map_of_boot_params() -> None:
    firmware = FirmwareImage()
    page = image.PAGE
    regions = [(n * 2 * page, (n * 2 + 1) * page, 1 if n % 2 else 2) for n in range(140)]
    firmware.boot_params(*regions, (0x200000, 0x201000, 3), (0x201000, 0x202000, 3))
    entries = read_memory_map(firmware.memory, "x86_64", image.PARAMETERS)
    assert len(entries) == 141
    assert entries[-1] == MapEntry(PhysRange(0x200000, 0x2000), "ACPI")
    firmware.put(image.PARAMETERS + 0x1E8, b"\x81")
    with pytest.raises(DecodeError) as caught:
        read_memory_map(firmware.memory, "x86_64", image.PARAMETERS)
    assert caught.value.problem.id == "e820"
    firmware.boot_params(*regions)
    firmware.put(image.PARAMETERS + page + 12, struct.pack("<I", 21))
    with pytest.raises(DecodeError) as caught:
        read_memory_map(firmware.memory, "x86_64", image.PARAMETERS)
    assert caught.value.problem.id == "e820"


def device_tree(*reserved: tuple[int, int], efi_map: EfiMap | None = None) -> bytes:
    """RAM from 1 to 17 MiB, a region that the firmware uses at run time, and `reserved` in the
    memory reservation block, where Linux's kexec puts the initrd and the tree itself; and where
    the firmware's map is."""
    fdt = libfdt.FdtSw()
    for begin, size in reserved:
        fdt.add_reservemap_entry(begin, size)
    fdt.finish_reservemap()
    with fdt.add_node(""):
        fdt.property_u32("#address-cells", 2)
        fdt.property_u32("#size-cells", 2)
        with fdt.add_node("memory@100000"):
            fdt.property_string("device_type", "memory")
            fdt.property("reg", struct.pack(">2Q", MIB, 16 * MIB))
        with fdt.add_node("reserved-memory"):
            fdt.property_u32("#address-cells", 2)
            fdt.property_u32("#size-cells", 2)
            with fdt.add_node("runtime@200000"):
                fdt.property_string("compatible", "khorig,efi-runtime-services")
                fdt.property("reg", struct.pack(">2Q", 2 * MIB, 0x1000))
        if efi_map is not None:
            with fdt.add_node("chosen"):
                fdt.property_u64("linux,uefi-mmap-start", efi_map.address)
                fdt.property_u32("linux,uefi-mmap-size", efi_map.size)
                fdt.property_u32("linux,uefi-mmap-desc-size", efi_map.descriptor_size)
    return bytes(fdt.as_fdt().as_bytearray())


def test_the_memory_map_of_a_device_tree() -> None:
    firmware = FirmwareImage()
    firmware.put(image.PARAMETERS, device_tree((3 * MIB, 0x2000), (3 * MIB + 0x2000, 0x1000)))
    assert read_memory_map(firmware.memory, "arm64", image.PARAMETERS) == (
        MapEntry(PhysRange(MIB, 16 * MIB), "RAM"),
        MapEntry(PhysRange(2 * MIB, 0x1000), "runtime services"),
        MapEntry(PhysRange(3 * MIB, 0x3000), "reserved"),
    )
    firmware.put(image.PARAMETERS, device_tree(*((n * MIB, 1) for n in range(1, 4098))))
    with pytest.raises(DecodeError) as caught:
        read_memory_map(firmware.memory, "arm64", image.PARAMETERS)
    assert caught.value.problem.id == "memory-reservation"


def test_what_is_free() -> None:
    ram = MapEntry(PhysRange(0, 0x10000), "RAM")
    holes = [MapEntry(PhysRange(at, 0x1000), "NVS") for at in (0x0, 0x3000, 0x4000, 0xF800)]
    free = free_ranges([*holes, ram])
    assert free == (PhysRange(0x1000, 0x2000), PhysRange(0x5000, 0xA800))
    assert free_ranges([replace(ram, kind="reserved")]) == ()


def test_the_firmwares_map_in_boot_params() -> None:
    firmware = FirmwareImage()
    assert read_efi_map(firmware.memory, "x86_64", image.PARAMETERS) is None
    info = struct.pack("<4s7I", b"EL64", 0, 48, 1, 0, 4800, 0, 0)
    firmware.put(image.PARAMETERS + 0x1C0, info)
    assert read_efi_map(firmware.memory, "x86_64", image.PARAMETERS) == EfiMap(4800, 48)
    info = struct.pack("<4s7I", b"EL64", 0, 48, 1, 0x5000, 96, 0, 1)
    firmware.put(image.PARAMETERS + 0x1C0, info)
    found = read_efi_map(firmware.memory, "x86_64", image.PARAMETERS)
    assert found == EfiMap(96, 48, 0x100005000)


def _descriptor(kind: int, begin: int, pages: int, attributes: int = 15) -> bytes:
    return struct.pack("<I4x4Q8x", kind, begin, 0, pages, attributes)


def test_the_firmwares_map() -> None:
    firmware = FirmwareImage()
    runtime = 1 << 63 | 15
    content = _descriptor(7, 0, 8) + _descriptor(5, 0x8000, 2, runtime)
    content += _descriptor(4, 0xA000, 1, runtime) + _descriptor(9, 0, (1 << 52) + 1)
    firmware.put(0x5000, content)
    free, services, kept = read_descriptors(firmware.memory, EfiMap(len(content), 48, 0x5000))
    assert (free.area, free.is_free) == (PhysRange(0, 0x8000), True)
    assert (services.area, services.is_free) == (PhysRange(0x8000, 0x2000), False)
    assert (kept.kind, kept.is_free) == (4, False)


@pytest.mark.parametrize("size, step", [(96, 0), (96, 39), (96, 1 << 20), (2 << 20, 48)])
def test_a_map_of_impossible_size(size: int, step: int) -> None:
    firmware = FirmwareImage()
    with pytest.raises(DecodeError) as caught:
        list(read_descriptors(firmware.memory, EfiMap(size, step, 0x5000)))
    assert caught.value.problem.id == "efi-map"


def test_a_map_outside_memory() -> None:
    with pytest.raises(OutsideRam):
        list(read_descriptors(FirmwareImage().memory, EfiMap(96, 48, image.SIZE - 48)))


def test_the_firmwares_map_takes_memory_out_of_a_device_trees() -> None:
    firmware = FirmwareImage()
    content = _descriptor(4, 4 * MIB, 2) + _descriptor(6, 5 * MIB, 2) + _descriptor(0, 6 * MIB, 1)
    firmware.put(0x5000, content)
    tree = device_tree(efi_map=EfiMap(len(content), 48, 0x5000))
    firmware.put(image.PARAMETERS, tree)
    assert read_memory_map(firmware.memory, "arm64", image.PARAMETERS) == (
        MapEntry(PhysRange(MIB, 16 * MIB), "RAM"),
        MapEntry(PhysRange(2 * MIB, 0x1000), "runtime services"),
        MapEntry(PhysRange(5 * MIB, 0x2000), "runtime services"),
        MapEntry(PhysRange(6 * MIB, 0x1000), "reserved"),
    )
