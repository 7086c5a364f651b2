# SPDX-License-Identifier: BSD-3-Clause
"""The probe in a real QEMU: it stops kernels that know nothing of it, and sees who stores."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Callable, Iterator

import pytest

from khorig.guest.event import GuestEvent
from khorig.guest.facts import GuestFacts
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.spec import KHORIG
from khorig.mem.memory import PhysRange
from khorig.vm.build_outputs import Images, find_images
from khorig.vm.cancellation import Cancellation
from khorig.vm.command import qemu_argv
from khorig.vm.machines import machine_named
from khorig.vm.probe.plugin import find_probe
from khorig.vm.probe.probe import Probe
from khorig.vm.probe.records import Outside, ProbeStop, Store
from khorig.vm.qmp import QmpEvent
from khorig.vm.symbols import Symbols
from khorig.vm.vm import Exited, Vm

_ALL = pytest.mark.parametrize("name", ["q35", "pc", "microvm", "virt"])
_BOTH = pytest.mark.parametrize("name", ["q35", "virt"])
_LIMIT_S = 60.0
_MIB = 1 << 20


@contextmanager
def _machine(folder: Path, spec: KhorigRun, stores: bool, images: Images | None) -> Iterator[Vm]:
    machine = machine_named(spec.machine)
    files = images or find_images(machine)
    probe = find_probe(machine.binary, stores=stores, fetches=stores)
    argv: Callable[..., list[str]] = lambda wiring: qemu_argv(machine, spec, files, wiring)
    with Vm(machine, spec, argv, folder, Cancellation(), probe=probe) as vm:
        yield vm


def _probe(vm: Vm) -> Probe:
    assert vm.probe is not None
    return vm.probe


class Guest:
    """A run of khorig's kernel: armed at `sealed`, followed to its end."""

    def __init__(self, folder: Path, name: str, stores: bool = False, smp: int = 1) -> None:
        machine = machine_named(name)
        self.spec = KhorigRun(
            machine.arch,
            name,
            generations=2,
            memory=64 * _MIB,
            smp=smp,
            extra_options=("megabytes=16",),
        )
        self.log: list[str] = []  # stops of the guest and of the probe, in their order
        self.stops: list[ProbeStop] = []
        self.facts = GuestFacts()
        self.image: tuple[int, int] = (0, 0)  # of the second kernel
        self.at_entry: Callable[[Guest, Vm], None] = lambda guest, vm: None
        self._folder, self._stores = folder, stores

    def run(
        self,
        arm: Callable[[Guest, Vm], None],
        look: Callable[[Guest, Vm], None] = lambda guest, vm: None,
    ) -> None:
        """Calls `arm` at `sealed`, and `look` when a CPU has stopped or the guest has ended."""
        deadline = time.monotonic() + _LIMIT_S
        with _machine(self._folder, self.spec, self._stores, None) as vm:
            vm.resume()
            while time.monotonic() < deadline:
                for event in vm.wait(1.0):
                    if isinstance(event, ProbeStop):
                        self.log.append(f"probe {event.kind}")
                        self.stops.append(event)
                        look(self, vm)
                        _probe(vm).resume()
                    elif isinstance(event, GuestEvent):
                        self._take(vm, event, arm)
                    elif isinstance(event, QmpEvent) and "guest-shutdown" in event.data.values():
                        vm.qmp.execute("quit")
                    elif isinstance(event, Exited):
                        assert event.status == 33
                        look(self, vm)
                        return
        raise AssertionError(f"no end in {_LIMIT_S} s after {self.log}")

    def _take(self, vm: Vm, event: GuestEvent, arm: Callable[[Guest, Vm], None]) -> None:
        if event.generation == 1:
            self.facts.take(event)
        elif event.kind == "boot":
            begin, end = event.fields["image"]
            self.image = int(begin, 16), int(end, 16)
        if event.kind == "stop":
            at = event.text("at")
            self.log.append(f"{event.generation} {at}")
            if at == "sealed":
                _probe(vm).check()
                arm(self, vm)
            if at == "entry" and event.generation == 2:
                self.at_entry(self, vm)
            vm.serial.send(b"g")

    @property
    def scratch(self) -> tuple[PhysRange, ...]:
        assert self.facts.memory is not None
        return self.facts.memory.scratch

    @property
    def entry(self) -> int:
        assert self.facts.segments is not None
        return self.facts.segments.entry


