# SPDX-License-Identifier: BSD-3-Clause
"""The device that works across the jump (layouts: khocore/abi/clients.h)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from khorig.kho.layout import Geometry
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, PhysRange, read_bytes

_DEVICE = struct.Struct("<8sIIQQQQQ")
_RECORD = struct.Struct("<QQ")
_IOMMU = struct.Struct("<8s3Q12Q")
_IOMMUS = (b"vtd", b"smmuv3")
_MOST_TABLE_ORDER = 10
_WORD = (1 << 64) - 1
_FUNCTIONS = 1 << 16  # buses, devices and functions
LIVE_PAGE_OWNER = "live device"  # followed by its kind


@dataclass(frozen=True)
class LiveIommu:
    """An IOMMU that stays on, with the tables that it walks."""

    kind: str  # "vtd", "smmuv3"
    registers: int  # physical
    root: int  # physical, of the topmost table
    tables: tuple[PhysRange, ...]  # preserved

    @property
    def owner(self) -> str:
        """Of its tables."""
        return f"tables of {self.kind}"


@dataclass(frozen=True)
class LiveDevice:
    """A PCI function that is not reset, and what it may write."""

    kind: str  # "edu"
    function: int  # bus << 8 | device << 3 | function
    registers: int  # physical
    page: PhysRange  # preserved
    written: PhysRange  # by each transfer, within `page`
    bus_address: int  # by which the device reaches the page
    count: int  # transfers that were over when it was sealed

    @property
    def owner(self) -> str:
        """Of its page."""
        return f"{LIVE_PAGE_OWNER} {self.kind}"

    @property
    def place(self) -> str:
        """ "00:03.0" """
        return f"{self.function >> 8:02x}:{self.function >> 3 & 0x1f:02x}.{self.function & 7}"

    def without_written(self, content: bytes) -> bytes:
        """The page's content with zeros for what the device writes."""
        begin, end = self.written.begin - self.page.begin, self.written.end - self.page.begin
        return content[:begin] + bytes(end - begin) + content[end:]


def decode_live_device(memory: PhysicalMemory, blob: PhysRange, geometry: Geometry) -> LiveDevice:
    """Raises DecodeError: "live-device", "outside-ram"."""

    def wrong(text: str) -> DecodeError:
        return DecodeError("live-device", blob.begin, text)

    if blob.size != _DEVICE.size:
        raise wrong(f"{blob.size} bytes, expected {_DEVICE.size}")
    raw = read_bytes(memory, blob.begin, _DEVICE.size)
    name, function, size, registers, page, bus_address, offset, count = _DEVICE.unpack(raw)
    kind = name.split(b"\0")[0]
    if not (kind.isascii() and kind.isalnum()):
        raise wrong(f"kind {name!r}")
    if function >= _FUNCTIONS:
        raise wrong(f"PCI function {function:#x}")
    if page % geometry.page_size:
        raise wrong(f"page {page:#018x} is not aligned")
    if size != _RECORD.size or offset > geometry.page_size - size:
        raise wrong(f"{size} bytes from {offset:#x} on in a page of {geometry.page_size}")
    return LiveDevice(
        kind=kind.decode("ascii"),
        function=function,
        registers=registers,
        page=PhysRange(page, geometry.page_size),
        written=PhysRange(page + offset, size),
        bus_address=bus_address,
        count=count,
    )


def decode_live_iommu(memory: PhysicalMemory, blob: PhysRange, geometry: Geometry) -> LiveIommu:
    """Raises DecodeError: "live-iommu", "outside-ram"."""

    def wrong(text: str) -> DecodeError:
        return DecodeError("live-iommu", blob.begin, text)

    if blob.size != _IOMMU.size:
        raise wrong(f"{blob.size} bytes, expected {_IOMMU.size}")
    raw = read_bytes(memory, blob.begin, _IOMMU.size)
    name, registers, root, count, *entries = _IOMMU.unpack(raw)
    kind = name.split(b"\0")[0]
    if kind not in _IOMMUS:
        raise wrong(f"kind {name!r}")
    if not 0 < count <= len(entries):
        raise wrong(f"{count} tables, expected 1 to {len(entries)}")
    tables = []
    for entry in entries[:count]:
        order = entry % geometry.page_size
        size = geometry.page_size << min(order, _MOST_TABLE_ORDER)
        if order > _MOST_TABLE_ORDER or (entry - order) % size:
            raise wrong(f"table {entry:#018x}: no block of an order up to {_MOST_TABLE_ORDER}")
        tables.append(PhysRange(entry - order, size))
    if root != tables[0].begin:
        raise wrong(f"root {root:#018x} is not the first table {tables[0].begin:#018x}")
    return LiveIommu(kind.decode("ascii"), registers, root, tuple(tables))


def read_live_count(memory: PhysicalMemory, device: LiveDevice) -> int:
    """How many transfers have written. Raises OutsideRam; DecodeError "live-record" for what no
    transfer writes."""
    count, check = _RECORD.unpack(read_bytes(memory, device.written.begin, _RECORD.size))
    if check != count ^ _WORD:
        text = f"count {count:#x} with check {check:#018x}, expected {count ^ _WORD:#018x}"
        raise DecodeError("live-record", device.written.begin, text)
    return int(count)
