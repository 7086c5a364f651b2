# SPDX-License-Identifier: BSD-3-Clause
"""All RAM of large machines: it is used to its end, what cannot be is told, and a jump costs what
is handed over and not what there is."""

from __future__ import annotations


import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import RAM_USED

MIB = 1 << 20
GIB = 1 << 30

LARGEST = pytest.mark.parametrize(
    "machine, memory, far", [("q35", 510 * GIB, 500 * GIB), ("virt", 255 * GIB, 250 * GIB)]
)
_PAGE = 4096


def last_preserved(result: RigResult, generation: int) -> int:
    """The end of the last preserved block of a generation."""
    maps = [r for r in result.records if r["ev"] == "map" and r["gen"] == generation]
    runs = [owner["runs"] for owner in maps[0]["owners"]]
    ends = [int(first + count) for r in runs for first, count in zip(r[::2], r[1::2])]
    return max(ends) * _PAGE


@LARGEST
def test_blocks_at_the_end_of_all_ram(rig: Rig, machine: str, memory: int, far: int) -> None:
    result = rig.run(machine, "handover", memory=memory)
    result.expect_pass()
    assert result.events("unused-ram") == []
    # Firmware and the first MiB of a PC are the rest.
    assert all(e["ram_bytes"] > memory - 4 * MIB for e in result.events("memory"))
    assert all(last_preserved(result, generation) > far for generation in (1, 2))


@LARGEST
def test_early_boot_does_not_grow_with_ram(rig: Rig, machine: str, memory: int, far: int) -> None:
    del far

    def cost(size: int) -> int:
        result = rig.run(machine, "handover", memory=size, generations=2)
        result.expect_pass()
        phases = [e for e in result.events("phase") if e["name"] == "early-boot"]
        return int(phases[-1]["ns"])

    # A frame at 510 GiB would have a hundredth of an instruction.
    assert cost(memory) < cost(256 * MIB) + 1_000_000


def test_ram_beyond_the_page_tables_fails_the_run(rig: Rig) -> None:
    """Without pages of 1 GiB a table is needed for each of them."""
    cpu = ("-cpu", "max,pdpe1gb=off")
    memory = 300 * GIB
    result = rig.run("q35", "handover", memory=memory, extra_qemu=cpu)
    assert (result.verdict, result.rule) == (Verdict.FAIL, RAM_USED), result.cause
    unused = result.events("unused-ram")
    assert [e["why"] for e in unused] == ["out-of-memory"]
    used = result.events("memory")[0]["ram_bytes"]
    assert used > 100 * GIB
    assert abs(used + int(unused[0]["size"], 16) - memory) < 4 * MIB
