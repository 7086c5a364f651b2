# SPDX-License-Identifier: BSD-3-Clause
"""The state of the clients that khorig knows (layouts: khocore/abi/clients.h)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Mapping

import numpy as np
import numpy.typing as npt

from khorig.kho.clients.live_cpu import LIVE_CPU_PATH, LiveCpu, decode_live_cpu
from khorig.kho.clients.live_device import (
    LiveDevice,
    LiveIommu,
    decode_live_device,
    decode_live_iommu,
)
from khorig.kho.fdt import FdtNode
from khorig.kho.fragment import Fragment, string_property, u64_property
from khorig.kho.handover import Handover
from khorig.kho.vmalloc import Vmalloc, decode_vmalloc, read_listed
from khorig.mem.errors import DecodeError, Problem, Problems
from khorig.mem.memory import PhysicalMemory, PhysRange, read_bytes

METADATA_PATH = "/kexec-metadata"
METADATA_VERSION = 1
_METADATA = struct.Struct("<I65sI")
METADATA_SIZE = _METADATA.size

MEMBLOCK_PATH = "/memblock"
MEMBLOCK_COMPATIBLE = "memblock-v1"
RESERVE_MEM_COMPATIBLE = "reserve-mem-v1"

KHORIG_PATH = "/khorig"
KHORIG_COMPATIBLE = "khorig-v1"
STORES_COMPATIBLE = "khorig-stores-v1"
STORE_COMPATIBLE = "khorig-store-v1"
ARCHIVE_PATH = KHORIG_PATH + "/archive"
LOG_PATH = KHORIG_PATH + "/log"
STORES_PATH = KHORIG_PATH + "/stores"
LIVE_DEVICE_PATH = KHORIG_PATH + "/live-device"
LIVE_IOMMU_PATH = KHORIG_PATH + "/live-iommu"
LEDGER_STORE = "ledger"
MAX_STORE = 64 << 20  # bytes: a ledger of 4 million pages

LOG_MAGIC = 0x676F6C2D67726F6B
_LOG_HEADER = struct.Struct("<4Q")
LEDGER_ENTRY = np.dtype([("page", "<u8"), ("hash", "<u8")])
LedgerArray = npt.NDArray[np.void]


@dataclass(frozen=True)
class KexecMetadata:
    """Linux's record of the chain of kernels."""

    version: int
    previous_release: str
    kexec_count: int


@dataclass(frozen=True)
class ReservedMemory:
    """One `reserve_mem=` area."""

    name: str
    area: PhysRange


@dataclass(frozen=True, eq=False)
class Store:
    """A named store of `size` bytes in the pages of `vmalloc`."""

    name: str
    size: int
    vmalloc: Vmalloc

    def __repr__(self) -> str:
        return f"<store '{self.name}': {self.size} bytes in {self.vmalloc.blocks!r}>"


@dataclass(frozen=True)
class LogRing:
    """The console log of a generation."""

    header: PhysRange
    text: PhysRange
    written: int  # bytes ever written


@dataclass(frozen=True, eq=False)
class Clients:
    """What could be read of the clients' state."""

    metadata: KexecMetadata | None = None
    reserved: tuple[ReservedMemory, ...] = ()
    archive: PhysRange | None = None
    log: LogRing | None = None
    live: LiveDevice | None = None
    iommu: LiveIommu | None = None
    stores: Mapping[str, Store] = field(default_factory=dict)
    live_cpu: LiveCpu | None = None
    problems: tuple[Problem, ...] = ()


def decode_metadata(memory: PhysicalMemory, blob: PhysRange) -> KexecMetadata:
    """Raises DecodeError: "metadata-size", "metadata-version", "outside-ram"."""
    if blob.size < _METADATA.size:
        text = f"{blob.size} bytes, expected {_METADATA.size}"
        raise DecodeError("metadata-size", blob.begin, text)
    raw = read_bytes(memory, blob.begin, _METADATA.size)
    version, release, count = _METADATA.unpack(raw)
    if version != METADATA_VERSION:
        text = f"version {version}, expected {METADATA_VERSION}"
        raise DecodeError("metadata-version", blob.begin, text)
    return KexecMetadata(version, release.split(b"\0")[0].decode("ascii", "replace"), count)


