# SPDX-License-Identifier: BSD-3-Clause
"""Stops a guest before the store that changed an address for the last time.

A watchpoint of QEMU halts before the store on arm64, but behind it on x86_64, where the length of
an instruction is not known from behind. So a run that counts virtual time in instructions, and
takes the same way each time, is done again: once to count the stores, on x86_64 once to count how
often the instruction of the last one is reached before it, and once to stop there.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import Sequence

from khorig.guest.event import GuestEvent
from khorig.run.debug.debugger import Announce, Debugger
from khorig.vm.errors import InfraError
from khorig.vm.gdb_stub import GdbStub
from khorig.vm.vm import Vm

WATCHED = 8  # bytes
MOST_STORES = 20000
_MOST_REACHED = 20000
_LONGEST_INSTRUCTION = 15  # bytes, on x86_64
_HALTS_BEFORE = ("arm64",)


def halts_before(arch: str) -> bool:
    """Whether a watchpoint of QEMU halts before the store, so that `CountReached` is not needed."""
    return arch in _HALTS_BEFORE


@dataclass(frozen=True)
class StorePlace:
    """The last store to an address, counted since the guest started."""

    store: int  # from 1
    pc: int  # where the watchpoint has halted
    reached: int = 0  # times that an instruction which may be it is reached after the store before


class _Client(Debugger):
    """A debugger that is no person, in a thread of its own."""

    def __init__(self, port: int, arch: str, addresses: Sequence[int]) -> None:
        """`addresses` are the virtual ones of what is watched."""
        self.port_at_start = port
        self._arch = arch
        self._addresses = addresses
        self._pc = 0  # at the last store

    def start(self, vm: Vm) -> None:
        """See Debugger."""
        assert self.port_at_start is not None
        stub = GdbStub(self.port_at_start, self._arch)
        self._watch(stub)
        threading.Thread(target=self._follow, args=(stub,), daemon=True).start()

    def _follow(self, stub: GdbStub) -> None:
        with contextlib.suppress(InfraError):  # the end of QEMU is the run's to report
            self._work(stub)
        stub.close()

    def _work(self, stub: GdbStub) -> None:
        raise NotImplementedError

    def _next_store(self, stub: GdbStub) -> None:
        """Lets the guest run to the next store, and where that is not yet done, through it."""
        self._halt_at_store(stub)
        if halts_before(self._arch):
            self._watch(stub, wanted=False)
            stub.step()
            self._watch(stub)

    def _halt_at_store(self, stub: GdbStub) -> None:
        stub.go()
        while stub.halted().watched is None:
            stub.go()
        self._pc = stub.pc()

    def _watch(self, stub: GdbStub, wanted: bool = True) -> None:
        for address in self._addresses:
            stub.watch(address, WATCHED, wanted)

    def _candidates(self, place: StorePlace) -> list[int]:
        """Where the instruction may begin that ended before the place; there itself, when it
        repeats as rep stos does."""
        return [place.pc - length for length in range(_LONGEST_INSTRUCTION + 1)]

    def _next_reached(self, stub: GdbStub, candidates: Sequence[int], here: bool) -> bool:
        """Runs to the next candidate, away from one first if `here`. Returns False at the store."""
        if here:
            for address in candidates:
                stub.breakpoint(address, wanted=False)
            if stub.step().watched is not None:
                return False
        for address in candidates:
            stub.breakpoint(address)
        if here and stub.pc() in candidates:
            return True
        stub.go()
        return stub.halted().watched is None


class CountStores(_Client):
    """The first time."""

    last: StorePlace | None = None
    too_many = False

    def _work(self, stub: GdbStub) -> None:
        for count in range(1, MOST_STORES + 1):
            self._next_store(stub)
            self.last = StorePlace(count, self._pc)
        self.too_many = True
        self._watch(stub, wanted=False)
        stub.go()


class CountReached(_Client):
    """The second time."""

    def __init__(self, port: int, arch: str, addresses: Sequence[int], place: StorePlace) -> None:
        super().__init__(port, arch, addresses)
        self._place = place
        self.reached = 0  # 0: too often

    def _work(self, stub: GdbStub) -> None:
        for _ in range(self._place.store - 1):
            self._next_store(stub)
        candidates = self._candidates(self._place)
        reached = 0
        while self._next_reached(stub, candidates, here=reached > 0):
            reached += 1
            if reached > _MOST_REACHED:
                return
        self.reached = reached
        for address in candidates:
            stub.breakpoint(address, wanted=False)
        stub.go()


class StopBeforeStore(_Client):
    """The third time: leaves the guest to gdb, before the store."""

    def __init__(
        self,
        port: int,
        arch: str,
        addresses: Sequence[int],
        place: StorePlace,
        announce: Announce,
    ) -> None:
        super().__init__(port, arch, addresses)
        self._place = place
        self._announce = announce
        self._generation = 0
        self._boot: GuestEvent | None = None

    def at_stop(self, vm: Vm, stop: GuestEvent, boot: GuestEvent | None) -> None:
        """See Debugger."""
        self._generation, self._boot = stop.generation, boot

    def _work(self, stub: GdbStub) -> None:
        for _ in range(self._place.store - 1):
            self._next_store(stub)
        if halts_before(self._arch):
            self._halt_at_store(stub)
        candidates = self._candidates(self._place)
        for number in range(self._place.reached):
            if not self._next_reached(stub, candidates, here=number > 0):
                break
        self.patient = True
        stub.close()
        self._announce(self._generation, self._boot)
