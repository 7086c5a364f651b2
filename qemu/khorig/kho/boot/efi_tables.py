# SPDX-License-Identifier: BSD-3-Clause
"""Tables of UEFI's configuration table that Linux reads (drivers/firmware/efi/efi.c), by GUID."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence
from uuid import UUID

from khorig.kho.boot.acpi import read_acpi
from khorig.kho.boot.efi_map import EfiMap
from khorig.kho.boot.table_part import Part
from khorig.mem.errors import DecodeError, Problem
from khorig.mem.memory import PhysicalMemory, PhysRange, read_bytes

_LARGEST = 64 << 20  # bytes of a table
_DESCRIPTOR = 40  # bytes of an EFI_MEMORY_DESCRIPTOR, at least
_MOST_ATTRIBUTES = 4096  # entries, when the memory map is not known
_SMBIOS, _SMBIOS3 = b"_SM_", b"_SM3_"


@dataclass(frozen=True)
class Look:
    """What a reader of a table gets."""

    memory: PhysicalMemory
    address: int
    map: EfiMap | None  # the firmware's memory map, where it is known
    problems: list[Problem]

    def read(self, form: struct.Struct) -> tuple[int, ...]:
        """The numbers at the beginning. Raises OutsideRam."""
        return form.unpack(read_bytes(self.memory, self.address, form.size))

    def parts(self, size: int, head: int, changes: bool = False) -> tuple[Part, ...]:
        """The whole table, `head` bytes of which say that it has `size`. Raises DecodeError."""
        if not head <= size <= _LARGEST:
            text = f"{size} bytes, expected {head} to {_LARGEST}"
            raise DecodeError("efi-table-size", self.address, text)
        read_bytes(self.memory, self.address, size)
        return (Part("", PhysRange(self.address, size), changes),)

    def wrong(self, id: str, text: str) -> None:
        """A header that says what cannot be."""
        self.problems.append(Problem(id, self.address, text))


Reader = Callable[[Look], Sequence[Part]]


@dataclass(frozen=True)
class Kind:
    """One kind of table."""

    name: str
    read: Reader
    # Whether a kernel reads it that was given an initrd by its boot parameters.
    with_initrd: bool = True
    # Whether Linux on x86_64 reads it only where the firmware started it (64b45dd46e15).
    once: bool = False
    # Whether it may lie in memory that is free by the firmware's map: a kernel that is told of the
    # firmware keeps it, because the configuration table names it.
    by_name: bool = False


def _acpi(look: Look) -> Sequence[Part]:
    return read_acpi(look.memory, look.address, look.problems)


_ATTRIBUTES = struct.Struct("<IIII")  # version, entries, size of one, flags


def _memory_attributes(look: Look) -> Sequence[Part]:
    version, count, size, _ = look.read(_ATTRIBUTES)
    if version not in (1, 2):
        look.wrong("memory-attributes", f"version {version}, expected 1 or 2")
    known = look.map
    if known is not None and size != known.descriptor_size:
        text = f"descriptors of {size} bytes, the memory map's have {known.descriptor_size}"
        look.wrong("memory-attributes", text)
    elif size < _DESCRIPTOR:
        look.wrong("memory-attributes", f"descriptors of {size} bytes, at least {_DESCRIPTOR}")
    # The bound of Linux's own check.
    most = 2 * known.count if known is not None else _MOST_ATTRIBUTES
    if count > most:
        whose = f"twice the memory map's {known.count}" if known is not None else "more than any"
        look.wrong("memory-attributes", f"{count} entries, at most {most} ({whose})")
        return look.parts(_ATTRIBUTES.size, _ATTRIBUTES.size)
    return look.parts(_ATTRIBUTES.size + count * size, _ATTRIBUTES.size)


_ESRT = struct.Struct("<IIQ")  # entries, room for entries, version
_ESRT_ENTRY = 40


def _resources(look: Look) -> Sequence[Part]:
    count, most, version = look.read(_ESRT)
    if version != 1 or count > most:
        look.wrong("esrt", f"version {version}, {count} entries of {most}; expected version 1")
    return look.parts(_ESRT.size + count * _ESRT_ENTRY, _ESRT.size)


def _smbios(look: Look) -> Sequence[Part]:
    """The anchor of either version and the structures that it points to."""
    head = read_bytes(look.memory, look.address, 24)
    if head.startswith(_SMBIOS3):
        length, size, table = head[6], *struct.unpack_from("<IQ", head, 12)
    elif head.startswith(_SMBIOS):
        length = head[5]
        more = read_bytes(look.memory, look.address, 31)
        size, table = struct.unpack_from("<HI", more, 22)
    else:
        raise DecodeError("smbios-anchor", look.address, f"anchor {head[:5]!r}")
    anchor = read_bytes(look.memory, look.address, length)
    if not 24 <= length <= 32 or sum(anchor) & 0xFF:
        what = f"the {length} bytes of the anchor add up to {sum(anchor) & 0xFF:#04x}, expected 0"
        look.wrong("smbios-anchor", what)
    if size > _LARGEST:
        raise DecodeError("smbios-anchor", look.address, f"structures of {size} bytes")
    read_bytes(look.memory, table, size)
    return (
        Part("anchor", PhysRange(look.address, length)),
        Part("structures", PhysRange(table, size)),
    )


def _sized(form: str, field: int | None = None, entry: int = 1, changes: bool = False) -> Reader:
    """A head, and entries of `entry` bytes, of which a field of the head is the number."""
    head = struct.Struct(form)

    def read(look: Look) -> Sequence[Part]:
        count = 0 if field is None else look.read(head)[field]
        return look.parts(head.size + count * entry, head.size, changes)

    return read


def _initrd(look: Look) -> Sequence[Part]:
    base, size = look.read(struct.Struct("<QQ"))
    if size > _LARGEST << 6:
        raise DecodeError("efi-table-size", look.address, f"initrd of {size} bytes")
    read_bytes(look.memory, base, min(size, 1))
    return (Part("", PhysRange(look.address, 16)), Part("initrd", PhysRange(base, size)))


# By include/linux/efi.h.
KINDS: Mapping[UUID, Kind] = {
    UUID(guid): kind
    for guid, kind in (
        ("8868e871-e4f1-11d3-bc22-0080c73c8881", Kind("ACPI 2.0", _acpi)),
        ("eb9d2d30-2d88-11d3-9a16-0090273fc14d", Kind("ACPI", _acpi)),
        ("eb9d2d31-2d88-11d3-9a16-0090273fc14d", Kind("SMBIOS", _smbios)),
        ("f2fd1544-9794-4a2c-992e-e5bbcf20e394", Kind("SMBIOS3", _smbios)),
        (
            "dcfa911d-26eb-469f-a220-38b7dc461220",
            Kind("MEMATTR", _memory_attributes, once=True, by_name=True),
        ),
        ("b122a263-3661-4f68-9929-78f8b0d62180", Kind("ESRT", _resources, by_name=True)),
        ("eb66918a-7eef-402a-842e-931d21c38ae9", Kind("RTPROP", _sized("<HHI"), by_name=True)),
        (  # Linux mixes it into its own and clears it
            "1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b",
            Kind("RNG seed", _sized("<I", 0, changes=True), by_name=True),
        ),
        ("c451ed2b-9694-45d3-baba-ed9f8988a389", Kind("MOKvar", _sized("<256x"))),
        (
            "b7799cb0-eca2-4943-9667-1fae07b747fa",
            Kind("TPM event log", _sized("<IIB", 0), by_name=True),
        ),
        (  # the firmware appends to it
            "1e2ed096-30e2-4254-bd89-863bbef82325",
            Kind("TPM final log", _sized("<QQ", changes=True)),
        ),
        ("5568e427-68fc-4f3d-ac74-ca555231cc68", Kind("INITRD", _initrd, with_initrd=False)),
        (  # pages are taken from it
            "d5d1de3c-105c-44f9-9ea9-bcef98120031",
            Kind("UNACCEPTED", _sized("<IIQQ", 3, changes=True)),
        ),
        (  # Linux appends to it
            "888eb0c6-8ede-4ff5-a8f0-9aee5cb977c2",
            Kind("MEMRESERVE", _sized("<IIQ", 0, 16, changes=True), by_name=True),
        ),
    )
}
