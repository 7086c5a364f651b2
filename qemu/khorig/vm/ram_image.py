# SPDX-License-Identifier: BSD-3-Clause
"""Guest RAM kept as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

from khorig.vm.ram_file import RamFile

_CHUNK = 8 << 20
_LEVEL = 1  # most of what is there is random or zero; more effort gains nothing


def save_ram_image(ram_file: RamFile, path: Path, description: Mapping[str, Any]) -> None:
    """Writes `path`.ram.zst, guest RAM from its first byte to its last, and `path`.json:
    `description` with `size` and the `extents` [[offset, size], ...] that were ever written.

    `zstd -d --sparse` makes the image of it; offsets in it are those of the RAM map in the
    description. Each extent and each hole is its own zstd frame, so a hole of any size costs
    neither time nor room. Raises OSError when the disk is full.
    """
    import zstandard

    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    zeros = compressor.compress(bytes(_CHUNK))
    extents = ram_file.extents()
    partial = path.with_name(path.name + ".ram.zst.partial")
    with partial.open("wb") as sink:
        at = 0
        for begin, size in [*extents, (ram_file.size, 0)]:
            holes, rest = divmod(begin - at, _CHUNK)
            for _ in range(holes):
                sink.write(zeros)
            if rest:
                sink.write(compressor.compress(bytes(rest)))
            for offset in range(begin, begin + size, _CHUNK):
                chunk = ram_file.pread(min(_CHUNK, begin + size - offset), offset)
                sink.write(compressor.compress(chunk))
            at = begin + size
    partial.rename(path.with_name(path.name + ".ram.zst"))
    sidecar = {**description, "size": ram_file.size, "extents": extents}
    path.with_name(path.name + ".json").write_text(json.dumps(sidecar, indent=1) + "\n")
