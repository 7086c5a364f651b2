# SPDX-License-Identifier: BSD-3-Clause
"""Small files that would cost much memory or time if their numbers were believed, and large ones
that must not be refused."""

from __future__ import annotations

import lzma
import struct
import zlib
from pathlib import Path
from typing import Callable, Iterable

import numpy as np
import pytest
import zstandard
from dumps.dump_files import kdump_bytes
from dumps.measured import Measured, khorig
from dumps.terabyte_image import TIB, TerabyteImage
from view.handover_image import MIB, PAGE, FdtValue, typical_image

from khorig.mem.formats import UnreadableDump, open_dump, unpacked
from khorig.mem.formats.flattened import Flattened
from khorig.mem.formats.source import FileSource
from khorig.mem.memory import OutsideRam

_MOST_CPU_S = 8.0  # most are below one
_MOST_MIB = 300


def check(cost: Measured, mib: int = _MOST_MIB, statuses: Iterable[int] = (0,)) -> Measured:
    assert cost.status in statuses, cost
    assert cost.cpu_s < _MOST_CPU_S and 0 < cost.mib < mib, cost
    return cost


def written(path: Path, fill: Callable[[TerabyteImage], None]) -> Path:
    """The sparse core of a TiB with a handover."""
    image = TerabyteImage(path)
    fill(image)
    image.finish()
    image.ram.close()
    return path


def _zstd_frame(stated: int, content: bytes = b"x") -> bytes:
    """One raw block, of a single segment that states its size in 8 bytes."""
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", stated) + _raw_block(content)


def _raw_block(content: bytes) -> bytes:
    return (len(content) << 3 | 1).to_bytes(3, "little") + content


def test_a_page_whose_frame_states_a_size(tmp_path: Path) -> None:
    image = typical_image()
    image.finish()
    raw = bytearray(kdump_bytes(image.ram, "arm64", 0x20))
    frame = _zstd_frame(1 << 44, bytes(64))
    table = (2 + struct.unpack_from("<I", raw, 436)[0]) * PAGE
    struct.pack_into("<QII", raw, table, len(raw), len(frame), 0x20)
    path = tmp_path / "first"
    path.write_bytes(raw + frame)
    with pytest.raises(UnreadableDump, match="zstd frame of 0x100000000000 bytes"):
        open_dump(path)
    raw[table : table + 24] = raw[table + 24 : table + 48]
    struct.pack_into("<QII", raw, table + 24 * 16, len(raw), len(frame), 0x20)
    path.write_bytes(raw + frame)
    with open_dump(path) as dump, pytest.raises(OutsideRam):
        dump.memory.view((1 << 30) + 16 * PAGE, 8)


def test_a_file_whose_frame_states_a_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(_zstd_frame(1 << 60))
    assert "damaged or cut off" in check(khorig("check", path), statuses=[2]).err


def test_a_window_of_2_gib(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + _raw_block(b"x" * 100))
    assert "zstd" in check(khorig("check", path), statuses=[2]).err
    raw = bytearray(lzma.compress(bytes(MIB), preset=0))
    header = raw[12 : 12 + 4 * (raw[12] + 1) - 4]
    assert header[2:4] == b"\x21\x01"  # LZMA2 with a byte for its dictionary
    header[4] = 40  # 4 GiB
    raw[12 : 12 + len(header)] = header
    struct.pack_into("<I", raw, 12 + len(header), zlib.crc32(header))
    path.write_bytes(raw)
    assert "xz" in check(khorig("check", path), statuses=[2]).err


def test_a_million_times_what_is_in_the_file(tmp_path: Path) -> None:
    """4 GiB of zeros in 128 KiB, and more than may be."""
    run = (128 * 1024 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    blocks = run * (32 << 10)
    path = tmp_path / "image.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00" + bytes([7 << 3]) + blocks + _raw_block(b""))
    cost = check(khorig("inspect", path), statuses=[2])
    assert "4 GiB, 0 B non-empty" in cost.out and "no KHO root" in cost.err


def test_a_store_of_8_bytes_in_a_block_of_64_gib(tmp_path: Path) -> None:
    def fill(image: TerabyteImage) -> None:
        block = image.empty_block(24)
        listed = image.empty_block(3)
        image.write_u64(block, listed | 3)
        store: FdtValue = {
            "compatible": "khorig-store-v1", "vmalloc": image.vmalloc([block], 24), "size": 8
        }  # fmt: skip
        stores = image.fragment({"compatible": "khorig-stores-v1", "blocks": store})
        khorig = image.fragment({"compatible": "khorig-v1", "stores": image.link(stores)})
        image.clients["khorig"] = image.link(khorig)

    cost = check(khorig("inspect", written(tmp_path / "core", fill), "--pages"))
    assert "order 3   block" in cost.out


