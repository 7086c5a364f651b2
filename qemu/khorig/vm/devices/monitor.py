# SPDX-License-Identifier: BSD-3-Clause
"""Reads of device registers through QEMU's monitor."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Mapping

from khorig.mem.untrusted import items
from khorig.vm.errors import InfraError
from khorig.vm.qmp import Qmp

_VIEW = re.compile(r"^FlatView #\d+$", re.MULTILINE)
# QEMU 11.1 calls the ECAM of virt a container.
_REGION = re.compile(
    r"^\s+([0-9a-f]+)-([0-9a-f]+) \(prio -?\d+, (?:i/o|container)\): (\S+)(?: @([0-9a-f]+))?"
)
_NUMBER = re.compile(r"(?:: |= )0x([0-9a-f]+)\s*$")


class Unreadable(InfraError):
    """QEMU's answer has not the expected form."""


class DeviceMonitor:
    """One look at a machine. Every command takes QEMU's big lock, so few are sent."""

    def __init__(self, qmp: Qmp) -> None:
        self._qmp = qmp

    @cached_property
    def cpus(self) -> int:
        """CPUs that the machine has; arguments of QEMU may have given it more than the run says."""
        return len(items(self.execute("query-cpus-fast")))

    @cached_property
    def regions(self) -> Mapping[str, list[int]]:
        """Addresses of the device registers in physical memory, by QEMU's name for them."""
        views = _VIEW.split(self._qmp.monitor("info mtree -f"))
        memory = [view for view in views if re.search(r'^ AS "memory", ', view, re.MULTILINE)]
        if len(memory) != 1:
            raise Unreadable("'info mtree' lists no address space 'memory'")
        found: dict[str, list[int]] = {}
        for line in memory[0].splitlines():
            region = _REGION.match(line)
            if region is not None and not int(region[4] or "0", 16):
                found.setdefault(region[3], []).append(int(region[1], 16))
        return found

    def region(self, name: str) -> int | None:
        """The only region of that name, or the first."""
        addresses = self.regions.get(name)
        return addresses[0] if addresses else None

    def text(self, command: str) -> str:
        """A human monitor command's output, with "\\n" at the end of each line."""
        return self._qmp.monitor(command).replace("\r\n", "\n")

    def execute(self, command: str, **arguments: Any) -> Any:
        """A QMP command's result."""
        return self._qmp.execute(command, **arguments)

    def word(self, address: int) -> int:
        """The 32-bit register at a physical address. One register a command: of several, QEMU reads
        two at a time, which not every device allows."""
        return self._number(f"xp /1wx {address:#x}")

    def words(self, address: int, count: int) -> list[int]:
        """Memory that may be read in any pieces, such as configuration space of PCI."""
        command = f"xp /{count}wx {address:#x}"
        answer = self.text(command)
        lines = [line.partition(": ")[2].split() for line in answer.splitlines()]
        try:
            found = [int(word, 16) for line in lines for word in line]
        except ValueError:
            found = []
        if len(found) != count:
            raise Unreadable(f"'{command}': {answer.strip()[:80]}")
        return found

    def byte(self, address: int) -> int:
        """The 8-bit register at a physical address."""
        return self._number(f"xp /1bx {address:#x}")

    def port(self, port: int) -> int:
        """A byte of I/O space."""
        return self._number(f"i /b {port:#x}")

    def port_word(self, port: int) -> int:
        """32 bits of I/O space."""
        return self._number(f"i /w {port:#x}")

    def write_port(self, port: int, value: int) -> None:
        """Writes a byte of I/O space."""
        self.text(f"o /b {port:#x} {value:#x}")

    def write_port_word(self, port: int, value: int) -> None:
        """Writes 32 bits of I/O space."""
        self.text(f"o /w {port:#x} {value:#x}")

    def _number(self, command: str) -> int:
        answer = self.text(command)
        found = _NUMBER.search(answer.rstrip())
        if found is None:
            raise Unreadable(f"'{command}': {answer.strip()[:80]}")
        return int(found[1], 16)
