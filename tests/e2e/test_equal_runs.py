# SPDX-License-Identifier: BSD-3-Clause
"""Virtual time counts instructions, and nothing else moves a guest: runs of several CPUs are equal
to the byte, in what they print and in what they leave in memory.

Not so with stops. The guest polls while the host looks, so the host's time becomes the guest's.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch

_HOST = ("s", "host_ms", "pid", "wall_s")  # fields of the journal that are of the host


def _run(rig: Rig, machine: str, scenario: str) -> tuple[bytes, list[Any], str]:
    """Console, events and a hash of RAM at the end."""
    small = ("megabytes=8",) if scenario == "handover" else ()
    result = rig.run(
        machine, scenario, smp=4, memory=64 << 20, stops=(), keep=True, extra_options=small
    )
    folder = Path(result.directory)
    console = (folder / "console.log").read_bytes()
    assert b'"ev":"done"' in console and b'"online":4' in console
    events = []
    for line in (folder / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["ev"] != "qmp":  # of another channel than the console; either may be read first
            events.append({key: value for key, value in event.items() if key not in _HOST})
    [image] = folder.glob("*.ram.zst")
    digest = hashlib.sha256()
    with image.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    image.unlink()
    return console, events, digest.hexdigest()


def _compare(rig: Rig, machine: str, scenario: str, pairs: int) -> None:
    for number in range(pairs):
        first, second = (_run(rig, machine, scenario) for _ in range(2))
        for what, one, other in zip(("console", "events", "RAM"), first, second):
            assert one == other, f"{what} of the runs of pair {number + 1} differ"


@each_arch
@pytest.mark.parametrize("scenario", ["handover", "storm"])
def test_some_pairs_of_runs_are_equal(rig: Rig, machine: str, scenario: str) -> None:
    _compare(rig, machine, scenario, 2)


@each_arch
def test_100_pairs_of_runs_are_equal(rig: Rig, machine: str) -> None:
    _compare(rig, machine, "handover", 100)
