# SPDX-License-Identifier: BSD-3-Clause
"""Errors reported by the guest."""

from __future__ import annotations

import re
from collections import deque
from typing import Sequence

from khorig.guest import status as exit_status
from khorig.guest.event import GuestEvent
from khorig.guest.program_end import OUTPUT_LINES, ProgramEnd, command_of
from khorig.guest.spec import RunSpec
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol import definitions as rules
from khorig.run.last_look import LastLook

_STATUS_OF = {
    "fail": exit_status.FAIL,
    "mismatch": exit_status.FAIL,
    "panic": exit_status.PANIC,
    "error": None,  # 39 or 41
}
_PANIC_LINES = 24  # of a finding
_ALL_PANIC_LINES = 64 * 28  # backtraces of 64 CPUs
_OOPS_LINES = 6
_LINUX_PANIC = re.compile(r"Kernel panic - not syncing: .*")
_OOPS = (
    "Unable to handle kernel |Internal error: |Oops: |kernel BUG at "
    "|BUG: (?!soft lockup|workqueue lockup)"
)
_LINUX_OOPS = re.compile(rf"({_OOPS}).*")
# A program may print such words, too; then only what the kernel's log has of them counts.
_LINUX_TROUBLE = re.compile(rf"(?:{_OOPS}|(?:^|(?<=\] ))WARNING: ).*")
_GOES_ON = re.compile(r"WARNING: |BUG: Bad ")  # it dies of something else, if at all
# In Linux code; and what is wrong with a bad page.
_PLACE = re.compile(
    r"(\w+ ?: |RIP: \w+:)?[\w.]+\+0x[0-9a-f]+/0x[0-9a-f]+.*|page(:| dumped because:) .*"
)
# Functions that print how it is broken, not where.
_PRINTS = re.compile(
    r"(dump_stack|show_stack|dump_backtrace|dump_page|bad_page|__warn|report_bug|handle_bug|"
    r"(asm_)?exc_invalid_op)(_\w+)?\+0x"
)


