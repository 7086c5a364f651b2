# SPDX-License-Identifier: BSD-3-Clause
"""What the guest itself says is wrong."""

from __future__ import annotations

import re
from collections import deque

from khorig.guest import status as exit_status
from khorig.guest.event import GuestEvent
from khorig.guest.spec import RunSpec
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol import definitions as rules

_STATUS_OF = {
    "fail": exit_status.FAIL,
    "mismatch": exit_status.FAIL,
    "panic": exit_status.PANIC,
    "error": None,  # 39 or 41
}
_PANIC_LINES = 24
_LAST_WORDS = 8  # lines of a program that failed
_OOPS_LINES = 12
_LINUX_PANIC = re.compile(r"Kernel panic - not syncing: .*")
_LINUX_OOPS = re.compile(r"(Unable to handle kernel |Internal error: |BUG: |Oops: ).*")
_PLACE = re.compile(r"(\w+ ?: |RIP: \w+:)?[\w.]+\+0x[0-9a-f]+/0x[0-9a-f]+.*")  # in Linux's code


class GuestWords:
    """Bad patterns are always on: `fail`, `mismatch`, `panic` and `error` are findings, unless the
    run is expected to end with the status that goes with them."""

    def __init__(self, spec: RunSpec) -> None:
        self._expected = spec.expected_status
        self._said: set[int | None] = set()
        self._panic: GuestEvent | None = None
        self._panic_lines: list[str] = []
        self._text: deque[str] = deque(maxlen=_LAST_WORDS)  # since the last event
        self._program_words: tuple[
            str, ...
        ] = ()  # that a Linux's `program` printed; `fail` follows
        self._linux_panic = ""
        self._linux_oops: list[str] = []  # what it says first, and where it was

    def on_text(self, text: str) -> None:
        """A line for people: after a panic, registers and backtrace."""
        if text.strip():
            self._text.append(text.rstrip())
        self._on_linux_text(text.rstrip())
        if self._panic is not None and len(self._panic_lines) < _PANIC_LINES and text.strip():
            self._panic_lines.append(text.rstrip())

    @property
    def linux_panicked(self) -> bool:
        """It resets the machine next, unless this comes before it has read its options."""
        return bool(self._linux_panic)

    def _on_linux_text(self, text: str) -> None:
        if self._linux_panic:
            return
        if panic := _LINUX_PANIC.search(text):
            self._linux_panic = panic.group(0)
        wanted = _PLACE if self._linux_oops else _LINUX_OOPS
        if (found := wanted.search(text)) and len(self._linux_oops) < _OOPS_LINES:
            self._linux_oops.append(found.group(0))

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """What this event says. A panic is kept for `finish`, when all of it has been printed.
        Raises EventFieldError."""
        if event.kind == "program":
            self._program_words = tuple(self._text)
        self._text.clear()
        if event.kind not in _STATUS_OF:
            return []
        status = _STATUS_OF[event.kind]
        self._said.add(status)
        if event.kind == "panic" and self._panic is None:
            self._panic = event
        if self._expected == status or (status is None and self._expected in (39, 41)):
            return []
        if event.kind == "mismatch":
            return [self._mismatch(event)]
        if event.kind == "fail":
            where = f"{event.text('file')}:{event.number('line')}"
            what = f"{event.text('what')}: {event.text('text')}"
            words, self._program_words = self._program_words, ()
            return [self._finding(event, what, where, words)]
        if event.kind == "error":
            return [self._finding(event, f"{event.text('cause')}: {event.text('text')}")]
        return []

    def finish(self, running: int) -> list[Finding]:
        """The panic, with what was printed about it; a Linux's in generation `running`."""
        if self._linux_panic:
            return [
                Finding(
                    rules.GUEST,
                    self._linux_panic,
                    generation=running,
                    evidence=tuple(self._linux_oops),
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
                evidence=tuple(self._panic_lines),
                verdict=Verdict.CRASH,
            )
        ]

    def explain(self, status: int) -> bool:
        """Whether the guest has said why it ends with `status`."""
        if status in (exit_status.NO_MEMORY, exit_status.USAGE):
            return None in self._said
        return status in self._said

    def _mismatch(self, event: GuestEvent) -> Finding:
        page = event.address("page")
        got, want = event.address("got"), event.address("want")
        return Finding(
            rules.GUEST_LEDGER,
            f"page {page:#018x}: the guest found {got:#018x}, its ledger says {want:#018x}",
            where=f"{page:#018x}",
            owner=str(event.fields.get("owner", "")),
            generation=event.generation,
        )

    def _finding(
        self, event: GuestEvent, what: str, where: str = "", evidence: tuple[str, ...] = ()
    ) -> Finding:
        return Finding(rules.GUEST, what, where, generation=event.generation, evidence=evidence)
