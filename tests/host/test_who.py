# SPDX-License-Identifier: BSD-3-Clause
"""Who changed a page: CPUs by their stores, the rig by what it did, and nobody seen otherwise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterable

import pytest
from tiny_vmlinux import TEXT, build

from khorig.guest.chain_run import ChainRun
from khorig.guest.event import GuestEvent
from khorig.guest.machine import BUS_MASTER, WATCHDOG, DeviceStates, LeftOn
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.poke import Poke
from khorig.guest.spec import RunSpec
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.rules.changed import Changed
from khorig.run.judging import StopContext
from khorig.run.store_watch import StoreWatch
from khorig.run.who import Who
from khorig.vm.machines import machine_named
from khorig.vm.probe.records import Store
from khorig.vm.qmp import QmpClosed

PAGE = 0x3000
SIZE = 0x1000
RING = 4  # records of the fake


@dataclass
class FakeProbe:
    """A machine of 16 pages, and the stores to watched ones."""

    data: bytearray = field(default_factory=lambda: bytearray(16 * SIZE))
    watched: list[int] = field(default_factory=list)
    made: list[Store] = field(default_factory=list)
    watched_from: int = 1000
    frozen: bool = False
    pending: list[Store] = field(default_factory=list)  # recorded when it has run so often
    runs: int = 0

    @property
    def ram(self) -> GuestRam:
        return GuestRam(memoryview(self.data), [RamRegion(0, len(self.data), 0)])

    def watch(self, frames: Iterable[int]) -> None:
        self.watched = sorted(frames)

    def stores(self) -> list[Store]:
        return self.made[-RING:]

    @property
    def probe(self) -> FakeProbe:
        return self

    @property
    def qemu(self) -> FakeProbe:
        return self

    @property
    def qmp(self) -> Any:
        """Which has gone, unless a test gives another."""
        assert not self.frozen, "a QEMU that is frozen does not answer"
        return self

    def execute(self, command: str, **arguments: Any) -> Any:
        raise QmpClosed("gone")

    def monitor(self, command: str) -> Any:
        raise QmpClosed("gone")

    def freeze(self) -> None:
        assert not self.frozen
        self.frozen = True

    def thaw(self) -> None:
        assert self.frozen
        self.frozen = False
        self.runs += 1
        if self.pending and self.runs == 3:
            self.made.append(self.pending.pop())

    @property
    def recorded(self) -> int:
        return len(self.made)

    @property
    def dropped(self) -> int:
        return max(0, len(self.made) - RING)

    def store(
        self,
        address: int,
        value: int,
        cpu: int = 0,
        pc: int = 0x80,
        at: int = 0,
        mapped: int = 0,
    ) -> None:
        """By a CPU, 4 bytes; `mapped`: so far from its physical address."""
        before, after = bytes(self.data[address : address + 4]), value.to_bytes(4, "little")
        self.data[address : address + 4] = after
        if address // SIZE in self.watched:
            self.made.append(
                Store(cpu, pc, address + mapped, address, 4, before, after, self.watched_from + at)
            )


SPEC = KhorigRun("x86_64", "q35")
CHANGED = Changed(1, "sealed", SIZE, (PAGE,), 1)


def watch(probe: FakeProbe, spec: RunSpec = SPEC, changed: Changed = CHANGED) -> StoreWatch:
    """One that has begun."""
    found = StoreWatch(changed, spec, {})
    found.on_event(event("boot", 1), probe)
    at_stop(found, probe)
    return found


def at_stop(who: StoreWatch, probe: FakeProbe, at: str = "sealed", generation: int = 1) -> None:
    """A stop at which the rig writes nothing."""
    who.before_rig(context(probe, at, generation), probe)
    who.after_rig(context(probe, at, generation), probe)


def context(probe: FakeProbe, at: str = "sealed", generation: int = 1) -> StopContext:
    """The guest waits."""
    facts = machine_named("q35").facts(16 * SIZE)
    return StopContext(generation, at, event("stop", generation), probe.ram, facts)


def event(kind: str, generation: int, **fields: object) -> GuestEvent:
    """An event of the guest."""
    return GuestEvent(kind, generation, 0, 0.0, fields)


def test_stores_of_cpus_are_named_the_last_one_first() -> None:
    probe = FakeProbe()
    who = watch(probe)
    probe.store(PAGE + 8, 0x11, cpu=1, pc=0xFFFF_8000_0000_1234, at=5)
    probe.store(PAGE + 8, 0x22, cpu=2, pc=0x42, at=99)
    probe.store(0x5000, 0x33)  # of a page that nobody watches
    found = who.finish(probe)
    assert probe.watched == [PAGE // SIZE]
    assert [store.instructions for store in found.stores] == [99, 5]
    assert (found.count, found.rig, found.nobody, found.note) == (2, (), (), "")
    assert found.lines == (
        "CPU 2 in generation 1 stored 4 bytes at 0x0000000000003008: 0x00000011 -> 0x00000022, "
        "after sealed in generation 1",
        "  by 0x0000000000000042",
        "CPU 1 in generation 1 stored 4 bytes at 0x0000000000003008: 0x00000000 -> 0x00000011, "
        "after sealed in generation 1",
        "  by 0xffff800000001234",
    )


@pytest.mark.parametrize(
    "arch, unseen",
    [("x86_64", "exception frames pushed by a CPU"), ("arm64", "`dc zva`")],
)
def test_bytes_that_no_cpu_stored_are_of_a_device_or_the_host(arch: str, unseen: str) -> None:
    probe = FakeProbe()
    who = watch(probe, KhorigRun(arch, "q35"))
    probe.store(PAGE + 8, 0x11)
    probe.data[PAGE + 0x100 : PAGE + 0x104] = b"edu!"
    found = who.finish(probe)
    assert (found.count, found.rig) == (1, ())
    assert found.nobody == ("4 bytes at 0x0000000000003100: 00 00 00 00 -> 65 64 75 21",)
    assert found.lines[-2].startswith("no CPU stored there since sealed in generation 1: device")
    assert found.lines[-1] == (
        f"not seen by the probe: {unseen}, accessed and dirty bits of page tables"
    )


def test_a_cpu_that_is_frozen_before_its_store_is_recorded_is_not_nobody() -> None:
    """QEMU's threads stop anywhere, also between a store and what the probe makes of it."""
    probe = FakeProbe()
    who = watch(probe)
    probe.store(PAGE + 8, 0x11)
    probe.store(PAGE + 8, 0x22)
    probe.pending.append(probe.made.pop())
    found = who.finish(probe)
    assert not probe.pending and not probe.frozen
    assert (found.count, found.nobody, found.note) == (2, (), ""), found
    assert found.stores[0].after == "0x00000022"


