# SPDX-License-Identifier: BSD-3-Clause
"""Every Linux of a chain runs on all CPUs of the machine."""

from __future__ import annotations

import re

from khorig.guest.chain_run import ChainRun, is_linux
from khorig.guest.event import GuestEvent
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import CPUS_ONLINE

# What makes a Linux do with less.
_FEWER = re.compile(r"(maxcpus|nr_cpus|possible_cpus)=|nosmp(\s|$)|acpi=off(\s|$)")


class OnlineCpus:
    """A Witness: CPUs that did not come online, of those that the kernel was built for."""

    def __init__(self, spec: ChainRun) -> None:
        self._spec = spec
        self._findings: list[Finding] = []

    def take(self, event: GuestEvent) -> list[Finding]:
        """Raises EventFieldError."""
        generation = event.generation
        if event.kind != "boot" or not 0 < generation <= self._spec.generations:
            return []
        if self._spec.smp < 2 or not is_linux(self._spec.kernel_of(generation)):
            return []
        if any(map(_FEWER.match, self._spec.command_line(generation).split())):
            return []
        online, supported = event.number("cpus"), event.number("supported")
        if online < min(supported, self._spec.smp):
            what = f"{online} of {self._spec.smp} CPUs online"
            evidence = (f"the kernel was built for {supported} (NR_CPUS)",)
            self._findings.append(
                Finding(CPUS_ONLINE, what, generation=generation, evidence=evidence)
            )
        return []

    def finish(self) -> list[Finding]:
        """The first generation that lacks some."""
        return self._findings[:1]
