# SPDX-License-Identifier: BSD-3-Clause
"""The fragment tree of the scenario `recursion`, recomputed from the seed (docs/scenarios.md) and
compared node by node."""

from __future__ import annotations

from dataclasses import dataclass

from khorig.kho.clients.khorig import KHORIG_PATH
from khorig.kho.fragment import Fragment, is_link
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import SCENARIO
from khorig.rules.protocol.scenarios.random_stream import RandomStream
from khorig.rules.protocol.scenarios.scenario_options import number_option
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

_PATH = KHORIG_PATH + "/tree"
_COMPATIBLE = "khorig-tree-v1"
_DEFAULT_COUNT = 1200
_SPINE = 12  # fragments in a chain
_MAX_CHILDREN = 8
_MAX_LEVEL = 24  # the root of this tree is on level 1
_PAYLOAD_LIMIT = 1024  # bytes, exclusive
_MOST = 6  # findings


@dataclass(frozen=True)
class ExpectedTree:
    """Children and paths of all fragments."""

    children: tuple[tuple[int, ...], ...]  # by number, ascending
    paths: tuple[str, ...]  # of each fragment in the handover


def expected_tree(seed: int, count: int) -> ExpectedTree:
    """The tree of `count` fragments for a seed."""
    random = RandomStream("recursion", seed)
    children: list[list[int]] = [[] for _ in range(count)]
    levels = [1] * count
    paths = [_PATH] * count
    for i in range(1, count):
        parent = i - 1 if i < _SPINE else random.below(i)
        if i >= _SPINE:
            while len(children[parent]) == _MAX_CHILDREN or levels[parent] == _MAX_LEVEL:
                parent = (parent + 1) % i
        children[parent].append(i)
        levels[i] = levels[parent] + 1
        paths[i] = f"{paths[parent]}/f{i}"
    return ExpectedTree(tuple(map(tuple, children)), tuple(paths))


def expected_payload(seed: int, number: int) -> bytes:
    """The payload of a fragment."""
    random = RandomStream("payload", seed + number)
    length = random.below(_PAYLOAD_LIMIT)
    return random.take(-(-length // 8)).astype("<u8").tobytes()[:length]


def check_fragment_tree(stop: Stop, sealed: Record) -> list[Finding]:
    """Every fragment is at its place with its content, and there are no others."""
    tree = expected_tree(stop.spec.seed, number_option(stop.spec, "fragments", _DEFAULT_COUNT))
    found = {f.path: f for f in sealed.snapshot.handover.fragments}
    findings: list[Finding] = []
    for number, path in enumerate(tree.paths):
        fragment = found.pop(path, None)
        if fragment is None:
            what = f"fragment {number} missing, expected at {path}"
            findings.append(stop.finding(SCENARIO, what, owner=f"fragment {path}"))
        else:
            findings += _compare(stop, fragment, number, tree.children[number])
        if len(findings) >= _MOST:
            return findings
    for path, fragment in found.items():
        if path.startswith(_PATH):
            what = f"unexpected fragment {path}"
            findings.append(stop.finding(SCENARIO, what, fragment.address, f"fragment {path}"))
    return findings[:_MOST]


def _compare(
    stop: Stop, fragment: Fragment, number: int, children: tuple[int, ...]
) -> list[Finding]:
    payload = expected_payload(stop.spec.seed, number)
    properties = fragment.tree.properties
    links = tuple(child.name for child in fragment.tree.children if is_link(child))
    differences = []
    if fragment.compatible != _COMPATIBLE:
        differences.append(f"compatible {fragment.compatible!r}, expected {_COMPATIBLE!r}")
    if properties.get("id") != number.to_bytes(8, "little"):
        differences.append(f"id {properties.get('id', b'').hex()}, expected {number:#x}")
    if properties.get("payload") != payload:
        found = properties.get("payload", b"")
        differences.append(
            f"payload of {len(found)} bytes {found[:8].hex()}..., "
            f"expected {len(payload)} bytes {payload[:8].hex()}..."
        )
    if sorted(links) != sorted(f"f{child}" for child in children):
        expected = " ".join(f"f{child}" for child in children)
        differences.append(f"links {' '.join(links)}, expected {expected}")
    owner = f"fragment {fragment.path}"
    return [
        stop.finding(SCENARIO, f"fragment {number} has {text}", fragment.address, owner)
        for text in differences
    ]
