# SPDX-License-Identifier: BSD-3-Clause
"""Memory as one CPU of the guest sees it."""

from __future__ import annotations

import re

from khorig.vm.qmp import Qmp

_WORD = re.compile(r"\b0x([0-9a-f]{16})\b")
_PHYSICAL = re.compile(r"gpa: 0x([0-9a-f]{1,16})")


class CpuMemory:
    """Reads by virtual address, through QEMU's monitor: page tables are QEMU's affair."""

    def __init__(self, qmp: Qmp, cpu: int) -> None:
        self._qmp = qmp
        self._cpu = cpu

    def words(self, address: int, count: int) -> list[int]:
        """Up to `count` words of 64 bits, fewer where memory is not mapped. Raises InfraError."""
        answer = self._qmp.monitor(f"x /{count}gx {address:#x}", self._cpu)
        found: list[int] = []
        for line in answer.splitlines():
            found += [int(word, 16) for word in _WORD.findall(line.partition(":")[2])]
            if "Cannot access" in line:
                break
        return found[:count]

    def physical(self, address: int) -> int | None:
        """The physical address, None where nothing is mapped. Raises InfraError."""
        match = _PHYSICAL.search(self._qmp.monitor(f"gva2gpa {address:#x}", self._cpu))
        return int(match[1], 16) if match else None
