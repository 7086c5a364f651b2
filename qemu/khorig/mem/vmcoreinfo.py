# SPDX-License-Identifier: BSD-3-Clause
"""Linux's description of itself (kernel/vmcore_info.c), in a dump that does not carry it along."""

from __future__ import annotations

import struct

import numpy as np

from khorig.mem.formats.dump import DumpMemory
from khorig.mem.formats.elf_core import notes_in
from khorig.mem.pieces import PAGE, pieces

_NAME = b"VMCOREINFO\0"
_HEAD = np.uint32(len(_NAME))  # a note begins with the size of its name
_LARGEST = 2 * 65536  # bytes of the note: a page, doubled (VMCOREINFO_NOTE_SIZE)
_MOST = 64  # looks at what may be one


def find_vmcoreinfo(memory: DumpMemory) -> bytes:
    """The content of the note VMCOREINFO that Linux keeps at a page start from its boot on. Empty
    when there is none, or when kernels before this one have left others."""
    found: set[bytes] = set()
    looks = _MOST
    for begin, view in pieces(memory):
        starts = np.frombuffer(view, dtype="<u4", count=len(view) // 4)[:: PAGE // 4]
        for page in np.flatnonzero(starts == _HEAD).tolist():
            at = page * PAGE
            if bytes(view[at + 12 : at + 12 + len(_NAME)]) == _NAME and looks:
                looks -= 1
                found.add(_note(memory, begin + at))
        del view
    found.discard(b"")
    return found.pop() if len(found) == 1 else b""


def _note(memory: DumpMemory, at: int) -> bytes:
    """The content of the note at an address, empty when it is not all there."""
    (size,) = struct.unpack("<I", memory.view(at + 4, 4))
    if size > _LARGEST:
        return b""
    raw = memory.view(at, 12 + -(-len(_NAME) // 4) * 4 + size)
    return next((bytes(content).rstrip(b"\0") for _, _, content in notes_in(raw)), b"")


def note_of(vmcoreinfo: bytes) -> bytes:
    """The ELF note with a description."""
    head = struct.pack("<III", len(_NAME), len(vmcoreinfo), 0) + _NAME
    return head.ljust(-(-len(head) // 4) * 4, b"\0") + vmcoreinfo + bytes(-len(vmcoreinfo) % 4)