@_ALL
@pytest.mark.parametrize("smp", [1, 4])
def test_the_first_fetch_from_scratch_is_the_next_kernels_first_instruction(
    tmp_path: Path, name: str, smp: int
) -> None:
    def arm(guest: Guest, vm: Vm) -> None:
        _probe(vm).stop_on_fetch(guest.scratch)

    guest = Guest(tmp_path, name, smp=smp)
    guest.run(arm)
    assert guest.log == ["1 entry", "1 sealed", "probe fetch", "2 entry", "2 restored"]
    (stop,) = guest.stops  # and no second one
    assert stop == ProbeStop("fetch", 0, guest.entry, guest.entry)
    assert guest.image[0] <= stop.pc < guest.image[1]


@_BOTH
def test_a_guest_that_is_not_armed_never_stops(tmp_path: Path, name: str) -> None:
    guest = Guest(tmp_path, name)
    guest.run(lambda guest, vm: None)
    assert guest.log == ["1 entry", "1 sealed", "2 entry", "2 restored"]


@_BOTH
def test_an_address_is_stopped_at_when_it_first_runs(tmp_path: Path, name: str) -> None:
    elf = find_images(machine_named(name)).elves[KHORIG]
    lines = subprocess.run(["nm", "-C", str(elf)], capture_output=True, text=True, check=True)
    jumps = [line.split() for line in lines.stdout.splitlines() if "LoadAndJump(" in line]
    address = int(jumps[0][0], 16)
    assert "LoadAndJump" in Symbols(elf).describe(address)
    # It runs before `sealed`, so it is armed before anything runs.
    spec = Guest(tmp_path, name).spec
    seen: list[str] = []
    with _machine(tmp_path, spec, False, None) as vm:
        _probe(vm).stop_at(address)
        vm.resume()
        deadline = time.monotonic() + _LIMIT_S
        while "1 sealed" not in seen and time.monotonic() < deadline:
            for event in vm.wait(1.0):
                if isinstance(event, ProbeStop):
                    assert (event.kind, event.pc) == ("address", address)
                    seen.append("probe")
                    _probe(vm).resume()
                elif isinstance(event, GuestEvent) and event.kind == "stop":
                    seen.append(f"{event.generation} {event.text('at')}")
                    vm.serial.send(b"g")
    assert seen == ["1 entry", "probe", "1 sealed"]


@_BOTH
def test_the_copy_of_the_next_kernel_is_seen_to_the_byte(tmp_path: Path, name: str) -> None:
    """Every byte of the image's first page is stored by the one CPU, before the entry."""
    stores: list[Store] = []

    def arm(guest: Guest, vm: Vm) -> None:
        _probe(vm).stop_on_fetch(guest.scratch)
        _probe(vm).watch([guest.entry >> 12])

    def look(guest: Guest, vm: Vm) -> None:
        if not stores:
            page = guest.entry & ~0xFFF
            stores.extend(_probe(vm).stores())
            assert 10**6 < _probe(vm).watched_from <= stores[0].instruction
            copy = bytearray(4096)
            for store in stores:
                at = store.physical - page
                assert copy[at : at + store.size] == store.before
                copy[at : at + store.size] = store.after
            assert copy == vm.ram.read(page, 4096)

    guest = Guest(tmp_path, name, stores=True)
    guest.run(arm, look)
    assert sum(store.size for store in stores) == 4096
    assert {store.cpu for store in stores} == {0}
    counts = [store.instruction for store in stores]
    assert counts == sorted(counts) and counts[0] > 10**6


@_BOTH
def test_a_parked_cpu_is_proven_to_fetch_nothing(tmp_path: Path, name: str) -> None:
    """Between the jump and its start by the next kernel."""
    counts: list[int] = []

    def arm(guest: Guest, vm: Vm) -> None:
        _probe(vm).stop_on_fetch(guest.scratch)

    def look(guest: Guest, vm: Vm) -> None:
        if guest.log[-1] == "probe fetch":
            _probe(vm).expect_inside("fetch", [], cpu=1)
        else:
            counts.append(_probe(vm).outside("fetch").count)

    def at_entry(guest: Guest, vm: Vm) -> None:
        counts.append(_probe(vm).outside("fetch").count)

    guest = Guest(tmp_path, name, stores=True, smp=2)
    guest.at_entry = at_entry
    guest.run(arm, look)
    at_its_entry, at_its_end = counts
    assert at_its_entry == 0 and at_its_end > 10


