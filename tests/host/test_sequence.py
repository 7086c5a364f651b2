# SPDX-License-Identifier: BSD-3-Clause
"""Which courses of a run are right, event by event."""

from __future__ import annotations

from typing import Any

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.guest.event import GuestEvent
from khorig.guest.khorig_run import KhorigRun
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol import definitions as rules
from khorig.run.sequence import STOPS, Sequence

GOOD = (
    "boot1 entry1 sealed1 jump1 boot2 entry2 restored2 sealed2 jump2 boot3 entry3 restored3 done3"
)
_WORDS: dict[str, tuple[str, dict[str, Any]]] = {
    "cold": ("boot", {"handover": False}),
    "warm": ("boot", {"handover": True}),
    "unsaid": ("boot", {}),
    "done": ("done", {"status": "pass"}),
    "failed": ("done", {"status": "fail"}),
    "lunch": ("stop", {"at": "lunch"}),
    "magic": ("refused", {"cause": "fdt-magic"}),
    "cycle": ("refused", {"cause": "radix-cycle"}),
    **{at: ("stop", {"at": at}) for at in STOPS},
}


def course(sequence: Sequence, words: str) -> list[Finding]:
    """What is wrong with a course; each word is an event and the number of its generation."""
    return follow(sequence, words) + sequence.finish()


def follow(sequence: Sequence, words: str) -> list[Finding]:
    """The same, and it goes on."""
    findings: list[Finding] = []
    for word in words.split():
        name, generation = word[:-1], int(word[-1])
        if name == "boot":
            name = "warm" if generation > 1 else "cold"
        kind, fields = _WORDS.get(name, (name, {}))
        findings += sequence.on_event(GuestEvent(kind, generation, 0, 0.0, fields))
    return findings


def spec(**fields: Any) -> KhorigRun:
    values: dict[str, Any] = {"generations": 3, **fields}
    return KhorigRun("x86_64", "q35", **values)


@pytest.mark.parametrize(
    "old, new, wrong",
    [
        ("", "", ""),
        ("jump1", "jump1 quiesce1", ""),
        ("jump1", "jump1 phase1", "event 'phase' after the jump"),
        ("jump1", "jump1 restored1", "event 'stop' after the jump"),
        ("done3", "done3 phase3", "event 'phase' after 'done'"),
        ("done3", "done3 boot4", "event 'boot' after 'done'"),
        ("entry2", "entry2 phase3", "event 'phase' of generation 3 while generation 2 is running"),
        ("entry2", "entry2 phase1", "event 'phase' of generation 1 while generation 2 is running"),
        ("entry1", "entry1 entry1", "stop 'entry' after stop 'entry'"),
        ("restored2 sealed2", "sealed2 restored2", "stop 'restored' after stop 'sealed'"),
        ("entry1", "", "generation 1 did not stop at 'entry'"),
        ("sealed2", "", "generation 2 did not stop at 'sealed'"),
        ("restored2", "", "generation 2 did not stop at 'restored'"),
        ("restored3", "", "generation 3 did not stop at 'restored'"),
        ("entry1", "entry1 lunch1", "unexpected stop 'lunch'"),
        ("entry1", "entry1 refused1", "unexpected stop 'refused'"),
        ("done3", "", "run ended without event 'done'"),
        ("done3", "failed3", "'done' reports 'fail'"),
        ("done3", "jump3 boot4", "more than 3 generations booted"),
        ("jump2 boot3 entry3 restored3 done3", "done2", "run ended in generation 2 of 3"),
        ("boot2", "cold2", "generation 2 found no handover at boot"),
        ("boot2", "unsaid2", "generation 2 found no handover at boot"),
        ("boot1", "warm1", "generation 1 found a handover at boot"),
        ("boot1", "unsaid1", "generation 1 found no handover at boot"),
        ("boot2", "boot3", "generation 3 booted, expected generation 2"),
        ("jump1", "", "generation 2 booted, but generation 1 did not jump"),
        ("restored2", "boot2", "generation 2 booted, but generation 2 did not jump"),
    ],
)
def test_a_course_and_what_is_wrong_with_it(old: str, new: str, wrong: str) -> None:
    findings = course(Sequence(spec()), GOOD.replace(old, new))
    assert [finding.what for finding in findings[:1]] == ([wrong] if wrong else [])
    crashed = "did not jump" in wrong
    assert all(f.verdict is (Verdict.CRASH if crashed else Verdict.FAIL) for f in findings[:1])


_REFUSING = (
    "boot1 entry1 sealed1 jump1 warm2 entry2 magic2 refused2 sealed2 jump2 "
    "warm3 entry3 cycle3 refused3 done3"
)


@pytest.mark.parametrize(
    "old, new, wrong",
    [
        ("", "", ""),
        ("warm2", "cold2", ""),  # what a generation says that will refuse is its own affair
        ("refused2", "", "generation 2 did not stop at 'refused'"),
        ("cycle3 refused3", "restored3 settled3",
         "generation 3 accepted a corrupted handover, expected refusal with radix-cycle"),
        ("magic2 refused2", "restored2 settled2",
         "generation 2 accepted a corrupted handover, expected refusal with fdt-magic"),
        ("cycle3", "magic3",
         "generation 3 refused its handover: fdt-magic, expected radix-cycle"),
    ],
)  # fmt: skip
def test_refusals_that_have_to_come(old: str, new: str, wrong: str) -> None:
    refusing = spec(stops=STOPS, expected_refusals={2: "fdt-magic", 3: "radix-cycle"})
    findings = course(Sequence(refusing), _REFUSING.replace(old, new))
    assert [finding.what for finding in findings[:1]] == ([wrong] if wrong else [])


