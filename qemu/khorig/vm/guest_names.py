# SPDX-License-Identifier: BSD-3-Clause
"""Names for addresses of the kernel that runs."""

from __future__ import annotations

from khorig.mem.kallsyms import Kallsyms
from khorig.vm.symbols import Symbols

_LANDMARKS = ("_printk", "start_kernel")  # in every Linux


class GuestNames:
    """A kernel's symbols, or the table that a Linux carries in its memory, or both: the table knows
    where the kernel lies, the symbols know files and lines."""

    def __init__(self, symbols: Symbols, kallsyms: Kallsyms | None = None, why: str = "") -> None:
        """`why`: the reason that there is no table."""
        self._symbols = symbols
        self._kallsyms = kallsyms
        self.why = why
        self._shift = self._find_shift()

    def _find_shift(self) -> int:
        """How far from its linked address the kernel lies (KASLR)."""
        for name in _LANDMARKS if self._kallsyms is not None else ():
            assert self._kallsyms is not None
            here, linked = self._kallsyms.address(name), self._symbols.address(name)
            if here is not None and linked is not None:
                return here - linked
        return 0

    def describe(self, pc: int, returns: bool = False) -> str:
        """ "0xffffffff80001234 base::Panic+0x34 (kernel/cpus/panic.cc:63)", without what is not
        known. `returns`: see Symbols.describe."""
        linked = self._symbols.describe(pc - self._shift, returns=returns)
        words = linked.partition(" ")[2]
        found = self._kallsyms.find(pc - returns) if self._kallsyms is not None else None
        if found is None:
            known = bool(words) and (self._kallsyms is None or self._shift == 0)
            return f"{pc:#018x} {words}" if known else f"{pc:#018x}"
        name, offset = found
        if words.startswith(f"{name}+"):  # of another build it would be another function
            return f"{pc:#018x} {words}"
        return f"{pc:#018x} {name}+{offset + returns:#x}"

    def function(self, pc: int) -> str:
        """The name of the function alone, or ""."""
        if self._kallsyms is not None and (found := self._kallsyms.find(pc)) is not None:
            return found[0]
        words = self._symbols.describe(pc - self._shift, lines=False).partition(" ")[2]
        return words.rpartition("+")[0]
