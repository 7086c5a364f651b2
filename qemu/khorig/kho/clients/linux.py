# SPDX-License-Identifier: BSD-3-Clause
"""The state of Linux's clients: Live Update Orchestrator, memfd, and its test module.

Layouts: include/linux/kho/abi/luo.h, memfd.h and lib/test_kho.c of Linux 7.2 and 7.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Mapping

import numpy as np

from khorig.kho.block_chain import BlockChain, read_block_chain
from khorig.kho.blocks import Blocks
from khorig.kho.fdt import FdtNode, parse_fdt, read_fdt
from khorig.kho.fragment import string_property
from khorig.kho.handover import Handover, disorder
from khorig.kho.layout import Geometry
from khorig.kho.radix import Uint64Array
from khorig.kho.vmalloc import STRUCT as VMALLOC
from khorig.kho.version import ALIGNMENT, Version
from khorig.kho.vmalloc import Vmalloc, decode_vmalloc, read_listed
from khorig.mem.errors import DecodeError, Problem, Problems
from khorig.mem.formats.dump import DumpMemory
from khorig.mem.memory import PhysRange, range_at, read_bytes

LUO_PATH = "/LUO"
LUO_COMPATIBLE = "luo-v5"
_LUO = struct.Struct("<QQQ")  # liveupdate_num, sessions, flbs; behind compatible
_SESSION = struct.Struct("<64sQQ")  # name, files, count
_FILE = struct.Struct("<48sQQ")  # compatible, data, token
_FLB = struct.Struct("<48sQQ")  # name, data, count
_FLB_HEAD = struct.Struct("<QQ")  # pages, count

MEMFD_COMPATIBLE = "memfd-v2"
_MEMFD = struct.Struct("<QQIIQ16s")  # pos, size, seals, flags, folios, vmalloc
_FOLIO = np.dtype([("frame", "<u8"), ("index", "<u8")])
_FRAME_MASK = (1 << 52) - 1  # the rest of the word are flags

KHO_TEST_PATH = "/kho_test"
KHO_TEST_COMPATIBLE = "kho-test-v1"
_KHO_TEST_MAGIC = 0x4B484F21
_MAX_FDT = 2 << 20
_MAX_LUO = 256  # bytes of LUO's header
_MAX_FLB_PAGES = 256  # Linux has one
_PIECE = 1 << 20  # bytes of a folio at a time
_MAX_SUMMED = 4 << 30  # bytes; unless told otherwise the module preserves 8 MiB


@dataclass(frozen=True, eq=False)
class Memfd:
    """A memfd of a session."""

    at: int  # address of its description
    position: int
    size: int  # bytes of the file
    seals: int
    vmalloc: Vmalloc  # the array of folios
    folios: Blocks  # as the tracker has them, in the array's sequence
    indices: Uint64Array  # page offset in the file of each


@dataclass(frozen=True, eq=False)
class LuoFile:
    """A file of a session."""

    compatible: str
    data: int
    token: int
    memfd: Memfd | None = None


@dataclass(frozen=True, eq=False)
class LuoSession:
    """A session of the Live Update Orchestrator."""

    name: str
    count: int  # of files, as the session says
    files: tuple[LuoFile, ...]
    chain: BlockChain


@dataclass(frozen=True)
class LuoFlb:
    """State that files share."""

    name: str
    data: int
    count: int  # of files that depend on it


@dataclass(frozen=True, eq=False)
class Luo:
    """What the Live Update Orchestrator left."""

    compatible: str
    liveupdate_num: int
    sessions: tuple[LuoSession, ...] = ()
    chain: BlockChain = BlockChain((), ())
    flbs: tuple[LuoFlb, ...] = ()
    flb_pages: PhysRange = PhysRange(0, 0)


@dataclass(frozen=True, eq=False)
class KhoTest:
    """What Linux's test module left."""

    folios: Blocks
    vmalloc: Vmalloc  # the array of folios
    checksum: int  # ones' complement sum of their 32-bit words, as it says
    found: int  # the same, as it is

    @property
    def adds_up(self) -> bool:
        """Whether the folios have their content. Some architectures' csum_partial folds each folio
        to 16 bits (lib/csum.c; arm64 does, x86 does not), so the sums are compared that far."""
        return (self.checksum - self.found) % 0xFFFF == 0


