# SPDX-License-Identifier: BSD-3-Clause
"""A run of khorig's own kernel alone."""

from __future__ import annotations

import dataclasses
from dataclasses import KW_ONLY, dataclass

from khorig.guest.spec import PAGE_SIZES, RunSpec, khorig_with

LIVE_CPU = "live-cpu"  # the scenario with a CPU that runs on


@dataclass(frozen=True)
class KhorigRun(RunSpec):
    """One kernel that hands over to itself, with its scenario."""

    kind = "khorig"
    verb = ("run",)

    _: KW_ONLY
    scenario: str = "handover"
    # Words of the kernel's command line in place of scenario=NAME, for a scenario of the host's.
    plays: tuple[str, ...] = ()
    generations: int = 3
    fault: str | None = None  # name of an injected fault
    # Of the first kernel and of all later ones; one for both.
    page_sizes: tuple[str, ...] = PAGE_SIZES[:1]
    counted: bool = True  # else CPUs run on host threads, and runs are not reproducible
    probed: bool = False  # the probe watches a CPU that runs on

    @property
    def repeatable(self) -> bool:
        """See RunSpec."""
        return self.counted

    @property
    def what(self) -> str:
        """See RunSpec."""
        return self.scenario

    @property
    def defects(self) -> tuple[str, ...]:
        """See RunSpec."""
        return tuple(name for name in (self.fault, self.tamper) if name)

    @property
    def variant(self) -> tuple[str, ...]:
        """See RunSpec."""
        return () if self.page_sizes == KhorigRun.page_sizes else self.page_sizes

    def kernel_of(self, generation: int) -> str:
        """See RunSpec."""
        return khorig_with(self.page_sizes[0 if generation == 1 else -1])

    def command_line(self, generation: int, with_stops: bool = True) -> str:
        """See RunSpec."""
        words = [
            *(self.plays or (f"scenario={self.scenario}",)),
            f"generations={self.generations}",
            f"seed={self.seed}",
        ]
        if with_stops and self.stops:
            words.append("stops=" + ",".join(self.stops))
        if self.fault:
            words.append(f"fault={self.fault}")
        return " ".join([*words, *self.extra_options])

    def first(self, generations: int) -> KhorigRun:
        """See RunSpec."""
        return dataclasses.replace(self, generations=generations)

    @property
    def rerun_words(self) -> tuple[str, ...]:
        """See RunSpec."""
        words = ["--scenario", self.scenario, "--generations", str(self.generations)]
        if self.fault:
            words += ["--fault", self.fault]
        if self.page_sizes != KhorigRun.page_sizes:
            words += ["--page-size", ",".join(self.page_sizes)]
        return tuple(words)
