# SPDX-License-Identifier: BSD-3-Clause
"""Interface between a run, which drives one VM, and its judge, which reads guest memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Protocol

from khorig.guest.event import GuestEvent
from khorig.guest.machine import (
    CpuModes,
    DeviceStates,
    MachineFacts,
    RunningCpu,
    Translate,
    translates_nothing,
)
from khorig.mem.guest_ram import GuestRam
from khorig.mem.untrusted import items, typed
from khorig.rules.finding import Finding
from khorig.run.coverage import JumpCoverage

if TYPE_CHECKING:
    from khorig.guest.pci_config import PciLooks
    from khorig.run.cpu_accesses import CpuAccesses


@dataclass(frozen=True)
class StopContext:
    """A guest waiting at a stop; its memory may be read and written until the hook returns. Views
    of `ram` must not outlive the hook."""

    generation: int
    at: str  # "sealed", "entry", "restored"
    event: GuestEvent
    ram: GuestRam
    machine: MachineFacts
    boot: GuestEvent | None = None  # the first event of this generation
    page_shift: int = 12  # of the kernel whose handover is in memory (RunSpec.geometry_shift)
    running_cpus: tuple[RunningCpu, ...] = ()  # at `entry`, if known
    devices: DeviceStates = DeviceStates()  # at `entry` after a jump
    translate: Translate = translates_nothing  # at `entry`
    level: int | None = None  # exception level of CPU 0 at `entry`, of machines that have them
    modes: CpuModes = CpuModes()  # at khorig's other stops on x86_64
    accesses: CpuAccesses | None = None  # with a probe that watches a CPU
    pci: PciLooks | None = None  # in a chain
    is_jump: bool = False  # a Linux's `sealed`: its jump, not the last event of its user space


class StopHook(Protocol):
    """Called at stops after the judge, e.g. to tamper. Returns log lines about what was done; an
    empty list if nothing was."""

    def __call__(self, context: StopContext) -> list[str]:
        ...


@dataclass
class Statistics:
    """Counts taken by the host from guest memory, not from events: the largest values over all
    generations."""

    preserved_blocks: int = 0
    preserved_pages: int = 0
    preserved_bytes: int = 0
    fragments: int = 0
    fragment_depth: int = 0
    radix_nodes: int = 0
    pages_compared: int = 0  # page hashes compared, over all stops
    jumps: tuple[JumpCoverage, ...] = ()  # pages compared across each jump

    @staticmethod
    def of(record: Mapping[str, Any]) -> Statistics:
        """From JSON; what it lacks is 0. Raises Untrusted."""
        return typed(Statistics, record, jumps=_jumps)


def _jumps(value: Any) -> tuple[JumpCoverage, ...]:
    return tuple(typed(JumpCoverage, item) for item in items(value))


class Witness(Protocol):
    """Receives the events of a run; a missing event is a finding."""

    def take(self, event: GuestEvent) -> list[Finding]:
        """Every event in order; findings end the run. Raises EventFieldError."""

    def finish(self) -> list[Finding]:
        """Once, after the guest has ended."""


class Judge(Protocol):
    """Decides from events and guest memory. Called from one thread, in order.

    Findings of on_event and on_stop end the run at once; finish() reports the rest. The engine
    itself reports the guest's errors (`fail`, `mismatch`, `error`, `panic`), `refused`, the order
    of generations and stops, and the exit status. An escaping EventFieldError is a finding, any
    other exception a bug of the rig that makes the run INFRA.
    """

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """Every event in order, a `stop` before its on_stop. The engine checks the order of
        generations and stops, the judge their content."""

    def on_stop(self, context: StopContext) -> list[Finding]:
        """At every stop, before the hooks."""

    def on_tampered(self, context: StopContext) -> None:
        """At a stop, after a hook corrupted the handover: later comparisons use memory as the hook
        left it. Raises EventFieldError."""

    def on_trouble(self, ram: GuestRam, machine: MachineFacts) -> list[Finding]:
        """After an error between two stops: changes of memory that explain it."""

    def finish(self, exit_status: int | None) -> list[Finding]:
        """Once, after the guest exited (with a status of docs/abi.md) or was killed (None)."""

    @property
    def statistics(self) -> Statistics:
        """Valid at any time, complete after finish()."""

    @property
    def picture(self) -> Mapping[str, Any] | None:
        """Memory use at the last stop, for the journal (khorig.run.memory_picture); None if
        unchanged."""

    @property
    def counters(self) -> Mapping[str, int]:
        """What works across a jump, and how far it was at the last stop, read from memory."""


def shown_by(judge: Judge, stop: StopContext) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What a judge has read at a stop, and what the probe has seen of a CPU since `sealed`, as
    records of the journal: kind and fields."""
    for what, value in judge.counters.items():
        yield "counter", {"what": what, "value": value, "ns": stop.event.virtual_ns}
    is_later = stop.generation > 1 and stop.at != "sealed"
    for seen in stop.accesses.outside if stop.accesses and is_later else ():
        yield "outside", asdict(seen)
    if judge.picture is not None:
        yield "map", judge.picture
