# SPDX-License-Identifier: BSD-3-Clause
"""Chains that UEFI firmware starts: its memory is nobody's, in a Linux as in khorig."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peers import ONE_OF_EACH, Chains, expect_pass

from khorig.guest.event import parse_address
from khorig.rules.finding import Verdict
from khorig.rules.temporal.definitions import RUNTIME_SERVICES
from khorig.run.judging import StopContext
from khorig.run.result import RunResult

CHAIN = ("khorig", "linux-7.3", "khorig", "linux-7.3")


def guest_events(result: RunResult, kind: str) -> list[dict[str, Any]]:
    """What the kernels have said, in order."""
    lines = (Path(result.directory) / "events.jsonl").read_text().splitlines()
    found = [record["event"] for record in map(json.loads, lines) if record["ev"] == "guest"]
    return [event for event in found if event["ev"] == kind]


@ONE_OF_EACH
def test_a_chain_hands_over(chains: Chains, machine: str) -> None:
    result = chains.run(machine, CHAIN, boot="uefi")
    expect_pass(result)
    protocols = [event["protocol"] for event in guest_events(result, "boot")]
    assert protocols == ["efi", "init", "linux", "init"]
    # Each khorig finds the regions in the memory map that it was given, the second one by a Linux.
    first, second = guest_events(result, "firmware")
    assert (first["gen"], second["gen"]) == (1, 3)
    assert first["runtime"] == second["runtime"] != []


class Flip:
    """Flips a bit at an address while a kernel waits at `sealed`."""

    def __init__(self, address: int, generation: int) -> None:
        self._address = address
        self._generation = generation

    def __call__(self, context: StopContext) -> list[str]:
        if (context.at, context.generation) != ("sealed", self._generation):
            return []
        (byte,) = context.ram.read(self._address, 1)
        context.ram.write(self._address, bytes([byte ^ 1]))
        return [f"flipped a bit at {self._address:#x}"]


@ONE_OF_EACH
def test_a_write_to_the_runtime_services_is_found(chains: Chains, machine: str) -> None:
    sound = chains.run(machine, CHAIN[:2], boot="uefi")
    expect_pass(sound)
    (said,) = guest_events(sound, "firmware")
    begin = parse_address(said["runtime"][0][0], "begin")
    for generation in (1, 2):  # by khorig, by Linux
        result = chains.run(machine, CHAIN, (Flip(begin, generation),), boot="uefi")
        assert result.verdict is Verdict.FAIL
        found = result.findings[0]
        assert found.rule == RUNTIME_SERVICES and "was written: page" in found.what, found
        assert (found.where, found.generation) == (f"{begin:#018x}", generation + 1)
