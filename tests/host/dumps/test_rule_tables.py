# SPDX-License-Identifier: BSD-3-Clause
"""The tables of rules: each rule is there once, says what it means and which bugs break it."""

from __future__ import annotations

from khorig.rules.bugs import bugs
from khorig.rules.protocol.definitions import PROTOCOL_RULES
from khorig.rules.registry import RULES, static_rules
from khorig.rules.rule import ANY
from khorig.rules.static.computed import COMPUTED
from khorig.rules.static.format_rules import FORMAT_RULES
from khorig.rules.temporal.definitions import TEMPORAL_RULES


def test_the_table() -> None:
    assert len(RULES) >= 30
    assert COMPUTED.keys() <= RULES.keys()
    numbers = sorted(int(id.removeprefix("KHR-I")) for id in static_rules())
    count = len(static_rules()) - len(FORMAT_RULES)
    assert numbers == [*range(1, count + 1), *range(200, 200 + len(FORMAT_RULES))]
    for rule in RULES.values():
        assert rule.meaning and rule.reason and rule.next_step and set(rule.bugs) <= bugs().keys()
    for rule in static_rules().values():
        # No kernel can break these: the dump, the rig's own allocator or a plugin is at fault.
        of_dumps = {(ANY, "left-out"), ("frames", ANY), ("decoder", ANY)} & set(rule.problems)
        assert bool(rule.bugs) is not bool(of_dumps)
        assert bool(rule.problems) or rule.id in COMPUTED or rule.id == "KHR-I005"


def test_no_rule_is_in_the_tables_twice() -> None:
    tables = (*TEMPORAL_RULES, *PROTOCOL_RULES)
    ids = [rule.id for rule in tables]
    assert len(ids) == len(set(ids)), sorted({id for id in ids if ids.count(id) > 1})
