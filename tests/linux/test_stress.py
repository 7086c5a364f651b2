# SPDX-License-Identifier: BSD-3-Clause
"""--stress on real Linux: what it does, and that it finds memory that was given away."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.guest.chain_run import RESERVED_BYTES
from khorig.kho.layout import Geometry
from khorig.kho.snapshot import find_snapshot
from khorig.mem.formats.dump import Dump
from khorig.mem.memory import RamMemory
from khorig.pytest_plugin import built_peer
from khorig.rules.finding import Verdict
from khorig.run.judging import StopContext
from khorig.run.tamper.target import Target

LINUX = "linux-7.3"
CHAIN = (LINUX, "khorig", LINUX)
MIB = 1 << 20


def stressed(rig: Rig, machine: str, chain: tuple[str, ...] = CHAIN, **more: Any) -> RigResult:
    """A run in which every Linux is told to."""
    generations = tuple(g for g, name in enumerate(chain, 1) if name != "khorig")
    options: dict[str, Any] = {"memory": 256 * MIB, "stress": generations, **more}
    return rig.run(machine, kernels=chain, **options)


@pytest.mark.parametrize("machine", ["q35", "virt"])
def test_all_that_is_preserved_stands_it(rig: Rig, machine: str) -> None:
    result = stressed(rig, machine, smp=4)
    result.expect_pass()
    assert [end.generation for end in result.stress] == [1, 3]
    for end in result.stress:
        assert end.ok and not end.late and not end.killed
        assert end.touched > end.available * 9 // 10 and end.left < 16 * MIB
        assert end.sizes > 4 and end.split and end.merged and end.compacted
        assert end.pool_pages and end.cpus == 3
    assert "generation 3: stress: touched" in str(result)
    written = json.loads((result.folder / "verdict.json").read_text())["stress"]
    assert [end["touched"] for end in written] == [end.touched for end in result.stress]


@dataclass
class GivenAway:
    """A StopHook: takes the block of the reserved memory out of the tracker before the jump, so
    that the next kernel takes its pages for free ones."""

    blocks: list[str] = field(default_factory=list)

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook."""
        if (context.at, context.generation) != ("sealed", 1):
            return []
        machine, memory = context.machine, RamMemory(context.ram)
        snapshot = find_snapshot(
            Dump(Path("live"), "live", memory, machine.arch, machine.name, context.page_shift),
            context.event.address("root"),
        )
        geometry, blocks = Geometry(context.page_shift), snapshot.handover.blocks
        frames = snapshot.owners.pages_where(lambda owner: owner.startswith("memblock/"))
        first = int(frames[0])
        at = int((blocks.frames == first).argmax())
        assert int(blocks.frames[at]) == first, "the reserved memory begins with a block"
        key = geometry.key(first << geometry.page_shift, int(blocks.orders[at]))
        assert snapshot.handoff is not None
        ranges, scratch = tuple(memory.ranges), snapshot.scratch or ()
        target = Target(context.ram, ranges, snapshot.handoff, scratch, snapshot.handover, geometry)
        target.clear_key(key)
        self.blocks.append(f"{first << geometry.page_shift:#x}")
        return [f"block at {self.blocks[0]} is not in the tracker any more"]


@pytest.mark.parametrize("machine", ["q35", "virt"])
@pytest.mark.parametrize("stress", [(), (2,)])
def test_memory_that_was_given_away_is_found(
    rig: Rig, machine: str, stress: tuple[int, ...]
) -> None:
    """Without it such a Linux finds everything as it was, so does the host when user space runs:
    nobody has used the pages yet. At the first instruction nobody looks here."""
    hook = GivenAway()
    result = stressed(
        rig,
        machine,
        ("khorig", LINUX),
        memory=1 << 29,
        stress=stress,
        stops=("sealed", "restored"),
        hooks=(hook,),
    )
    if not stress:
        result.expect_pass()
        return
    assert result.verdict is Verdict.FAIL
    pages = RESERVED_BYTES // 4096
    assert f"of {pages} pages lost their content: page 0 of memblock/reference" in result.cause
    assert hook.blocks[0] in result.cause
    assert not result.stress or not result.stress[0].ok


@pytest.mark.parametrize(
    ("machine", "flavour"),
    [
        ("virt", "linux-7.3@KASAN"),
        ("q35", "linux-7.3@KFENCE@DEBUG_PAGEALLOC"),
    ],
)
@pytest.mark.parametrize("between", ["khorig", ""])
def test_flavours_stand_it(rig: Rig, machine: str, flavour: str, between: str) -> None:
    built_peer({"q35": "x86_64", "virt": "arm64"}[machine], flavour)
    chain = (flavour, *([between] if between else []), flavour)
    result = stressed(rig, machine, chain, memory=1 << 30, smp=2)
    result.expect_pass()
    assert all(end.ok and end.touched for end in result.stress)


@pytest.mark.parametrize("between", [(), ("khorig-64k",)], ids=["direct", "khorig-64k"])
def test_pages_of_64_kib_are_handed_over(rig: Rig, between: tuple[str, ...]) -> None:
    """Not stressed: an area of scratch is aligned to 512 MiB there, so it takes 4 GiB."""
    flavour = "linux-7.3@ARM64_64K_PAGES"
    built_peer("arm64", flavour)
    result = rig.run("virt", kernels=(flavour, *between, flavour), memory=4 << 30)
    result.expect_pass()
    assert all(jump.pages > 1000 for jump in result.statistics.jumps)
