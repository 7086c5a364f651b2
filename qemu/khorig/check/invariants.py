# SPDX-License-Identifier: BSD-3-Clause
"""The table of all invariants."""

from __future__ import annotations

from typing import Mapping

from khorig.check.client_invariants import CLIENT_INVARIANTS
from khorig.check.fragment_invariants import FRAGMENT_INVARIANTS
from khorig.check.invariant import ANY, Invariant
from khorig.check.place_invariants import PLACE_INVARIANTS
from khorig.check.root_invariants import ROOT_INVARIANTS
from khorig.check.tracker_invariants import TRACKER_INVARIANTS
from khorig.view.errors import Problem

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
