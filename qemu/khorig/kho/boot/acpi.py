# SPDX-License-Identifier: BSD-3-Clause
"""ACPI tables (ACPI specification 6.5, 5.2)."""

from __future__ import annotations

import struct
from khorig.kho.boot.table_part import Part
from khorig.mem.errors import DecodeError, Problem
from khorig.mem.memory import PhysicalMemory, PhysRange, read_bytes

_ANCHOR = b"RSD PTR "
_ANCHOR_SIZE = 20  # of revision 0, up to and with the address of the RSDT
_EXTENDED_SIZE = 36
_HEAD = struct.Struct("<4sI28x")  # signature, length
_LARGEST = 4 << 20  # bytes of a table; QEMU's DSDT has 20 KiB, large servers' 1 MiB
_MOST = 256  # tables
# Fields of the FADT, in 32 bits and in 64, the latter of which count where they are not 0.
_FACS, _X_FACS = 36, 132
_DSDT, _X_DSDT = 40, 140


def read_acpi(memory: PhysicalMemory, address: int, problems: list[Problem]) -> tuple[Part, ...]:
    """Everything that hangs from the RSDP at `address`. The FACS is the only table that a kernel
    writes. Adds "acpi-checksum", "acpi-length" and what makes a table unreadable to
    `problems`. Raises DecodeError when nothing can be read: "outside-ram", "acpi-signature"."""
    anchor = read_bytes(memory, address, _ANCHOR_SIZE)
    if not anchor.startswith(_ANCHOR):
        text = f"signature {anchor[:8]!r}, expected {_ANCHOR!r}"
        raise DecodeError("acpi-signature", address, text)
    parts = [Part("RSDP", PhysRange(address, _ANCHOR_SIZE))]
    _check_sum(anchor, address, "RSDP", problems)
    root, width = int.from_bytes(anchor[16:20], "little"), 4
    if anchor[15] >= 2:
        anchor = read_bytes(memory, address, _EXTENDED_SIZE)
        parts[0] = Part("RSDP", PhysRange(address, _EXTENDED_SIZE))
        length = int.from_bytes(anchor[20:24], "little")
        if length != _EXTENDED_SIZE:
            text = f"RSDP has {length} bytes, expected {_EXTENDED_SIZE}"
            problems.append(Problem("acpi-length", address, text))
        _check_sum(anchor, address, "extended RSDP", problems)
        root, width = int.from_bytes(anchor[24:32], "little"), 8
    content = _table(memory, root, parts, problems)
    entries = [
        int.from_bytes(content[at : at + width], "little") for at in _entries(content, width)
    ]
    for entry in entries[:_MOST]:
        _follow(memory, entry, parts, problems)
    return tuple(parts)


def _entries(content: bytes, width: int) -> range:
    return range(_HEAD.size, len(content) - width + 1, width)


def _follow(
    memory: PhysicalMemory, address: int, parts: list[Part], problems: list[Problem]
) -> None:
    try:
        content = _table(memory, address, parts, problems)
        if not content.startswith(b"FACP"):
            return
        if dsdt := _pointer(content, _DSDT, _X_DSDT):
            _table(memory, dsdt, parts, problems)
        if facs := _pointer(content, _FACS, _X_FACS):
            _, length = _HEAD.unpack(read_bytes(memory, facs, _HEAD.size))
            # Firmware and operating system share a lock in it.
            parts.append(Part("FACS", PhysRange(facs, min(length, _LARGEST)), changes=True))
    except DecodeError as error:
        problems.append(error.problem)


def _table(
    memory: PhysicalMemory, address: int, parts: list[Part], problems: list[Problem]
) -> bytes:
    """One table, which becomes a part. Raises DecodeError."""
    signature, length = _HEAD.unpack(read_bytes(memory, address, _HEAD.size))
    name = _text(signature)
    if not _HEAD.size <= length <= _LARGEST:
        text = f"{name} has {length} bytes, expected {_HEAD.size} to {_LARGEST}"
        raise DecodeError("acpi-length", address, text)
    content = read_bytes(memory, address, length)
    _check_sum(content, address, name, problems)
    parts.append(Part(name, PhysRange(address, length)))
    return content


def _pointer(content: bytes, narrow: int, wide: int) -> int:
    for at, width in ((wide, 8), (narrow, 4)):
        if at + width <= len(content):
            if value := int.from_bytes(content[at : at + width], "little"):
                return value
    return 0


def _check_sum(content: bytes, address: int, name: str, problems: list[Problem]) -> None:
    if found := sum(content) & 0xFF:
        text = f"the {len(content)} bytes of {name} add up to {found:#04x}, expected 0"
        problems.append(Problem("acpi-checksum", address, text))


def _text(signature: bytes) -> str:
    text = signature.decode("latin-1")
    return text if text.isascii() and text.isalnum() else signature.hex()
