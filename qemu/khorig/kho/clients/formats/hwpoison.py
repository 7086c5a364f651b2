# SPDX-License-Identifier: BSD-3-Clause
"""hwpoison: the pages that a kernel took out of use for memory errors, a client of the root.

Layout: struct kho_hwpoison_metadata, version 1, in include/linux/kho/abi/hwpoison.h of
leitao/linux@160a849839da ("mm/memory-failure: keep hardware-poisoned pages out of the next kexec",
v5, September 2026). The list has room for 512 frames, and for twice as many whenever it is full.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from khorig.kho.blocks import Blocks, Int64Array
from khorig.kho.client_decoder import ClientDecoder, DecodedClient
from khorig.kho.clients.lists import ListReader
from khorig.kho.clients.scenario_blocks import OwnedBlocks
from khorig.kho.handover import Handover
from khorig.mem.errors import DecodeError, Problems
from khorig.mem.memory import PhysicalMemory, read_bytes

HWPOISON_NAME = "hwpoison"
SUBJECT = "hwpoison"
VERSION = 1
_STRUCT = struct.Struct("<IIQ16s")  # version, _pad, count, vmalloc
_SHOWN = 4


@dataclass(frozen=True, eq=False)
class PoisonedPages:
    """Pages that must not be used."""

    frames: Int64Array
    page_shift: int

    def __str__(self) -> str:
        shown = [f"{frame << self.page_shift:#x}" for frame in self.frames[:_SHOWN].tolist()]
        more = f" and {len(self.frames) - _SHOWN} more" if len(self.frames) > _SHOWN else ""
        return f"{len(self.frames)} poisoned pages{': ' if shown else ''}{', '.join(shown)}{more}"


def _decode(memory: PhysicalMemory, handover: Handover) -> DecodedClient:
    link = handover.blob(f"/{HWPOISON_NAME}")
    if link is None:  # what is wrong with the link is said already
        return DecodedClient(None)
    at, problems, geometry = link.blob.begin, Problems(), handover.geometry
    if link.blob.size < _STRUCT.size:
        text = f"{link.blob.size} bytes, expected {_STRUCT.size}"
        raise DecodeError("hwpoison-size", at, text)
    version, pad, count, raw = _STRUCT.unpack(read_bytes(memory, at, _STRUCT.size))
    if version != VERSION:
        raise DecodeError("hwpoison-version", at, f"version {version}, expected {VERSION}")
    if pad:
        problems.add("hwpoison-pad", at + 4, f"reserved field {pad:#x}, expected 0")
    lists = ListReader(memory, handover)
    vmalloc = lists.vmalloc(raw, at)
    array = lists.array(vmalloc, count * 8, at, "the poisoned pages", "hwpoison-count")
    words = np.frombuffer(array, dtype="<u8")
    limit = 1 << geometry.order_0_bit
    if len(words) and int(words.max()) >= limit:
        raise DecodeError("hwpoison-frame", at, f"page frame {int(words.max()):#x}, no such page")
    frames = words.astype(np.int64)
    unique, times = np.unique(frames, return_counts=True)
    for frame in unique[times > 1].tolist():
        address = frame << geometry.page_shift
        problems.add("hwpoison-twice", address, f"page {address:#018x} is listed twice")
    chunks = Blocks.of((chunk >> geometry.page_shift, 0) for chunk in vmalloc.chunks)
    return DecodedClient(
        PoisonedPages(frames, geometry.page_shift),
        problems=problems.items,
        blocks=(
            OwnedBlocks(f"{HWPOISON_NAME} chunk", chunks),
            OwnedBlocks(f"{HWPOISON_NAME} list", vmalloc.blocks),
        ),
        lists=((HWPOISON_NAME, vmalloc),),
    )


FORMATS = (ClientDecoder(HWPOISON_NAME, _decode, SUBJECT),)