def decode_log(memory: PhysicalMemory, blob: PhysRange) -> LogRing:
    """Raises DecodeError: "log-header", "outside-ram"."""
    if blob.size < _LOG_HEADER.size:
        raise DecodeError("log-header", blob.begin, f"{blob.size} bytes hold no header")
    header = PhysRange(blob.begin, _LOG_HEADER.size)
    magic, capacity, written, _ = _LOG_HEADER.unpack(read_bytes(memory, header.begin, header.size))
    if magic != LOG_MAGIC:
        text = f"magic {magic:#018x}, expected {LOG_MAGIC:#018x}"
        raise DecodeError("log-header", blob.begin, text)
    if not 0 < capacity <= blob.size - _LOG_HEADER.size:
        text = f"capacity {capacity:#x} in a blob of {blob.size:#x} bytes"
        raise DecodeError("log-header", blob.begin, text)
    return LogRing(header, PhysRange(header.end, capacity), written)


class _ClientReader:
    """Reads the state of each client, and goes on after a broken one."""

    def __init__(self, memory: PhysicalMemory, handover: Handover) -> None:
        self.memory = memory
        self.handover = handover
        self.geometry = handover.geometry
        self.problems = Problems()
        self._unlisted = handover.most_listed  # preserved blocks that no store lists

    def metadata(self) -> KexecMetadata | None:
        link = self.handover.blob(METADATA_PATH)
        try:
            return decode_metadata(self.memory, link.blob) if link else None
        except DecodeError as error:
            self._keep(error, "metadata")
            return None

    def log(self) -> LogRing | None:
        link = self.handover.blob(LOG_PATH)
        try:
            return decode_log(self.memory, link.blob) if link else None
        except DecodeError as error:
            self._keep(error, "log")
            return None

    def live(self) -> LiveDevice | None:
        link = self.handover.blob(LIVE_DEVICE_PATH)
        try:
            return decode_live_device(self.memory, link.blob, self.geometry) if link else None
        except DecodeError as error:
            self._keep(error, "live device")
            return None

    def live_cpu(self) -> LiveCpu | None:
        link = self.handover.blob(LIVE_CPU_PATH)
        try:
            return decode_live_cpu(self.memory, link.blob, self.geometry) if link else None
        except DecodeError as error:
            self._keep(error, "live-cpu")
            return None

    def iommu(self) -> LiveIommu | None:
        link = self.handover.blob(LIVE_IOMMU_PATH)
        try:
            return decode_live_iommu(self.memory, link.blob, self.geometry) if link else None
        except DecodeError as error:
            self._keep(error, "live IOMMU")
            return None

    def archive(self) -> PhysRange | None:
        link = self.handover.blob(ARCHIVE_PATH)
        return link.blob if link else None

    def reserved(self) -> tuple[ReservedMemory, ...]:
        fragment = self.fragment(MEMBLOCK_PATH, MEMBLOCK_COMPATIBLE)
        if fragment is None:
            return ()
        areas = []
        for node in fragment.tree.children:
            try:
                self._expect(node, RESERVE_MEM_COMPATIBLE, fragment)
                start = u64_property(node, "start", "reserve-mem", fragment.address)
                size = u64_property(node, "size", "reserve-mem", fragment.address)
                areas.append(ReservedMemory(node.name, PhysRange(start, size)))
            except DecodeError as error:
                self._keep(error, "reserve-mem")
        return tuple(areas)

    def stores(self) -> dict[str, Store]:
        stores: dict[str, Store] = {}
        path = STORES_PATH
        while fragment := self.fragment(path, STORES_COMPATIBLE):
            for node in fragment.tree.children:
                if node.name != "more":
                    self._store(node, fragment, stores)
            path += "/more"
        return stores

    def _store(self, node: FdtNode, fragment: Fragment, stores: dict[str, Store]) -> None:
        try:
            self._expect(node, STORE_COMPATIBLE, fragment)
            size = u64_property(node, "size", "store", fragment.address)
            raw = node.properties.get("vmalloc", b"")
            vmalloc = decode_vmalloc(
                self.memory, raw, fragment.address, self.geometry, self._unlisted
            )
            self._unlisted -= len(vmalloc.blocks)
            room = vmalloc.total_pages << self.geometry.page_shift
            if size > room:
                text = f"store '{node.name}' of {size} bytes in pages for {room}"
                raise DecodeError("store", fragment.address, text)
            if node.name in stores:
                text = f"there are two stores '{node.name}'"
                raise DecodeError("store", fragment.address, text)
            stores[node.name] = Store(node.name, size, vmalloc)
        except DecodeError as error:
            self._keep(error, "store")

    def fragment(self, path: str, compatible: str) -> Fragment | None:
        """The fragment at `path`, or None when it is absent; noted when it is another kind."""
        fragment = self.handover.fragment(path)
        try:
            if fragment:
                self._expect(fragment.tree, compatible, fragment)
            return fragment
        except DecodeError as error:
            self._keep(error, "client")
            return None

    def _keep(self, error: DecodeError, subject: str) -> None:
        self.problems.keep(replace(error.problem, subject=error.problem.subject or subject))

    @staticmethod
    def _expect(node: FdtNode, compatible: str, fragment: Fragment) -> None:
        found = string_property(node, "compatible")
        if found != compatible:
            raise DecodeError(
                "client-compatible",
                fragment.address,
                f"{fragment.path}: node '{node.name}' has compatible {found!r}, "
                f"expected {compatible!r}",
            )


