# SPDX-License-Identifier: BSD-3-Clause
"""Three generations that hand 64 MiB on, on every machine and with little and much RAM."""

from __future__ import annotations

import pytest
from guest import ALL_MACHINES, GIB, MIB, ONE_OF_EACH, Guest, events, expect_pass

from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.mem.memory import RamMemory
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import COMPARED
from khorig.run.judging import StopContext
from khorig.run.result import RunResult

RESERVED = ("reserve_mem=1M:4096:first", "reserve_mem=64K:65536:second")


@ALL_MACHINES
def test_64_mib_in_2000_blocks(guest: Guest, machine: str) -> None:
    result = guest.run(machine, "handover", extra_options=RESERVED)
    expect_pass(result)
    assert result.generations == 3
    assert result.statistics.preserved_bytes >= 64 * MIB
    assert result.statistics.preserved_blocks >= 2000
    # At each of two jumps: entry and restored.
    assert result.statistics.pages_compared >= 4 * 64 * MIB // 4096
    revived = [event["stores"] for event in events(result, "restored")]
    # The list of blocks, the ledger, and one store of each earlier generation.
    assert revived == [3, 4]


@pytest.mark.parametrize("memory", [64 * MIB, 128 * MIB, GIB], ids=["64M", "128M", "1G"])
@ONE_OF_EACH
def test_with_little_and_much_ram(guest: Guest, machine: str, memory: int) -> None:
    expect_pass(guest.run(machine, "handover", memory=memory))


@ONE_OF_EACH
def test_blocks_above_4_gib(guest: Guest, machine: str) -> None:
    above: list[int] = []

    def count(context: StopContext) -> list[str]:
        if context.at == "sealed":
            root = context.event.address("root")
            blocks = decode_handover(RamMemory(context.ram), root, GEOMETRY_4K).blocks
            above.append(int((blocks.frames >= 4 * GIB // 4096).sum()))
        return []

    seed = 2  # with which most of them lie there
    result = guest.run(machine, "handover", hooks=[count], memory=6 * GIB, generations=2, seed=seed)
    expect_pass(result)
    assert len(above) == 1
    assert above[0] >= 1000


@ONE_OF_EACH
def test_the_same_seed_gives_the_same_run(guest: Guest, machine: str) -> None:
    first, again, other = (
        guest.run(machine, "handover", seed=seed, generations=2) for seed in (1, 1, 2)
    )
    for result in (first, again, other):
        expect_pass(result)

    def placement(result: RunResult) -> list[object]:
        return [event["list"] for event in events(result, "segments")]

    assert placement(first) == placement(again)
    assert placement(first) != placement(other)
    # Waiting for the host and for room in the console's FIFO are the host's doing, and arm64 counts
    # in steps of 16.
    for one, two in zip(first.phases, again.phases, strict=True):
        assert one.name == two.name
        assert one.instructions == pytest.approx(two.instructions, rel=0.01, abs=64), one.name


@ONE_OF_EACH
def test_without_a_host_at_the_stops(guest: Guest, machine: str) -> None:
    """The kernel runs by itself as well; that nothing was compared is no pass."""
    result = guest.run(machine, "handover", stops=())
    assert result.exit_status == 33
    assert result.generations == 3
    assert (result.verdict, result.rule) == (Verdict.FAIL, COMPARED)
