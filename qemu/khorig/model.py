# SPDX-License-Identifier: BSD-3-Clause
"""What the engine, the verdict and the reports share.

The engine (run.py) drives one VM and calls a Judge; the Judge (khorig.verdict) reads guest memory
and says what it found; the reports print both. Nobody else's types cross these borders.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, Protocol, Sequence

from khorig.guest_ram import GuestRam


class Verdict(enum.Enum):
    """How a run ended, worst last in `severity`."""

    PASS = "PASS"
    SKIP = "SKIP"  # not run, with a reason
    FAIL = "FAIL"  # the rig, or the guest itself, says why
    CRASH = "CRASH"  # the guest died: exception, triple fault, unexpected reset
    HANG = "HANG"  # no progress
    INFRA = "INFRA"  # QEMU or host trouble; says nothing about the guest


class EventFieldError(ValueError):
    """An event lacks a field, or the field has another type than docs/abi.md says."""


@dataclass(frozen=True)
class GuestEvent:
    """One `@khorig` line. `fields` is the whole JSON object and untrusted."""

    kind: str
    generation: int
    virtual_ns: int
    host_s: float  # CLOCK_MONOTONIC when the line arrived
    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A string field. Raises EventFieldError."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise EventFieldError(f"event '{self.kind}': '{name}' is {value!r}, expected a string")
        return value

    def number(self, name: str) -> int:
        """A count. Raises EventFieldError."""
        value = self.fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise EventFieldError(f"event '{self.kind}': '{name}' is {value!r}, expected a count")
        return value

    def address(self, name: str) -> int:
        """An address or 64-bit value, a string such as "0x1f2c0000". Raises EventFieldError."""
        return parse_address(self.fields.get(name), f"event '{self.kind}': '{name}'")


def parse_address(value: object, what: str) -> int:
    """The value of a hexadecimal string with at most 64 bits. Raises EventFieldError with `what`
    in front; use it for the elements of lists."""
    if isinstance(value, str) and value.startswith("0x") and len(value) <= 18:
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise EventFieldError(f'{what} is {value!r}, expected a string such as "0x1000"')


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. The first finding of a run is the cause of its verdict."""

    clause: str  # which part of the verdict: "page-hash", "radix", "fragments", "sequence", ...
    what: str  # one line, both values at full width in hexadecimal
    where: str = ""  # page or address, "0x000000001f2c4000", or file:line in the guest
    owner: str = ""  # who the page belongs to: "store 'db0' page 4", "scratch", "radix node", ...
    generation: int = 0  # the generation that was running; 0 when none was
    stop: str = ""  # "sealed", "entry", "restored", or "" when between stops
    evidence: tuple[str, ...] = ()  # further lines: byte differences, neighbours; at most ~12
    verdict: Verdict = Verdict.FAIL


@dataclass(frozen=True)
class MachineFacts:
    """What the judge may know of the machine a run is on."""

    arch: str  # "x86_64", "arm64"
    name: str  # "q35", "pc", "microvm", "virt"
    ram_bytes: int


@dataclass(frozen=True)
class RunningCpu:
    """A CPU, besides the first, that executes instructions."""

    number: int  # QEMU's
    pc: int  # virtual


@dataclass(frozen=True)
class StopContext:
    """The guest waits at a named point; its memory may be read and written until the hook returns.
    `ram` views must not outlive the hook."""

    generation: int
    at: str  # "sealed", "entry", "restored"
    event: GuestEvent
    ram: GuestRam
    machine: MachineFacts
    boot: GuestEvent | None = None  # the first event of this generation
    running_cpus: tuple[RunningCpu, ...] = ()  # at `entry`, where the machine can tell


class StopHook(Protocol):
    """What else happens at stops, after the judge has looked: tampering. Returns lines that say
    what was done, for the log; an empty list when this stop is not its own."""

    def __call__(self, context: StopContext) -> list[str]: ...


@dataclass
class Statistics:
    """What a run has proven, as counted by the host from guest memory, not from the guest's words:
    the largest values over all generations."""

    preserved_blocks: int = 0
    preserved_pages: int = 0
    preserved_bytes: int = 0
    fragments: int = 0
    fragment_depth: int = 0
    radix_nodes: int = 0
    pages_compared: int = 0  # page hashes compared, over all stops


