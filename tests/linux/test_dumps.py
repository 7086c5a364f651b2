# SPDX-License-Identifier: BSD-3-Clause
"""What is read out of Linux's memory is what Linux says of it, and what the next kernel finds."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Mapping

import pytest
from peers import ONE_OF_EACH, Chains, expect_pass

from khorig.kho.snapshot import Snapshot, find_snapshot
from khorig.mem.formats import open_dump
from khorig.rules.check import check, is_broken

Event = Mapping[str, Any]


def guest_events(folder: Path) -> list[Event]:
    """What the kernels said."""
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [record["event"] for line in lines if (record := json.loads(line))["ev"] == "guest"]


def said_by(events: list[Event], kind: str, generation: int) -> list[Event]:
    """The events of a kind."""
    return [event for event in events if (event["ev"], event["gen"]) == (kind, generation)]


def debugfs_of(events: list[Event], generation: int) -> dict[str, Event]:
    """What a Linux's debugfs holds, by the name of the file."""
    return {event["file"]: event for event in said_by(events, "debugfs", generation)}


def fnv(data: bytes) -> int:
    """64-bit FNV-1a."""
    return functools.reduce(
        lambda sum_, byte: (sum_ ^ byte) * 0x100000001B3 % (1 << 64), data, 0xCBF29CE484222325
    )


def clients_of(snapshot: Snapshot) -> dict[str, tuple[int, int]]:
    """Address and size of what hangs from the root."""
    found = {}
    for node in snapshot.handover.root.tree.children:
        address, size = (
            int.from_bytes(node.properties[name], "little")
            for name in ("preserved-data", "blob-size")
        )
        found[node.name] = (address, size)
    return found


def expect_same_as_debugfs(snapshot: Snapshot, files: Mapping[str, Event]) -> None:
    """Root, subtrees and scratch are those that Linux shows."""
    memory = snapshot.memory

    def content(address: int, size: int) -> int:
        with memory.view(address, size) as view:
            return fnv(bytes(view))

    root = files["out/fdt"]
    assert content(snapshot.handover.root.address, root["size"]) == int(root["fnv"], 0)
    clients = clients_of(snapshot)
    shown = {name.removeprefix("out/sub_fdts/") for name in files if "/sub_fdts/" in name}
    assert shown == set(clients) and len(shown) >= 4
    for name, (address, size) in clients.items():
        file = files[f"out/sub_fdts/{name}"]
        assert (size, content(address, size)) == (file["size"], int(file["fnv"], 0)), name


def scratch_of(files: Mapping[str, Event]) -> list[tuple[int, int]]:
    """The scratch areas that Linux shows."""
    columns = (files[f"out/scratch_{name}"]["text"].split() for name in ("phys", "len"))
    return [(int(begin, 0), int(size, 0)) for begin, size in zip(*columns)]


def expect_sound(snapshot: Snapshot, sessions: int) -> None:
    """No rule is broken, and every client of Linux could be read."""
    outcomes = check(snapshot)
    assert not is_broken(outcomes), [outcome for outcome in outcomes if outcome.violations]
    luo, test = snapshot.linux.luo, snapshot.linux.kho_test
    assert luo and test and test.adds_up
    assert [(s.name, s.files[0].token) for s in luo.sessions] == [("khorig", 0x6B686F)] * sessions


@ONE_OF_EACH
@pytest.mark.parametrize("release", ["7.2", "7.3"])
def test_dumps_of_linux(chains: Chains, machine: str, release: str) -> None:
    linux = f"linux-{release}"
    result = chains.run(machine, (linux, "khorig", linux), keep=True)
    expect_pass(result)
    folder = Path(result.directory)
    events = guest_events(folder)
    files = debugfs_of(events, 1)
    (reserved,) = said_by(events, "reserved", 1)
    khorig_said = {
        event["name"]: (int(event["data"], 0), event["size"])
        for event in said_by(events, "client", 2)
    }
    (test,) = said_by(events, "kho_test", 2)

    with open_dump(folder / "gen1.sealed.ram.zst") as dump:
        snapshot = find_snapshot(dump)
        expect_sound(snapshot, sessions=0)  # Linux writes them on its way down
        expect_same_as_debugfs(snapshot, files)
        assert clients_of(snapshot) == khorig_said
    with open_dump(folder / "gen2.entry.ram.zst") as dump:
        snapshot = find_snapshot(dump)
        expect_sound(snapshot, sessions=1)
        assert clients_of(snapshot) == khorig_said
        assert [(a.begin, a.size) for a in snapshot.scratch or ()] == scratch_of(files)
        [area] = snapshot.clients.reserved
        assert (area.area.begin, area.area.size) == (int(reserved["start"], 0), reserved["size"])
        linux_test, luo = snapshot.linux.kho_test, snapshot.linux.luo
        assert linux_test and luo and luo.sessions[0].files[0].memfd
        assert len(linux_test.folios) == test["folios"]
        assert linux_test.folios.page_count << 12 == test["bytes"]
        assert luo.sessions[0].files[0].memfd.folios.page_count >= 300
    with open_dump(folder / "gen2.sealed.ram.zst") as dump:
        snapshot = find_snapshot(dump)
        expect_sound(snapshot, sessions=1)
        shown = debugfs_of(events, 3)["in/fdt"]
        with snapshot.memory.view(snapshot.handover.root.address, shown["size"]) as view:
            assert fnv(bytes(view)) == int(shown["fnv"], 0)