class GuestMonitor:
    """Turns `fail`, `mismatch`, `panic` and `error` events, failed programs and Linux panics into
    findings, unless the run is expected to end with the matching status."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._expected = spec.expected_status
        self._reported: set[int | None] = set()
        self._panic: GuestEvent | None = None
        self._panic_lines: list[str] = []
        self._text: deque[str] = deque(maxlen=OUTPUT_LINES)  # since the last event
        self._started: tuple[int, str] | None = None  # generation and program that runs
        self._planned_panic = ""  # that a Linux has announced, which is to have a crash kernel
        self._linux_panic = ""
        self._linux_oops: list[str] = []  # first message and code locations
        self._broken = 0  # the generation of a Linux that said so outside of a program
        self._has_said_all = False

    def on_text(self, text: str, speaking: int = 0) -> bool:
        """A line of plain text of generation `speaking`: after a panic, registers and backtrace.
        Returns whether a Linux has little time left from now on: it panicked, is broken, or said
        more of an Oops that may yet not be the end."""
        had_panicked, was_broken = self.linux_panicked, self.linux_is_broken
        if text.strip():
            self._text.append(text.rstrip())
        self._on_linux_text(text.rstrip(), speaking)
        if self._panic is not None and len(self._panic_lines) < _ALL_PANIC_LINES and text.strip():
            self._panic_lines.append(text.rstrip())
        return not had_panicked and (self.linux_panicked or (self.linux_dies and not was_broken))

    @property
    def panic_lines(self) -> Sequence[str]:
        """What khorig printed in a panic."""
        return self._panic_lines

    @property
    def linux_panicked(self) -> bool:
        """Whether Linux panicked. It resets the machine next, unless it panics before parsing
        options."""
        return bool(self._linux_panic)

    @property
    def linux_dies(self) -> bool:
        """Whether Linux panicked, or has said that it is broken (BUG:, Oops:) and nothing of the
        rig's since: a Linux that goes on from there has words for the rig."""
        return bool(self._linux_panic or self._linux_oops)

    @property
    def linux_is_broken(self) -> bool:
        """Whether Linux has said BUG:, Oops: or WARNING: on its own, where it may not: the run is
        over."""
        return bool(self._broken)

    @property
    def has_said_all(self) -> bool:
        """Whether a broken Linux has had time to say how: something of the rig's came after."""
        return self._has_said_all and not self._linux_panic

    def _on_linux_text(self, text: str, speaking: int) -> None:
        if self._linux_panic:
            return
        if panic := _LINUX_PANIC.search(text):
            planned, self._planned_panic = self._planned_panic, ""
            if planned and panic.group(0) == f"Kernel panic - not syncing: {planned}":
                return
            self._linux_panic = panic.group(0)
        may_end = 0 < speaking and speaking not in self._spec.expected_refusals
        is_own = may_end and self._started is None
        first = _LINUX_TROUBLE if is_own else _LINUX_OOPS
        wanted = _PLACE if self._linux_oops else first
        found = wanted.search(text)
        if found and len(self._linux_oops) < _OOPS_LINES and not _PRINTS.match(found.group(0)):
            self._linux_oops.append(found.group(0))
            self._broken = self._broken or speaking * is_own

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """Findings of this event. A panic is reported by `finish`, when its output is complete.
        Raises EventFieldError."""
        self._has_said_all |= self.linux_is_broken
        if not self.linux_is_broken:
            self._linux_oops.clear()
        text = tuple(self._text)
        self._text.clear()
        self._planned_panic = ""
        if event.kind == "crash" and event.generation + 1 == self._spec.crash_kernel:
            self._planned_panic = event.text("panic")
        if event.kind == "program-start":
            self._started = (event.generation, command_of(event, self._spec))
        if event.kind == "program":
            return self._on_program(ProgramEnd.of(event, self._spec, text))
        if event.kind not in _STATUS_OF:
            return []
        status = _STATUS_OF[event.kind]
        self._reported.add(status)
        if event.kind == "panic" and self._panic is None:
            self._panic = event
        if self._expected == status or (status is None and self._expected in (39, 41)):
            return []
        if event.kind == "mismatch":
            return [self._mismatch(event)]
        if event.kind == "fail":
            where = f"{event.text('file')}:{event.number('line')}"
            what = f"{event.text('what')}: {event.text('text')}"
            return [self._finding(event, what, where)]
        if event.kind == "error":
            return [self._finding(event, f"{event.text('cause')}: {event.text('text')}")]
        return []

    def _on_program(self, end: ProgramEnd) -> list[Finding]:
        self._started = None
        if end.is_ok:
            return []
        self._reported.add(exit_status.FAIL)
        if self._expected == exit_status.FAIL:
            return []
        what = f"program: {end.command}: {end.how}"
        return [Finding(rules.GUEST, what, generation=end.generation, evidence=end.output)]

    def finish(self, running: int, look: LastLook = LastLook(0, ())) -> list[Finding]:
        """What `_death` finds, and the program that ran then."""
        findings = self._death(running, look)
        if self._started is not None:
            generation, command = self._started
            output = tuple(self._text)
            what = f"program: {command}: did not end"
            findings.append(Finding(rules.GUEST, what, generation=generation, evidence=output))
        return findings

    def _death(self, running: int, look: LastLook) -> list[Finding]:
        """The panic with its output; the death of a Linux in generation `running`, or in that which
        the last look tells. A Linux that said Oops and was not looked at has gone on."""
        said = self._linux_oops[0] if self._linux_oops else ""
        if self._linux_panic or self._broken or (look.was_taken and said):
            died = look.generation if look.is_certain else running
            what = said if _GOES_ON.match(said) else self._linux_panic or said
            lines = (*self._linux_oops, *filter(None, (self._linux_panic,)))
            return [
                Finding(
                    rules.GUEST,
                    what,
                    generation=self._broken or died,
                    evidence=(*(line for line in lines if line != what), *look.lines),
                    verdict=Verdict.CRASH,
                )
            ]
        if self._panic is None or self._expected == exit_status.PANIC:
            return []
        return [
            Finding(
                rules.GUEST,
                f"panic: {self._panic.fields.get('text', 'no text')}",
                generation=self._panic.generation,
                evidence=tuple(self._panic_lines[:_PANIC_LINES]),
                verdict=Verdict.CRASH,
            )
        ]

    def explain(self, status: int) -> bool:
        """Whether an event explains exit `status`."""
        if status in (exit_status.NO_MEMORY, exit_status.USAGE):
            return None in self._reported
        return status in self._reported

    def _mismatch(self, event: GuestEvent) -> Finding:
        page = event.address("page")
        got, want = event.address("got"), event.address("want")
        return Finding(
            rules.GUEST_LEDGER,
            f"page {page:#018x}: guest hash {got:#018x}, ledger {want:#018x}",
            where=f"{page:#018x}",
            owner=str(event.fields.get("owner", "")),
            generation=event.generation,
        )

    def _finding(
        self, event: GuestEvent, what: str, where: str = "", evidence: tuple[str, ...] = ()
    ) -> Finding:
        return Finding(rules.GUEST, what, where, generation=event.generation, evidence=evidence)
