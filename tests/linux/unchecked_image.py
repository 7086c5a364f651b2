# SPDX-License-Identifier: BSD-3-Clause
"""A Linux without a check that stops it (docs/linux-bugs.md, K1)."""

from __future__ import annotations

import struct
from pathlib import Path

from elftools.elf.elffile import ELFFile

from khorig.linux.peer import Peer

# arm64: `tbz w1, #0, .+8; brk #0x800`, of VM_BUG_ON(memstart_addr & 1), and `b .+8` in its place.
_CHECK = struct.pack("<II", 0x36000041, 0xD4210000)
_SKIP = struct.pack("<I", 0x14000002)
_LONGEST = 64  # bytes of phys_to_virt up to its check


def without_address_check(peer: Peer, folder: Path) -> str:
    """The path of a copy of an arm64 peer's Image whose phys_to_virt does not ask whether the start
    of memory is known, as in a kernel without DEBUG_VM."""
    image = bytearray(peer.image.read_bytes())
    with peer.symbols.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        symbols = [(s.name, s["st_value"]) for s in table.iter_symbols()]
    base = next(value for name, value in symbols if name == "_text")
    places = [value - base for name, value in symbols if name == "phys_to_virt"]
    assert places
    for place in places:
        at = image.find(_CHECK, place, place + _LONGEST)
        if at >= 0:
            image[at : at + len(_SKIP)] = _SKIP
    path = folder / "Image"
    path.write_bytes(image)
    return str(path)