@_BOTH
def test_what_lies_outside_is_counted_and_the_first_is_named(tmp_path: Path, name: str) -> None:
    """The second kernel runs in scratch, and stores to its scratch first."""
    seen: dict[str, Outside] = {}

    def arm(guest: Guest, vm: Vm) -> None:
        _probe(vm).stop_on_fetch(guest.scratch)

    def look(guest: Guest, vm: Vm) -> None:
        if guest.log[-1] == "probe fetch":
            _probe(vm).expect_inside("fetch", guest.scratch)
            _probe(vm).expect_inside("store", guest.scratch)
        else:
            seen["fetch"] = _probe(vm).outside("fetch")
            seen["store"] = _probe(vm).outside("store")

    guest = Guest(tmp_path, name, stores=True)
    guest.run(arm, look)
    assert seen["fetch"] == Outside(0, None)
    first = seen["store"].first
    assert first is not None and first.physical is not None
    assert not any(area.contains(first.physical, 1) for area in guest.scratch)
    assert "memory" in Symbols(find_images(machine_named(name)).elves[KHORIG]).describe(first.pc)


def test_a_store_above_4_gib_is_seen_where_it_lies(tmp_path: Path) -> None:
    """QEMU reports addresses of RAM since 8.2; khorig stores by an equal one."""
    seen: list[Outside] = []
    guest = Guest(tmp_path, "q35", stores=True)
    guest.spec = replace(guest.spec, memory=5120 * _MIB)
    guest.run(
        lambda guest, vm: _probe(vm).expect_inside("store", [PhysRange(0, 1 << 32)]),
        lambda guest, vm: seen.append(_probe(vm).outside("store")),
    )
    first = seen[-1].first
    assert first is not None and first.physical == first.virtual >= 1 << 32, seen


_NOTE = '.section .note, "a"; .long 4, 4, 18; .asciz "Xen"; .long _start; .text; .global _start\n'
_PAGE = 0x300000  # of x86: watched; the stack ends in it

# Label: the instruction, what it leaves, and where in the page.
_X86 = {
    "byte": ("movb $0x11, 0x300000", "11", 0x0),
    "word": ("movw $0x2222, 0x300010", "2222", 0x10),
    "long": ("movl $0x33333333, 0x300020", "33333333", 0x20),
    "push": ("push $0x44444444", "44444444", 0xFFC),
    "string": ("rep stosb", "5555", 0x30),
    "add": ("lock xadd %edx, 0x300040", "66666666", 0x40),
    "swap": ("lock cmpxchg %ecx, 0x300050", "77777777", 0x50),
    "wide": ("movups %xmm0, 0x300060", "88" * 16, 0x60),
    "across": ("movl $0x99999999, 0x300ffe-0x1000", "9999", 0x0),
}


def _x86_code() -> str:
    setup = {
        "push": "mov $0x301000, %esp",
        "string": "mov $0x300030, %edi; mov $2, %ecx; mov $0x55, %al",
        "add": "mov $0x66666666, %edx",
        "swap": "mov $0x77777777, %ecx; xor %eax, %eax",
        "wide": "mov %cr4, %eax; or $0x600, %eax; mov %eax, %cr4; mov %cr0, %eax; "
        "and $~0xc, %eax; mov %eax, %cr0; movups pattern, %xmm0",
    }
    lines = ["_start: cld"]
    for label, (code, _, _) in _X86.items():
        lines += [setup.get(label, ""), f".global {label}", f"{label}: {code}"]
    lines += ["mov $16, %al; out %al, $0xf4", "pattern: .fill 16, 1, 0x88", ""]
    return "\n".join(lines)


def _symbols(elf: Path) -> dict[str, int]:
    lines = subprocess.run(["nm", str(elf)], capture_output=True, text=True, check=True).stdout
    return {words[2]: int(words[0], 16) for words in map(str.split, lines.splitlines())}


def _watched(folder: Path, name: str, image: Path, page: int) -> list[Store]:
    """What is stored to a page by a kernel that ends by itself."""
    archive = folder / "archive"
    archive.write_bytes(bytes(512))
    spec = KhorigRun(machine_named(name).arch, name, memory=64 * _MIB)
    with _machine(folder, spec, True, Images(image, archive)) as vm:
        _probe(vm).watch([page >> 12])
        vm.resume()
        deadline = time.monotonic() + _LIMIT_S
        while time.monotonic() < deadline:
            ends = (
                isinstance(e, Exited) or getattr(e, "name", "") == "SHUTDOWN" for e in vm.wait(1.0)
            )
            if any(ends):
                return list(_probe(vm).stores())
    raise AssertionError(f"no end in {_LIMIT_S} s")


