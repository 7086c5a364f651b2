# SPDX-License-Identifier: BSD-3-Clause
"""Trouble with QEMU and the host: never blamed on the guest, and nothing is left behind."""

from __future__ import annotations

import errno
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from rig import Rig, Script, event, guest_ram_held, handover_script, stop

from khorig.guest.khorig_run import KhorigRun
from khorig.out.session_documents import SessionDocuments
from khorig.rules.finding import Finding, Verdict
from khorig.run.judging import StopContext
from khorig.run.result import RunResult
from khorig.vm.build_outputs import find_elf
from khorig.vm.errors import InfraError
from khorig.vm.journal import Journal


@pytest.mark.parametrize(
    "script, cause",
    [
        ([["stderr", "host trouble"], ["exit", 1]], "QEMU exited with status 1: host trouble"),
        ([["stderr", "first\n" * 2000 + "the cause\n\n \n"], ["exit", 1]], "status 1: the cause"),
        ([["exit", 0]], "QEMU exited with status 0"),
        ([["kill", 9]], "QEMU was killed by SIGKILL"),
        ([["kill", 6]], "QEMU was killed by SIGABRT"),
        ([["kill", 7]], "no space left for guest RAM"),
        ([["version", [5, 2, 0]]], "QEMU 5.2.0 is too old"),
        ([["ends at", ["cont", 3]]], "QEMU exited with status 3"),
        ([["ends at", ["qmp_capabilities", 3]]], "QEMU exited with status 3"),
        (
            [["ends at", ["human-monitor-command", 3]], *handover_script()],
            "QEMU exited with status 3",
        ),
    ],
)
def test_trouble_with_qemu_is_infra(rig: Rig, script: Script, cause: str) -> None:
    result = rig.run(script)
    assert result.verdict is Verdict.INFRA
    assert cause in result.cause
    assert "events.jsonl" in rig.files(result) and "verdict.json" in rig.files(result)


def test_qemu_that_dies_at_the_start_is_quoted(rig: Rig) -> None:
    script = rig.folder / "bin" / "qemu-system-x86_64"
    script.unlink()
    script.write_text("#!/bin/sh\necho 'qemu: -device edu: not a valid device model' >&2\nexit 1\n")
    script.chmod(0o755)
    result = rig.run([])
    assert result.verdict is Verdict.INFRA
    assert "not a valid device model" in result.cause


def test_qemu_that_is_missing_is_named(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(rig.folder))
    result = rig.run([])
    assert result.verdict is Verdict.INFRA
    assert "qemu-system-x86_64 is not installed" in result.cause


def test_qemu_that_does_not_answer_is_infra(rig: Rig) -> None:
    rig.limits = replace(rig.limits, reply_s=0.5)
    script = rig.folder / "bin" / "qemu-system-x86_64"
    script.unlink()
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    result = rig.run([])
    assert result.verdict is Verdict.INFRA
    assert "did not answer" in result.cause


def test_a_kernel_that_is_not_built_is_infra(rig: Rig) -> None:
    (rig.folder / "build" / "khorig-x86_64.cpio").unlink()
    result = rig.run([])
    assert result.verdict is Verdict.INFRA
    assert "khorig-x86_64.cpio is not built" in result.cause


def test_a_machine_that_cannot_have_the_memory_skips(rig: Rig) -> None:
    result = rig.run([], memory=1 << 50)
    assert result.verdict is Verdict.SKIP
    assert "at most" in result.cause


def test_cancelling_ends_a_run_at_once(rig: Rig) -> None:
    rig.cancellation.cancel(signal.SIGINT)
    result = rig.run(handover_script())
    assert result.verdict is Verdict.SKIP  # it had not begun
    assert "SIGINT" in result.cause


def _assert_gone(result: RunResult) -> None:
    for line in (Path(result.directory) / "events.jsonl").open():
        record = json.loads(line)
        if record["ev"] == "qemu":
            with pytest.raises(ProcessLookupError):
                os.kill(record["pid"], 0)
            return
    raise AssertionError("QEMU never started")


def test_no_process_is_left_after_a_hang(rig: Rig) -> None:
    result = rig.run([["hang", None]])
    assert result.verdict is Verdict.HANG
    _assert_gone(result)


def test_no_guest_ram_is_left(rig: Rig) -> None:
    seen: list[set[str]] = []

    def on_stop(context: StopContext) -> list[Finding]:
        seen.append(guest_ram_held())
        return []

    rig.judge.on_stops = on_stop
    rig.run([event("boot", 1, handover=False), *stop("entry", 1), ["kill", 9]])
    [[name]] = seen
    assert name.endswith(" (deleted)"), "guest RAM has a name that outlives its processes"
    assert guest_ram_held() == set()


@pytest.mark.parametrize("name", ["console.log", "events.jsonl", "qmp.jsonl", "qemu.argv"])
def test_a_full_disk_is_infra(rig: Rig, name: str) -> None:
    rig.on_folder = lambda folder: (folder / name).symlink_to("/dev/full")
    result = rig.run(handover_script())
    assert result.verdict is Verdict.INFRA
    assert "No space left on device" in result.cause
    assert rig.session is not None
    assert (rig.session.folder / "results.json").exists()


def test_a_report_that_cannot_be_made_costs_no_result(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(documents: SessionDocuments, folder: Path) -> None:
        raise ZeroDivisionError("of a template")

    monkeypatch.setattr(SessionDocuments, "write_report", broken)
    rig.run(handover_script())
    assert rig.session is not None
    [result] = rig.session.run_all([KhorigRun("x86_64", "q35", memory=16 << 20, timeout_s=20.0)])
    assert result.verdict is Verdict.PASS
    assert capsys.readouterr().err == (
        "khorig: no report: bug in khorig: ZeroDivisionError('of a template')\n"
    )
    assert (rig.session.folder / "results.json").exists()


def test_a_journal_on_a_full_disk_complains_once_and_still_tells() -> None:
    told: list[object] = []
    journal = Journal(Path("/dev/full"), told.append)
    with journal:
        with pytest.raises(OSError, match="No space left"):
            journal.write({"n": 1})
        journal.write({"n": 2})
    assert told == [{"n": 1}, {"n": 2}]


def test_kernels_of_another_user_are_host_trouble(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(InfraError, match="khorig-arm64.elf was built by another user") as caught:
        find_elf("arm64")
    assert "Permission denied" in caught.value.what