def test_what_a_device_wrote_over_a_store_is_not_that_of_the_cpu() -> None:
    probe = FakeProbe()
    who = watch(probe)
    probe.store(PAGE, 0x11111111)
    probe.data[PAGE + 1] = 0x22
    assert who.finish(probe).nobody == ("1 byte at 0x0000000000003001: 11 -> 22",)


@pytest.mark.parametrize(
    "name, does",
    [
        ("poke", {"pokes": (Poke(1, "sealed", PAGE + 3),)}),
        ("tampering root-bit", {"tamper": "root-bit"}),
        ("hook", {}),
    ],
)
def test_the_rig_names_its_own_writes(name: str, does: dict[str, Any]) -> None:
    probe = FakeProbe()
    who = StoreWatch(CHANGED, dataclasses.replace(SPEC, **does), {})
    who.before_rig(context(probe), probe)
    probe.data[PAGE + 3] = 7
    who.after_rig(context(probe), probe)
    who.before_rig(context(probe, "entry", 2), probe)
    probe.data[PAGE + 4] = 8
    who.after_rig(context(probe, "entry", 2), probe)
    found = who.finish(probe)
    assert (found.count, found.nobody) == (0, ())
    assert found.lines == (
        f"the rig's own {name} at sealed in generation 1: 0x0000000000003003: 00 -> 07",
        f"the rig's own {name} at entry in generation 2: 0x0000000000003004: 00 -> 08",
    )


