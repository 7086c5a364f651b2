# SPDX-License-Identifier: BSD-3-Clause
"""The process that QEMU runs in."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from measured import cost_of

from khorig.vm.errors import InfraError
from khorig.vm.process import QemuProcess

_LOG_BYTES = 1 << 40  # of `-d int`, sparse

# Starts a child in a thread, as a session does, prints the child's number, and dies.
_PARENT = """
import os, sys, threading
from pathlib import Path
from khorig.vm.process import QemuProcess

def start():
    print(QemuProcess(["sleep", "60"], Path(sys.argv[1]), ()).pid, flush=True)
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), 9)

thread = threading.Thread(target=start)
thread.start()
thread.join()
if sys.argv[2] == "end":
    os._exit(0)
"""


@pytest.mark.parametrize("how", ["kill", "end"])
def test_it_dies_with_who_has_started_it(tmp_path: Path, how: str) -> None:
    words = [sys.executable, "-c", _PARENT, str(tmp_path / "stderr"), how]
    said = subprocess.run(words, capture_output=True, text=True, timeout=30).stdout
    try:
        descriptor = os.pidfd_open(int(said))
    except ProcessLookupError:
        return
    with open(descriptor):
        assert select.select([descriptor], [], [], 10)[0], "it is still there"


def test_a_parent_that_died_before_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)  # of whom it is no child
    with QemuProcess(["sleep", "60"], tmp_path / "stderr", ()) as process:
        assert process._process.wait(10) == 1


def test_it_is_in_a_process_group_of_its_own_and_gets_descriptors(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    words = ["sh", "-c", f"cut -d ' ' -f 5 /proc/$$/stat > /proc/self/fd/{writer}"]
    with QemuProcess(words, tmp_path / "stderr", (writer,)) as process:
        os.close(writer)
        with open(reader) as answer:
            assert int(answer.read()) == process.pid


def test_a_program_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="no-such-qemu is not installed"):
        QemuProcess(["no-such-qemu"], tmp_path / "stderr", ())


def test_of_a_large_log_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "stderr"
    with QemuProcess(["true"], log, ()) as process:
        with log.open("r+b") as file:
            file.seek(_LOG_BYTES)
            file.write(b"\nthe cause\n")
        cost = cost_of(process.stderr_lines)
        assert process.stderr_lines()[-1] == "the cause"
    assert cost.grown_kib < 16 << 10 and cost.cpu_s < 1.0


def test_nothing_of_it_runs_while_it_is_frozen(tmp_path: Path) -> None:
    words = ["sh", "-c", "while :; do echo x >&2; done"]
    log = tmp_path / "stderr"
    with QemuProcess(words, log, ()) as process:
        process.freeze()
        size = log.stat().st_size
        time.sleep(0.05)
        assert log.stat().st_size == size
        process.thaw()
        deadline = time.monotonic() + 10
        while log.stat().st_size == size:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()
        process.freeze()  # nothing is there any more
        process.thaw()


def test_a_qemu_that_goes_on_after_its_signal_is_host_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("khorig.vm.process._FREEZES_S", 0.05)
    with QemuProcess(["sleep", "60"], tmp_path / "stderr", ()) as process:
        monkeypatch.setattr(process, "_signal", lambda number: None)
        with pytest.raises(InfraError, match="went on for 0.05 s after SIGSTOP"):
            process.freeze()
