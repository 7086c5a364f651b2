# SPDX-License-Identifier: BSD-3-Clause
"""Rules evaluated at a stop, given the machine and the record of a handover."""

from __future__ import annotations

from typing import Callable, Mapping

from khorig.guest.khorig_run import KhorigRun
from khorig.guest.spec import RunSpec
from khorig.rules.finding import Finding
from khorig.rules.protocol import definitions as protocol
from khorig.rules.protocol.counts import check_restored_counts, check_sealed_counts
from khorig.rules.protocol.cpus import (
    check_counting,
    check_inside,
    check_online,
    check_parked,
)
from khorig.rules.protocol.devices import check_devices, check_found
from khorig.rules.protocol.entered import check_entered
from khorig.rules.protocol.ledger import check_ledger
from khorig.rules.protocol.live_device import check_live_device, check_live_page
from khorig.rules.protocol.nodes import check_nodes
from khorig.rules.protocol.modes import check_modes
from khorig.rules.protocol.scenario import outside_scenario
from khorig.rules.protocol.scenarios.churn import check_churn
from khorig.rules.protocol.scenarios.recursion import check_fragment_tree
from khorig.rules.protocol.scenarios.storm import check_storm
from khorig.rules.protocol.segments import check_segments
from khorig.rules.protocol.transition import check_transition
from khorig.rules.stop import Stop
from khorig.rules.temporal import definitions as temporal
from khorig.rules.temporal.handoff import check_handoff, check_scratch
from khorig.rules.temporal.record import Record
from khorig.rules.temporal.restored import check_blocks

StopRule = Callable[[Stop, Record], list[Finding]]

# By rule; each may raise EventFieldError.
STOP_RULES: Mapping[str, StopRule] = {
    temporal.HANDOFF: check_handoff,
    temporal.SCRATCH_INHERITED: check_scratch,
    temporal.BLOCKS_RESTORED: check_blocks,
    protocol.SEGMENTS: check_segments,
    protocol.SEALED_COUNTS: check_sealed_counts,
    protocol.RESTORED_COUNTS: check_restored_counts,
    protocol.LEDGER: check_ledger,
    protocol.NODES: check_nodes,
    protocol.CPUS_ONLINE: check_online,
    protocol.CPUS_PARKED: check_parked,
    protocol.COUNTING: check_counting,
    protocol.INSIDE: check_inside,
    protocol.DEVICES_OFF: check_devices,
    protocol.ENTERED: check_entered,
    protocol.TRANSITION: check_transition,
    protocol.LIVE_DEVICE: check_live_device,
    temporal.LIVE_PAGE: check_live_page,
    protocol.MODES: check_modes,
    protocol.FOUND: check_found,
}

_SCENARIOS: Mapping[str, StopRule] = {
    "churn": check_churn,
    "recursion": check_fragment_tree,
    "storm": check_storm,
}


def scenario_rule(spec: RunSpec) -> StopRule:
    """The rule for the state of a run's scenario."""
    if not isinstance(spec, KhorigRun):
        return _nothing
    outside = outside_scenario(spec)
    return outside.look if outside else _SCENARIOS[spec.scenario]


def _nothing(stop: Stop, record: Record) -> list[Finding]:
    return []
