# SPDX-License-Identifier: BSD-3-Clause
"""All RAM of large machines: it is used to its end, what cannot be is told, and a jump costs what
is handed over and not what there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from guest import GIB, MIB, Guest, events, expect_pass

from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import RAM_USED
from khorig.run.result import RunResult

LARGEST = pytest.mark.parametrize(
    "machine, memory, far", [("q35", 510 * GIB, 500 * GIB), ("virt", 255 * GIB, 250 * GIB)]
)
_PAGE = 4096


def last_preserved(result: RunResult, generation: int) -> int:
    """The end of the last preserved block of a generation."""
    lines = (Path(result.directory) / "events.jsonl").read_text().splitlines()
    maps = [r for r in map(json.loads, lines) if r["ev"] == "map" and r["gen"] == generation]
    runs = [owner["runs"] for owner in maps[0]["owners"]]
    ends = [int(first + count) for r in runs for first, count in zip(r[::2], r[1::2])]
    return max(ends) * _PAGE


@LARGEST
def test_blocks_at_the_end_of_all_ram(guest: Guest, machine: str, memory: int, far: int) -> None:
    result = guest.run(machine, "handover", memory=memory)
    expect_pass(result)
    assert events(result, "unused-ram") == []
    # Firmware and the first MiB of a PC are the rest.
    assert all(e["ram_bytes"] > memory - 4 * MIB for e in events(result, "memory"))
    assert all(last_preserved(result, generation) > far for generation in (1, 2))


@LARGEST
def test_early_boot_does_not_grow_with_ram(
    guest: Guest, machine: str, memory: int, far: int
) -> None:
    del far

    def cost(size: int) -> int:
        result = guest.run(machine, "handover", memory=size, generations=2)
        expect_pass(result)
        phases = [e for e in events(result, "phase") if e["name"] == "early-boot"]
        return int(phases[-1]["ns"])

    # A frame at 510 GiB would have a hundredth of an instruction.
    assert cost(memory) < cost(256 * MIB) + 1_000_000


def test_ram_beyond_the_page_tables_fails_the_run(guest: Guest) -> None:
    """Without pages of 1 GiB a table is needed for each of them."""
    cpu = ("-cpu", "max,pdpe1gb=off")
    memory = 300 * GIB
    result = guest.run("q35", "handover", memory=memory, extra_qemu=cpu)
    assert (result.verdict, result.rule) == (Verdict.FAIL, RAM_USED), result.cause
    unused = events(result, "unused-ram")
    assert [e["why"] for e in unused] == ["out-of-memory"]
    used = events(result, "memory")[0]["ram_bytes"]
    assert used > 100 * GIB
    assert abs(used + int(unused[0]["size"], 16) - memory) < 4 * MIB
