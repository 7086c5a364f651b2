# SPDX-License-Identifier: BSD-3-Clause
"""A scenario outside of the tree: one of the kernel's, with options and a check of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from khorig.guest.khorig_run import KhorigRun
from khorig.plugins.table import Table
from khorig.rules.finding import Finding
from khorig.rules.protocol import definitions as protocol

if TYPE_CHECKING:  # with them come numpy and the decoder, which QEMU's start need not wait for
    from khorig.rules.stop import Stop
    from khorig.rules.temporal.record import Record


@dataclass(frozen=True)
class Scenario:
    """What `khorig run --scenario NAME` runs.

    `check` is called at `sealed` of every generation that hands over, after all of it was decoded,
    and returns what is wrong (`stop.finding`). What it raises fails the run.
    """

    name: str
    summary: str  # one line
    check: Callable[[Stop, Record], list[Finding]]
    plays: str = "handover"  # the kernel's scenario
    options: tuple[str, ...] = ()  # more of the kernel's command line, "megabytes=8"

    @property
    def words(self) -> tuple[str, ...]:
        """The part of the kernel's command line that is the scenario's."""
        return (f"scenario={self.plays}", *self.options)

    def look(self, stop: Stop, record: Record) -> list[Finding]:
        """`check`, whose own bugs are findings."""
        try:
            return list(self.check(stop, record))
        except Exception as error:  # code of somebody else
            origin = SCENARIOS.distribution(self.name)
            what = f"scenario '{self.name}' of {origin} raised {error!r}"
            return [stop.finding(protocol.SCENARIO, what)]


SCENARIOS: Table[Scenario] = Table("khorig.scenarios", Scenario, lambda scenario: scenario.name, ())


def words_of(scenario: str) -> tuple[str, ...]:
    """What `KhorigRun.plays` is for a scenario: empty for one of the kernel's own."""
    return SCENARIOS[scenario].words if scenario in SCENARIOS else ()


def outside_scenario(spec: KhorigRun) -> Scenario | None:
    """The scenario of a run, unless it is the kernel's own."""
    return SCENARIOS.get(spec.scenario) if spec.plays else None
