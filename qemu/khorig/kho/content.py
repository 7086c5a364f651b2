# SPDX-License-Identifier: BSD-3-Clause
"""What the rig writes into pages (docs/abi.md, "Random numbers")."""

from __future__ import annotations

import re

import numpy as np
import xxhash

from khorig.kho.radix import Uint64Array
from khorig.kho.snapshot import Snapshot

PAGE = 4096  # bytes that one index stands for, whatever the size of the kernel's pages
STEP = 0x9E3779B97F4A7C15
_U64 = (1 << 64) - 1
_MEMFD_STATE = 0x6D656D6664  # linux/init/memfds.h, with the names of its session and file
_MEMFD_OWNER = "LUO/khorig/0x6b686f folio"

# Owners that the rig fills, as `Owners.name` has them. Stores of other names have words of their
# own.
_NAMED = re.compile(r"(?:memblock|khorig/stores)/(?P<name>[^/ ]+?)(?: page (?P<page>\d+))?")
_BLOCK = re.compile(r"block (?P<number>\d+) \(order \d+\) page (?P<page>\d+)")
_FOLIO = re.compile(re.escape(_MEMFD_OWNER) + r" (?P<number>\d+) \(order \d+\) page (?P<page>\d+)")
_STORE = re.compile(r"khorig/stores/(?!generation-\d+\b)")


def rig_content(snapshot: Snapshot, frame: int, seed: int | None) -> bytes | None:
    """What the page of a frame holds if the rig filled it and nobody wrote there since; None for a
    page that the rig does not fill, or where the seed is needed and not known."""
    owner = snapshot.describe(frame)
    size = snapshot.geometry.page_size
    pages = size // PAGE
    if folio := _FOLIO.fullmatch(owner):
        first = _file_page(snapshot, int(folio["number"]))
        if first is None:
            return None
        first += int(folio["page"])
        state = _MEMFD_STATE
    elif seed is None or _STORE.match(owner):
        return None
    elif block := _BLOCK.fullmatch(owner):
        first, state = int(block["page"]), _state(seed, int(block["number"]))
    elif named := _NAMED.fullmatch(owner):
        number = xxhash.xxh64_intdigest(named["name"]) & 0xFFFFFFFF
        first, state = int(named["page"] or 0), _state(seed, number)
    else:
        return None
    parts = (_words(state + first * pages + part) for part in range(pages))
    return b"".join(words.tobytes() for words in parts)


def _state(seed: int, owner: int) -> int:
    return seed + xxhash.xxh64_intdigest("content") + (owner << 32)


def _words(state: int) -> Uint64Array:
    """A page, by the state of splitmix64 before its first number."""
    z = (state + STEP) & _U64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _U64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _U64
    steps = np.arange(PAGE // 8, dtype=np.uint64) * np.uint64(STEP)
    words: Uint64Array = np.uint64(z ^ z >> 31) + steps
    return words


def _file_page(snapshot: Snapshot, number: int) -> int | None:
    """The offset in the rig's memfd of its folio of that number, in pages of the kernel."""
    luo = snapshot.linux.luo
    for session in luo.sessions if luo else ():
        for file in session.files:
            if file.memfd and f"LUO/{session.name}/{file.token:#x} folio" == _MEMFD_OWNER:
                indices = file.memfd.indices
                return int(indices[number]) if number < len(indices) else None
    return None
