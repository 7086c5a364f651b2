# SPDX-License-Identifier: BSD-3-Clause
"""NUMA nodes of a guest."""

from __future__ import annotations

from khorig.guest.spec import RunSpec

MAX_NODES = 128  # of QEMU
NODE_UNIT = 4096  # bytes: QEMU's smallest memory backend
_WITHOUT = ("microvm",)  # machines whose firmware has no SRAT


def why_no_numa(spec: RunSpec) -> str | None:
    """Why a run's nodes cannot be had, or None when they can, or there are none."""
    nodes = spec.numa
    if not nodes:
        return None
    if spec.machine in _WITHOUT:
        return f"{spec.machine} has no NUMA"
    if len(nodes) > MAX_NODES:
        return f"{len(nodes)} nodes, QEMU has at most {MAX_NODES}"
    odd = [size for size in nodes if size < 0 or size % NODE_UNIT]
    if odd:
        return f"a node of {odd[0]} bytes; sizes are multiples of {NODE_UNIT >> 10}K"
    if sum(nodes) != spec.memory:
        return f"the nodes have {sum(nodes) >> 10}K together, --mem is {spec.memory >> 10}K"
    return None
