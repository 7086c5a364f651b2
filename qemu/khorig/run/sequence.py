# SPDX-License-Identifier: BSD-3-Clause
"""Checks the order of generations, stops and events."""

from __future__ import annotations

from khorig.guest import status as exit_status
from khorig.guest.event import GuestEvent
from khorig.guest.spec import KHORIGS, RunSpec
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol import definitions as rules

STOPS = ("entry", "refused", "restored", "settled", "sealed")  # in the order of a generation


class Sequence:
    """Follows the generations of a run and reports every unexpected event.

    The first finding ends the run. Runs expected to end with a status other than pass are checked
    for order, not for completeness.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self.generation = 0  # running; 0 before the first `boot`
        self._jumped = False
        self._entered = False  # by the next generation, which has not spoken yet
        self._done: str | None = None
        self._stops: list[str] = []
        self._refused: dict[int, str] = {}

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """Findings if this event is out of order."""
        if self._done is not None:
            return [self._wrong(f"event '{event.kind}' after 'done'")]
        if event.kind == "boot":
            return self._on_boot(event)
        if event.generation != self.generation:
            what = f"event '{event.kind}' of generation {event.generation}"
            return [self._wrong(f"{what} while generation {self.generation} is running")]
        if self._jumped and event.kind != "quiesce":
            return [self._wrong(f"event '{event.kind}' after the jump")]
        if event.kind == "stop":
            return self._on_stop(event)
        if event.kind == "refused":
            return self._on_refused(event)
        if event.kind in ("jump", "crash"):
            return self._on_jump(event)
        if event.kind == "done":
            self._done = event.text("status")
        return []

    def on_entry(self, generation: int) -> list[Finding]:
        """The first instruction of `generation`, a kernel that does not announce it, as the host
        saw it."""
        if generation != self.generation + 1 or self._entered:
            return [self._wrong(f"generation {generation} was entered out of order")]
        if not self._jumped:
            what = f"generation {generation} was entered, but generation {self.generation}"
            return [self._wrong(f"{what} did not jump", verdict=Verdict.CRASH)]
        findings = self._missing_stops()
        self._entered = True
        return findings

    @property
    def running(self) -> int:
        """The running generation; after a jump the next one, where its entry is not seen."""
        return self.executing if self._sees_entry else self.generation + self._jumped

    @property
    def has_jumped(self) -> bool:
        """Whether the executing generation has announced its jump."""
        return self._jumped and not self._entered

    @property
    def executing(self) -> int:
        """The generation that has executed an instruction last, as far as that is seen."""
        return self.generation + self._entered

    def whereabouts(self) -> tuple[str, ...]:
        """Which kernel runs between a jump and the next `boot`, where it is seen."""
        if not self._jumped or not self._sees_entry:
            return ()
        following, did = self.generation + 1, "jumped"
        if following == self._spec.crash_kernel:
            did = "panicked as asked for"
        if self._entered:
            return (f"generation {following} was entered, and has not reported its boot",)
        return (f"generation {self.generation} {did}, and generation {following} was not entered",)

    @property
    def _sees_entry(self) -> bool:
        following = self.generation + 1
        if following > self._spec.generations or self._spec.kernel_of(following) in KHORIGS:
            return False
        return "entry" in self._spec.stops_of(following)

    def finish(self) -> list[Finding]:
        """Missing events, after the guest exited."""
        if self._spec.expected_status != exit_status.PASS:
            return []
        findings = []
        if self.generation != self._spec.generations:
            wanted = f"generation {self.generation} of {self._spec.generations}"
            findings.append(self._wrong(f"run ended in {wanted}"))
        findings += self._missing_stops()
        if self._done is None:
            findings.append(self._wrong("run ended without event 'done'"))
        elif self._done != "pass":
            findings.append(self._wrong(f"'done' reports '{self._done}'"))
        for generation, cause in self._spec.expected_refusals.items():
            if generation not in self._refused:
                what = f"generation {generation} accepted a corrupted handover, expected refusal"
                findings.append(self._wrong(f"{what} with {cause}", rule=rules.REFUSAL))
        return findings

    def _on_jump(self, event: GuestEvent) -> list[Finding]:
        """A jump, or the panic of a kernel that is to have a crash kernel."""
        self._jumped = True
        dies = event.generation + 1 == self._spec.crash_kernel
        if dies == (event.kind == "crash"):
            return []
        expected = "'crash'" if dies else "no panic"
        return [self._wrong(f"event '{event.kind}', expected {expected}")]

    def _on_boot(self, event: GuestEvent) -> list[Finding]:
        expected = self.generation + 1
        if event.generation != expected or (self.generation > 0 and not self._jumped):
            came = f"generation {event.generation} booted"
            if self._jumped or self.generation == 0:
                return [self._wrong(f"{came}, expected generation {expected}")]
            what = f"{came}, but generation {self.generation} did not jump"
            return [self._wrong(what, verdict=Verdict.CRASH)]
        findings = [] if self._entered else self._missing_stops()
        self.generation = event.generation
        self._stops = ["entry"] if self._entered else []
        self._jumped = self._entered = False
        if event.generation > self._spec.generations:
            what = f"more than {self._spec.generations} generations booted"
            findings.append(self._wrong(what))
        handover = event.fields.get("handover")
        refusing = event.generation in self._spec.expected_refusals
        is_crash_kernel = event.generation == self._spec.crash_kernel
        if handover is not (event.generation > 1 and not is_crash_kernel) and not refusing:
            found = "found a handover" if handover else "found no handover"
            what = f"generation {event.generation} {found} at boot"
            if is_crash_kernel:
                what = f"generation {event.generation}, a crash kernel, {found} at boot"
            rule = rules.CRASH_KERNEL if is_crash_kernel else rules.ORDER
            findings.append(self._wrong(what, rule))
        return findings

    def _on_stop(self, event: GuestEvent) -> list[Finding]:
        at = event.text("at")
        if at not in self._spec.stops_of(self.generation):
            return [self._wrong(f"unexpected stop '{at}'")]
        later = STOPS[STOPS.index(at) :] if at in STOPS else ()
        if any(seen in later for seen in self._stops):
            return [self._wrong(f"stop '{at}' after stop '{self._stops[-1]}'")]
        self._stops.append(at)
        return []

    def _on_refused(self, event: GuestEvent) -> list[Finding]:
        cause = event.text("cause")
        self._refused[self.generation] = cause
        expected = self._spec.expected_refusals.get(self.generation)
        if cause == expected:
            return []
        text = str(event.fields.get("text", ""))
        what = f"generation {self.generation} refused its handover: {cause}"
        if expected is not None:
            what += f", expected {expected}"
        return [
            Finding(
                rules.REFUSAL,
                f"{what}: {text}" if text else what,
                where=str(event.fields.get("where", "")),
                generation=self.generation,
                evidence=tuple(
                    f"{name} {event.fields[name]}"
                    for name in ("found", "expected")
                    if name in event.fields
                ),
            )
        ]

    def _missing_stops(self) -> list[Finding]:
        if self._spec.expected_status != exit_status.PASS or self.generation == 0:
            return []
        expected = {"entry"}
        if self.generation > 1:
            refused = self.generation in self._refused
            expected |= {"refused"} if refused else {"restored", "settled"}
        if self.generation < self._spec.generations:
            expected.add("sealed")
        stops = self._spec.stops_of(self.generation)
        missing = [at for at in STOPS if at in expected and at in stops and at not in self._stops]
        return [
            self._wrong(f"generation {self.generation} did not stop at '{at}'") for at in missing
        ]

    def _wrong(
        self, what: str, rule: str = rules.ORDER, verdict: Verdict = Verdict.FAIL
    ) -> Finding:
        return Finding(rule, what, generation=self.generation, verdict=verdict)
