# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own programs for the Live Update Orchestrator, with khorig between their two stages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from khorig.api.rig import Rig
from khorig.linux.peer import Peer
from khorig.pytest_plugin import built_peer, each_arch
from khorig.vm.machines import machine_named

PROGRAMS = ("luo_kexec_simple", "luo_multi_session", "luo_stress_files", "luo_stress_sessions")
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


def selftests(tmp_path: Path, machine: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`khorig linux selftests`, 7.3 to 7.3."""
    peer = built_peer(machine_named(machine).arch, "linux-7.3")
    built_program(peer, "selftests.json")
    words = [sys.executable, "-m", "khorig", "linux", "selftests", "--machine", machine]
    words += ["--out", str(tmp_path), *options]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@each_arch
def test_both_verdicts_are_in_one_table(tmp_path: Path, machine: str) -> None:
    done = selftests(tmp_path, machine, "--test", "kho", "--test", "luo_kexec_simple")
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "test_kho: KHO restore succeeded",
        "--- SIMPLE KEXEC TEST PASSED ---",
        "SUMMARY: PASS=2 SKIP=0 FAIL=0",
        "rig: 2 of 2 handovers good, 0 where they disagree",
    ):
        assert line in done.stdout
    (ktap,) = tmp_path.glob("20*/selftests.ktap")
    assert ktap.read_text().count("\nok ") == 4


@each_arch
def test_the_cases_of_a_test_without_stages_are_counted(tmp_path: Path, machine: str) -> None:
    """Each case has 30 s of the guest's time, which a busy host does not take with --count."""
    done = selftests(tmp_path, machine, "--test", "liveupdate", "--count")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "theirs: # Totals: pass:15 fail:0" in done.stdout


@each_arch
def test_what_a_selftest_does_not_see_the_rig_shows_beside_it(tmp_path: Path, machine: str) -> None:
    """A byte of reserved memory, which no selftest looks at."""
    options = ("--test", "luo_kexec_simple", "--poke", "1:sealed:memblock/reference+0x10")
    done = selftests(tmp_path, machine, *options)
    assert done.returncode == 1, done.stdout + done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("  luo_kexec_simple"))
    assert row.split()[1:3] == ["PASS", "FAIL"] and row.endswith("<-- they disagree")
    assert "memblock/reference page 0" in done.stdout
