# SPDX-License-Identifier: BSD-3-Clause
"""What is read out of Linux's memory is what Linux says of it, and what the next kernel finds."""

from __future__ import annotations

import functools
from typing import Any, Mapping

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.cli.main import main
from khorig.guest.poke import parse_poke
from khorig.kho.snapshot import Snapshot
from khorig.linux.peer import find_peer
from khorig.pytest_plugin import each_arch
from khorig.rules.check import check, is_broken
from khorig.rules.finding import Verdict

Event = Mapping[str, Any]


def debugfs_of(result: RigResult, generation: int) -> dict[str, Event]:
    """What a Linux's debugfs holds, by the name of the file."""
    return {event["file"]: event for event in result.events("debugfs", generation)}


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


def expect_same_as_debugfs(
    snapshot: Snapshot, files: Mapping[str, Event], written_later: tuple[str, ...] = ()
) -> None:
    """Root, subtrees and scratch are those that Linux shows; of subtrees that it has written since
    then, the sizes."""
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
        assert size == file["size"], name
        assert name in written_later or content(address, size) == int(file["fnv"], 0), name


def scratch_of(files: Mapping[str, Event]) -> list[tuple[int, int]]:
    """The scratch areas that Linux shows."""
    columns = (files[f"out/scratch_{name}"]["text"].split() for name in ("phys", "len"))
    return [(int(begin, 0), int(size, 0)) for begin, size in zip(*columns)]


def expect_sound(snapshot: Snapshot, is_serialized: bool = True) -> None:
    """No rule is broken, and every client of Linux could be read."""
    outcomes = check(snapshot)
    assert not is_broken(outcomes), [outcome for outcome in outcomes if outcome.violations]
    luo, test = snapshot.linux.luo, snapshot.linux.kho_test
    assert luo and test and test.adds_up
    files = {s.name: [file.token for file in s.files] for s in luo.sessions}
    expected = {"khorig": [0x6B686F], "khorig-files": [*range(1, 8)]}
    assert files == (expected if is_serialized else {})
    assert all(file.memfd for session in luo.sessions for file in session.files)


@each_arch
@pytest.mark.parametrize("release", ["7.2", "7.3"])
def test_dumps_of_linux(rig: Rig, machine: str, release: str) -> None:
    linux = f"linux-{release}"
    result = rig.run(machine, kernels=(linux, "khorig", linux), keep=True)
    result.expect_pass()
    files = debugfs_of(result, 1)
    (reserved,) = result.events("reserved", 1)
    khorig_said = {
        event["name"]: (int(event["data"], 0), event["size"])
        for event in result.events("client", 2)
    }
    (test,) = result.events("kho_test", 2)

    with result.dump("sealed", 1) as dump:
        snapshot = dump.snapshot
        # Linux writes them on its way down, and is sealed where it jumps if its symbols say where.
        jumps = find_peer(result.spec.arch, linux).symbols.is_file()
        expect_sound(snapshot, is_serialized=jumps)
        expect_same_as_debugfs(snapshot, files, ("LUO",) if jumps else ())
        assert clients_of(snapshot) == khorig_said
    with result.dump("entry", 2) as dump:
        snapshot = dump.snapshot
        expect_sound(snapshot)
        assert clients_of(snapshot) == khorig_said
        assert [(a.begin, a.size) for a in snapshot.scratch or ()] == scratch_of(files)
        [area] = snapshot.clients.reserved
        assert (area.area.begin, area.area.size) == (int(reserved["start"], 0), reserved["size"])
        linux_test, luo = snapshot.linux.kho_test, snapshot.linux.luo
        assert linux_test and luo and luo.sessions[0].files[0].memfd
        assert len(linux_test.folios) == test["folios"]
        assert linux_test.folios.page_count << 12 == test["bytes"]
        assert luo.sessions[0].files[0].memfd.folios.page_count >= 300
    with result.dump("sealed", 2) as dump:
        snapshot = dump.snapshot
        expect_sound(snapshot)
        shown = debugfs_of(result, 3)["in/fdt"]
        with snapshot.memory.view(snapshot.handover.root.address, shown["size"]) as view:
            assert fnv(bytes(view)) == int(shown["fnv"], 0)


@each_arch
def test_a_failed_chain_leaves_every_stop_and_shows_the_page(
    rig: Rig, machine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It need not fail the same way again, so the images are those of the first run."""
    poke = parse_poke("1:sealed:memblock/reference+8")
    assert poke is not None
    result = rig.run(machine, kernels=("linux-7.3", "khorig"), pokes=(poke,), record=True)
    assert result.verdict is Verdict.FAIL
    images = {path.name.removesuffix(".ram.zst") for path in result.folder.glob("*.ram.zst")}
    assert images == {"gen1.restored", "gen1.sealed", "gen2.entry", "gen2.end"}
    entry = result.folder / "gen2.entry.ram.zst"
    with pytest.raises(SystemExit) as ended:
        main(("inspect", str(entry), "--page", result.findings[0].where))
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "owner       memblock/reference page 0" in said
    assert "as gen1.sealed.ram.zst: 1 of 4096 bytes differ" in said
    assert f"as the content formula, seed {result.spec.seed:#x}: 1 of 4096 bytes differ" in said
