# SPDX-License-Identifier: BSD-3-Clause
"""The table of all invariants."""

from __future__ import annotations

from typing import Mapping

from khorig.mem.errors import Problem
from khorig.rules.invariant import ANY, Invariant
from khorig.rules.static.client_rules import CLIENT_INVARIANTS
from khorig.rules.static.fragment_rules import FRAGMENT_INVARIANTS
from khorig.rules.static.place_rules import PLACE_INVARIANTS
from khorig.rules.static.root_rules import ROOT_INVARIANTS
from khorig.rules.static.tracker_rules import TRACKER_INVARIANTS

_ALL = (
    *ROOT_INVARIANTS,
    *TRACKER_INVARIANTS,
    *FRAGMENT_INVARIANTS,
    *CLIENT_INVARIANTS,
    *PLACE_INVARIANTS,
)

INVARIANTS: Mapping[str, Invariant] = {invariant.id: invariant for invariant in _ALL}

_BY_PROBLEM = {
    problem: invariant for invariant in reversed(_ALL) for problem in invariant.problems
}


def invariant_of(problem: Problem) -> Invariant:
    """The invariant that a problem breaks. Raises KeyError for a problem without one."""
    subject, id = problem.subject, problem.id
    for key in ((subject, id), (ANY, id), (subject, ANY)):
        if key in _BY_PROBLEM:
            return _BY_PROBLEM[key]
    raise KeyError(f"no invariant for {problem}")
