# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own programs for the Live Update Orchestrator, with khorig between their two stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from khorig.api.rig import Rig
from khorig.linux.peer import Peer
from khorig.linux.selftests import PROGRAMS
from khorig.pytest_plugin import built_peer, each_arch
from khorig.vm.machines import machine_named

CHAIN = ("linux-7.3", "khorig", "linux-7.3")


def built_program(peer: Peer, program: str) -> Path:
    """The file of the program."""
    built = peer.selftests / program
    if not built.is_file():
        command = "scripts/khorig linux build --version 7.3"
        pytest.skip(f"{program} is not built for {peer.arch}; build it: {command}")
    return built


def run_program(rig: Rig, machine: str, kernels: tuple[str, ...], program: str) -> None:
    peer = built_peer(machine_named(machine).arch, "linux-7.3")
    built = built_program(peer, program)
    result = rig.run(
        machine,
        kernels=kernels,
        programs=(f"1:{built} -s 1", f"3:{built} -s 2"),
    )
    result.expect_pass()
    ended = [(e["gen"], e["status"]) for e in result.events("program")]
    assert ended == [(1, 0), (3, 0)]


@each_arch
@pytest.mark.parametrize("program", PROGRAMS)
def test_sessions_survive(rig: Rig, machine: str, program: str) -> None:
    run_program(rig, machine, CHAIN, program)


@each_arch
def test_sessions_survive_an_update_of_linux(rig: Rig, machine: str) -> None:
    kernels = ("linux-7.2", "khorig", "linux-7.3")
    run_program(rig, machine, kernels, "luo_multi_session")