def test_a_window_that_was_asked_for_has_to_come() -> None:
    watching = spec(stops=("sealed", "entry", "restored", "settled"))
    settling = GOOD.replace("restored2", "restored2 settled2").replace(
        "restored3", "restored3 settled3"
    )
    assert course(Sequence(watching), settling) == []
    (finding,) = course(Sequence(watching), settling.replace("settled3", ""))
    assert finding.what == "generation 3 did not stop at 'settled'"
    early = course(Sequence(watching), settling.replace("restored2 settled2", "settled2 restored2"))
    assert early[0].what == "stop 'restored' after stop 'settled'"


def test_a_run_that_ends_otherwise_is_held_to_the_order_only() -> None:
    ending = spec(expected_status=37)
    assert course(Sequence(ending), "boot1 entry1 sealed1 jump1 boot2") == []
    [finding] = course(Sequence(ending), "boot1 boot2")
    assert "did not jump" in finding.what


def test_a_linux_has_no_first_instruction_to_stop_at() -> None:
    chain = ChainRun("x86_64", "q35", kernels=("khorig", "/linux", "khorig"))
    assert course(Sequence(chain), GOOD.replace("entry2", "")) == []
    assert "unexpected stop" in course(Sequence(chain), GOOD)[0].what


_PROBED = ChainRun("x86_64", "q35", kernels=("khorig", "/linux", "khorig"), probed=True)


def test_the_entry_of_a_linux_comes_before_its_boot() -> None:
    sequence = Sequence(_PROBED)
    assert follow(sequence, "boot1 entry1 sealed1 jump1") == []
    assert (sequence.running, sequence.executing) == (1, 1)
    assert "generation 2 was not entered" in sequence.whereabouts()[0]
    assert sequence.on_entry(2) == []
    assert (sequence.running, sequence.executing) == (2, 2)
    assert "generation 2 was entered" in sequence.whereabouts()[0]
    assert follow(sequence, "boot2 restored2 sealed2 jump2 boot3 entry3 restored3 done3") == []
    assert sequence.whereabouts() == () and sequence.finish() == []


def test_an_entry_that_is_missed_is_missed() -> None:
    sequence = Sequence(_PROBED)
    findings = follow(sequence, "boot1 entry1 sealed1 jump1 boot2 restored2 sealed2 jump2 boot3")
    assert [finding.what for finding in findings] == ["generation 2 did not stop at 'entry'"]


@pytest.mark.parametrize(
    ("words", "generation", "why"),
    [
        ("boot1 entry1 sealed1", 2, "generation 1 did not jump"),
        ("boot1 entry1 jump1", 2, "generation 1 did not stop at 'sealed'"),
        ("boot1 entry1 sealed1 jump1", 3, "out of order"),
    ],
)
def test_an_entry_out_of_order(words: str, generation: int, why: str) -> None:
    sequence = Sequence(_PROBED)
    assert follow(sequence, words) == []
    assert why in sequence.on_entry(generation)[0].what


def test_a_kernel_is_entered_once() -> None:
    sequence = Sequence(_PROBED)
    follow(sequence, "boot1 entry1 sealed1 jump1")
    assert sequence.on_entry(2) == [] and "out of order" in sequence.on_entry(2)[0].what


def test_after_the_jump_the_next_generation_runs() -> None:
    sequence = Sequence(spec())
    course(sequence, "boot1 entry1 sealed1")
    assert (sequence.generation, sequence.running) == (1, 1)
    course(sequence, "jump1")
    assert (sequence.generation, sequence.running) == (1, 2)
    course(sequence, "boot2")
    assert (sequence.generation, sequence.running) == (2, 2)


_DIES = "cold1 restored1 sealed1 crash1 cold2 entry2 restored2 done2"


@pytest.mark.parametrize(
    "old, new, wrong, rule",
    [
        ("", "", "", ""),
        ("crash1", "jump1", "event 'jump', expected 'crash'", rules.ORDER),
        ("cold2", "warm2", "generation 2, a crash kernel, found a handover", rules.CRASH_KERNEL),
        ("crash1 ", "", "generation 2 booted, but generation 1 did not jump", rules.ORDER),
        ("done2", "crash2", "event 'crash', expected no panic", rules.ORDER),
    ],
)
def test_a_kernel_that_panics_has_a_crash_kernel(old: str, new: str, wrong: str, rule: str) -> None:
    chain = ChainRun("x86_64", "q35", kernels=("linux-7.3",) * 2, crash=1)
    sequence = Sequence(chain)
    findings = course(sequence, _DIES.replace("entry2 ", "").replace(old, new))
    assert bool(findings) == bool(wrong), findings
    if wrong:
        assert wrong in findings[0].what and findings[0].rule == rule


def test_a_crash_kernel_that_is_not_entered_is_told_apart_from_a_jump() -> None:
    chain = ChainRun("x86_64", "q35", kernels=("linux-7.3",) * 2, crash=1, probed=True)
    sequence = Sequence(chain)
    follow(sequence, "cold1 restored1 sealed1 crash1")
    (line,) = sequence.whereabouts()
    assert line == "generation 1 panicked as asked for, and generation 2 was not entered"
    assert sequence.on_entry(2) == [] and sequence.executing == 2
