# SPDX-License-Identifier: BSD-3-Clause
"""NUMA nodes and holes in RAM: what the host knows of them is right. That runs pass and faults are
found is in test_axes.py."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.mem.formats.open import open_dump
from khorig.pytest_plugin import each_arch
from khorig.rules.temporal.definitions import PAGES_ACROSS_JUMP
from khorig.vm.machines import machine_named

_ODD = 103428 << 10
_NODES = (_ODD, 0, (256 << 20) - _ODD)
_SMALL_FIRST = (52 << 20, 204 << 20)


@each_arch
def test_an_image_has_the_map_of_its_machine(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "handover", generations=2, numa=_NODES, keep=True)
    result.expect_pass()
    with open_dump(result.folder / "gen1.sealed.ram.zst") as dump:
        [area] = dump.memory.ranges
        assert (area.begin, area.size) == (
            machine_named(machine).ram_regions(1)[0].gpa,
            sum(_NODES),
        )
        root = dump.run.root if dump.run else None
        assert root is not None and bytes(dump.memory.view(root, 4)).hex() == "d00dfeed"


@each_arch
def test_who_wrote_in_the_second_node_is_found(rig: Rig, machine: str) -> None:
    """By the probe, which QEMU 7.2 gives addresses in its blocks of RAM."""
    result = rig.run(machine, numa=_SMALL_FIRST, fault="write-after-seal", record=True)
    [where] = [int(f.where, 16) for f in result.findings if f.rule == PAGES_ACROSS_JUMP][:1]
    assert where >= machine_named(machine).ram_regions(1)[0].gpa + _SMALL_FIRST[0]
    assert result.who is not None and result.who.count == 1, result.who
    (store,) = result.who.stores
    assert (store.generation, store.size) == (1, 1)


@pytest.mark.parametrize(
    ("machine", "option"), [("q35", "max-ram-below-4g=128M"), ("virt", "highmem=off")]
)
def test_a_machine_option_may_move_ram(rig: Rig, machine: str, option: str) -> None:
    rig.run(machine, "handover", machine_options=(option,)).expect_pass()


@each_arch
def test_no_generation_uses_a_hole(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "handover", extra_options=("holes=100",)).expect_pass()
    used = [event["ram_bytes"] for event in result.events("memory")]
    assert len(used) == 3 and len(set(used)) == 1
