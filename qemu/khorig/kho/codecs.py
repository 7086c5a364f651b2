# SPDX-License-Identifier: BSD-3-Clause
"""The versions of the handover that can be read, by what their root calls itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Mapping, Union

from khorig.kho.client_decoder import ClientDecoder
from khorig.kho.clients.luo_decoder import LuoDecoder
from khorig.kho.bitmap_chunks import BitmapChunks, decode_chunks
from khorig.kho.layout import COMPATIBLE, DATA_PROPERTY, SIZE_PROPERTY, Geometry
from khorig.kho.radix import RadixTree, decode_radix
from khorig.mem.memory import PhysicalMemory
from khorig.plugins.table import Table

Tracker = Union[RadixTree, BitmapChunks]
TrackerDecoder = Callable[[PhysicalMemory, int, Geometry, Union[int, None]], Tracker]


@dataclass(frozen=True)
class Codec:
    """What differs between versions."""

    compatible: str
    writers: str  # who hands over so
    decode_tracker: TrackerDecoder
    data_property: str  # of a link
    size_property: str | None  # None where a link points to an FDT, which knows its size


_ALL = (
    Codec(COMPATIBLE, "Linux 7.2 and 7.3, khorig", decode_radix, DATA_PROPERTY, SIZE_PROPERTY),
    Codec("kho-v3", "Linux 7.1", decode_radix, DATA_PROPERTY, SIZE_PROPERTY),
    Codec("kho-v1", "Linux 6.16 to 7.0", decode_chunks, "fdt", None),
)

GROUP = "khorig.decoders"  # of entry points: a Codec, a ClientDecoder, or a LuoDecoder

CODECS: Table[Codec] = Table(
    GROUP, Codec, lambda c: c.compatible, _ALL, beside=(ClientDecoder, LuoDecoder)
)
ONLY_CURRENT: Mapping[str, Codec] = {codec.compatible: codec for codec in _ALL[:1]}
