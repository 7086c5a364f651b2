# SPDX-License-Identifier: BSD-3-Clause
"""Tells a guest that hangs from one that is slow."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path

from khorig.vm.errors import InfraError
from khorig.vm.machines.machine import Machine
from khorig.vm.symbols import Symbols
from khorig.vm.vm import Vm

_SILENCE_S = 1.0  # on the console, before the CPU is looked at
_INTERVAL_S = 0.1  # between looks
_CPU_S = 0.02  # that the virtual CPU must have used between two looks
_LOOKS = 20  # in a row that show nothing new
_FRAMES = 12


class ProgressWatch:
    """Looks at the guest's registers once its console has been silent for a while.

    A guest that comes back to register contents it has had before, look after look, and says
    nothing, runs in a circle: it hangs. One whose registers are new each time gets on, however slow
    the host is. Looks count only when the virtual CPU has run in between or sleeps by its own will,
    so that a busy host is not taken for a hung guest.
    """

    def __init__(self, vm: Vm, machine: Machine) -> None:
        self._vm = vm
        self._machine = machine
        self._thread: int | None = None
        self._pcs: list[int] = []
        self.restart()

    def restart(self) -> None:
        """The guest has just been let go on: what was seen before no longer counts."""
        self._seen: set[bytes] = set()
        self._repeats = 0
        self._bytes = self._vm.serial.total_bytes
        self._quiet_since = time.monotonic()
        self._next = self._quiet_since + _SILENCE_S
        self._cpu_s = 0.0
        self._pcs.clear()

    @property
    def quiet_s(self) -> float:
        """For how long the console has been silent while the guest could run."""
        return time.monotonic() - self._quiet_since

    @property
    def next_look_in_s(self) -> float:
        """When `hangs` wants to be called again."""
        return max(0.0, self._next - time.monotonic())

    def hangs(self) -> bool:
        """Looks, when it is time to. True once the guest is sure to hang. Raises InfraError when
        QEMU does not answer."""
        if self._vm.serial.total_bytes != self._bytes:
            self.restart()
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _INTERVAL_S
        if not self._has_run():
            return False
        registers = self._vm.qmp.monitor("info registers")
        state = hashlib.blake2b(registers.encode(), digest_size=16).digest()
        self._repeats = self._repeats + 1 if state in self._seen else 0
        self._seen.add(state)
        if (pc := _register(self._machine.pc_pattern, registers)) is not None:
            self._pcs.append(pc)
        return self._repeats >= _LOOKS

    def _has_run(self) -> bool:
        """Whether the virtual CPU has run since the last look that counted, or has nothing to do:
        then all of QEMU sleeps. When only the virtual CPU sleeps it may wait for a thread that the
        host does not let run."""
        if self._thread is None:
            self._thread = int(self._vm.qmp.execute("query-cpus-fast")[0]["thread-id"])
        threads = self._vm.qemu.threads()
        if all(thread.sleeps for thread in threads.values()):
            return bool(threads)
        cpu = threads.get(self._thread)
        if cpu is None or cpu.cpu_s - self._cpu_s < _CPU_S:
            return False
        self._cpu_s = cpu.cpu_s
        return True

    def where(self, elf: Path) -> tuple[str, ...]:
        """Where the guest is: its call chain, innermost first, and the code the looks fell into."""
        try:
            symbols = Symbols(elf)
            chain = self._call_chain()
        except (InfraError, OSError) as error:
            return (f"its registers cannot be read: {error}",)
        lines = [symbols.describe(pc) for pc in chain]
        if self._pcs:
            low, high = min(self._pcs), max(self._pcs)
            lines.append(f"{len(self._pcs)} looks, all between {low:#018x} and {high:#018x}")
        return tuple(lines)

    def _call_chain(self) -> list[int]:
        registers = self._vm.qmp.monitor("info registers")
        pc = _register(self._machine.pc_pattern, registers)
        frame = _register(self._machine.frame_pattern, registers)
        chain = [] if pc is None else [pc]
        while frame and frame % 8 == 0 and len(chain) < _FRAMES:
            words = re.findall(r"0x([0-9a-f]{16})", self._vm.qmp.monitor(f"x /2gx {frame:#x}"))
            if len(words) != 2:
                break
            above, pc = (int(word, 16) for word in words)
            if pc == 0:
                break
            chain.append(pc)
            if above <= frame:  # stacks grow downwards, so a caller's frame lies above
                break
            frame = above
        return chain


def _register(pattern: re.Pattern[str], registers: str) -> int | None:
    match = pattern.search(registers)
    return int(match.group(1), 16) if match else None
