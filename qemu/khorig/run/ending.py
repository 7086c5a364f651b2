# SPDX-License-Identifier: BSD-3-Clause
"""How a run ends that its guest does not end well."""

from __future__ import annotations

import contextlib
from typing import Callable, Sequence

from khorig.guest.event import GuestEvent
from khorig.guest.spec import RunSpec
from khorig.guest.status import FAIL, PASS
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol import definitions as rules
from khorig.run.dead_guest import DeadGuest
from khorig.run.last_look import LastLook
from khorig.vm.errors import InfraError
from khorig.vm.machines.machine import Machine
from khorig.vm.progress_watch import ProgressWatch
from khorig.vm.symbols_by_generation import SymbolsByGeneration
from khorig.vm.vm import Vm

_FIRST_CHECK_S = 5.0
_BY_GUEST = {
    "guest-reset": "unexpected reset (e.g. a triple fault)",
    "guest-shutdown": "guest powered off without an exit status",
    "guest-panic": "guest panic reported by QEMU",
}


class Ending:
    """Takes the last look at the guest, once, and words the finding."""

    def __init__(
        self,
        spec: RunSpec,
        machine: Machine,
        symbols: SymbolsByGeneration,
        emit: Callable[..., None],
        whereabouts: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """`emit` writes a record to the journal; `whereabouts` says which kernel was entered."""
        self._whereabouts = whereabouts
        self._spec = spec
        self._dead = DeadGuest(spec, machine, symbols)
        self._emit = emit
        self._next_check_s = _FIRST_CHECK_S  # of silence
        self.told_status = 0  # of `done`, where QEMU cannot pass it on
        self._hides_status = machine.hides_status(spec.accel)
        self._reason = ""  # of QEMU's own end
        self._has_said_so = False
        self.look = LastLook(0, ())

    def on_event(self, event: GuestEvent) -> None:
        """Every event in order. Raises EventFieldError."""
        self._has_said_so |= event.kind in ("done", "panic", "error")
        if self._hides_status and event.kind == "done":
            self.told_status = {"pass": PASS, "fail": FAIL}.get(event.text("status"), 0)
        self._dead.on_event(event)

    def on_text(self, text: str) -> None:
        """A line of the console that is no event."""
        self._dead.on_text(text)

    @property
    def speaking(self) -> int:
        """The generation whose words are on the console."""
        return self._dead.speaking

    def on_stop(self, vm: Vm) -> None:
        """At a stop of the guest."""
        self._dead.on_stop(vm)

    def take_look(self, vm: Vm, watch: ProgressWatch | None = None) -> LastLook:
        """Pauses the guest for good and looks at its CPUs. Later calls return the same."""
        if not self.look.was_taken:
            self.look = self._dead.look(vm, watch.pcs if watch is not None else {})
            self._emit("cpus", **self.look.record())
        return self.look

    def hang(self, vm: Vm, watch: ProgressWatch) -> Finding:
        """The guest makes no progress."""
        look = self.take_look(vm, watch)
        if look.last_words:
            return self._finding(rules.GUEST, look.last_words, Verdict.CRASH, watch)
        if look.exception:
            what = f"{look.exception}: {look.place}" if look.place else look.exception
            return self._finding(rules.GUEST, what, Verdict.CRASH, watch)
        return self._finding(rules.PROGRESS, f"no progress: {look.kind}", Verdict.HANG, watch)

    def panics(self, vm: Vm, watch: ProgressWatch) -> bool:
        """Whether a silent Linux is in panic(): its loop reads a clock, so its registers are ever
        new. Looks at growing intervals, and only while no CPU is in new code. Raises InfraError."""
        if watch.quiet_s < self._next_check_s:
            if watch.quiet_s < _FIRST_CHECK_S:
                self._next_check_s = _FIRST_CHECK_S
            return False
        if not watch.is_calm:
            return False
        self._next_check_s = 2 * watch.quiet_s
        return self._dead.panics(vm)

    def deadline(self, vm: Vm, watch: ProgressWatch, has_booted: bool) -> Finding:
        """The time is over."""
        timeout = f"timed out after {self._spec.timeout_s:g} s"
        look = self.take_look(vm, watch)
        if watch.mostly_repeats or watch.spins:
            what = f"{timeout} without progress: {look.kind}"
            return self._finding(rules.PROGRESS, what, Verdict.HANG, watch)
        when = "while still making progress" if has_booted else "before a kernel booted"
        what = f"{timeout} {when}; raise --timeout"
        return self._finding(rules.DEADLINE, what, Verdict.INFRA, watch)

    def on_shutdown(self, vm: Vm, reason: str) -> None:
        """QEMU has stopped at the guest's wish, with its state as it was, and waits to be told to
        exit."""
        if self._reason or not reason.startswith("guest-"):
            return
        self._reason = reason
        # In QEMU 10 isa-debug-exit, too, asks for a shutdown; 7.2 exits.
        if reason != "guest-shutdown" or not self._has_said_so:
            self.take_look(vm)
        with contextlib.suppress(InfraError):  # it has ended by itself
            vm.qmp.execute("quit")

    def on_panic(self, generation: int, lines: Sequence[str]) -> None:
        """khorig printed these lines in a panic, and was gone before anybody could look."""
        if lines and not self.look.was_taken:
            from khorig.run.panic_text import cpus_in_panic  # most runs do not need it

            cpus = cpus_in_panic(lines)
            self.look = LastLook(generation, cpus, "panicked", is_certain=True)
            self._emit("cpus", **self.look.record())

    def by_guest(self) -> Finding | None:
        """The guest ended the machine without a status, None when it did not."""
        if self._reason not in _BY_GUEST:
            return None
        what = _BY_GUEST[self._reason]
        if self.look.place:
            what += f" in {self.look.place}"
        return self._finding(rules.GUEST, what, Verdict.CRASH)

    def _finding(
        self, rule: str, what: str, verdict: Verdict, watch: ProgressWatch | None = None
    ) -> Finding:
        evidence = (
            *self.look.lines,
            *(watch.summary if watch is not None else ()),
            *self._whereabouts(),
        )
        generation = self.look.generation
        return Finding(rule, what, generation=generation, verdict=verdict, evidence=evidence)
