# SPDX-License-Identifier: BSD-3-Clause
"""Checks that a file is an initramfs."""

from __future__ import annotations

import bz2
import lzma
import stat
import zlib
from pathlib import Path
from typing import Callable, Mapping

_HEAD = 64 << 10  # bytes checked
_HEADER = 110  # bytes of an entry before its name (Linux: Documentation/driver-api/early-userspace)
_NAME_SIZE = slice(94, 102)
_MAGICS = (b"070701", b"070702")
_LAST = b"TRAILER!!!"


def _zstd(head: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj().decompress(head)


# By magic, as in Linux (lib/decompress.c). None: not decompressed here.
_PACKINGS: Mapping[bytes, Callable[[bytes], bytes] | None] = {
    b"\x1f\x8b": lambda head: zlib.decompressobj(wbits=31).decompress(head),
    b"\x1f\x9e": None,
    b"BZh": lambda head: bz2.BZ2Decompressor().decompress(head),
    b"\x5d\x00\x00": lambda head: lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(head),
    b"\xfd7zXZ\0": lambda head: lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(head),
    b"\x89LZO\0\r\n\x1a\n": None,
    b"\x02\x21\x4c\x18": None,  # lz4
    b"\x28\xb5\x2f\xfd": _zstd,
}


def why_no_initrd(path: Path) -> str | None:
    """Why Linux cannot unpack this file, or None if it is a cpio archive, compressed or not."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "not a regular file"
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        return str(error.strerror)
    if not head:
        return "empty file"
    for magic, unpack in _PACKINGS.items():
        if head.startswith(magic):
            return _packed(head, unpack)
    return _archive(head)


def _packed(head: bytes, unpack: Callable[[bytes], bytes] | None) -> str | None:
    if unpack is None:
        return None
    try:
        inside = unpack(head)
    except Exception as error:  # each library has its own exceptions
        return f"decompression failed ({error})"
    why = _archive(inside)
    return f"decompressed content: {why}" if why else None


def _archive(head: bytes) -> str | None:
    """Checks the start of an archive; as `why_no_initrd`."""
    if not head.startswith(_MAGICS):
        return "not a cpio archive (newc)"
    try:
        size = int(head[_NAME_SIZE], 16)
    except ValueError:
        return "damaged cpio archive"
    name = head[_HEADER : _HEADER + size]
    if size < 2 or len(name) < size or name[-1:] != b"\0":
        return "damaged cpio archive"
    return "empty cpio archive" if name[:-1] == _LAST else None
