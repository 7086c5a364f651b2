# SPDX-License-Identifier: BSD-3-Clause
"""The ELF core of a host with 1 TiB that hands two guests over: half a million preserved blocks.

A sparse file: only the handover's own structures have bytes.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from dumps.dump_files import VMCOREINFO
from view.handover_image import MIB, PAGE, FdtValue, HandoverImage, add_metadata

from khorig.mem.memory import PhysRange

TIB = 1 << 40
BLOCKS = 524_288
SCRATCH = (PhysRange(512 * MIB, 64 * MIB), PhysRange(4 << 30, 512 * MIB))
_GUESTS = 2
_FOLIOS = 120_000  # of each guest's memory, of 2 MiB
_SMALL = 65_536  # of a guest's other file, of 4 KiB
_HUGE = 9  # order
_DATA_AT = 1 << 20  # offset of memory in the file
_OF_LIST = 299  # blocks: the pages of the list itself, and what comes behind it
_BOOT_PARAMS = SCRATCH[0].begin


class TerabyteImage(HandoverImage):
    """RAM from 0 to 1 TiB in a file."""

    def __init__(self, path: Path) -> None:
        with path.open("w+b") as file:
            file.truncate(_DATA_AT + TIB)
            file.write(_header())
            file.flush()
            buffer = memoryview(mmap.mmap(file.fileno(), _DATA_AT + TIB))
        super().__init__((PhysRange(0, TIB),), SCRATCH, buffer=buffer, offset=_DATA_AT)
        self.blocks.clear()
        self._next = 16 * MIB
        self.root = self.preserved_page()

    def empty_block(self, order: int) -> int:
        """A preserved block without content."""
        at = self.allocate(order)
        self.preserve(at, order)
        return at

    def write_tree(self) -> int:
        """As HandoverImage's, a leaf at a time."""
        self.nodes = [self.node()]
        leaves: dict[int, set[int]] = {}
        for address, order in self.blocks:
            key = (1 << (52 - order)) | (address >> (12 + order))
            leaves.setdefault(key >> 15, set()).add(key & 0x7FFF)
        for prefix, bits in leaves.items():
            self.set_key(prefix << 15 | min(bits))
            at = self.nodes[0]
            for level in (5, 4, 3, 2, 1):
                at = self.ram.read_u64(at + 8 * ((prefix >> (level - 1) * 9) & 511))
            leaf = bytearray(PAGE)
            for bit in bits:
                leaf[bit >> 3] |= 1 << (bit & 7)
            self.ram.write(at, bytes(leaf))
        return self.nodes[0]

    def array(self, words: bytes) -> bytes:
        """Pages with an array, and the 16 bytes that describe their list."""
        pages = [self.preserved_page(words[at : at + PAGE]) for at in range(0, len(words), PAGE)]
        return self.vmalloc(pages)

    def memfd(self, folios: list[int], order: int) -> int:
        """The description of a memfd, as Linux's memfd-v2."""
        entries = b"".join(
            struct.pack("<QQ", at >> 12, number << order) for number, at in enumerate(folios)
        )
        array = self.array(entries)
        size = len(folios) * PAGE << order
        return self.preserved_page(struct.pack("<QQIIQ16s", 0, size, 0, 0, len(folios), array))

    def chain(self, entries: list[bytes]) -> int:
        """A chain of one block."""
        return self.preserved_page(struct.pack("<QQ", 0, len(entries)) + b"".join(entries))


def _header() -> bytes:
    note = struct.pack("<III", 11, len(VMCOREINFO), 0) + b"VMCOREINFO\0\0" + VMCOREINFO
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    header += struct.pack("<IIQQQQQQ", 4, 0, 176, 0, 0, len(note), len(note), 4)
    header += struct.pack("<IIQQQQQQ", 1, 7, _DATA_AT, 0xFFFF8880 << 32, 0, TIB, TIB, PAGE)
    return header + note


def write_terabyte(path: Path) -> None:
    """Two sessions with a guest's memory and a file of small folios each, reserved memory, the test
    module, and khorig's list of blocks for the rest, up to BLOCKS."""
    image = TerabyteImage(path)
    add_metadata(image, 3)
    sessions = []
    for guest in range(_GUESTS):
        huge = [image.empty_block(_HUGE) for _ in range(_FOLIOS)]
        small = [image.empty_block(0) for _ in range(_SMALL)]
        files = [
            struct.pack("<48sQQ", b"memfd-v2", image.memfd(folios, order), token)
            for token, folios, order in ((1, huge, _HUGE), (2, small, 0))
        ]
        name = f"vm{guest}".encode()
        sessions.append(struct.pack("<64sQQ", name, image.chain(files), len(files)))
    luo = struct.pack("<8sQQQ", b"luo-v5", 3, image.chain(sessions), 0)
    image.clients["LUO"] = image.link(image.preserved_page(luo), len(luo))
    area = image.empty_block(18)
    reserved: FdtValue = {"compatible": "reserve-mem-v1", "start": area, "size": PAGE << 18}
    memblock = image.fragment({"compatible": "memblock-v1", "ram0": reserved})
    image.clients["memblock"] = image.link(memblock)
    _add_test(image)
    _add_list(image)
    image.finish()
    assert len(image.blocks) == BLOCKS, len(image.blocks)
    _write_handoff(image)
    image.ram.close()


def _add_test(image: TerabyteImage) -> None:
    folios = [image.empty_block(_HUGE) | _HUGE for _ in range(64)]
    data: FdtValue = {
        "nr_folios": struct.pack("<I", len(folios)),
        "folios_info": image.array(struct.pack(f"<{len(folios)}Q", *folios)),
        "csum": bytes(4),
    }
    magic = struct.pack("<I", 0x4B484F21)
    test = image.fragment({"compatible": "kho-test-v1", "magic": magic, "data": data})
    image.clients["kho_test"] = image.link(test)


def _add_list(image: TerabyteImage) -> None:
    count = BLOCKS - len(image.blocks) - _OF_LIST
    listed = [image.empty_block(number % 4) | number % 4 for number in range(count)]
    raw = struct.pack(f"<{count}Q", *listed)
    store: FdtValue = {
        "compatible": "khorig-store-v1", "vmalloc": image.array(raw), "size": len(raw)
    }  # fmt: skip
    stores = image.fragment({"compatible": "khorig-stores-v1", "blocks": store})
    khorig = image.fragment({"compatible": "khorig-v1", "stores": image.link(stores)})
    image.clients["khorig"] = image.link(khorig)


def _write_handoff(image: TerabyteImage) -> None:
    setup_data, array = _BOOT_PARAMS + PAGE, _BOOT_PARAMS + 2 * PAGE
    image.write_u64(_BOOT_PARAMS + 0x250, setup_data)
    values = struct.pack("<4Q", image.root, PAGE, array, 16 * len(SCRATCH))
    image.ram.write(setup_data, struct.pack("<QII", 0, 10, 32) + values)
    areas = b"".join(struct.pack("<QQ", area.begin, area.size) for area in SCRATCH)
    image.ram.write(array, areas)
