# SPDX-License-Identifier: BSD-3-Clause
"""Configuration space of PCI functions, as the host sees it at a stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterator, Mapping

COMMAND = "command"
BUS_NUMBERS = "bus numbers"  # of a bridge: primary, secondary, subordinate, from the lowest byte
DEVICE_CONTROL_2 = "device control 2"
ACS_CONTROL = "ACS control"
ARI_CONTROL = "ARI control"
FUNCTION = "function"  # its own bus, device and function, which depend on the bridges above

_BUS_MASTER = 1 << 2
_ARI_FORWARDING = 1 << 5
_BITS = {
    (COMMAND, 1): "I/O space",
    (COMMAND, 2): "memory space",
    (COMMAND, _BUS_MASTER): "bus mastering",
    (DEVICE_CONTROL_2, _ARI_FORWARDING): "ARI forwarding",
}
# What must stay as it is for a device that works across a jump, with the bits that count.
KEPT = {
    FUNCTION: ~0,
    COMMAND: _BUS_MASTER,
    BUS_NUMBERS: ~0,
    DEVICE_CONTROL_2: _ARI_FORWARDING,
    ACS_CONTROL: ~0,
    ARI_CONTROL: ~0,
}


@dataclass(frozen=True)
class PciRegisters:
    """The registers of one function."""

    path: str  # "00:02.0/00.0": by the bridges on the way, whatever number their buses have
    function: int  # bus << 8 | device << 3 | function
    values: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As lspci has it, without the domain."""
        return bdf_name(self.function)


@dataclass(frozen=True)
class PciChange:
    """A register that is not as it was; None: it, or its function, is not there."""

    path: str
    name: str  # of the function, now or else then
    register: str
    was: int | None
    now: int | None

    @property
    def is_kept(self) -> bool:
        """Whether a device that works across a jump needs it as it was."""
        changed = (self.was or 0) ^ (self.now or 0)
        there = self.was is not None and self.now is not None
        return self.register in KEPT and (not there or bool(changed & KEPT[self.register]))

    @property
    def text(self) -> str:
        """ "00:02.0 command 0x0107 -> 0x0103 (bus mastering off)"."""
        was, now = (self._shown(value) for value in (self.was, self.now))
        bits = []
        for (register, bit), what in _BITS.items():
            if register == self.register and self.was is not None and self.now is not None:
                if (self.was ^ self.now) & bit:
                    bits.append(f"{what} {'on' if self.now & bit else 'off'}")
        return f"{self.name} {self.register} {was} -> {now}" + f" ({', '.join(bits)})" * bool(bits)

    def _shown(self, value: int | None) -> str:
        if value is None:
            return "absent"
        return bdf_name(value) if self.register == FUNCTION else f"{value:#x}"


@dataclass(frozen=True)
class PciConfig:
    """All functions that could be reached."""

    functions: tuple[PciRegisters, ...] = ()
    unread: str = ""  # why there are none

    def changes(self, now: PciConfig) -> Iterator[PciChange]:
        """What is not as it was. Of a function that came or went, that it did."""
        if self.unread or now.unread:
            return
        before = {one.path: one for one in self.functions}
        after = {one.path: one for one in now.functions}
        for path in dict.fromkeys([*before, *after]):
            old, new = before.get(path), after.get(path)
            if old is None or new is None:
                was, is_now = (one.function if one else None for one in (old, new))
                name = (old or new or PciRegisters(path, 0)).name
                yield PciChange(path, name, FUNCTION, was, is_now)
                continue
            if old.function != new.function:
                yield PciChange(path, new.name, FUNCTION, old.function, new.function)
            for register in dict.fromkeys([*old.values, *new.values]):
                values = old.values.get(register), new.values.get(register)
                if values[0] != values[1]:
                    yield PciChange(path, new.name, register, *values)


@dataclass(frozen=True)
class PciLooks:
    """The first look at `sealed` in the kernel before, which is in user space, and that of now."""

    before: PciConfig | None = None
    now: PciConfig = PciConfig()


def bdf_name(function: int) -> str:
    """ "40:00.0"."""
    return f"{function >> 8:02x}:{function >> 3 & 0x1F:02x}.{function & 7}"
