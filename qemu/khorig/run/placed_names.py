# SPDX-License-Identifier: BSD-3-Clause
"""Names for addresses between the jump of a kernel and its successor's own page tables."""

from __future__ import annotations

from dataclasses import dataclass

from khorig.mem.guest_ram import GuestRam, OutsideGuestRam
from khorig.run.next_segments import NextSegments
from khorig.vm.guest_names import GuestNames
from khorig.vm.symbols import Symbols

_UPPER_HALF = 1 << 63
_WINDOW = 32  # bytes on either side of a place, to tell whether it is of an image
_KERNEL = "kernel"


@dataclass(frozen=True)
class Between:
    """Two kernels at a jump."""

    jumping: int  # the generation
    is_khorig: bool  # that one
    segments: NextSegments  # of the next one
    last: Symbols
    next: Symbols

    def place(self, at: int, ram: GuestRam) -> str:
        """ "generation 2's purgatory+0x10", or the code that copies the next kernel."""
        if not self.segments.are_known:
            return ""
        if named := self.function(at, ram):
            return f"generation {self.jumping + 1}'s {named}"
        if segment := self.segments.describe(at):
            return f"generation {self.jumping + 1}'s {segment}"
        return self._copier

    @property
    def _copier(self) -> str:
        what = "relocation code" if self.is_khorig else "control page (relocate_kernel)"
        return f"generation {self.jumping}'s {what}"

    def function(self, at: int, ram: GuestRam, returns: bool = False) -> str:
        """ "primary_entry+0x10 (head.S:80)" in the next kernel's image where it was loaded, if what
        lies there is of that image; else ""."""
        found = self.segments.segment_at(at)
        if found is None or found[0] != _KERNEL:
            return ""
        words = self.next.describe(at, found[1], returns).partition(" ")[2]
        return words if words and self._is_image(at, found[1], ram) else ""

    def _is_image(self, at: int, begin: int, ram: GuestRam) -> bool:
        """On x86_64 a decompressor lies there before the kernel does. A few bytes may be changed:
        it is a dead kernel."""
        low = max(begin, at - _WINDOW)
        try:
            found = ram.read(low, 2 * _WINDOW)
        except OutsideGuestRam:
            return False
        wanted = self.next.code_at(low, begin, 2 * _WINDOW)
        return sum(a == b for a, b in zip(found, wanted)) > _WINDOW


class PlacedNames(GuestNames):
    """Addresses in the upper half are those of the kernel that jumped; low ones are physical, and
    belong to a piece of the next kernel or to the code that copies it."""

    def __init__(self, between: Between, ram: GuestRam) -> None:
        super().__init__(between.last)
        self._between, self._ram = between, ram

    def describe(self, pc: int, returns: bool = False) -> str:
        """See GuestNames."""
        if pc >= _UPPER_HALF:
            return super().describe(pc, returns)
        if named := self._between.function(pc, self._ram, returns):
            return f"{pc:#018x} {named}"
        if segment := self._between.segments.describe(pc):
            return f"{pc:#018x} {segment}"
        return super().describe(pc, returns)

    def function(self, pc: int) -> str:
        """See GuestNames."""
        if pc >= _UPPER_HALF:
            return super().function(pc)
        named = self._between.function(pc, self._ram)
        return named.partition(" ")[0].rpartition("+")[0]
