# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU tells of a single CPU besides its registers."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Mapping

from khorig.mem.untrusted import Untrusted, count, fields, items
from khorig.vm.errors import InfraError
from khorig.vm.qmp import Qmp, QmpClosed

_PHYSICAL = re.compile(r"gpa: 0x([0-9a-f]{1,16})\s*$")
_ID = {"x86_64": "apic-id", "arm64": "mp-affinity"}  # properties of QEMU's CPUs


class CpuView:
    """CPUs by QEMU's numbers, while the machine runs."""

    def __init__(self, qmp: Qmp, arch: str) -> None:
        self._qmp, self._arch = qmp, arch

    def hardware_id(self, number: int) -> int | None:
        """APIC ID or affinity of MPIDR_EL1; None where QEMU does not tell. Raises QmpClosed."""
        return self._ids.get(number)

    def number_of(self, hardware_id: int) -> int | None:
        """The CPU with that id. Raises QmpClosed."""
        return next((n for n, found in self._ids.items() if found == hardware_id), None)

    @cached_property
    def _ids(self) -> Mapping[int, int]:
        ids: dict[int, int] = {}
        try:
            for answer in items(self._qmp.execute("query-cpus-fast")):
                cpu = fields(answer)
                name = _ID[self._arch]
                found = self._qmp.execute("qom-get", path=cpu.get("qom-path"), property=name)
                ids[count(cpu.get("cpu-index"))] = count(found)
        except QmpClosed:
            raise
        except (InfraError, Untrusted):
            pass
        return ids

    def translate(self, number: int, virtual: int) -> int | None:
        """The physical address by the page tables that the CPU uses now, or None. Raises QmpClosed,
        InfraError."""
        found = _PHYSICAL.search(self._qmp.monitor(f"gva2gpa {virtual:#x}", number))
        return int(found[1], 16) if found else None