def test_what_the_rig_did_not_write_at_a_stop_is_not_its_own() -> None:
    """Written between two stops by a device, and seen first at the second."""
    probe = FakeProbe()
    who = watch(probe)
    probe.data[PAGE] = 9
    at_stop(who, probe, "entry", 2)
    found = who.finish(probe)
    assert found.rig == () and found.nobody == ("1 byte at 0x0000000000003000: 00 -> 09",)


def test_stores_beyond_the_ring_are_counted() -> None:
    probe = FakeProbe()
    who = watch(probe)
    for number in range(RING + 3):
        probe.store(PAGE + 4 * number, number + 1, at=number)
    found = who.finish(probe)
    assert found.count == RING + 3 and len(found.stores) == RING
    assert found.stores[0].after == "0x00000007"
    assert (
        found.lines[2] == "7 stores since sealed in generation 1 in all; shown: the last of each PC"
    )
    assert found.nobody == ()  # the bytes of the lost ones are of a CPU, which nobody knows
    assert found.note.startswith("3 older stores are not known, nor who wrote: 9 bytes at 0x")


def test_stores_between_stops_count_although_the_ring_is_small() -> None:
    probe = FakeProbe()
    who = watch(probe)
    for number in range(RING):
        probe.store(PAGE + 4 * number, 1)
    at_stop(who, probe, "entry", 2)
    for number in range(RING):
        probe.store(PAGE + 64 + 4 * number, 1)
    assert who.finish(probe).nobody == ()


def test_a_run_that_does_not_come_there_is_not_reproduced() -> None:
    probe = FakeProbe()
    who = StoreWatch(Changed(2, "restored", SIZE, (PAGE,), 1), SPEC, {})
    at_stop(who, probe)
    assert who.finish(probe).lines == ("not reproduced: restored of generation 2 was not reached",)


def test_a_page_that_stays_as_it_was_is_not_reproduced() -> None:
    probe = FakeProbe()
    found = watch(probe).finish(probe)
    assert found.lines == ("not reproduced: no page changed while it was watched",)


def test_the_devices_that_can_write_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    on = LeftOn("PCI function 00:01.0", "command", 7, BUS_MASTER)
    armed = LeftOn("PCI function 00:02.0", "lock", 2, WATCHDOG)
    states = DeviceStates(("PCI functions",), (on, armed))
    monkeypatch.setattr("khorig.vm.devices.states.read_devices", lambda qmp, arch: states)
    probe = FakeProbe()
    who = StoreWatch(CHANGED, SPEC, {})
    who.before_rig(context(probe), probe)
    who.after_rig(context(probe), probe)
    probe.data[PAGE] ^= 1
    found = who.finish(probe)
    assert found.devices == ("PCI function 00:01.0",)
    assert ": device: PCI function 00:01.0 (" in found.lines[0]
    assert Who.of(found.json()) == found


def test_without_a_probe_there_is_no_guess(tmp_path: Path) -> None:
    probe = FakeProbe()
    who = StoreWatch(CHANGED, dataclasses.replace(SPEC, qemu=str(tmp_path / "qemu-old")), {})
    (tmp_path / "qemu-old").write_text("#!/bin/sh\necho QEMU emulator version 6.2.0\n")
    (tmp_path / "qemu-old").chmod(0o755)
    vm = SimpleNamespace(probe=None, qemu=probe)
    assert who.options is None
    who.before_rig(context(probe), vm)
    who.after_rig(context(probe), vm)
    probe.store(PAGE, 1)
    assert who.finish(vm).lines == ("no probe: QEMU 6.2 is too old for the probe",)


def test_pages_outside_of_ram_are_an_answer() -> None:
    probe = FakeProbe()
    who = watch(probe, changed=Changed(1, "sealed", SIZE, (1 << 40,), 1))
    assert who.finish(probe).lines == ("0x0000010000000000+0x1000 is not inside guest RAM",)


