# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own programs for the Live Update Orchestrator, with khorig between their two stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from khorig.api.rig import Rig
from khorig.linux.archive import write_archive
from khorig.linux.peer import Peer
from khorig.linux.selftests import PROGRAMS
from khorig.pytest_plugin import built_peer, each_arch
from khorig.vm.machines import machine_named

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
    rig: Rig, machine: str, kernels: tuple[str, ...], program: str, folder: Path
) -> None:
    peer = built_peer(machine_named(machine).arch, "linux-7.3")
    archive = archive_with(peer, program, folder)
    result = rig.run(
        machine,
        kernels=kernels,
        extra_initrd=str(archive),
        linux_options=(f"1:khorig.exec=/{program},-s,1", f"3:khorig.exec=/{program},-s,2"),
    )
    result.expect_pass()
    ended = [(e["gen"], e["status"]) for e in result.events("program")]
    assert ended == [(1, 0), (3, 0)]


@each_arch
@pytest.mark.parametrize("program", PROGRAMS)
def test_sessions_survive(rig: Rig, machine: str, program: str, tmp_path: Path) -> None:
    run_program(rig, machine, CHAIN, program, tmp_path)


@each_arch
def test_sessions_survive_an_update_of_linux(rig: Rig, machine: str, tmp_path: Path) -> None:
    kernels = ("linux-7.2", "khorig", "linux-7.3")
    run_program(rig, machine, kernels, "luo_multi_session", tmp_path)
