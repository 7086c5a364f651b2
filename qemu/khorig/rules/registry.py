# SPDX-License-Identifier: BSD-3-Clause
"""The table of all rules."""

from __future__ import annotations

import functools
from typing import Mapping

from khorig.mem.errors import Problem
from khorig.plugins.table import Table
from khorig.rules.protocol.definitions import PROTOCOL_RULES
from khorig.rules.rule import ANY, Kind, Rule
from khorig.rules.static.client_rules import CLIENT_RULES
from khorig.rules.static.format_rules import FORMAT_RULES
from khorig.rules.static.fragment_rules import FRAGMENT_RULES
from khorig.rules.static.place_rules import PLACE_RULES
from khorig.rules.static.root_rules import ROOT_RULES
from khorig.rules.static.tracker_rules import TRACKER_RULES
from khorig.rules.temporal.definitions import TEMPORAL_RULES

_ALL = (
    *ROOT_RULES,
    *TRACKER_RULES,
    *FRAGMENT_RULES,
    *CLIENT_RULES,
    *PLACE_RULES,
    *FORMAT_RULES,
    *TEMPORAL_RULES,
    *PROTOCOL_RULES,
)

RULES: Table[Rule] = Table("khorig.rules", Rule, lambda rule: rule.id, _ALL)

_BY_PROBLEM = {problem: rule for rule in reversed(_ALL) for problem in rule.problems}


@functools.cache
def static_rules() -> Mapping[str, Rule]:
    """Those of them that look at one snapshot."""
    return {id: rule for id, rule in RULES.items() if rule.kind is Kind.STATIC}


def rule_of(problem: Problem) -> Rule:
    """The static rule violated by a decoder problem. Raises KeyError if there is none."""
    subject, id = problem.subject, problem.id
    for key in ((subject, id), (ANY, id), (subject, ANY)):
        if key in _BY_PROBLEM:
            return _BY_PROBLEM[key]
    raise KeyError(f"no rule for {problem}")