def test_a_store_of_64_gib(tmp_path: Path) -> None:
    def fill(image: TerabyteImage) -> None:
        block = image.empty_block(24)
        store: FdtValue = {
            "compatible": "khorig-store-v1", "vmalloc": image.vmalloc([block], 24), "size": 1 << 36
        }  # fmt: skip
        stores = image.fragment({"compatible": "khorig-stores-v1", "ledger": store})
        khorig = image.fragment({"compatible": "khorig-v1", "stores": image.link(stores)})
        image.clients["khorig"] = image.link(khorig)

    cost = check(khorig("check", written(tmp_path / "core", fill)), statuses=[1])
    assert "store 'ledger' of 68719476736 bytes, at most" in cost.out


@pytest.mark.parametrize("order, status", [(18, 0), (24, 1)])
def test_a_folio_of_the_test_module(order: int, status: int, tmp_path: Path) -> None:
    def fill(image: TerabyteImage) -> None:
        folio = image.empty_block(order)
        image.write_u64(folio + 3 * MIB, 7)
        data: FdtValue = {
            "nr_folios": struct.pack("<I", 1),
            "folios_info": image.array(struct.pack("<Q", folio | order)),
            "csum": struct.pack("<I", 7),
        }
        magic = struct.pack("<I", 0x4B484F21)
        test = image.fragment({"compatible": "kho-test-v1", "magic": magic, "data": data})
        image.clients["kho_test"] = image.link(test)

    cost = check(khorig("check", written(tmp_path / "core", fill)), statuses=[status])
    assert ("bytes of folios, at most 0x100000000 are summed" in cost.out) is bool(status)


def test_an_array_of_folios_in_a_block_of_64_gib(tmp_path: Path) -> None:
    def fill(image: TerabyteImage) -> None:
        array, folio = image.empty_block(24), image.empty_block(0)
        image.write_u64(array, folio >> 12)
        raw = struct.pack("<QQIIQ16s", 0, PAGE, 0, 0, 1, image.vmalloc([array], 24))
        _add_luo(image, [struct.pack("<48sQQ", b"memfd-v2", image.preserved_page(raw), 1)], 1)

    cost = check(khorig("check", written(tmp_path / "core", fill)), statuses=[1])
    assert "an array of 16 bytes in pages for 68719476736" in cost.out


def _add_luo(image: TerabyteImage, files: list[bytes], sessions: int) -> None:
    """Sessions that all have one chain of files."""
    chain = 0
    for at in range(0, len(files), 60):
        part = files[at : at + 60]
        chain = image.preserved_page(struct.pack("<QQ", chain, len(part)) + b"".join(part))
    entries = [struct.pack("<64sQQ", f"s{n}".encode(), chain, len(files)) for n in range(sessions)]
    luo = struct.pack("<8sQQQ", b"luo-v5", 3, image.chain(entries), 0)
    image.clients["LUO"] = image.link(image.preserved_page(luo), len(luo))


def test_many_files_with_one_array(tmp_path: Path) -> None:
    def fill(image: TerabyteImage) -> None:
        memfd = image.memfd([image.empty_block(0) for _ in range(20_000)], 0)
        _add_luo(image, [struct.pack("<48sQQ", b"memfd-v2", memfd, 1)] * 20_000, 1)

    cost = check(khorig("check", written(tmp_path / "core", fill)), statuses=[1])
    assert "20000 folios, but only" in cost.out


def test_many_sessions_with_one_chain(tmp_path: Path) -> None:
    def fill(image: TerabyteImage) -> None:
        _add_luo(image, [struct.pack("<48sQQ", b"file", 0, 1)] * 60_000, 50)

    cost = check(khorig("check", written(tmp_path / "core", fill)), statuses=[1])
    assert "of a chain is reached twice" in cost.out


def test_leaves_that_are_full(tmp_path: Path) -> None:
    """300 pages with 10 million keys, of which 8 million are too many: 250 bytes for each."""

    class Full(TerabyteImage):
        def write_tree(self) -> int:
            root = super().write_tree()
            for number in range(300):
                prefix = (1 << 52 - 15) + 64 + number
                self.set_key(prefix << 15)
                self.ram.write(self.nodes[-1], b"\xff" * PAGE)
            return root

    image = Full(tmp_path / "core")
    image.finish()
    image.ram.close()
    cost = khorig("check", tmp_path / "core")
    if cost.cpu_s >= _MOST_CPU_S:
        cost = khorig("check", tmp_path / "core")  # what else the machine does only adds to it
    check(cost, 2500, statuses=[1])
    assert "more than 8388608 keys" in cost.out


