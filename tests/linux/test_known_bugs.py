# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of Linux that the rig shows. A test that fails says that the bug is mended.

The ids are those of the catalogue of Kexec HandOver bugs that the rig was planned with; what Linux
takes without a word is in khorig.linux.refusals, and docs/linux.md has the list.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peers import ONE_OF_EACH, Chains, expect_pass
from khorig.linux.refusals import DamageHook, LinuxDamage
from khorig.model import RunResult, Verdict
from khorig.tamper.target import Target


def kernel_log(result: RunResult, generation: int) -> list[str]:
    """The lines of a Linux's log that are about the handover."""
    lines = (Path(result.directory) / "events.jsonl").read_text().splitlines()
    events = [record["event"] for line in lines if (record := json.loads(line))["ev"] == "guest"]
    wanted = ("kernel-log", generation)
    return [event["text"] for event in events if (event["ev"], event["gen"]) == wanted]


@pytest.mark.parametrize(
    ("machine", "linux"), [("q35", "linux-7.3"), ("virt", "linux-7.3"), ("virt", "linux-7.2")]
)
def test_g1_a_late_reserve_mem_lies_in_scratch(chains: Chains, machine: str, linux: str) -> None:
    """On a boot with a handover memblock hands out scratch alone. A reserve_mem= that is new then
    lies there, cannot be preserved, and takes every older reservation down with it."""
    late = "reserve_mem=4M:4096:late"
    result = chains.run(machine, (linux,) * 3, linux_options=(f"2:{late}", f"3:{late}"))
    assert result.verdict is Verdict.FAIL
    assert "WARNING" in result.cause and "kho_preserve_pages" in result.cause
    assert result.findings[0].generation == 2


@ONE_OF_EACH
def test_a9_a_handover_is_taken_though_kho_is_off(chains: Chains, machine: str) -> None:
    """kho=off keeps Linux from handing over, not from taking over: the chain ends there."""
    result = chains.run(
        machine,
        ("khorig", "linux-7.3"),
        linux_options=("2:kho=off",),
        expected_refusals={2: "disabled"},
    )
    expect_pass(result)
    log = kernel_log(result, 2)
    assert "KHO: found kexec handover data." in log
    assert "Revived memory reservation 'reference' from KHO" in log


def anchor_beyond_ram(target: Target) -> str:
    """An anchor that no memory is behind."""
    target.ram.write(target.handoff.root.address, target.handoff.root.encode(target.end_of_ram))
    return f"the anchor is {target.end_of_ram:#018x}, beyond RAM"


def test_a10_an_anchor_beyond_ram_ends_linux_before_its_console(chains: Chains) -> None:
    """Linux maps what the anchor says and reads it, before it has a console."""
    hook = DamageHook(LinuxDamage("anchor-beyond-ram", "", anchor_beyond_ram))
    result = chains.run("virt", ("khorig", "linux-7.3"), (hook,), timeout_s=45.0)
    assert result.verdict in (Verdict.HANG, Verdict.CRASH)
    assert result.generations == 1, "the second kernel had no first words"
