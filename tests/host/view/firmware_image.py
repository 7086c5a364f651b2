# SPDX-License-Identifier: BSD-3-Clause
"""Memory as UEFI leaves it, for tests."""

from __future__ import annotations

import struct
import zlib
from uuid import UUID

from khorig.kho.boot.efi import SystemTable, find_system_table
from khorig.kho.boot.efi_map import EfiMap
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import RamMemory

PAGE = 4096
SIZE = 1 << 20
SYSTEM_TABLE, ARRAY = 0x8018, 0x9018
RSDP, XSDT, FADT, DSDT, FACS = 0x20014, 0x20100, 0x20200, 0x20400, 0x21000
ATTRIBUTES, SMBIOS3, SEED, INITRD = 0x30018, 0x31000, 0x32000, 0x33000
STRUCTURES = 0x31100
PARAMETERS = 0x50000
EFI_MAP = EfiMap(48 * 100, 48)

ACPI_20 = UUID("8868e871-e4f1-11d3-bc22-0080c73c8881")
MEMATTR = UUID("dcfa911d-26eb-469f-a220-38b7dc461220")
SMBIOS_30 = UUID("f2fd1544-9794-4a2c-992e-e5bbcf20e394")
RNG_SEED = UUID("1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b")
LINUX_INITRD = UUID("5568e427-68fc-4f3d-ac74-ca555231cc68")
FOREIGN = UUID("11111111-2222-3333-4444-555555555555")


def _summed(content: bytes, at: int) -> bytes:
    """With a byte at `at` that makes all add up to 0."""
    blank = content[:at] + b"\0" + content[at + 1 :]
    return blank[:at] + bytes([-sum(blank) & 0xFF]) + blank[at + 1 :]


def acpi_table(signature: bytes, body: bytes) -> bytes:
    """A table with a right checksum."""
    head = signature + struct.pack("<IBB", 36 + len(body), 2, 0) + b"KHORIGTABLESTEST" + bytes(10)
    return _summed(head + body, 9)


class FirmwareImage:
    """1 MiB of a machine that UEFI has started."""

    def __init__(self) -> None:
        self.bytes = bytearray(SIZE)
        self.ram = GuestRam(memoryview(self.bytes), [RamRegion(0, SIZE, 0)])
        self.memory = FirmwareMemory(self.ram)
        self.put(XSDT, acpi_table(b"XSDT", struct.pack("<Q", FADT)))
        fadt = bytearray(acpi_table(b"FACP", bytes(240)))
        struct.pack_into("<Q", fadt, 132, FACS)
        struct.pack_into("<Q", fadt, 140, DSDT)
        self.put(FADT, _summed(bytes(fadt), 9))
        self.put(DSDT, acpi_table(b"DSDT", b"\x5b\x82" * 20))
        self.put(FACS, b"FACS" + struct.pack("<I", 64) + bytes(56))
        anchor = _summed(b"RSD PTR " + b"\0" + b"KHORIG" + b"\2" + struct.pack("<I", 0), 8)
        anchor += struct.pack("<IQI", 36, XSDT, 0)
        self.put(RSDP, _summed(anchor, 32))
        self.put(ATTRIBUTES, struct.pack("<4I", 1, 3, 48, 0) + bytes(3 * 48))
        smbios = b"_SM3_" + struct.pack("<BBBBBBBIQ", 0, 24, 3, 0, 0, 1, 0, 64, STRUCTURES)
        self.put(SMBIOS3, _summed(smbios, 5))
        self.put(SEED, struct.pack("<I", 32) + b"s" * 32)
        self.put(INITRD, struct.pack("<QQ", 0x60000, PAGE))
        self.tables = [
            (FOREIGN, 0x70000),
            (ACPI_20, RSDP),
            (MEMATTR, ATTRIBUTES),
            (SMBIOS_30, SMBIOS3),
            (RNG_SEED, SEED),
            (LINUX_INITRD, INITRD),
        ]
        self.finish(ARRAY)

    def put(self, address: int, content: bytes) -> None:
        """Writes memory."""
        self.ram.write(address, content)

    def finish(self, pointer: int) -> None:
        """Writes the array, and a system table that calls its address `pointer`."""
        self.put(ARRAY, b"".join(g.bytes_le + struct.pack("<Q", at) for g, at in self.tables))
        content = b"IBI SYST" + struct.pack("<IIII", 2 << 16, 120, 0, 0) + bytes(80)
        content += struct.pack("<QQ", len(self.tables), pointer)
        crc = struct.pack("<I", zlib.crc32(content))
        self.put(SYSTEM_TABLE, content[:16] + crc + content[20:])

    def find(self) -> SystemTable | None:
        """As the decoder finds it."""
        return find_system_table(self.memory, EFI_MAP)

    def boot_params(self, *regions: tuple[int, int, int], rsdp: int = RSDP) -> None:
        """boot_params with a memory map of (begin, end, type), those beyond 128 in a setup_data."""
        entries = [struct.pack("<QQI", begin, end - begin, kind) for begin, end, kind in regions]
        inside, more = entries[:128], b"".join(entries[128:])
        page = bytearray(PAGE)
        struct.pack_into("<Q", page, 0x70, rsdp)
        page[0x1E8] = len(inside)
        page[0x2D0 : 0x2D0 + 20 * len(inside)] = b"".join(inside)
        if more:
            struct.pack_into("<Q", page, 0x250, PARAMETERS + PAGE)
            self.put(PARAMETERS + PAGE, struct.pack("<QII", 0, 1, len(more)) + more)
        self.put(PARAMETERS, bytes(page))


class FirmwareMemory(RamMemory):
    """All of it, as of a machine that runs."""

    def forget(self) -> None:
        """Nothing is kept."""
