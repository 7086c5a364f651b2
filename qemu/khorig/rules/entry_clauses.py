# SPDX-License-Identifier: BSD-3-Clause
"""What must hold at the first words of a kernel that was handed something over."""

from __future__ import annotations

from typing import Callable, Mapping

from khorig.kho.boot.handoff import find_handoff
from khorig.kho.scratch import read_scratch
from khorig.mem.errors import DecodeError
from khorig.rules.finding import Finding
from khorig.rules.page_changes import compare_pages
from khorig.rules.sealed_state import SealedState
from khorig.rules.stop import Stop

HANDOFF_CLAUSE = "hand-off"


def check_handoff(stop: Stop, sealed: SealedState) -> list[Finding]:
    """The boot protocol leads to the very root and the very scratch areas that were sealed."""
    clause = HANDOFF_CLAUSE
    parameters = stop.facts.parameters
    if parameters is None:
        return [stop.finding(clause, "there was no 'boot' event before this stop")]
    try:
        handoff = find_handoff(stop.memory, stop.arch, parameters)
        if handoff is None:
            what = f"the parameters at {parameters:#018x} carry no handover"
            return [stop.finding(clause, what, parameters, "parameters")]
        areas = read_scratch(stop.memory, handoff.scratch_array)
    except DecodeError as error:
        return [stop.finding_of(clause, error.problem, "parameters")]
    findings = []
    root = sealed.handover.root.address
    if handoff.root.value != root:
        what = f"the root handed over is {handoff.root.value:#018x}, sealed was {root:#018x}"
        findings.append(stop.finding(clause, what, handoff.root.value, "root"))
    if areas != sealed.scratch:
        found = " ".join(str(a) for a in areas)
        expected = " ".join(str(a) for a in sealed.scratch)
        what = f"the scratch array has {found}, sealed with {expected}"
        findings.append(stop.finding(clause, what, handoff.scratch.value, "scratch array"))
    return findings


def check_tree(stop: Stop, sealed: SealedState) -> list[Finding]:
    """The radix tree, which nobody preserves, is as it was."""
    return compare_pages(stop, sealed, sealed.node_hashes, "radix tree")


def check_pages(stop: Stop, sealed: SealedState) -> list[Finding]:
    """Every preserved page is as it was."""
    return compare_pages(stop, sealed, sealed.hashes, "entry hashes")


ENTRY_CLAUSES: Mapping[str, Callable[[Stop, SealedState], list[Finding]]] = {
    HANDOFF_CLAUSE: check_handoff,
    "radix tree": check_tree,
    "entry hashes": check_pages,
}
