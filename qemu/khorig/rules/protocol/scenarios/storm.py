# SPDX-License-Identifier: BSD-3-Clause
"""The scenario `storm`, recomputed from the seed (docs/scenarios.md). The result does not depend on
the order of the CPUs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from khorig.kho.clients.khorig import KHORIG_PATH
from khorig.kho.clients.storm_model import (
    STORM_CONTENDED,
    STORM_PAGES,
    storm_blocks,
    storm_contended,
)
from khorig.kho.fragment import Fragment, is_link
from khorig.mem.memory import PhysRange
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import SCENARIO
from khorig.rules.protocol.scenarios.random_stream import RandomStream
from khorig.rules.protocol.scenarios.region_model import (
    Pages,
    compare_blocks,
    compare_pages,
    toggle_block,
)
from khorig.rules.protocol.scenarios.scenario_options import number_option
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

MAX_CPUS = 64  # supported by the kernel
_PATH = KHORIG_PATH + "/storm"
_COMPATIBLE = "khorig-storm-v1"
_CPU_COMPATIBLE = "khorig-storm-cpu-v1"
_SLOT_COMPATIBLE = "khorig-storm-slot-v1"
_DEFAULT_OPERATIONS = 4000
_GROUP = 8  # adjacent pages of one CPU
_KINDS = 16  # one step in 16 writes a fragment
_ORDERS = 4
_SLOTS = 8
_MOST = 6  # findings


@dataclass(frozen=True, eq=False)
class ExpectedStorm:
    """State after all steps of one generation."""

    pages: Pages  # one byte per page of the region
    versions: tuple[dict[int, int], ...]  # of each CPU: the last version in each slot


def expected_storm(seed: int, generation: int, cpus: int, operations: int) -> ExpectedStorm:
    """Every CPU has its own pages and slots: the result does not depend on their order."""
    pages = bytearray(STORM_PAGES)
    versions = []
    for cpu in range(cpus):
        random = RandomStream("storm", seed + generation * MAX_CPUS + cpu)
        # A step takes at most four numbers.
        numbers = iter(random.take(4 * operations).tolist())
        groups = (STORM_PAGES // _GROUP - cpu + cpus - 1) // cpus
        slots: dict[int, int] = {}
        for _ in range(operations):
            if next(numbers) % _KINDS == 0:
                slot = next(numbers) % _SLOTS
                slots[slot] = next(numbers)
                continue
            order = next(numbers) % _ORDERS
            group = next(numbers) % groups * cpus + cpu
            at = group * _GROUP + (next(numbers) % (_GROUP >> order) << order)
            toggle_block(pages, at, order)
        versions.append(slots)
    return ExpectedStorm(np.frombuffer(bytes(pages), dtype=np.uint8), tuple(versions))


def check_storm(stop: Stop, sealed: Record) -> list[Finding]:
    """The guest's model matches the seed, the tree has exactly its blocks and the contended pages
    not released, and each CPU's fragments are the last ones written."""
    model = sealed.snapshot.scenario.storm
    if model is None:
        return [stop.finding(SCENARIO, "no readable store 'storm'")]
    cpus = min(stop.spec.smp, MAX_CPUS)
    if model.cpus != cpus:
        return [stop.finding(SCENARIO, f"{model.cpus} CPUs took part, expected {cpus}")]
    operations = number_option(stop.spec, "operations", _DEFAULT_OPERATIONS)
    expected = expected_storm(stop.spec.seed, stop.generation, cpus, operations)
    findings = compare_pages(
        stop,
        "storm",
        (model.region, model.pages),
        expected.pages,
        lambda page: f" (CPU {page // _GROUP % cpus})",
    )
    shift = stop.geometry.page_shift
    for kind, begin, count, wanted in (
        ("storm block", model.region, STORM_PAGES, storm_blocks(model, stop.geometry)),
        (
            "storm contended page",
            model.contended,
            STORM_CONTENDED,
            storm_contended(model, stop.geometry),
        ),
    ):
        area = PhysRange(begin, count << shift)
        findings += compare_blocks(stop, sealed, kind, area, wanted)
    return (_compare_fragments(stop, sealed, expected) + findings)[:_MOST]


def _compare_fragments(stop: Stop, sealed: Record, expected: ExpectedStorm) -> list[Finding]:
    found = {f.path: f for f in sealed.snapshot.handover.fragments if f.path.startswith(_PATH)}
    wanted: dict[str, tuple[str, dict[str, int], set[str]]] = {}
    names = {f"cpu{cpu}" for cpu in range(len(expected.versions))}
    wanted[_PATH] = (_COMPATIBLE, {"cpus": len(expected.versions)}, names)
    for cpu, slots in enumerate(expected.versions):
        path = f"{_PATH}/cpu{cpu}"
        wanted[path] = (_CPU_COMPATIBLE, {"cpu": cpu}, {f"f{slot}" for slot in slots})
        for slot, version in slots.items():
            values = {"cpu": cpu, "slot": slot, "version": version}
            wanted[f"{path}/f{slot}"] = (_SLOT_COMPATIBLE, values, set())
    findings = []
    for path, (compatible, values, links) in wanted.items():
        fragment = found.pop(path, None)
        if fragment is None:
            what = f"fragment {path} missing, or linked before it was finished"
            findings.append(stop.finding(SCENARIO, what, owner=f"fragment {path}"))
        else:
            findings += _compare_fragment(stop, fragment, compatible, values, links)
    for path, fragment in found.items():
        what = f"unexpected fragment {path}"
        findings.append(stop.finding(SCENARIO, what, fragment.address, f"fragment {path}"))
    return findings


def _compare_fragment(
    stop: Stop, fragment: Fragment, compatible: str, values: dict[str, int], links: set[str]
) -> list[Finding]:
    differences = []
    if fragment.compatible != compatible:
        differences.append(f"compatible {fragment.compatible!r}, expected {compatible!r}")
    for name, value in values.items():
        raw = fragment.tree.properties.get(name, b"")
        if raw != value.to_bytes(8, "little"):
            differences.append(f"{name} {raw[::-1].hex()}, expected {value:016x}")
    found = {child.name for child in fragment.tree.children if is_link(child)}
    if found != links:
        differences.append(f"links {sorted(found)}, expected {sorted(links)}")
    owner = f"fragment {fragment.path}"
    return [
        stop.finding(SCENARIO, f"fragment {fragment.path} has {text}", fragment.address, owner)
        for text in differences
    ]
