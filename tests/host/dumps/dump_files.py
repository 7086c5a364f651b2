# SPDX-License-Identifier: BSD-3-Clause
"""Writes memory in each format that dumps come in, from the formats' descriptions."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any, Callable, Container, Iterable, Mapping

import numpy as np
import zstandard

from khorig.mem.guest_ram import GuestRam
from khorig.vm.ram_file import RamFile
from khorig.vm.ram_image import save_ram_image

PAGE = 4096
_ZLIB, _LZO, _ZSTD = 1, 2, 0x20
_LZO_WORK = 1 << 17  # bytes: LZO1X_1_MEM_COMPRESS with pointers of 8 bytes
_MACHINES = {"x86_64": 62, "arm64": 183}
VMCOREINFO = b"OSRELEASE=7.3.0-test\nPAGESIZE=4096\n"


def used_pages(ram: GuestRam) -> dict[int, bytes]:
    """The pages that are not zero, by frame."""
    pages = {}
    for region in ram.regions:
        words = np.frombuffer(ram.view(region.gpa, region.size), dtype=np.uint64)
        for number in np.flatnonzero(words.reshape(-1, PAGE // 8).any(axis=1)).tolist():
            at = region.gpa + number * PAGE
            pages[at >> 12] = ram.read(at, PAGE)
    return pages


def _sparse(path: Path, size: int, pieces: Mapping[int, bytes]) -> None:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, content in pieces.items():
            os.pwrite(file.fileno(), content, offset)


def _image_pieces(ram: GuestRam) -> tuple[int, dict[int, bytes]]:
    pieces = {ram.offset(frame << 12, PAGE): page for frame, page in used_pages(ram).items()}
    return max(r.offset + r.size for r in ram.regions), pieces


def write_raw(path: Path, ram: GuestRam, facts: Mapping[str, Any]) -> None:
    """RAM as it is."""
    _sparse(path, *_image_pieces(ram))


def _description(ram: GuestRam, facts: Mapping[str, Any]) -> dict[str, Any]:
    regions = [[hex(r.gpa), hex(r.size), hex(r.offset)] for r in ram.regions]
    return {**facts, "ram_map": regions}


def write_described(path: Path, ram: GuestRam, facts: Mapping[str, Any]) -> None:
    """RAM as it is, with the description of a run; `path` ends in .ram."""
    size, pieces = _image_pieces(ram)
    _sparse(path, size, pieces)
    beside = path.with_name(path.name.removesuffix(".ram") + ".json")
    beside.write_text(json.dumps({**_description(ram, facts), "size": size}))


def write_packed(path: Path, ram: GuestRam, facts: Mapping[str, Any]) -> None:
    """As a run keeps it; `path` ends in .ram.zst."""
    size, pieces = _image_pieces(ram)
    with RamFile(size) as file:
        for offset, content in pieces.items():
            os.pwrite(file.descriptors[0], content, offset)
        name = path.with_name(path.name.removesuffix(".ram.zst"))
        save_ram_image(file, name, _description(ram, facts))


def write_elf(path: Path, ram: GuestRam, facts: Mapping[str, Any]) -> None:
    """An ELF core with one PT_LOAD for each region and a note."""
    note = struct.pack("<III", 11, len(VMCOREINFO), 0) + b"VMCOREINFO\0\0"
    note += VMCOREINFO + bytes(-len(VMCOREINFO) % 4)
    count = 1 + len(ram.regions)
    notes_at = 64 + 56 * count
    header = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header += struct.pack(
        "<HHIQQQIHHHHHH", 4, _MACHINES[facts["arch"]], 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0
    )
    header += struct.pack("<IIQQQQQQ", 4, 0, notes_at, 0, 0, len(note), len(note), 4)
    at = -(-(notes_at + len(note)) // PAGE) * PAGE
    pieces = {notes_at: note}
    pages = used_pages(ram)
    for region in ram.regions:
        header += struct.pack(
            "<IIQQQQQQ", 1, 7, at, 0xFFFF8880_00000000 + region.gpa, region.gpa, region.size,
            region.size, 0,
        )  # fmt: skip
        for frame, page in pages.items():
            if region.gpa <= frame << 12 < region.end:
                pieces[at + (frame << 12) - region.gpa] = page
        at += region.size
    pieces[0] = header
    _sparse(path, at, pieces)


def pack_lzo(page: bytes) -> bytes:
    """As makedumpfile -l."""
    packed = ctypes.create_string_buffer(len(page) + len(page) // 16 + 67)
    size = ctypes.c_ulong()
    work = ctypes.create_string_buffer(_LZO_WORK)
    compress = ctypes.CDLL("liblzo2.so.2").lzo1x_1_compress
    compress.argtypes = [ctypes.c_char_p, ctypes.c_ulong, *[ctypes.c_void_p] * 3]
    assert compress(page, len(page), packed, ctypes.byref(size), work) == 0
    return packed.raw[: size.value]


def kdump_bytes(
    ram: GuestRam, arch: str, pack: int = _ZLIB, level: int = 0, left_out: Container[int] = ()
) -> bytes:
    """A kdump file with every page of RAM but those `left_out`, by frame; pages of zeros share one
    place."""
    packers: dict[int, Callable[[bytes], bytes]] = {
        _ZLIB: zlib.compress, _LZO: pack_lzo, _ZSTD: zstandard.ZstdCompressor().compress, 0: bytes
    }  # fmt: skip
    end = max(r.end for r in ram.regions) >> 12
    all_frames = [frame for r in ram.regions for frame in range(r.gpa >> 12, r.end >> 12)]
    frames = [frame for frame in all_frames if frame not in left_out]
    half = -(-end // 8 // PAGE)
    names = b"".join(
        part.ljust(65, b"\0")
        for part in (b"Linux", b"node", b"7.3.0-test", b"#1", _utsname(arch), b"(none)")
    )
    head = struct.pack("<8sI390s22sIIIII", b"KDUMP   ", 6, names, b"", _ZLIB, PAGE, 1, 2 * half, 0)
    info_at = PAGE + 512
    sub = struct.pack(
        "<QIIQQQQQQQQQQQ", 0, level, 0, 0, 0, info_at, len(VMCOREINFO), 0, 0, 0, 0, 0, 0, end
    )
    sub = sub.ljust(512, b"\0") + VMCOREINFO
    result = bytearray(head.ljust(PAGE, b"\0") + sub.ljust(PAGE, b"\0"))
    result += _bitmap(all_frames, half * PAGE) + _bitmap(frames, half * PAGE)
    pages = used_pages(ram)
    places: dict[bytes, tuple[int, int, int]] = {}
    data_at = len(result) + 24 * len(frames)
    data = bytearray()
    zero = bytes(PAGE)
    for frame in frames:
        page = pages.get(frame, zero)
        if page not in places or page != zero:
            packed, flags = packers[pack](page), pack
            if len(packed) >= PAGE:
                packed, flags = page, 0
            places[page] = (data_at + len(data), len(packed), flags)
            data += packed
        result += struct.pack("<QIIQ", *places[page], 0)
    return bytes(result + data)


def _bitmap(frames: Iterable[int], size: int) -> bytes:
    bits = np.zeros(size * 8, dtype=np.uint8)
    bits[list(frames)] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def _utsname(arch: str) -> bytes:
    return {"x86_64": b"x86_64", "arm64": b"aarch64"}[arch]


def write_kdump(path: Path, ram: GuestRam, facts: Mapping[str, Any]) -> None:
    """A kdump file packed with zlib."""
    path.write_bytes(kdump_bytes(ram, facts["arch"]))


def write_kdump_zstd(path: Path, ram: GuestRam, facts: Mapping[str, Any]) -> None:
    """A kdump file packed with zstd."""
    path.write_bytes(kdump_bytes(ram, facts["arch"], _ZSTD))


def write_kdump_lzo(path: Path, ram: GuestRam, facts: Mapping[str, Any]) -> None:
    """A kdump file packed with LZO."""
    path.write_bytes(kdump_bytes(ram, facts["arch"], _LZO))


def write_flattened(path: Path, ram: GuestRam, facts: Mapping[str, Any]) -> None:
    """A kdump file in makedumpfile's pieces, the header twice and last, as a writer does that goes
    back to it."""
    content = kdump_bytes(ram, facts["arch"], 0)
    pieces = [(0, b"\xff" * 64)]
    pieces += [(at, content[at : at + 60_000]) for at in range(64, len(content), 60_000)]
    pieces.append((0, content[:64]))
    result = struct.pack(">16sqq", b"makedumpfile", 1, 1).ljust(4096, b"\0")
    for offset, piece in pieces:
        result += struct.pack(">qq", offset, len(piece)) + piece
    path.write_bytes(result + struct.pack(">qq", -1, -1))


def write_lime(path: Path, ram: GuestRam, facts: Mapping[str, Any]) -> None:
    """An image of LiME: a header before each range."""
    pages = used_pages(ram)
    pieces: dict[int, bytes] = {}
    at = 0
    for region in ram.regions:
        pieces[at] = struct.pack("<4sIQQ8x", b"EMiL", 1, region.gpa, region.end - 1)
        at += 32
        for frame, page in pages.items():
            if region.gpa <= frame << 12 < region.end:
                pieces[at + (frame << 12) - region.gpa] = page
        at += region.size
    _sparse(path, at, pieces)


Writer = Callable[[Path, GuestRam, Mapping[str, Any]], None]
WRITERS: Mapping[str, Writer] = {
    "image": write_raw,
    "described.ram": write_described,
    "packed.ram.zst": write_packed,
    "core": write_elf,
    "kdump": write_kdump,
    "kdump-lzo": write_kdump_lzo,
    "kdump-zstd": write_kdump_zstd,
    "flattened": write_flattened,
}
