# SPDX-License-Identifier: BSD-3-Clause
"""The state of Linux's clients: Live Update Orchestrator, memfd, and its test module.

Layouts: include/linux/kho/abi/luo.h, memfd.h and lib/test_kho.c of Linux 7.2 and 7.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Iterator, Mapping

import numpy as np

from khorig.kho.block_chain import BlockChain, read_block_chain
from khorig.kho.blocks import Blocks
from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.lists import FOLIO, ListReader, folio_flags
from khorig.kho.clients.luo_decoder import LuoState
from khorig.kho.clients.outside import decode_luo
from khorig.kho.fdt import FdtNode, parse_fdt, read_fdt
from khorig.kho.fragment import string_property
from khorig.kho.handover import Handover, disorder
from khorig.kho.layout import Geometry
from khorig.kho.radix import Uint64Array
from khorig.kho.vmalloc import STRUCT as VMALLOC
from khorig.kho.version import ALIGNMENT, Version
from khorig.kho.vmalloc import Vmalloc
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
    folio_flags: Uint64Array  # of each: 1 dirty, 2 up to date


@dataclass(frozen=True, eq=False)
class LuoFile:
    """A file of a session."""

    compatible: str
    data: int
    token: int
    memfd: Memfd | None = None
    decoded: DecodedClient | None = None  # by a decoder of its kind


@dataclass(frozen=True, eq=False)
class LuoSession:
    """A session of the Live Update Orchestrator."""

    name: str
    count: int  # of files, as the session says
    files: tuple[LuoFile, ...]
    chain: BlockChain


@dataclass(frozen=True, eq=False)
class LuoFlb:
    """State that files share."""

    name: str
    data: int
    count: int  # of files that depend on it
    decoded: DecodedClient | None = None  # by a decoder of its name


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


def _is_newer(base: str) -> bool:
    """Whether a version of memfd is a later one, or today's (with components that are not known):
    such a file is unknown, not broken."""
    number = base.removeprefix("memfd-v")
    known = int(MEMFD_COMPATIBLE.removeprefix("memfd-v"))
    return number.isdecimal() and number.isascii() and int(number) >= known


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
        self.lists = ListReader(memory, handover)
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
        kinds: dict[int, str] = {}
        for _, entry in chain.entries:
            kind, _, token = _FILE.unpack(entry)
            kinds[token] = kind.partition(b"\0")[0].decode("ascii", "replace")
        files = [self._file(place, entry, name, kinds) for place, entry in chain.entries]
        found = tuple(f for f in files if f is not None)
        return LuoSession(name, count, found, chain.without_entries())

    def _file(self, at: int, raw: bytes, session: str, kinds: Mapping[int, str]) -> LuoFile | None:
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
        elif compatible.startswith("memfd-") and not _is_newer(version.base):
            text = f"a file of kind {compatible!r}, expected {MEMFD_COMPATIBLE!r}"
            self.problems.keep(Problem("memfd-version", at, text, "memfd"))
        decoded = self._decode(compatible, f"LUO/{session}/{token:#x}", data, kinds)
        return LuoFile(compatible, data, token, memfd, decoded)

    def _decode(
        self, name: str, owner: str, data: int, kinds: Mapping[int, str]
    ) -> DecodedClient | None:
        state = LuoState(self.memory, self.handover, self.lists, owner, data, kinds)
        decoded = decode_luo(name, state)
        for problem in decoded.problems if decoded else ():
            self.problems.keep(problem)
        return decoded

    def _memfd(self, at: int, what: str) -> Memfd:
        raw = read_bytes(self.memory, at, _MEMFD.size)
        position, size, seals, _, count, vmalloc_raw = _MEMFD.unpack(raw)
        self.lists.take(count, at, what)
        vmalloc = self.lists.vmalloc(vmalloc_raw, at)
        needed = count * FOLIO.itemsize
        room = vmalloc.total_pages << self.geometry.page_shift
        if not room - self.geometry.page_size < needed and needed:
            text = f"{what}: an array of {needed} bytes in pages for {room}"
            raise DecodeError("memfd-count", at, text)
        array = self.lists.array(vmalloc, needed, at, what, "memfd-count")
        blocks, indices = self.lists.folios(array, size, at, what, "memfd")
        flags = folio_flags(array)
        return Memfd(at, position, size, seals, vmalloc, blocks, indices, flags)

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
            named = [
                (text_of(name, "the name of a shared state", at), data, users)
                for name, data, users in _FLB.iter_unpack(raw)
            ]
            area = PhysRange(at, pages << self.geometry.page_shift)
            return area, tuple(self._shared(named))
        except DecodeError as error:
            self.keep(error, "chain")
            return none, ()

    def _shared(self, named: list[tuple[str, int, int]]) -> Iterator[LuoFlb]:
        seen: set[str] = set()  # a state is there once, so no other of its name is decoded
        for name, data, users in named:
            decoded = None
            if name not in seen:
                decoded = self._decode(name, f"LUO shared state/{name}", data, {})
            seen.add(name)
            yield LuoFlb(name, data, users, decoded)

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
        vmalloc = self.lists.vmalloc(data.get("folios_info", b"").ljust(VMALLOC.size, b"\0"), at)
        # The module asks for as many entries as there could be folios of one page.
        size = numbers["nr_folios"] * 8
        self.lists.take(numbers["nr_folios"], at, "the test")
        array = np.frombuffer(
            self.lists.array(vmalloc, size, at, "the test", "kho-test-count"), dtype="<u8"
        )
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
