# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own programs for the Live Update Orchestrator, with khorig between their two stages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from peers import ONE_OF_EACH, Chains, arch_of, built_peer, expect_pass

from khorig.linux.archive import write_archive
from khorig.linux.peer import Peer
from khorig.linux.selftests import PROGRAMS

CHAIN = ("linux-7.3", "khorig", "linux-7.3")


def archive_with(peer: Peer, program: str, folder: Path) -> Path:
    """An initramfs with the program."""
    built = peer.selftests / program
    if not built.is_file():
        command = "scripts/khorig linux build --version 7.3"
        pytest.skip(f"{program} is not built for {peer.arch}; build it: {command}")
    path = folder / "program.cpio"
    write_archive(path, {program: built.read_bytes()}, ())
    return path


def run_program(
    chains: Chains, machine: str, kernels: tuple[str, ...], program: str, folder: Path
) -> None:
    peer = built_peer(arch_of(machine), "linux-7.3")
    archive = archive_with(peer, program, folder)
    result = chains.run(
        machine,
        kernels,
        extra_initrd=str(archive),
        linux_options=(f"1:khorig.exec=/{program},-s,1", f"3:khorig.exec=/{program},-s,2"),
    )
    expect_pass(result)
    lines = (Path(result.directory) / "events.jsonl").read_text().splitlines()
    events = [record["event"] for line in lines if (record := json.loads(line))["ev"] == "guest"]
    ended = [(e["gen"], e["status"]) for e in events if e["ev"] == "program"]
    assert ended == [(1, 0), (3, 0)]


@ONE_OF_EACH
@pytest.mark.parametrize("program", PROGRAMS)
def test_sessions_survive(chains: Chains, machine: str, program: str, tmp_path: Path) -> None:
    run_program(chains, machine, CHAIN, program, tmp_path)


@ONE_OF_EACH
def test_sessions_survive_an_update_of_linux(chains: Chains, machine: str, tmp_path: Path) -> None:
    kernels = ("linux-7.2", "khorig", "linux-7.3")
    run_program(chains, machine, kernels, "luo_multi_session", tmp_path)
