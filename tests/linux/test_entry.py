# SPDX-License-Identifier: BSD-3-Clause
"""Linux at its first instruction, which the probe stops at: from Linux to Linux every preserved
page is compared across the jump, and a change in between is found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.guest.chain_run import RESERVED_BYTES
from khorig.kho.snapshot import find_snapshot
from khorig.mem.formats.dump import Dump
from khorig.mem.memory import RamMemory
from khorig.rules.finding import Verdict
from khorig.rules.temporal import definitions as temporal
from khorig.run.judging import StopContext

_LINUX = ("linux-7.3", "linux-7.3")
_MACHINES = pytest.mark.parametrize("machine", ["q35", "virt", "microvm"])
_TEST_KHO_PAGES = (8 << 20) >> 12


def _stops(result: RigResult) -> list[str]:
    stops = [record for record in result.records if record["ev"] == "stop"]
    return [f"{record['gen']} {record['at']}" for record in stops]


@_MACHINES
def test_every_page_is_compared_between_two_linuxes(rig: Rig, machine: str) -> None:
    result = rig.run(machine, kernels=_LINUX).expect_pass()
    assert _stops(result) == ["1 restored", "1 sealed", "2 entry", "2 restored"]
    (jump,) = result.statistics.jumps
    assert jump.pages == result.statistics.preserved_pages
    assert jump.pages > _TEST_KHO_PAGES + (RESERVED_BYTES >> 12)
    kinds = [record["stop"] for record in result.records if record["ev"] == "probe"]
    assert kinds == ["address", "fetch"]  # machine_kexec, then the next kernel


def test_khorig_before_a_linux_is_compared_at_its_entry(rig: Rig) -> None:
    result = rig.run("virt", kernels=("khorig", "linux-7.3"), smp=2).expect_pass()
    assert _stops(result) == ["1 entry", "1 sealed", "2 entry", "2 restored"]
    (jump,) = result.statistics.jumps
    assert jump.pages == result.statistics.preserved_pages


@dataclass
class _Flip:
    """Changes a byte of a page that Linux preserves, at one stop: after the judge has looked."""

    at: str
    generation: int
    owner: str
    done: list[int] = field(default_factory=list)

    def __call__(self, context: StopContext) -> list[str]:
        if (context.at, context.generation) != (self.at, self.generation):
            return []
        machine = context.machine
        dump = Dump(Path("live"), "live", RamMemory(context.ram), machine.arch, machine.name, 12)
        snapshot = find_snapshot(dump)
        frames = snapshot.owners.pages_where(lambda owner: owner.startswith(self.owner))
        address = int(frames[0]) << 12
        byte = context.ram.read(address + 8, 1)[0]
        context.ram.write(address + 8, bytes([byte ^ 1]))
        self.done.append(address)
        return [f"changed {address:#018x}"]


@pytest.mark.parametrize("owner", ["LUO sessions", "kho_test folio", "memblock"])
def test_a_change_between_the_jump_and_the_entry_is_found_there(rig: Rig, owner: str) -> None:
    flip = _Flip("sealed", 1, owner)
    result = rig.run("virt", kernels=_LINUX, hooks=[flip], record=False)
    assert result.verdict is Verdict.FAIL
    cause = result.findings[0]
    assert (cause.rule, cause.generation, cause.stop) == (temporal.PAGES_ACROSS_JUMP, 2, "entry")
    assert cause.where == f"{flip.done[0]:#018x}" and owner in cause.owner
    assert _stops(result)[-1] == "2 entry"


def test_a_linux_that_dies_before_its_first_word_is_named(rig: Rig) -> None:
    """It is entered, so what happens then is its own."""

    def break_it(context: StopContext) -> list[str]:
        if (context.at, context.generation) != ("entry", 2):
            return []
        begin = int(context.event.text("pc"), 16) + 4096
        context.ram.write(begin, bytes(4 << 20))  # zeros are no instruction
        return [f"cleared {begin:#x}"]

    result = rig.run("virt", kernels=_LINUX, hooks=[break_it], record=False, timeout_s=60.0)
    assert result.verdict in (Verdict.CRASH, Verdict.HANG, Verdict.INFRA)
    cause = result.findings[0]
    assert cause.generation == 2
    assert any("generation 2 was entered" in line for line in cause.evidence), cause.evidence
