# SPDX-License-Identifier: BSD-3-Clause
"""Unpacks what Linux unpacks (lib/decompress.c)."""

from __future__ import annotations

import bz2
import lzma
import zlib
from dataclasses import dataclass
from typing import Callable, Mapping

_MOST = 1 << 30  # bytes unpacked
_PIECE = 4096  # bytes of what is packed


@dataclass(frozen=True)
class Unpacked:
    """What a packed piece has, and what follows it in the file."""

    content: bytes
    rest: bytes


def _zstd(data: bytes) -> Unpacked:
    import zstandard

    unpacker, content, at = zstandard.ZstdDecompressor().decompressobj(), bytearray(), 0
    while at < len(data) and not unpacker.eof and len(content) < _MOST:
        content += unpacker.decompress(data[at : at + _PIECE])  # takes no bound itself
        at += _PIECE
    return _finished(bytes(content), unpacker.eof, unpacker.unused_data + data[at:])


def _gzip(data: bytes) -> Unpacked:
    unpacker = zlib.decompressobj(wbits=31)
    return _finished(unpacker.decompress(data, _MOST), unpacker.eof, unpacker.unused_data)


def _bzip2(data: bytes) -> Unpacked:
    unpacker = bz2.BZ2Decompressor()
    return _finished(unpacker.decompress(data, _MOST), unpacker.eof, unpacker.unused_data)


def _xz(container: int) -> Callable[[bytes], Unpacked]:
    def unpack(data: bytes) -> Unpacked:
        unpacker = lzma.LZMADecompressor(container)
        return _finished(unpacker.decompress(data, _MOST), unpacker.eof, unpacker.unused_data)

    return unpack


def _finished(content: bytes, is_whole: bool, rest: bytes) -> Unpacked:
    if not is_whole:
        raise ValueError("truncated" if len(content) < _MOST else f"more than {_MOST} bytes")
    return Unpacked(content, rest)


# By magic. None: not unpacked here.
_PACKINGS: Mapping[bytes, Callable[[bytes], Unpacked] | None] = {
    b"\x1f\x8b": _gzip,
    b"\x1f\x9e": None,
    b"BZh": _bzip2,
    b"\x5d\x00\x00": _xz(lzma.FORMAT_ALONE),
    b"\xfd7zXZ\0": _xz(lzma.FORMAT_XZ),
    b"\x89LZO\0\r\n\x1a\n": None,
    b"\x02\x21\x4c\x18": None,  # lz4
    b"\x28\xb5\x2f\xfd": _zstd,
}


def is_packed(data: bytes) -> bool:
    """Whether it has the magic of a packing that Linux knows."""
    return data.startswith(tuple(_PACKINGS))


def unpack(data: bytes) -> Unpacked | None:
    """Unpacks the piece that `data` begins with; None if only Linux can. Raises ValueError."""
    method = next(method for magic, method in _PACKINGS.items() if data.startswith(magic))
    if method is None:
        return None
    try:
        return method(data)
    except Exception as error:  # each library has its own exceptions
        raise ValueError(f"decompression failed ({error})") from None
