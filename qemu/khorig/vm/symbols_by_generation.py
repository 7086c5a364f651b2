# SPDX-License-Identifier: BSD-3-Clause
"""Symbols of all kernels of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Mapping

from khorig.guest.spec import RunSpec

if TYPE_CHECKING:
    from khorig.vm.symbols import Symbols


class SymbolsByGeneration:
    """Which symbols hold in which generation; each ELF is read once, when it is first needed."""

    def __init__(self, spec: RunSpec, elves: Mapping[str, Path]) -> None:
        """`elves`: see Images.elves."""
        self._spec = spec
        self._elves = elves
        self._read: dict[str, Symbols] = {}

    def of(self, generation: int) -> Symbols:
        """Symbols of a generation's kernel; none of a kernel without ELF, and outside of the
        run."""
        from khorig.vm.symbols import Symbols  # only failures need it

        if not 0 < generation <= self._spec.generations:
            return Symbols()
        kernel = self._spec.kernel_of(generation)
        if kernel not in self._read:
            try:
                self._read[kernel] = Symbols(self._elves.get(kernel))
            except OSError:  # gone since
                self._read[kernel] = Symbols()
        return self._read[kernel]
