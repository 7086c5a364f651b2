# SPDX-License-Identifier: BSD-3-Clause
"""Watches pages during a run, to find out who changes them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Iterable, Mapping, Protocol, Sequence

from khorig.guest.event import GuestEvent
from khorig.guest.spec import RunSpec
from khorig.mem.guest_ram import OutsideGuestRam
from khorig.rules.changed import Changed
from khorig.run.explained_pages import ExplainedPages
from khorig.run.judging import StopContext
from khorig.run.store_places import StorePlaces
from khorig.run.watched_pages import WatchedPages
from khorig.run.who import MOST_STORES, StoreBy, Who
from khorig.vm.machines import machine_named
from khorig.vm.probe.errors import NoProbe
from khorig.vm.probe.plugin import ProbeOptions, find_probe
from khorig.vm.probe.records import Store
from khorig.vm.qmp import Qmp, QmpClosed
from khorig.vm.symbols_by_generation import SymbolsByGeneration

_FRAME = 4096  # bytes; the probe watches frames of this size, whatever the guest's pages are
_MOST_LINES = 8

# QEMU may be frozen between a CPU's store and the probe's record of it. It runs on for so many
# seconds, one after the other, to make the record before the store is called nobody's.
_RECORDING_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)

# Plugins of QEMU see the stores of instructions; what a CPU writes besides is in none of them.
_UNSEEN = {
    "x86_64": ("exception frames pushed by a CPU", "accessed and dirty bits of page tables"),
    "arm64": ("`dc zva`", "accessed and dirty bits of page tables"),
}


class StoreProbe(Protocol):
    """What is needed of a khorig.vm.probe.probe.Probe, which has the documentation."""

    def watch(self, frames: Iterable[int]) -> None:
        ...

    def stores(self) -> Sequence[Store]:
        ...

    @property
    def recorded(self) -> int:
        ...

    @property
    def dropped(self) -> int:
        ...

    @property
    def watched_from(self) -> int:
        ...


class Freezable(Protocol):
    """What is needed of a khorig.vm.process.QemuProcess."""

    def freeze(self) -> None:
        ...

    def thaw(self) -> None:
        ...


class WatchedVm(Protocol):
    """What is needed of a khorig.vm.vm.Vm."""

    @property
    def probe(self) -> StoreProbe | None:
        ...

    @property
    def qemu(self) -> Freezable:
        ...

    @property
    def qmp(self) -> Qmp:
        ...


class StoreWatch:
    """Watches pages that an earlier run of the same specification found changed, from the stop on
    at which they were still right. Unless the run counts instructions they may lie elsewhere by
    now, and are found by their owners."""

    slower = 4  # times, at most

    def __init__(self, changed: Changed, spec: RunSpec, elves: Mapping[str, Path]) -> None:
        """`elves`: see khorig.vm.build_outputs.Images."""
        self._changed = changed
        self._spec = spec
        self._places = StorePlaces(spec, SymbolsByGeneration(spec, elves))
        self._watched = WatchedPages(changed.pages)
        self._pages: ExplainedPages | None = None  # once the watch has begun
        self._watching = False
        self._before: dict[int, bytes] = {}  # the pages before the rig's turn at a stop
        self._replayed = 0  # stores that the pages have
        self._missed = 0  # stores that the ring had lost by then
        self._rig: list[str] = []
        self._note = self._no_probe = ""

    @property
    def options(self) -> ProbeOptions | None:
        """The probe that the run needs; None if that QEMU has none, and the answer says so."""
        try:
            machine = machine_named(self._spec.machine)
            return find_probe(machine.emulator(self._spec.qemu), stores=True)
        except NoProbe as error:
            self._no_probe = str(error)
            return None

    def on_event(self, event: GuestEvent, vm: WatchedVm) -> None:
        """Every event, in order."""
        self._places.on_event(event, self._count(vm.probe))

    def before_rig(self, context: StopContext, vm: WatchedVm) -> None:
        """At a stop, before the rig may write to memory. Until `after_rig` no CPU runs, not even
        one that should have been parked, and no device."""
        vm.qemu.freeze()
        if self._pages is None:
            stop = (context.generation, context.at)
            if stop != (self._changed.generation, self._changed.stop):
                return
            try:
                if not self._spec.counted:
                    self._watched = WatchedPages.at(context, self._changed)
                size = self._changed.page_size
                self._pages = ExplainedPages(self._watched.pages, size, context.ram)
            except OutsideGuestRam as error:
                self._note = str(error)
                return
        self._before = self._pages.memory()

    def after_rig(self, context: StopContext, vm: WatchedVm) -> None:
        """At the same stop, once the rig has written what it wanted."""
        self._account(context, vm.probe)
        vm.qemu.thaw()

    def _account(self, context: StopContext, probe: StoreProbe | None) -> None:
        if context.at == "entry":
            self._places.on_entry(context.generation, self._count(probe))
        if self._pages is None:
            return
        if self._watching and probe is not None:
            self._replay(probe)
        lines = self._pages.accept(self._before, self._pages.memory())
        place = f"{self._by_rig} at {context.at} in generation {context.generation}"
        self._rig += [f"{place}: {line}" for line in lines]
        if not self._watching and probe is not None:
            self._watching = True
            probe.watch(self._frames())

    def finish(self, vm: WatchedVm) -> Who:
        """At the end, while the memory is still there."""
        vm.qemu.freeze()
        try:
            found = self._answer(vm)
        finally:
            vm.qemu.thaw()
        return replace(found, devices=self._devices(vm.qmp)) if found.nobody else found

    def _devices(self, qmp: Qmp) -> tuple[str, ...]:
        """Those that can write to memory; none where QEMU has gone."""
        from khorig.vm.devices.states import read_devices

        try:
            return read_devices(qmp, self._spec.arch).writers
        except QmpClosed:
            return ()

    def _answer(self, vm: WatchedVm) -> Who:
        probe = vm.probe
        found = Who(
            self._changed.generation,
            self._changed.stop,
            tuple(f"{page:#018x}" for page in self._watched.pages),
            self._watched.others,
        )
        if self._pages is None:
            where = f"{found.stop} of generation {found.generation}"
            note = self._note or f"not reproduced: {where} was not reached"
            return replace(found, note=note)
        if not self._watching or probe is None:
            rig = tuple(self._rig[:_MOST_LINES])
            return replace(found, rig=rig, note=f"no probe: {self._no_probe}")
        nobody = self._unexplained(probe, vm.qemu)[:_MOST_LINES]
        stores, dropped = probe.stores(), probe.dropped
        note = ""
        if self._missed and nobody:  # perhaps by those
            note = f"{self._missed} older stores are not known, nor who wrote: {'; '.join(nobody)}"
            nobody = []
        if not (stores or dropped or self._rig or nobody):
            note = "not reproduced: no page changed while it was watched"
        shown = list(enumerate(stores, dropped))[-MOST_STORES:]
        return replace(
            found,
            count=dropped + len(stores),
            stores=tuple(
                self._store(number, store, probe.watched_from) for number, store in shown[::-1]
            ),
            rig=tuple(self._rig[:_MOST_LINES]),
            nobody=tuple(nobody),
            unseen=_UNSEEN[self._spec.arch] if nobody else (),
            note=note,
        )

    @property
    def _by_rig(self) -> str:
        if self._spec.pokes:
            return "poke"
        return f"tampering {self._spec.tamper}" if self._spec.tamper else "hook"

    def _unexplained(self, probe: StoreProbe, qemu: Freezable) -> list[str]:
        """What has no writer even after every CPU has had time to record its last store. QEMU is
        frozen before and after."""
        assert self._pages is not None
        for seconds in _RECORDING_S:
            self._replay(probe)
            if not self._pages.unexplained():
                return []
            qemu.thaw()
            time.sleep(seconds)
            qemu.freeze()
        self._replay(probe)
        return self._pages.unexplained()

    def _replay(self, probe: StoreProbe) -> None:
        assert self._pages is not None
        stores, dropped = probe.stores(), probe.dropped
        for store in stores[max(0, self._replayed - dropped) :]:
            self._pages.store(store.physical, store.after)
        self._missed += max(0, dropped - self._replayed)
        self._replayed = dropped + len(stores)

    def _count(self, probe: StoreProbe | None) -> int:
        if probe is None or not self._watching:
            return 0
        return probe.recorded

    def _frames(self) -> list[int]:
        each = range(0, self._changed.page_size, _FRAME)
        return [(page + offset) // _FRAME for page in self._watched.pages for offset in each]

    def _store(self, number: int, store: Store, watched_from: int) -> StoreBy:
        generation, symbol = self._places.of(number, store)
        return StoreBy(
            cpu=store.cpu,
            generation=generation,
            pc=f"{store.pc:#018x}",
            symbol=symbol,
            address=f"{store.physical:#018x}",
            size=store.size,
            before=_value(store.before),
            after=_value(store.after),
            instructions=max(0, store.instruction - watched_from),
        )


def _value(content: bytes) -> str:
    return f"{int.from_bytes(content, 'little'):#0{2 + 2 * len(content)}x}"
