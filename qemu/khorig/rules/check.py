# SPDX-License-Identifier: BSD-3-Clause
"""Checks a snapshot against every static rule."""

from __future__ import annotations

from typing import Callable, Iterable

from khorig.kho.bitmap_chunks import BitmapChunks
from khorig.kho.candidates import Candidate
from khorig.kho.clients.khorig import LOG_PATH, MEMBLOCK_PATH, METADATA_PATH
from khorig.kho.clients.linux import KHO_TEST_PATH, LUO_PATH
from khorig.kho.clients.linux_owners import decoded_of_luo
from khorig.kho.clients.live_cpu import LIVE_CPU_PATH
from khorig.kho.clients.outside import DECODERS, LUO_DECODERS
from khorig.kho.placement import check_placement
from khorig.kho.scratch import check_scratch
from khorig.kho.snapshot import Snapshot
from khorig.mem.errors import Problem
from khorig.rules.outcome import Outcome, Status, Violation, outcome_of
from khorig.rules.rule import Rule
from khorig.rules.registry import RULES, rule_of, static_rules
from khorig.rules.static.computed import COMPUTED, lists_of_blocks

MAX_VIOLATIONS = 64  # of a rule
_U64 = (1 << 64) - 1

Compute = Callable[[Snapshot], Iterable[tuple[int, str]]]


def check(snapshot: Snapshot) -> list[Outcome]:
    """Outcomes of all static rules, by id."""
    found: dict[str, list[Violation]] = {}
    for problem in _problems(snapshot):
        id = rule_of(problem).id
        if problem.id == "blob-not-preserved" and problem.address == snapshot.chosen.address:
            id = "KHR-I005"
        _add(found, id, problem.address, problem.text)
    for id, compute in COMPUTED.items():
        for address, text in compute(snapshot):
            _add(found, id, address, text)
    for id, rule in static_rules().items():
        if rule.check is not None:
            for address, text in _outside(rule, rule.check, snapshot):
                _add(found, id, address, text)
    present = features(snapshot)
    return [
        outcome_of(
            rule,
            tuple(_owned(v, snapshot) for v in found.get(id, ())),
            not rule.needs or rule.needs in present,
        )
        for id, rule in static_rules().items()
    ]


def _outside(rule: Rule, compute: Compute, snapshot: Snapshot) -> Iterable[tuple[int, str]]:
    """The violations of a rule outside of the tree; what it raises is one."""
    try:
        return [(int(address) & _U64, str(text)) for address, text in compute(snapshot)]
    except Exception as error:  # code of somebody else
        return [(snapshot.root, f"rule of {RULES.distribution(rule.id)} raised {error!r}")]


def check_unreadable(candidate: Candidate) -> list[Outcome]:
    """Outcomes for a root that was found but cannot be read: only that rule was checked."""
    assert candidate.error is not None
    broken = rule_of(Problem(candidate.error.id, 0, "", "root"))
    violation = Violation(candidate.error.address, candidate.error.text, "root")
    return [
        outcome_of(rule, (violation,) if rule is broken else (), False)
        for rule in static_rules().values()
    ]


def is_broken(outcomes: Iterable[Outcome]) -> bool:
    """Whether any rule is violated; warnings do not count."""
    return any(outcome.status is Status.FAILED for outcome in outcomes)


def _add(found: dict[str, list[Violation]], id: str, address: int, text: str) -> None:
    kept = found.setdefault(id, [])
    if len(kept) < MAX_VIOLATIONS:
        kept.append(Violation(address, text))


def _owned(violation: Violation, snapshot: Snapshot) -> Violation:
    frame = violation.address >> snapshot.geometry.page_shift
    owner = snapshot.describe(frame)
    return Violation(violation.address, violation.text, owner)


def _problems(snapshot: Snapshot) -> Iterable[Problem]:
    yield from snapshot.handover.problems
    yield from snapshot.clients.problems
    yield from snapshot.linux.problems
    yield from snapshot.problems
    yield from check_placement(snapshot.handover, snapshot.scratch or ())
    if snapshot.scratch is not None:
        yield from check_scratch(
            snapshot.memory,
            snapshot.scratch,
            snapshot.geometry,
            snapshot.dump.lacks_crash_kernel,
        )


def features(snapshot: Snapshot) -> set[str]:
    """The features of a snapshot that rules depend on (`Rule.needs`)."""
    handover, clients, linux = snapshot.handover, snapshot.clients, snapshot.linux
    memfds = linux.luo and any(f.memfd for s in linux.luo.sessions for f in s.files)
    is_test = bool(handover.blob(KHO_TEST_PATH) or handover.fragment(KHO_TEST_PATH))
    run = snapshot.dump.run
    have = {
        "scratch": snapshot.scratch is not None,
        "hand-off": snapshot.handoff is not None,
        "sealed root": bool(run and run.root is not None and snapshot.scanned),
        "PC": snapshot.arch == "x86_64",
        "frame table": snapshot.frames is not None,
        "kho-v1": isinstance(handover.tree, BitmapChunks),
        "fragment": len(handover.fragments) > 1,
        "list of blocks": next(lists_of_blocks(snapshot), None) is not None,
        "kexec-metadata": handover.blob(METADATA_PATH) is not None,
        "generation": bool(run and run.root is not None and run.at == "sealed"),
        "memblock": handover.fragment(MEMBLOCK_PATH) is not None,
        "stores": bool(clients.stores),
        "log ring": handover.blob(LOG_PATH) is not None,
        "LUO": handover.blob(LUO_PATH) is not None,
        "memfd": bool(memfds),
        "outside decoder": any(map(DECODERS.distribution, snapshot.outside))
        or any(LUO_DECODERS.distribution(name) for name, _ in decoded_of_luo(linux)),
        "kho_test": is_test,
        "live CPU": handover.blob(LIVE_CPU_PATH) is not None and snapshot.arch is not None,
    }
    # By the name of what they are decoded by; of what a decoder leaves alone nothing was checked.
    decoded = snapshot.decoded
    formats = {name for name, client in decoded if client.state is not None or client.problems}
    return formats | {name for name, there in have.items() if there}
