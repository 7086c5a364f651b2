# SPDX-License-Identifier: BSD-3-Clause
"""A chain of kernels that exists only as memory and events: Linux's clients and khorig's in one
handover, which each kernel hands on as it is unless a test changes it."""

from __future__ import annotations

import struct
from typing import Any, Callable, Mapping

from dumps.sample import BOOT_PARAMS, FRAME_TABLE, Sample
from verdict.fake_guest import NOTHING_FOUND
from verdict.fake_tables import write_tables
from view.handover_image import PAGE, RAM, SCRATCH

from khorig.guest.chain_run import ChainRun
from khorig.guest.event import GuestEvent
from khorig.guest.machine import CpuMode, CpuModes, DeviceStates, MachineFacts
from khorig.rules.finding import Finding
from khorig.run.judge import RunJudge
from khorig.run.judging import StopContext

LINUX, KHORIG = "linux-7.3", "khorig"
SEEN = DeviceStates(seen=("PCI functions",))
MODES = CpuModes((CpuMode(0, 0xFFFFFFFF80001000, 0x80010033, 0x20, 0xD00),), frozenset({"NXE"}))
MACHINE = MachineFacts("x86_64", "q35", RAM.size)


class FakeChain:
    """Kernels by name. Every step returns the ids of the rules that its findings have."""

    def __init__(self, *kernels: str, sample: Sample | None = None, **spec: Any) -> None:
        self.sample = sample or Sample()
        self.sample.finish()
        self.image = self.sample.image
        self.image.ram.write(BOOT_PARAMS + 0x1E8, b"\1")  # regions of e820
        self.image.ram.write(BOOT_PARAMS + 0x2D0, struct.pack("<QQI", RAM.begin, RAM.size, 1))
        self.spec = ChainRun("x86_64", "q35", kernels=kernels, **spec)
        self.judge = RunJudge(self.spec)
        self.findings: list[Finding] = []  # of the last step

    def flip(self, address: int) -> None:
        """Changes a byte."""
        self.image.ram.write(address, bytes([self.image.ram.read(address, 1)[0] ^ 1]))

    def says(self, kind: str, generation: int, **fields: Any) -> GuestEvent:
        event = GuestEvent(kind, generation, 0, 0.0, {"ev": kind, **fields})
        assert self.judge.on_event(event) == []
        return event

    def stops(self, at: str, generation: int, is_jump: bool = False, **fields: Any) -> set[str]:
        event = self.says("stop", generation, at=at, **fields)
        return self._looks(at, event, is_jump)

    def _looks(self, at: str, event: GuestEvent, is_jump: bool = False) -> set[str]:
        ram, generation = self.image.ram, event.generation
        seen: dict[str, Any] = {"devices": SEEN, "modes": MODES}
        self.findings = self.judge.on_stop(
            StopContext(generation, at, event, ram, MACHINE, is_jump=is_jump, **seen)
        )
        return {finding.rule for finding in self.findings}

    def is_entered(self, generation: int) -> set[str]:
        """A Linux at its first instruction, of which it says nothing."""
        fields = {"ev": "stop", "at": "entry"}
        return self._looks("entry", GuestEvent("stop", generation, 0, 0.0, fields))

    def boots(self, generation: int) -> None:
        self.says("boot", generation, parameters=hex(BOOT_PARAMS), handover=generation > 1)
        if self.spec.kernel_of(generation) != KHORIG:
            ram = [hex(RAM.begin), hex(RAM.size), "System RAM"]
            self.says("memory-map", generation, ranges=[ram], last=True, limited=False)

    def enters(self, generation: int) -> set[str]:
        """A kernel of khorig at its first instruction."""
        self.boots(generation)
        return self.stops("entry", generation)

    def restores(self, generation: int) -> set[str]:
        """Where a kernel has taken back what it knows."""
        if self.spec.kernel_of(generation) == KHORIG:
            self._has_memory(generation)
        return self.stops("restored", generation)

    def seals(self, generation: int, is_jump: bool = False) -> set[str]:
        """A kernel that hands over what memory holds; a Linux in user space or at its jump."""
        if self.spec.kernel_of(generation) != KHORIG:
            return self.stops("sealed", generation, is_jump)
        link = self.image.clients["kexec-metadata"]
        assert isinstance(link, dict) and isinstance(link["preserved-data"], int)
        self.image.ram.write(link["preserved-data"] + 69, struct.pack("<I", generation))
        begin, entry = hex(SCRATCH[1].end - 0x10000), hex(SCRATCH[1].end - 0x10000 + 0x200)
        self._has_memory(generation)
        self.says("segments", generation, list=[["kernel", begin, "0x1000"]], entry=entry)
        tables = write_tables(self.image)
        return self.stops("sealed", generation, root=hex(self.image.root), tables=tables)

    def _has_memory(self, generation: int) -> None:
        scratch = [[hex(a.begin), hex(a.size)] for a in SCRATCH]
        frames = {"table": hex(FRAME_TABLE), "first": RAM.begin >> 12, "count": RAM.size >> 12}
        self.says("mode", generation, levels=4)
        self.says("memory", generation, frames=frames, scratch=scratch)
        self.says("found", generation, **NOTHING_FOUND)

    def is_tampered(self, at: str, generation: int) -> None:
        """The host has damaged the handover on purpose."""
        event = GuestEvent("stop", generation, 0, 0.0, {"ev": "stop", "at": at})
        context = StopContext(generation, at, event, self.image.ram, MACHINE, devices=SEEN)
        self.judge.on_tampered(context)

    def trouble(self) -> set[str]:
        """The kernel died."""
        self.findings = self.judge.on_trouble(self.image.ram, MACHINE)
        return {finding.rule for finding in self.findings}


Place = Callable[[FakeChain], int]


# Where Linux's and khorig's clients have their pages.
PLACES: dict[str, Place] = {
    "root": lambda c: c.image.root + 0xF00,
    "node": lambda c: c.image.nodes[-1] + 8,
    "fragment": lambda c: c.sample.khorig + 0xF00,
    "memblock": lambda c: c.sample.reserved_area + 15 * PAGE + 4000,
    "log": lambda c: c.sample.log + 2000,
    "LUO sessions": lambda c: c.sample.sessions + 3000,
    "LUO files": lambda c: c.sample.files + 3000,
    "memfd": lambda c: c.sample.memfd + 3000,
    "memfd array": lambda c: c.sample.memfd_array + 3000,
    "memfd folio": lambda c: c.sample.folios[0][0] + 3 * PAGE,
    "kho_test array": lambda c: c.sample.test_array + 3000,
    "kho_test folio": lambda c: c.sample.test_folios[1][0] + 7 * PAGE,
    "free page": lambda c: c.image.allocate() + 64 * PAGE,
}


def linux_jumps(
    *kernels: str, sample: Sample | None = None, refusals: Mapping[int, str] | None = None
) -> FakeChain:
    chain = FakeChain(
        *(kernels or (LINUX, KHORIG)), sample=sample, expected_refusals=refusals or {}
    )
    chain.boots(1)
    assert chain.restores(1) == chain.seals(1) == set(), chain.findings
    return chain


def khorig_seals(*kernels: str) -> FakeChain:
    chain = FakeChain(*kernels)
    chain.boots(1)
    assert chain.stops("entry", 1) == set()
    assert chain.seals(1) == set(), chain.findings
    return chain