@dataclass(frozen=True, eq=False)
class LinuxClients:
    """What could be read of Linux's clients."""

    luo: Luo | None = None
    kho_test: KhoTest | None = None
    problems: tuple[Problem, ...] = field(default=())


def text_of(raw: bytes, what: str, address: int) -> str:
    """A string in a field of fixed size. Raises DecodeError "string"."""
    text, zero, _ = raw.partition(b"\0")
    if not zero or not text.isascii() or not text.decode().isprintable():
        raise DecodeError("string", address, f"{what} is not NUL-terminated text: {raw[:16]!r}...")
    return text.decode()


class _Reader:
    """Reads each client, and goes on after a broken part."""

    def __init__(self, memory: DumpMemory, handover: Handover) -> None:
        self.memory = memory
        self.handover = handover
        self.geometry = handover.geometry
        self.problems = Problems()
        self._unlisted = handover.most_listed  # preserved blocks that no array of folios lists
        self._unmapped = handover.most_listed  # and no list in vmalloc form
        self._chained: set[int] = set()  # pages of chains

    def keep(self, error: DecodeError, subject: str) -> None:
        self.problems.keep(replace(error.problem, subject=subject))

    def luo(self) -> Luo | None:
        link = self.handover.blob(LUO_PATH)
        if link is None:
            return None
        try:
            return self._luo(link.blob)
        except DecodeError as error:
            self.keep(error, "luo")
            return None

    def _luo(self, blob: PhysRange) -> Luo:
        if blob.size < ALIGNMENT + _LUO.size:
            text = f"{blob.size} bytes, expected {ALIGNMENT + _LUO.size}"
            raise DecodeError("luo-size", blob.begin, text)
        head = read_bytes(self.memory, blob.begin, min(blob.size, _MAX_LUO))
        version = Version.of(text_of(head, "the version of LUO", blob.begin))
        # The field is as long as its own version needs.
        place = -(-(len(version.text) + 1) // ALIGNMENT) * ALIGNMENT
        if place + _LUO.size > len(head):
            text = f"{blob.size} bytes, expected {place + _LUO.size} for {version.text[:80]!r}"
            raise DecodeError("luo-size", blob.begin, text)
        number, sessions, flbs = _LUO.unpack_from(head, place)
        if version.base != LUO_COMPATIBLE or not version.is_readable:
            text = f"version {version.text[:80]!r}, expected {LUO_COMPATIBLE!r}"
            self.problems.keep(Problem("luo-version", blob.begin, text, "luo"))
            return Luo(version.text, number)
        if not version.is_ordered:
            self.problems.keep(disorder(version, blob.begin, "luo"))
        chain = self._chain(sessions, _SESSION.size, "the sessions")
        found = [self._session(at, entry) for at, entry in chain.entries]
        pages, items = self._flbs(flbs)
        read = tuple(s for s in found if s is not None)
        return Luo(version.text, number, read, chain.without_entries(), items, pages)

    def _chain(self, first: int, size: int, what: str) -> BlockChain:
        try:
            return read_block_chain(self.memory, first, size, self.geometry, self._chained)
        except DecodeError as error:
            problem = error.problem
            named = replace(problem, text=f"{what}: {problem.text}", subject="chain")
            self.problems.keep(named)
            return BlockChain((), ())

    def _session(self, at: int, raw: bytes) -> LuoSession | None:
        name_field, first, count = _SESSION.unpack(raw)
        try:
            name = text_of(name_field, "the name of a session", at)
        except DecodeError as error:
            self.keep(error, "luo")
            return None
        chain = self._chain(first, _FILE.size, f"the files of session '{name}'")
        if len(chain.entries) != count:
            text = f"session '{name}' has {len(chain.entries)} files, expected {count}"
            self.problems.keep(Problem("luo-files", at, text, "luo"))
        files = [self._file(place, entry, name) for place, entry in chain.entries]
        found = tuple(f for f in files if f is not None)
        return LuoSession(name, count, found, chain.without_entries())

    def _file(self, at: int, raw: bytes, session: str) -> LuoFile | None:
        compatible_field, data, token = _FILE.unpack(raw)
        try:
            compatible = text_of(compatible_field, f"the kind of a file of '{session}'", at)
        except DecodeError as error:
            self.keep(error, "luo")
            return None
        memfd = None
        version = Version.of(compatible)
        if version.base == MEMFD_COMPATIBLE and version.is_readable:
            if not version.is_ordered:
                self.problems.keep(disorder(version, at, "memfd"))
            try:
                memfd = self._memfd(data, f"file {token:#x} of '{session}'")
            except DecodeError as error:
                self.keep(error, "memfd")
        elif compatible.startswith("memfd-"):
            text = f"a file of kind {compatible!r}, expected {MEMFD_COMPATIBLE!r}"
            self.problems.keep(Problem("memfd-version", at, text, "memfd"))
        return LuoFile(compatible, data, token, memfd)

    def _memfd(self, at: int, what: str) -> Memfd:
        raw = read_bytes(self.memory, at, _MEMFD.size)
        position, size, seals, _, count, vmalloc_raw = _MEMFD.unpack(raw)
        self._limit(count, at, what)
        vmalloc = self._vmalloc(vmalloc_raw, at)
        array = self._array(vmalloc, count * _FOLIO.itemsize, at, what)
        folios = np.frombuffer(array, dtype=_FOLIO)
        frames = (folios["frame"] & np.uint64(_FRAME_MASK)).astype(np.int64)
        preserved, blocks = self.handover.index.find_all(frames)
        odd = np.flatnonzero(~preserved | (blocks.frames != frames))
        if len(odd):
            address = int(frames[odd[0]]) << self.geometry.page_shift
            text = f"{what}: folio {odd[0]} of {count} is not preserved"
            raise DecodeError("memfd-folio", address, text)
        indices = folios["index"].copy()
        pages = -(-size >> self.geometry.page_shift)
        if len(indices) and int(indices.max()) >= pages:
            text = f"{what}: a folio for page {indices.max()} of a file of {pages} pages"
            raise DecodeError("memfd-index", at, text)
        if len(np.unique(indices)) != len(indices):
            raise DecodeError("memfd-index", at, f"{what}: two folios for one page")
        return Memfd(at, position, size, seals, vmalloc, blocks, indices)

    def _vmalloc(self, raw: bytes, at: int) -> Vmalloc:
        vmalloc = decode_vmalloc(self.memory, raw, at, self.geometry, self._unmapped)
        self._unmapped -= len(vmalloc.blocks)
        return vmalloc

    def _array(self, vmalloc: Vmalloc, size: int, at: int, what: str) -> bytes:
        room = vmalloc.total_pages << self.geometry.page_shift
        if not room - self.geometry.page_size < size <= room and size:
            text = f"{what}: an array of {size} bytes in pages for {room}"
            raise DecodeError("memfd-count", at, text)
        return read_listed(self.memory, vmalloc, size)

    def _limit(self, count: int, at: int, what: str) -> None:
        """Each folio is a block of its own, so there are not more of them in all."""
        if count > self._unlisted:
            text = f"{what}: {count} folios, but only {self._unlisted} preserved blocks are left"
            raise DecodeError("folio-count", at, text)
        self._unlisted -= count

    def _flbs(self, at: int) -> tuple[PhysRange, tuple[LuoFlb, ...]]:
        none = PhysRange(0, 0)
        if at == 0:
            return none, ()
        try:
            pages, count = _FLB_HEAD.unpack(read_bytes(self.memory, at, _FLB_HEAD.size))
            room = (pages << self.geometry.page_shift) - _FLB_HEAD.size
            if not 0 < pages <= _MAX_FLB_PAGES or count * _FLB.size > room:
                text = f"{count} shared states in {pages} pages"
                raise DecodeError("chain-count", at, text)
            raw = read_bytes(self.memory, at + _FLB_HEAD.size, count * _FLB.size)
            items = [
                LuoFlb(text_of(name, "the name of a shared state", at), data, users)
                for name, data, users in _FLB.iter_unpack(raw)
            ]
            return PhysRange(at, pages << self.geometry.page_shift), tuple(items)
        except DecodeError as error:
            self.keep(error, "chain")
            return none, ()

    def kho_test(self) -> KhoTest | None:
        fragment = self.handover.fragment(KHO_TEST_PATH)
        link = self.handover.blob(KHO_TEST_PATH)
        try:
            if fragment:
                return self._kho_test(fragment.tree, fragment.address)
            if link is None:
                return None
            blob = read_fdt(self.memory, link.blob.begin, min(link.blob.size, _MAX_FDT))
            return self._kho_test(parse_fdt(blob, link.blob.begin), link.blob.begin)
        except DecodeError as error:
            self.keep(error, "kho_test")
            return None

    def _kho_test(self, tree: FdtNode, at: int) -> KhoTest:
        found = string_property(tree, "compatible")
        if found != KHO_TEST_COMPATIBLE:
            text = f"compatible {found!r}, expected {KHO_TEST_COMPATIBLE!r}"
            raise DecodeError("client-compatible", at, text)
        nodes = [child for child in tree.children if child.name == "data"]
        data: Mapping[str, bytes] = nodes[0].properties if nodes else {}
        fixed = {"magic": tree.properties.get("magic", b"")}
        fixed.update((name, data.get(name, b"")) for name in ("nr_folios", "csum"))
        numbers = {}
        for name, raw in fixed.items():
            if len(raw) != 4:
                raise DecodeError("property-size", at, f"'{name}' has {len(raw)} bytes, not 4")
            numbers[name] = int.from_bytes(raw, "little")
        if numbers["magic"] != _KHO_TEST_MAGIC:
            text = f"magic {numbers['magic']:#010x}, expected {_KHO_TEST_MAGIC:#010x}"
            raise DecodeError("kho-test-magic", at, text)
        vmalloc = self._vmalloc(data.get("folios_info", b"").ljust(VMALLOC.size, b"\0"), at)
        # The module asks for as many entries as there could be folios of one page.
        size = numbers["nr_folios"] * 8
        self._limit(numbers["nr_folios"], at, "the test")
        if size > vmalloc.total_pages << self.geometry.page_shift:
            text = f"{numbers['nr_folios']} folios in {vmalloc.total_pages} pages"
            raise DecodeError("kho-test-count", at, text)
        array = np.frombuffer(read_listed(self.memory, vmalloc, size), dtype="<u8")
        blocks = self._folios(array.tolist(), at)
        sum_found = _ones_complement_sum(self.memory, blocks, self.geometry)
        return KhoTest(blocks, vmalloc, numbers["csum"], sum_found)

    def _folios(self, array: list[int], at: int) -> Blocks:
        blocks = []
        for number, entry in enumerate(array):
            frame, order = entry >> self.geometry.page_shift, entry % self.geometry.page_size
            if self.handover.index.find(frame) != (frame, order):
                text = f"folio {number} is not preserved as a block of order {order}"
                raise DecodeError("kho-test-folio", entry - order, text)
            blocks.append((frame, order))
        result = Blocks.of(blocks)
        if result.overlapping().any():
            raise DecodeError("kho-test-folio", at, "a folio is listed twice")
        return result


def _ones_complement_sum(memory: DumpMemory, blocks: Blocks, geometry: Geometry) -> int:
    """Piece by piece, since a folio may be as large as memory. What the dump has no bytes for is
    looked at, as it may have been left out, but not summed: zeros add nothing. Raises OutsideRam;
    DecodeError "kho-test-count" for folios of more than _MAX_SUMMED bytes."""
    size = blocks.page_count << geometry.page_shift
    if size > _MAX_SUMMED:
        at = int(blocks.frames[0]) << geometry.page_shift
        text = f"{size:#x} bytes of folios, at most {_MAX_SUMMED:#x} are summed"
        raise DecodeError("kho-test-count", at, text)
    total = 0
    data = memory.data()
    for frame, count in zip(blocks.frames.tolist(), blocks.counts.tolist()):
        begin, end = frame << geometry.page_shift, frame + count << geometry.page_shift
        for at in range(begin, end, _PIECE):
            piece = PhysRange(at, min(_PIECE, end - at))
            with memory.view(piece.begin, piece.size) as view:
                if range_at(data, piece.end - 1).end > piece.begin:
                    total += int(np.frombuffer(view, dtype="<u4").sum(dtype=np.uint64))
    return total % 0xFFFFFFFF


def decode_linux_clients(memory: DumpMemory, handover: Handover) -> LinuxClients:
    """Reads what Linux's clients left; those that are absent are None. Never raises for what is in
    memory.

    Ids: "luo-size", "luo-version", "luo-files", "string", "chain-cycle", "chain-count",
    "memfd-version", "memfd-folio", "memfd-index", "memfd-count", "folio-count",
    "kho-test-magic", "kho-test-count", "kho-test-folio", "client-compatible", "property-size" and
    those of `decode_vmalloc`.
    """
    reader = _Reader(memory, handover)
    luo, kho_test = reader.luo(), reader.kho_test()
    return LinuxClients(luo, kho_test, tuple(reader.problems.items))
