# SPDX-License-Identifier: BSD-3-Clause
"""LiME images (`insmod lime.ko format=lime`), which AVML writes in its version 1, too.

The layout is that of lime.h: before each range of RAM a header with its first and its last address.
"""

from __future__ import annotations

import struct

from khorig.mem.formats.segments import MAX_SEGMENTS
from khorig.mem.formats.source import Source
from khorig.mem.guest_ram import RamRegion

MAGIC = b"EMiL"
_HEADER = struct.Struct("<4sIQQ8x")  # magic, version, first and last address
_VERSION = 1


def read_lime(source: Source) -> list[RamRegion]:
    """Where memory lies in the file. Raises ValueError when it is damaged or cut off."""
    regions: list[RamRegion] = []
    at = 0
    while at < source.size:
        magic, version, first, last = _HEADER.unpack(source.view(at, _HEADER.size))
        if magic != MAGIC or version != _VERSION:
            raise ValueError(
                f"LiME header at {at:#x} has magic {magic!r} and version {version}, "
                f"expected {MAGIC!r} and {_VERSION}"
            )
        at += _HEADER.size
        size = last - first + 1
        if size <= 0:
            raise ValueError(f"LiME range from {first:#x} to {last:#x}")
        if at + size > source.size:
            raise ValueError(f"LiME file is cut off in the range from {first:#x} to {last:#x}")
        if len(regions) == MAX_SEGMENTS:
            raise ValueError(f"LiME file with more than {MAX_SEGMENTS} ranges")
        regions.append(RamRegion(first, size, at))
        at += size
    return regions