def test_large_pages_are_watched_whole() -> None:
    probe = FakeProbe()
    watch(probe, changed=Changed(1, "sealed", 4 * SIZE, (4 * SIZE,), 1))
    assert probe.watched == [4, 5, 6, 7]


def test_a_store_belongs_to_the_kernel_that_ran() -> None:
    probe = FakeProbe()
    who = watch(probe)
    probe.store(PAGE, 1)
    who.on_event(event("jump", 1), probe)
    probe.store(PAGE, 2)  # on its way into the next kernel
    probe.store(PAGE, 3, cpu=1)  # left behind
    who.on_event(event("boot", 2, image=["0x200000", "0x300000"]), probe)
    probe.store(PAGE, 4, cpu=1)  # still
    generations = [store.generation for store in who.finish(probe).stores[::-1]]
    assert generations == [1, 2, 1, 1]


@pytest.mark.parametrize("kind", ["cpus", "boot"])
def test_a_cpu_that_was_started_belongs_to_the_kernel_that_did(kind: str) -> None:
    probe = FakeProbe()
    who = watch(probe)
    who.on_event(event("jump", 1), probe)
    who.on_event(event(kind, 2), probe)  # of a khorig, or of a Linux's user space
    probe.store(PAGE, 1, cpu=1)
    [store] = who.finish(probe).stores
    assert store.generation == 2


def test_symbols_decide_whose_code_it_is(tmp_path: Path) -> None:
    spec = ChainRun("x86_64", "q35", kernels=("linux-7.3", "/images/bzImage"))
    probe = FakeProbe()
    who = StoreWatch(CHANGED, spec, {"linux-7.3": build(tmp_path, "-g")})
    who.on_event(event("boot", 1), probe)
    at_stop(who, probe)
    who.on_event(event("jump", 1), probe)
    probe.store(PAGE, 2, pc=TEXT)
    who.on_event(event("boot", 2), probe)
    probe.store(PAGE, 3, cpu=1, pc=TEXT)  # a CPU that was not stopped
    probe.store(PAGE, 4, pc=0x1234)
    found = [(store.generation, store.symbol) for store in who.finish(probe).stores[::-1]]
    name = "start_kernel+0x0 (init/main.c:3)"
    assert found == [(1, name), (1, name), (2, "")]


def test_a_program_of_a_linux_is_user_space() -> None:
    """Until the next kernel's first event, too. What boots a Linux is mapped 1:1, and khorig has no
    programs."""
    probe = FakeProbe()
    spec = ChainRun("x86_64", "q35", kernels=("linux-7.3", "linux-7.3", "khorig"), counted=True)
    who = watch(probe, spec)
    probe.store(PAGE, 1, pc=0x401000, mapped=0x7F00_0000_0000)
    probe.store(PAGE, 2, pc=0xFFFF_8000_0000_1000, mapped=0x7F00_0000_0000)
    who.on_event(event("jump", 1), probe)
    probe.store(PAGE, 3, pc=0x401000, mapped=0x7F00_0000_0000)
    probe.store(PAGE, 4, pc=0x1000)
    found = [(store.generation, store.symbol) for store in who.finish(probe).stores[::-1]]
    assert found == [(1, "user space"), (1, ""), (1, "user space"), (2, "")]
    assert who.finish(probe).lines[1] == "  by 0x0000000000001000"
    probe = FakeProbe()
    who = watch(probe, spec)
    for kind, generation in (("boot", 2), ("jump", 2), ("boot", 3)):
        who.on_event(event(kind, generation), probe)
        probe.store(PAGE, 1, pc=0x401000, mapped=0x7F00_0000_0000)
    found = [(store.generation, store.symbol) for store in who.finish(probe).stores[::-1]]
    assert found == [(2, "user space"), (2, "user space"), (3, "")]


def test_it_comes_back_from_json_as_it_was() -> None:
    probe = FakeProbe()
    who = watch(probe)
    probe.store(PAGE, 1)
    probe.data[PAGE + 9] = 1
    found = who.finish(probe)
    assert Who.of(found.json()) == found
    assert Who.of(None) is None
