# SPDX-License-Identifier: BSD-3-Clause
"""Between a run, which drives one VM, and the judge, which reads guest memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Protocol

from khorig.guest.event import GuestEvent
from khorig.guest.machine import MachineFacts, RunningCpu
from khorig.mem.guest_ram import GuestRam
from khorig.mem.untrusted import items, typed
from khorig.rules.finding import Finding
from khorig.run.coverage import JumpCoverage


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

    def __call__(self, context: StopContext) -> list[str]:
        ...


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
    jumps: tuple[JumpCoverage, ...] = ()  # what was compared across each jump

    @staticmethod
    def of(record: Mapping[str, Any]) -> Statistics:
        """From JSON; what it lacks is 0. Raises Untrusted."""
        return typed(Statistics, record, jumps=_jumps)


def _jumps(value: Any) -> tuple[JumpCoverage, ...]:
    return tuple(typed(JumpCoverage, item) for item in items(value))


class Witness(Protocol):
    """Hears the events of a run, and what was to be heard and was not is a finding."""

    def take(self, event: GuestEvent) -> list[Finding]:
        """Every event in order; what it returns ends the run. Raises EventFieldError."""

    def finish(self) -> list[Finding]:
        """Once, after the guest has ended."""


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

    def on_tampered(self, context: StopContext) -> None:
        """At a stop, after a hook has damaged the handover that the next kernel is to make something
        of: what is compared from now on is memory as the hook left it. Raises EventFieldError."""

    def on_trouble(self, ram: GuestRam, machine: MachineFacts) -> list[Finding]:
        """When something is wrong between two stops: what in memory explains it."""

    def finish(self, exit_status: int | None) -> list[Finding]:
        """Once, after the guest has ended (with docs/abi.md's status) or was ended (None)."""

    @property
    def statistics(self) -> Statistics:
        """Valid at any time, complete after finish()."""

    @property
    def picture(self) -> Mapping[str, Any] | None:
        """What memory was used for at the last stop, for the journal
        (khorig.run.memory_picture); None when there is nothing new to say."""
