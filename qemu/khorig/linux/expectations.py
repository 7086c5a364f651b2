# SPDX-License-Identifier: BSD-3-Clause
"""Log lines and events that each kernel of a chain must print."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from khorig.guest.chain_run import RESERVED_NAME, ChainRun, is_linux
from khorig.guest.event import GuestEvent
from khorig.guest.kexec_flags import KEXEC_FLAGS, LOGS_SEGMENTS, ON_CRASH
from khorig.guest.spec import KHORIG
from khorig.guest.stress_end import StressEnd
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import LINUX_REPORTS

_FOUND = "KHO: found kexec handover data"
_RESTORED = "test_kho: KHO restore succeeded"
_REVIVED = f"Revived memory reservation '{RESERVED_NAME}' from KHO"

# Refusals after which Linux hands nothing on, and does not report reserved memory.
_WITHOUT_KHO = ("not-supported", "disabled")


@dataclass
class _Expected:
    """An expected event, or a regular expression for a log line, of one generation."""

    generation: int
    subject: str
    pattern: str
    met: bool = False


@dataclass
class Expectations:
    """Reports missing log lines and events."""

    spec: ChainRun
    _logs: list[_Expected] = field(default_factory=list)
    _events: list[_Expected] = field(default_factory=list)
    _releases: dict[int, str] = field(default_factory=dict)
    _programs: dict[tuple[int, int], str] = field(default_factory=dict)  # not ended yet

    def __post_init__(self) -> None:
        pending = not is_linux(self.spec.kernels[0])  # test_kho's folios are in the handover
        for generation, name in enumerate(self.spec.kernels, 1):
            refused = generation in self.spec.expected_refusals
            for number, words in enumerate(self.spec.programs_of(generation)):
                self._programs[generation, number] = words[0]
            if generation == self.spec.crash_kernel:
                continue  # it is given nothing (khorig.linux.crash_expectations)
            if is_linux(name):
                self._expect_flags(generation)
                pending = self._expect_linux(generation, pending and not refused, refused)
                if generation in self.spec.stress:
                    self._events.append(_Expected(generation, "stress", "stress"))
            elif generation > 1 and not refused and pending:
                self._events.append(_Expected(generation, "kho_test", "kho_test"))

    def take(self, event: GuestEvent) -> list[Finding]:
        """Processes an event. Raises EventFieldError."""
        generation = event.generation
        if event.kind == "boot":
            self._on_boot(event)
        if event.kind == "program":
            self._programs.pop((generation, event.number("number")), None)
        if event.kind == "stress":
            StressEnd.of(event)
        if event.kind == "kernel-log":
            text = event.text("text")
            for expected in self._logs:
                if expected.generation == generation and re.search(expected.pattern, text):
                    expected.met = True
        for expected in self._events:
            if expected.generation == generation and expected.pattern == event.kind:
                expected.met = expected.met or event.fields.get("ok") is True
        return []

    def finish(self) -> list[Finding]:
        """One finding for each missing line or event."""
        not_run = [
            Finding(
                LINUX_REPORTS,
                f"program: generation {generation} did not report the end of {path}",
                generation=generation,
            )
            for (generation, _), path in self._programs.items()
        ]
        return not_run + [
            Finding(
                LINUX_REPORTS,
                f"{e.subject}: generation {e.generation} did not print: {e.pattern}",
                generation=e.generation,
            )
            for e in (*self._logs, *self._events)
            if not e.met
        ]

    def _expect_flags(self, generation: int) -> None:
        """A kernel logs the flags with which it loads the next one."""
        words = self.spec.kexec_flags_of(generation)
        if words:
            flags = LOGS_SEGMENTS | (ON_CRASH if generation == self.spec.crash else 0)
            flags += sum(KEXEC_FLAGS[word] for word in words)
            pattern = rf"kexec_file_load: .* flags:{flags:#x}\b"
            self._logs.append(_Expected(generation, "kexec flags", pattern))

    def _expect_linux(self, generation: int, pending: bool, refused: bool) -> bool:
        """Returns whether test folios are in the handover after this Linux."""
        if self.spec.expected_refusals.get(generation) not in _WITHOUT_KHO:
            self._events.append(_Expected(generation, "reserve_mem", "reserved"))
        if generation == 1 or refused:
            return True
        self._logs.append(_Expected(generation, "linux handover", re.escape(_FOUND)))
        self._logs.append(_Expected(generation, "linux reserve_mem", re.escape(_REVIVED)))
        if pending:
            self._logs.append(_Expected(generation, "linux test_kho", re.escape(_RESTORED)))
        if "retrieve" in self.spec.session_action(generation):
            self._events.append(_Expected(generation, "liveupdate", "liveupdate"))
        return not pending  # after a restore the module creates no new folios

    def _on_boot(self, event: GuestEvent) -> None:
        """Records the version, which the next Linux must report."""
        generation = event.generation
        names = self.spec.kernels
        if not 0 < generation <= len(names):
            return
        version = event.text("version")
        mine = version if is_linux(names[generation - 1]) else f"{KHORIG}-{version}"
        self._releases[generation] = mine
        before = self._releases.get(generation - 1)
        if before is None or not is_linux(names[generation - 1]):
            return
        if generation in self.spec.expected_refusals or generation == self.spec.crash_kernel:
            return
        pattern = re.escape(f"exec from: {before} (count {generation - 1})")
        self._logs.append(_Expected(generation, "linux record", pattern))
