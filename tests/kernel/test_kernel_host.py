# SPDX-License-Identifier: BSD-3-Clause
"""The kernel as a process (kernel/arch/host/machine.h): all of it that is not one architecture's,
under whatever sanitizers this test was built with."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

KERNEL = Path("kernel/kernel_host")
KERNEL_WITH_EXAMPLES = Path("tests/kernel/kernel_host_with_examples")
PASS, FAIL, NO_MEMORY, USAGE = 33, 35, 39, 41


def boot(
    command_line: str, kernel: Path = KERNEL, cpus: int = 1, timeout: float = 120.0
) -> tuple[int, list[dict[str, Any]], str]:
    """Boots and runs to the end. Returns the status, the events and all that was printed."""
    done = subprocess.run(
        [kernel, command_line],
        env={**os.environ, "KHORIG_CPUS": str(cpus)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    prefix = "@khorig "
    lines = [line for line in done.stdout.splitlines() if line.startswith(prefix)]
    return (
        done.returncode,
        [json.loads(line[len(prefix) :]) for line in lines],
        done.stdout + done.stderr,
    )


@pytest.mark.parametrize("scenario", ["handover", "recursion", "churn", "chain"])
@pytest.mark.parametrize("seed", [1, 2])
def test_hands_over(scenario: str, seed: int) -> None:
    status, events, output = boot(
        f"scenario={scenario} generations=4 seed={seed} reserve_mem=1M:4096:kept"
    )
    assert status == PASS, output
    assert [event["gen"] for event in events if event["ev"] == "boot"] == [1, 2, 3, 4]
    assert events[-1]["ev"] == "done" and events[-1]["status"] == "pass"
    # At least, because the log of one generation is shown by the next.
    assert output.count("revived reserved memory 'kept'") >= 3


@pytest.mark.parametrize("cpus", [1, 3, 8])
def test_all_cpus_serialize_at_once(cpus: int) -> None:
    """CPUs are threads here; with --config=tsan a race of theirs is a failure."""
    status, events, output = boot(f"scenario=storm generations=4 seed={cpus}", cpus=cpus)
    assert status == PASS, output
    online = [event["online"] for event in events if event["ev"] == "cpus"]
    assert online == ([cpus] * 4 if cpus > 1 else [])


def restored_stores(events: list[dict[str, Any]]) -> list[int]:
    return [event["stores"] for event in events if event["ev"] == "restored"]


def test_stores_go_beyond_a_fragment() -> None:
    """One a generation, the last 48 of them; besides them the blocks' and the ledger."""
    status, events, output = boot("scenario=handover generations=52 megabytes=1")
    assert status == PASS, output
    assert restored_stores(events) == [min(g, 48) + 2 for g in range(1, 52)]


def test_a_thousand_generations() -> None:
    status, events, output = boot("scenario=chain generations=1000", timeout=600.0)
    assert status == PASS, output[-4000:]
    free = [event["free_pages"] for event in events if event["ev"] == "memory"]
    assert len(free) == 1000 and set(free[1:]) == {free[1]}


def test_the_scenario_of_the_documentation() -> None:
    status, events, output = boot("scenario=example generations=3", KERNEL_WITH_EXAMPLES)
    assert status == PASS, output
    # Its own store and the ledger.
    assert restored_stores(events) == [2, 2]


def test_the_client_of_the_documentation() -> None:
    status, events, output = boot("scenario=counter generations=4", KERNEL_WITH_EXAMPLES)
    assert status == PASS, output
    # Its page came back: nothing that was handed over is unaccounted for.
    assert sum(event["ev"] == "restored" for event in events) == 3


@pytest.mark.parametrize(
    ("command_line", "status", "cause", "text"),
    [
        ("", USAGE, "scenario", "no such scenario"),
        ("scenario=handovr", USAGE, "scenario", "'handovr': no such scenario"),
        ("scenario=chain nonsense=1", USAGE, "command-line", "'nonsense=1': no such option"),
        ("scenario=chain seed=", USAGE, "command-line", "'seed=': the value cannot be used"),
        ("scenario=handover megabytes=4096", NO_MEMORY, "no-memory", "no free block of order"),
        (
            "scenario=chain kho_scratch=1G,1M,1M",
            NO_MEMORY,
            "no-memory",
            "no room for the low scratch",
        ),
        ("scenario=chain reserve_mem=1G:4096:much", NO_MEMORY, "no-memory", "reserve_mem=much"),
        (
            "scenario=chain generations=2 kho_scratch=4M,4M,4M reserve_mem=64K:64K:" + "x" * 40,
            USAGE,
            "command-line",
            "the value cannot be used",
        ),
        ("scenario=chain seed=" + "1" * 3000, USAGE, "command-line", "longer than 2047 bytes"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_says_what_it_cannot_do(command_line: str, status: int, cause: str, text: str) -> None:
    found, events, output = boot(command_line)
    assert found == status, output
    error = next(event for event in events if event["ev"] == "error")
    assert error["cause"] == cause
    assert text in error["text"]


def test_refuses_a_handover_with_a_named_cause() -> None:
    """A defect that the next generation finds by itself."""
    status, events, output = boot("scenario=chain generations=2 fault=root-not-preserved")
    assert status == FAIL, output
    refused = [event for event in events if event["ev"] == "refused"]
    assert [event["cause"] for event in refused] == ["blob-not-preserved"]


def test_finds_a_page_that_was_written_after_the_seal() -> None:
    status, events, output = boot("scenario=chain generations=2 fault=write-after-seal")
    assert status == FAIL, output
    assert sum(event["ev"] == "mismatch" for event in events) == 1


def fired(events: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(event["gen"], event["name"]) for event in events if event["ev"] == "fault"]


@pytest.mark.parametrize("scenario", ["handover", "recursion", "churn", "storm"])
def test_a_fault_has_a_target_in_every_scenario(scenario: str) -> None:
    status, events, output = boot(f"scenario={scenario} generations=2 fault=write-after-seal")
    assert fired(events) == [(1, "write-after-seal")], output
    assert status == FAIL, output


@pytest.mark.parametrize(
    ("command_line", "cpus"),
    [
        ("scenario=handover generations=1 fault=write-after-seal", 1),
        ("scenario=churn generations=2 fault=tail-not-restored", 1),
        ("scenario=chain generations=2 fault=ap-spins-in-old-text", 1),
        ("scenario=chain generations=2 fault=park-page-unowned", 1),
        ("scenario=chain generations=2 fault=lost-tracker-update", 4),
    ],
)
def test_a_fault_that_does_not_happen_does_not_claim_to(command_line: str, cpus: int) -> None:
    status, events, output = boot(command_line, cpus=cpus)
    assert (status, fired(events)) == (PASS, []), output