def test_every_kind_of_store_of_x86_is_seen(tmp_path: Path) -> None:
    elf = tmp_path / "code.elf"
    link = ("-nostdlib", "-static", "--ld-path=/usr/bin/ld.lld-19", "-Wl,-Ttext=0x200000")
    subprocess.run(
        ["clang-19", "--target=i386-linux-gnu", *link, "-x", "assembler", "-", "-o", str(elf)],
        input=_NOTE + _x86_code(),
        text=True,
        check=True,
    )
    stores = _watched(tmp_path, "microvm", elf, _PAGE)
    labels = _symbols(elf)
    page = bytearray(4096)
    for label, (code, left, at) in _X86.items():
        of = [store for store in stores if store.pc == labels[label]]
        assert of, f"{label}: {code} was not seen"
        assert all(_PAGE <= store.physical < _PAGE + 4096 for store in of)
        for store in of:
            begin = store.physical - _PAGE
            page[begin : begin + store.size] = store.after
        want = bytes.fromhex(left)
        if label == "across":  # half of it lies on the page before
            assert [(store.physical, store.after) for store in of] == [(_PAGE, want)]
        else:
            assert page[at : at + len(want)] == want, label
    assert len({(s.pc, s.virtual) for s in stores}) == len(stores)  # none of them twice
    assert {store.pc for store in stores} == {labels[label] for label in _X86}


_ARM = {
    "byte": ("strb w1, [x0]", "11", 0x0),
    "word": ("str x1, [x0, #0x10]", "11" * 8, 0x10),
    "pair": ("stp x1, x1, [x0, #0x20]", "11" * 16, 0x20),
    "exclusive": ("stxr w4, x1, [x3]", "11" * 8, 0x40),
    "add": ("ldadd x1, x4, [x5]", "11" * 8, 0x50),
    "swap": ("cas x6, x1, [x7]", "11" * 8, 0x60),
    "wide": ("stp q0, q0, [x8]", "11" * 32, 0x80),
}


def _arm_code() -> str:
    setup = {
        "byte": "mov x1, #0x1111; movk x1, #0x1111, lsl #16; movk x1, #0x1111, lsl #32; "
        "movk x1, #0x1111, lsl #48; mov x0, #0x41000000; mov x2, #0x300000; msr cpacr_el1, x2; isb",
        "exclusive": "add x3, x0, #0x40; ldxr x4, [x3]",
        "add": "add x5, x0, #0x50",
        "swap": "add x7, x0, #0x60; mov x6, #0",
        "wide": "add x8, x0, #0x80; dup v0.2d, x1",
    }
    lines = [
        ".arch armv8.2-a",
        ".global _start",
        "_start: b code",
        ".long 0",
        ".quad 0, end - _start",
    ]
    lines += [".quad 0, 0, 0, 0", '.ascii "ARM\\x64"', ".long 0", "code:"]
    for label, (code, _, _) in _ARM.items():
        lines += [setup.get(label, ""), f".global {label}", f"{label}: {code}"]
    lines += ["ldr w0, =0x84000008", "hvc #0", "b .", ".ltorg", "end:", ""]
    return "\n".join(lines)


def test_every_kind_of_store_of_arm64_is_seen(tmp_path: Path) -> None:
    elf, image = tmp_path / "code.elf", tmp_path / "code.bin"
    link = ("-nostdlib", "-static", "--ld-path=/usr/bin/ld.lld-19", "-Wl,-Ttext=0x40200000")
    subprocess.run(
        ["clang-19", "--target=aarch64-linux-gnu", *link, "-x", "assembler", "-", "-o", str(elf)],
        input=_arm_code(),
        text=True,
        check=True,
    )
    subprocess.run(["aarch64-linux-gnu-objcopy", "-O", "binary", str(elf), str(image)], check=True)
    stores = _watched(tmp_path, "virt", image, 0x41000000)
    labels = _symbols(elf)
    for label, (code, left, at) in _ARM.items():
        of = [store for store in stores if store.pc == labels[label]]
        assert of, f"{label}: {code} was not seen"
        seen = b"".join(store.after for store in sorted(of, key=lambda store: store.physical))
        assert (seen.hex(), min(s.physical for s in of)) == (left, 0x41000000 + at), label
    assert {store.pc for store in stores} == {labels[label] for label in _ARM}
