# SPDX-License-Identifier: BSD-3-Clause
"""Files that are compressed as a whole: which format it is, and its content as a stream.

Every stream is read in pieces of bounded size, whatever the file claims, and with bounded memory
for the format's own window.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from dataclasses import dataclass
from typing import IO, Callable, Iterator, Mapping, Protocol

import zstandard

PIECE = 1 << 20  # bytes of a piece, at most
_READ = 256 << 10  # bytes of the file at a time
_WINDOW = 128 << 20  # bytes of memory for a format's window; `xz -9` needs 65 MiB, `zstd -19` 8 MiB


class _Decompressor(Protocol):
    """What lzma, bz2 and lz4.frame have in common (docs.python.org, bz2.BZ2Decompressor)."""

    def decompress(self, data: bytes, max_length: int = ...) -> bytes:
        ...

    @property
    def eof(self) -> bool:
        ...

    @property
    def needs_input(self) -> bool:
        ...

    @property
    def unused_data(self) -> bytes | None:
        ...


Pieces = Callable[[IO[bytes]], Iterator[bytes]]


@dataclass(frozen=True)
class Packing:
    """A compression format."""

    name: str  # also of the tool that unpacks it
    pieces: Pieces  # of the content; raises ValueError when it is damaged or cut off


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes:
        ...


def _by_reads(open_stream: Callable[[IO[bytes]], _Stream]) -> Pieces:
    def pieces(file: IO[bytes]) -> Iterator[bytes]:
        stream = open_stream(file)
        while piece := stream.read(PIECE):
            yield piece

    return pieces


def _by_steps(make: Callable[[], _Decompressor]) -> Pieces:
    """Streams that follow one another, with zeros between them as `xz` allows."""

    def pieces(file: IO[bytes]) -> Iterator[bytes]:
        raw = file.read(_READ)
        while raw:
            unpacker, rest = make(), raw
            while not unpacker.eof:
                if unpacker.needs_input and not rest:
                    rest = file.read(_READ)
                    if not rest:
                        raise EOFError("the file ends inside a stream")
                piece = unpacker.decompress(rest, PIECE)
                rest = b""
                if piece:
                    yield piece
            raw = (unpacker.unused_data or b"").lstrip(b"\0")
            while not raw and (more := file.read(_READ)):
                raw = more.lstrip(b"\0")

    return pieces


def _gzip(file: IO[bytes]) -> _Stream:
    return gzip.GzipFile(fileobj=file)


def _zstd(file: IO[bytes]) -> _Stream:
    """Its end says nothing of a frame that is cut off: ZstdImage looks at that before."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    return unpacker.stream_reader(file, read_size=_READ, read_across_frames=True)


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(memlimit=_WINDOW)


def _lz4() -> _Decompressor:
    try:
        import lz4.frame
    except ImportError as error:
        raise ValueError("compressed with lz4: install python3-lz4, or unpack it first") from error
    found: _Decompressor = lz4.frame.LZ4FrameDecompressor()
    return found


ZSTD = Packing("zstd", _by_reads(_zstd))
_BY_MAGIC: Mapping[bytes, Packing] = {
    b"\x28\xb5\x2f\xfd": ZSTD,  # RFC 8878 3.1.1
    b"\x50\x2a\x4d\x18": ZSTD,  # a skippable frame, which pzstd begins with
    b"\x1f\x8b\x08": Packing("gzip", _by_reads(_gzip)),  # RFC 1952 2.3.1
    b"\xfd7zXZ\0": Packing("xz", _by_steps(_xz)),
    b"BZh": Packing("bzip2", _by_steps(bz2.BZ2Decompressor)),
    b"\x04\x22\x4d\x18": Packing("lz4", _by_steps(_lz4)),
}
# What the libraries raise for bytes that they cannot unpack; lz4 raises RuntimeError.
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, RuntimeError)


def packing_of(head: bytes) -> Packing | None:
    """The compression format of a file that begins with `head`, None when there is none."""
    return next((p for magic, p in _BY_MAGIC.items() if head.startswith(magic)), None)
