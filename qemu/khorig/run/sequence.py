# SPDX-License-Identifier: BSD-3-Clause
"""Which events a run consists of, in which order."""

from __future__ import annotations

from khorig.guest import status as exit_status
from khorig.guest.event import GuestEvent
from khorig.guest.spec import RunSpec
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol import definitions as rules

STOPS = ("entry", "refused", "restored", "sealed")  # in the order that a generation has them


class Sequence:
    """Follows the generations of a run and names whatever is not the expected next one.

    The first finding is a reason to end the run. Runs that are expected to end with another status
    than a pass are held to the order only, not to completeness.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self.generation = 0  # the one that runs; 0 before the first banner
        self._jumped = False
        self._done: str | None = None
        self._stops: list[str] = []
        self._refused: dict[int, str] = {}

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """What is wrong with this event coming now."""
        if self._done is not None:
            return [self._wrong(f"'{event.kind}' came after 'done'")]
        if event.kind == "boot":
            return self._on_boot(event)
        if event.generation != self.generation:
            said = f"'{event.kind}' of generation {event.generation}"
            return [self._wrong(f"{said} came while generation {self.generation} ran")]
        if self._jumped and event.kind != "quiesce":
            return [self._wrong(f"'{event.kind}' came after the jump")]
        if event.kind == "stop":
            return self._on_stop(event)
        if event.kind == "refused":
            return self._on_refused(event)
        if event.kind == "jump":
            self._jumped = True
        if event.kind == "done":
            self._done = event.text("status")
        return []

    @property
    def running(self) -> int:
        """The generation that runs: after a jump the next one, before its first words."""
        return self.generation + self._jumped

    def finish(self) -> list[Finding]:
        """What is missing, after the guest has ended."""
        if self._spec.expected_status != exit_status.PASS:
            return []
        findings = []
        if self.generation != self._spec.generations:
            wanted = f"generation {self.generation} of {self._spec.generations}"
            findings.append(self._wrong(f"the run ended in {wanted}"))
        findings += self._missing_stops()
        if self._done is None:
            findings.append(self._wrong("the run ended without 'done'"))
        elif self._done != "pass":
            findings.append(self._wrong(f"'done' said '{self._done}'"))
        for generation, cause in self._spec.expected_refusals.items():
            if generation not in self._refused:
                told = f"generation {generation} took a handover that it had to refuse"
                findings.append(self._wrong(f"{told} ({cause})", rule=rules.REFUSAL))
        return findings

    def _on_boot(self, event: GuestEvent) -> list[Finding]:
        expected = self.generation + 1
        if event.generation != expected or (self.generation > 0 and not self._jumped):
            came = f"generation {event.generation} booted"
            if self._jumped or self.generation == 0:
                return [self._wrong(f"{came}, expected was generation {expected}")]
            told = f"{came} although generation {self.generation} has not jumped"
            return [self._wrong(told, verdict=Verdict.CRASH)]
        findings = self._missing_stops()
        self.generation = event.generation
        self._jumped = False
        self._stops = []
        if event.generation > self._spec.generations:
            asked = f"only {self._spec.generations} generations were asked for"
            findings.append(self._wrong(asked))
        handover = event.fields.get("handover")
        refusing = event.generation in self._spec.expected_refusals
        if handover is not (event.generation > 1) and not refusing:
            found = "found a handover" if handover else "found no handover"
            findings.append(self._wrong(f"generation {event.generation} {found} at boot"))
        return findings

    def _on_stop(self, event: GuestEvent) -> list[Finding]:
        at = event.text("at")
        if at not in self._spec.stops_of(self.generation):
            return [self._wrong(f"the guest stopped at '{at}', which nobody asked for")]
        later = STOPS[STOPS.index(at) :] if at in STOPS else ()
        if any(seen in later for seen in self._stops):
            return [self._wrong(f"stop '{at}' came after stop '{self._stops[-1]}'")]
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
            what += f", expected was {expected}"
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
            expected.add("refused" if self.generation in self._refused else "restored")
        if self.generation < self._spec.generations:
            expected.add("sealed")
        stops = self._spec.stops_of(self.generation)
        missing = [at for at in STOPS if at in expected and at in stops and at not in self._stops]
        return [
            self._wrong(f"generation {self.generation} never stopped at '{at}'") for at in missing
        ]

    def _wrong(
        self, what: str, rule: str = rules.ORDER, verdict: Verdict = Verdict.FAIL
    ) -> Finding:
        return Finding(rule, what, generation=self.generation, verdict=verdict)