def decode_clients(memory: PhysicalMemory, handover: Handover) -> Clients:
    """Reads what khorig's own clients and those it shares with Linux left; clients that are absent
    are None or empty. Never raises for what is in memory.

    Ids: "metadata-size", "metadata-version", "log-header", "live-device", "live-iommu",
    "live-cpu", "reserve-mem", "store", "client-compatible", "property-size" and those of
    `decode_vmalloc`.
    """
    reader = _ClientReader(memory, handover)
    reader.fragment(KHORIG_PATH, KHORIG_COMPATIBLE)
    return Clients(
        metadata=reader.metadata(),
        reserved=reader.reserved(),
        archive=reader.archive(),
        log=reader.log(),
        live=reader.live(),
        iommu=reader.iommu(),
        stores=reader.stores(),
        live_cpu=reader.live_cpu(),
        problems=tuple(reader.problems.items),
    )


def read_store(memory: PhysicalMemory, store: Store) -> bytes:
    """The content of a store of at most MAX_STORE bytes. Raises OutsideRam; DecodeError "store"
    for a larger one."""
    if store.size > MAX_STORE:
        text = f"store '{store.name}' of {store.size} bytes, at most {MAX_STORE} are read"
        raise DecodeError("store", store.vmalloc.first, text)
    return read_listed(memory, store.vmalloc, store.size)


def read_ledger(memory: PhysicalMemory, store: Store) -> LedgerArray:
    """The ledger's entries, fields "page" and "hash". Raises OutsideRam; DecodeError "ledger" when
    the store is not made of whole entries."""
    raw = read_store(memory, store)
    if len(raw) % LEDGER_ENTRY.itemsize:
        text = f"the ledger has {len(raw)} bytes, not whole entries of {LEDGER_ENTRY.itemsize}"
        raise DecodeError("ledger", store.vmalloc.first, text)
    return np.frombuffer(raw, dtype=LEDGER_ENTRY)