def _core(path: Path, loads: list[tuple[int, int, int]], size: int, notes: int = 0) -> None:
    """An ELF core with (address, offset, size) of its segments, and headers of notes over 60 MiB of
    nothing."""
    count = len(loads) + notes
    table = np.zeros(
        count, "<u4,<u4,<u8,<u8,<u8,<u8,<u8,<u8"
    )  # type, flags, offset, vaddr, paddr, filesz, memsz, align
    table["f0"] = 1
    addresses, offsets, sizes = (np.array(column, np.uint64) for column in zip(*loads))
    table["f2"][: len(loads)], table["f4"][: len(loads)] = offsets, addresses
    table["f5"][: len(loads)] = table["f6"][: len(loads)] = sizes
    for number in range(notes):
        table[len(loads) + number] = (4, 0, 4096 + 4 * number, 0, 0, 60 * MIB, 60 * MIB, 4)
    at = size - table.nbytes - 64
    many = count >= 0xFFFF
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 4, 62, 1, 0, at, size - 64 if many else 0, 0, 64, 56,
        0xFFFF if many else count, 64, 0, 0,
    )  # fmt: skip
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(size)
        file.write(head)
        file.seek(at)
        file.write(table.tobytes() + struct.pack("<44xI16x", count))


def test_a_thousand_segments_of_notes(tmp_path: Path) -> None:
    path = tmp_path / "core"
    _core(path, [(0, 4096, MIB)], 70 * MIB, notes=1000)
    check(khorig("check", path), statuses=[2])


def test_a_server_in_many_segments_and_nodes(tmp_path: Path) -> None:
    """RAM in 100,000 pieces, of which the tracker's nodes are 5,000: looked for one by one that
    would be 500 million steps."""
    path = tmp_path / "core"
    image = TerabyteImage(path)
    image._next = low = 8 << 30
    nodes = 5_000
    for number in range(nodes):
        image.preserve((1 << 39) + (number << 27), 0)
    image.finish()
    image.ram.close()
    loads = [(16 * MIB, 17 * MIB, PAGE), (low, MIB + low, image._next - low)]
    loads += [((1 << 30) + 2 * number * PAGE, MIB, PAGE) for number in range(100_000)]
    _core(path, loads, MIB + TIB + 64 * MIB)
    cost = check(khorig("check", path), statuses=[1])
    assert "is not inside RAM" in cost.out


def _flattened(path: Path, sizes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bytes:
    """Pieces of some sizes, one behind the other. Returns their content."""
    content = np.random.default_rng(1).bytes(int(sizes.sum()))
    begins = np.cumsum(sizes) - sizes
    with path.open("wb") as file:
        file.write(struct.pack(">16sqq", b"makedumpfile", 1, 1).ljust(4096, b"\0"))
        if (sizes == sizes[0]).all():
            step = int(sizes[0])
            table = np.zeros(len(sizes), [("at", ">i8"), ("size", ">i8"), ("content", f"V{step}")])
            table["at"], table["size"] = begins, sizes
            table["content"] = np.frombuffer(content, f"V{step}")
            file.write(table.tobytes())
        else:
            for begin, size in zip(begins.tolist(), sizes.tolist()):
                file.write(struct.pack(">qq", begin, size) + content[begin : begin + size])
        file.write(struct.pack(">qq", -1, -1))
    return content


def test_five_million_pieces_of_one_size(tmp_path: Path) -> None:
    """As many as a packed dump of 80 GiB has, each of them smaller."""
    path = tmp_path / "flattened"
    content = _flattened(path, np.full(5_000_000, 2, np.int64))
    source = Flattened(FileSource(path))
    assert source.size == len(content) and len(source._begins) == 1
    for at, size in ((0, 1), (1, 4), (9_999_999, 1), (5_000_001, 64), (123_456, 4097)):
        assert bytes(source.view(at, size)) == content[at : at + size], (at, size)
    source.close()


def test_pieces_of_any_size(tmp_path: Path) -> None:
    path = tmp_path / "flattened"
    content = _flattened(path, np.random.default_rng(2).integers(1, 4, 20_000))
    source = Flattened(FileSource(path))
    assert bytes(source.view(0, source.size)) == content
    assert bytes(source.view(777, 20_000)) == content[777:20_777]
    source.close()


def test_pieces_that_all_overlap(tmp_path: Path) -> None:
    """Each overwrites all but the first byte of the one before."""
    path = tmp_path / "flattened"
    count, size = 3000, 4000
    with path.open("wb") as file:
        file.write(struct.pack(">16sqq", b"makedumpfile", 1, 1).ljust(4096, b"\0"))
        for number in range(count):
            file.write(struct.pack(">qq", number, size) + bytes([number & 0xFF]) * size)
        file.write(struct.pack(">qq", -1, -1))
    source = Flattened(FileSource(path))
    assert bytes(source.view(0, count)) == bytes(number & 0xFF for number in range(count))
    assert bytes(source.view(count, size - 1)) == bytes([count - 1 & 0xFF]) * (size - 1)
    source.close()


def test_a_million_tiny_frames(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor().compress(b"ab")
    path = tmp_path / "image.zst"
    path.write_bytes(frame * (1 << 19))
    check(khorig("check", path), statuses=[2])
    assert unpacked.MAX_SIZE < 1 << 45
