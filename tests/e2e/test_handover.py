# SPDX-License-Identifier: BSD-3-Clause
"""Three generations that hand 64 MiB on, on every machine and with little and much RAM."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.mem.memory import RamMemory
from khorig.pytest_plugin import each_arch, each_machine
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import COMPARED
from khorig.run.judging import StopContext

MIB = 1 << 20
GIB = 1 << 30

RESERVED = ("reserve_mem=1M:4096:first", "reserve_mem=64K:65536:second")


@each_machine
def test_64_mib_in_2000_blocks(rig: Rig, machine: str) -> None:
    result = rig.run(machine, "handover", extra_options=RESERVED)
    result.expect_pass()
    assert result.generations == 3
    assert result.statistics.preserved_bytes >= 64 * MIB
    assert result.statistics.preserved_blocks >= 2000
    # At each of two jumps: entry and restored.
    assert result.statistics.pages_compared >= 4 * 64 * MIB // 4096
    revived = [event["stores"] for event in result.events("restored")]
    # The list of blocks, the ledger, and one store of each earlier generation.
    assert revived == [3, 4]


@pytest.mark.parametrize("memory", [64 * MIB, 128 * MIB, GIB], ids=["64M", "128M", "1G"])
@each_arch
def test_with_little_and_much_ram(rig: Rig, machine: str, memory: int) -> None:
    rig.run(machine, "handover", memory=memory).expect_pass()


@each_arch
def test_blocks_above_4_gib(rig: Rig, machine: str) -> None:
    above: list[int] = []

    def count(context: StopContext) -> list[str]:
        if context.at == "sealed":
            root = context.event.address("root")
            blocks = decode_handover(RamMemory(context.ram), root, GEOMETRY_4K).blocks
            above.append(int((blocks.frames >= 4 * GIB // 4096).sum()))
        return []

    # The seed and the size of the image decide where they lie.
    for seed in range(1, 9):
        result = rig.run(
            machine, "handover", hooks=[count], memory=16 * GIB, generations=2, seed=seed
        )
        result.expect_pass()
        assert len(above) == seed
        if above[-1] >= 1000:
            return
    pytest.fail(f"fewer than 1000 blocks above 4 GiB with each of eight seeds: {above}")


@each_arch
def test_the_same_seed_gives_the_same_run(rig: Rig, machine: str) -> None:
    first, again, other = (
        rig.run(machine, "handover", seed=seed, generations=2) for seed in (1, 1, 2)
    )
    for result in (first, again, other):
        result.expect_pass()

    def placement(result: RigResult) -> list[object]:
        return [event["list"] for event in result.events("segments")]

    assert placement(first) == placement(again)
    assert placement(first) != placement(other)
    # Waiting for the host and for room in the console's FIFO are the host's doing, and arm64 counts
    # in steps of 16.
    for one, two in zip(first.phases, again.phases, strict=True):
        assert one.name == two.name
        assert one.instructions == pytest.approx(two.instructions, rel=0.01, abs=64), one.name


@each_arch
def test_without_a_host_at_the_stops(rig: Rig, machine: str) -> None:
    """The kernel runs by itself as well; that nothing was compared is no pass."""
    result = rig.run(machine, "handover", stops=())
    assert result.exit_status == 33
    assert result.generations == 3
    assert (result.verdict, result.rule) == (Verdict.FAIL, COMPARED)