class Judge(Protocol):
    """Decides from events and guest memory. Called from one thread, in the order things happen.

    What it reports in on_event and on_stop ends the run at once; what can wait is reported by
    finish(). The engine itself reports the guest's own words (`fail`, `mismatch`, `error`, `panic`),
    `refused`, the order of generations and stops, and the exit status. An EventFieldError that
    escapes is a finding, any other exception a bug of the rig that makes the run INFRA.
    """

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """Every event in order, a `stop` before its on_stop. The order of generations and stops is
        the engine's business, the contents are the judge's."""

    def on_stop(self, context: StopContext) -> list[Finding]:
        """At every stop, before the hooks."""

    def finish(self, exit_status: int | None) -> list[Finding]:
        """Once, after the guest has ended (with docs/abi.md's status) or was ended (None)."""

    @property
    def statistics(self) -> Statistics:
        """Valid at any time, complete after finish()."""

    @property
    def picture(self) -> Mapping[str, Any] | None:
        """What memory was used for at the last stop, for the journal
        (khorig.verdict.memory_picture); None when there is nothing new to say."""


BOOTS = ("direct", "uefi")  # how the first kernel of a run is started


@dataclass(frozen=True)
class RunSpec:
    """One run: one VM from its first instruction to its verdict."""

    arch: str
    machine: str
    scenario: str = "handover"
    generations: int = 3
    memory: int = 256 << 20  # bytes
    seed: int = 0x5EED0001
    timeout_s: float = 60.0
    fault: str | None = None  # a deliberate defect of the kernel, by its name there
    tamper: str | None = None  # what the host does to guest memory, by its name in khorig.tamper
    stops: tuple[str, ...] = ("sealed", "entry", "restored")
    extra_options: tuple[str, ...] = ()  # more guest command line, "name=value"
    extra_qemu: tuple[str, ...] = ()
    expected_status: int = 33  # of the guest, docs/abi.md
    # Generations that must refuse their handover, with the cause ("fdt-magic") of each. A cold boot
    # in such a generation is expected, in every other it fails.
    expected_refusals: Mapping[int, str] = field(default_factory=dict)
    boot: str = "direct"  # or "uefi": by the machine's firmware and the EFI loader
    # Which kernel runs in each generation, "khorig" or what khorig.linux calls one. Empty when all
    # are khorig's own.
    kernels: tuple[str, ...] = ()
    # Whether virtual time is counted in instructions, so that a run depends on nothing but its
    # inputs. A Linux takes several times as long that way.
    counted: bool = True
    smp: int = 1  # CPUs
    linux_options: tuple[str, ...] = ()  # more of the command line of each Linux
    extra_initrd: str = ""  # a file with more of a Linux's user space, as cpio

    def stops_of(self, generation: int) -> tuple[str, ...]:
        """Where a generation stops. A Linux has no first line of its own to stop at."""
        if not self.kernels or self.kernels[generation - 1] == "khorig":
            return self.stops
        return tuple(stop for stop in self.stops if stop != "entry")

    @property
    def what(self) -> str:
        """The scenario, or which kernels in a row."""
        return "+".join(Path(kernel).name for kernel in self.kernels) or self.scenario

    @property
    def id(self) -> str:
        """For people: "handover/x86_64-q35", with what else is not the default."""
        name = f"{self.what}/{self.arch}-{self.machine}"
        if self.memory != RunSpec.memory:
            name += f"-{self.memory >> 20}M"
        if self.smp != RunSpec.smp:
            name += f"-smp{self.smp}"
        boot = "" if self.boot == RunSpec.boot else self.boot
        for part in (boot, self.fault, self.tamper):
            if part:
                name += f"-{part}"
        return name


@dataclass(frozen=True)
class Phase:
    """A phase that the guest timed; one unit is one instruction under icount."""

    generation: int
    name: str
    instructions: int
    blocks: int = 0
    pages: int = 0


@dataclass
class RunResult:
    """What came of a run."""

    spec: RunSpec
    verdict: Verdict
    findings: Sequence[Finding]
    generations: int  # that reached their first words
    statistics: Statistics
    phases: Sequence[Phase]
    wall_s: float  # from starting QEMU to the verdict
    qemu: str  # version
    exit_status: int | None
    console_tail: Sequence[str] = ()  # the last lines of text, events left out
    recorded: str = ""  # what came of doing a failed run again to record it, or ""
    id: str = ""  # unique within the session; the folder of the artifacts below its own
    directory: str = ""  # artifacts, absolute
    rerun: str = ""  # the command that does it again

    @property
    def cause(self) -> str:
        """One line: why it did not pass, or ""."""
        return self.findings[0].what if self.findings else ""
