# SPDX-License-Identifier: BSD-3-Clause
"""Saves guest RAM to a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO, Callable, Mapping, Protocol, Sequence

from khorig.vm.partial_file import partial_file

_CHUNK = 8 << 20
_LEVEL = 1  # RAM is mostly random or zero; higher levels gain nothing


class RamBytes(Protocol):
    """Guest RAM by file offset: RamFile, RamHistory."""

    size: int

    def extents(self) -> Sequence[tuple[int, int]]:
        """(offset, size) of what was written; the rest is zero."""

    def pread(self, size: int, offset: int) -> bytes:
        """Bytes."""


def save_ram_image(
    ram_file: RamBytes,
    path: Path,
    description: Mapping[str, Any],
    go_on: Callable[[], None] = lambda: None,
) -> None:
    """Writes `path`.ram.zst, guest RAM from its first byte to its last, and `path`.json:
    `description` with `size` and the `extents` [[offset, size], ...] that were ever written.

    `zstd -d --sparse` makes the image of it; offsets in it are those of the RAM map in the
    description. Each extent and each hole is its own zstd frame, so a hole of any size costs
    neither time nor room. Each frame has a checksum (XXH64, RFC 8878 3.1.1), which whoever unpacks
    it compares. `go_on` is called once a chunk; what it raises ends this, and nothing is left of
    the image. Raises OSError when the disk is full.
    """
    extents = ram_file.extents()
    with partial_file(path.with_name(path.name + ".ram.zst")) as partial:
        with partial.open("wb") as sink:
            _pack(ram_file, extents, sink, go_on)
    sidecar = {**description, "size": ram_file.size, "extents": extents}
    path.with_name(path.name + ".json").write_text(json.dumps(sidecar, indent=1) + "\n")


def _pack(
    ram_file: RamBytes,
    extents: Sequence[tuple[int, int]],
    sink: BinaryIO,
    go_on: Callable[[], None],
) -> None:
    import zstandard

    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    zeros = compressor.compress(bytes(_CHUNK))
    at = 0
    for begin, size in [*extents, (ram_file.size, 0)]:
        holes, rest = divmod(begin - at, _CHUNK)
        for _ in range(holes):
            go_on()
            sink.write(zeros)
        if rest:
            sink.write(compressor.compress(bytes(rest)))
        for offset in range(begin, begin + size, _CHUNK):
            go_on()
            chunk = ram_file.pread(min(_CHUNK, begin + size - offset), offset)
            sink.write(compressor.compress(chunk))
        at = begin + size
