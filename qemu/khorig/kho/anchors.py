# SPDX-License-Identifier: BSD-3-Clause
"""What in memory names or may be the root of a handover."""

from __future__ import annotations

from dataclasses import dataclass
import numpy as np

from khorig.kho.boot.boot_params import KHO_DATA_HEAD, find_in_setup_data
from khorig.kho.boot.device_tree import find_in_device_tree
from khorig.kho.boot.efi import SIGNATURE
from khorig.kho.boot.handoff_fields import Handoff
from khorig.kho.fdt import HEADER_SIZE, MAGIC, MAGIC_BYTES
from khorig.mem.errors import DecodeError
from khorig.mem.formats.dump import DumpMemory
from khorig.mem.pieces import PAGE, pieces

# So that memory full of what looks like a hand-off costs no time: real ones are a few.
_MAX_FOUND = 32  # of a kind
_MAX_LOOKS = 4096  # at what may be one
_MAX_FDT_BYTES = 64 << 20  # in all
_NAME = b"kho-v"  # what every version's `compatible` starts with
_LARGEST_ROOT = 1 << 16  # a page of 64 KiB
_LARGEST_FDT = 2 << 20
_CHOSEN = b"linux,kho-fdt\0"
_MAX_ADDRESS = 1 << 52  # what the architectures can address
_SYSTEM_TABLE = int.from_bytes(SIGNATURE, "little")
_NEXT_SIZE = 8  # bytes of a setup_data's link, before type and length


@dataclass(frozen=True)
class Anchor:
    """A hand-off of a boot protocol that lies in memory."""

    handoff: Handoff
    how: str  # "setup_data at 0x...", "/chosen of the device tree at 0x..."


@dataclass(frozen=True)
class Findings:
    """What a look at all of memory found."""

    anchors: tuple[Anchor, ...]
    roots: tuple[int, ...]  # addresses of FDTs at page starts that call themselves kho-...
    looked_at: int = 0  # bytes, all that the file has
    system_tables: tuple[int, ...] = ()  # addresses of what may be EFI's


class _Scanner:
    """One look at memory."""

    def __init__(self, memory: DumpMemory) -> None:
        self.memory = memory
        self.anchors: list[Anchor] = []
        self.roots: list[int] = []
        self.system_tables: list[int] = []
        self._looks = _MAX_LOOKS
        self._fdt_bytes = _MAX_FDT_BYTES

    def look(self, begin: int, view: memoryview) -> None:
        """Looks at one piece, which starts at a page."""
        words = np.frombuffer(view, dtype="<u8", count=len(view) // 8)
        for at in (words == KHO_DATA_HEAD).nonzero()[0][: self._looks].tolist():
            self._looks -= 1
            self._keep(_setup_data(self.memory, begin + 8 * at - _NEXT_SIZE))
        for at in (words == _SYSTEM_TABLE).nonzero()[0][:_MAX_FOUND].tolist():
            if len(self.system_tables) < _MAX_FOUND:
                self.system_tables.append(begin + 8 * at)
        starts = np.frombuffer(view, dtype=">u4", count=len(view) // 4)[:: PAGE // 4]
        for page in (starts == MAGIC).nonzero()[0][: self._looks].tolist():
            self._looks -= 1
            self._look_at_fdt(begin + page * PAGE)

    def _look_at_fdt(self, at: int) -> None:
        try:
            content = _fdt_bytes(self.memory, at, self._fdt_bytes)
        except DecodeError:
            return
        self._fdt_bytes -= len(content)
        if _CHOSEN in content:
            self._keep(_device_tree(self.memory, at))
        if _NAME in content[:_LARGEST_ROOT] and len(self.roots) < _MAX_FOUND:
            self.roots.append(at)

    def _keep(self, found: Anchor | None) -> None:
        if found and len(self.anchors) < _MAX_FOUND:
            self.anchors.append(found)


def scan(memory: DumpMemory) -> Findings:
    """Looks at everything that the file has bytes for. Raises nothing for what is in memory."""
    scanner = _Scanner(memory)
    looked_at = 0  # bytes
    for begin, view in pieces(memory):
        scanner.look(begin, view)
        looked_at += len(view)
        del view
    return Findings(
        tuple(scanner.anchors), tuple(scanner.roots), looked_at, tuple(scanner.system_tables)
    )


def _fdt_bytes(memory: DumpMemory, at: int, limit: int) -> bytes:
    """What claims to be an FDT, empty when it cannot be one or is larger than `limit`."""
    with memory.view(at, 8) as head:
        size = int.from_bytes(head[len(MAGIC_BYTES) :], "big")
    if not HEADER_SIZE <= size <= min(limit, _LARGEST_FDT):
        return b""
    with memory.view(at, size) as view:
        return bytes(view)


def _setup_data(memory: DumpMemory, at: int) -> Anchor | None:
    try:
        handoff = find_in_setup_data(memory, at) if at > 0 else None
    except DecodeError:
        return None
    # Code can look like a setup_data, and Linux prepares an empty one where it hands nothing over.
    if handoff is None or not 0 < handoff.root.value < _MAX_ADDRESS:
        return None
    return Anchor(handoff, f"setup_data at {at:#x}")


def _device_tree(memory: DumpMemory, at: int) -> Anchor | None:
    try:
        handoff = find_in_device_tree(memory, at)
    except DecodeError:
        return None
    return Anchor(handoff, f"/chosen of the device tree at {at:#x}") if handoff else None
