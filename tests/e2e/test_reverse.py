# SPDX-License-Identifier: BSD-3-Clause
"""`khorig replay --gdb --reverse`: from the stop at which memory was found spoilt a debugger goes
back to the store that spoilt it, and behind that."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest

from khorig.vm.gdb_stub import GdbStub
from khorig.vm.symbols import Symbols

_WAITING = "waiting for gdb:  "
_PATIENCE_S = 120.0
# The function with the store, or the one that it is inlined to: behind the store it may be either.
_DEFECT = re.compile("WriteBlock|FaultAt")


def _khorig(*words: Any) -> list[str]:
    return [sys.executable, "-m", "khorig", *map(str, words)]


def _run(out: Path, machine: str, *words: str) -> Path:
    """The folder of a run with a stray store."""
    small = ("--mem", "64M", "--append", "megabytes=8", "--fault", "write-after-seal")
    done = subprocess.run(
        _khorig("run", "--machine", machine, *small, *words, "--out", out),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    [verdict] = out.glob("2*/*/*/verdict.json")
    return verdict.parent


@pytest.fixture(scope="module", params=["q35", "virt"])
def failed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(tmp_path_factory.mktemp("failed"), request.param)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class _Backwards:
    """A replay that waits for gdb."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, port: int) -> None:
        self.process = process
        self.said = ""
        for line in process.stdout or ():
            self.said += line
            if _WAITING in line:
                break
        assert _WAITING in self.said, self.said
        run = json.loads((folder / "run.json").read_text())
        self.stub = GdbStub(port, run["spec"]["arch"])
        self._symbols = Symbols(Path(run["symbols"]["khorig"]["file"]))

    def where(self) -> str:
        """The function that is executed."""
        return self._symbols.describe(self.stub.pc())


@contextlib.contextmanager
def _backwards(folder: Path, out: Path, *words: str) -> Iterator[_Backwards]:
    port = _free_port()
    command = _khorig("replay", folder, "--out", out, "--gdb", port, "--reverse", *words)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(out)},  # what a killed replay leaves goes with the test
    ) as process:
        watchdog = threading.Timer(_PATIENCE_S, process.kill)  # and QEMU with it
        watchdog.start()
        try:
            yield _Backwards(process, folder, port)
        finally:
            watchdog.cancel()
            process.kill()


def _address(folder: Path) -> int:
    [finding, *_] = json.loads((folder / "verdict.json").read_text())["findings"]
    return int(finding["where"], 16)


def test_back_to_the_last_store_and_behind_it(failed: Path, tmp_path: Path) -> None:
    address = _address(failed)
    with _backwards(failed, tmp_path) as replay:
        assert "same verdict, rule and cause" in replay.said
        assert "stopped in generation 2" in replay.said
        stub = replay.stub
        stub.watch(address, 8)
        stub.go_back()
        stub.halted()
        assert _DEFECT.search(replay.where())
        spoilt = stub.read_u64(address)
        stub.watch(address, 8, wanted=False)
        stub.step_back()
        assert "WriteBlock" in replay.where()
        right = stub.read_u64(address)
        assert spoilt ^ right == 1, f"{spoilt:#x} behind the store, {right:#x} before it"
        stub.watch(address, 8)
        stub.go_back()
        stub.halted()
        assert "FillContent" in replay.where(), "the store before the last one"
        assert stub.read_u64(address) == right
        stub.watch(address, 8, wanted=False)
        stub.go()
        said, _ = replay.process.communicate(timeout=60)  # the recording comes to its end
        assert replay.process.returncode == 0, said


def test_from_a_chosen_stop(failed: Path, tmp_path: Path) -> None:
    with _backwards(failed, tmp_path, "--at", "sealed:1") as replay:
        assert "stopped in generation 1" in replay.said
        # In the wait for the host, or in what that calls; the store comes later.
        assert any(name in replay.where() for name in ("WaitForHost", "Pause", "Console"))
        address = _address(failed)
        right = replay.stub.read_u64(address)
        replay.stub.watch(address, 8)
        replay.stub.go()
        replay.stub.halted()
        assert _DEFECT.search(replay.where())
        replay.stub.step_back()
        assert replay.stub.read_u64(address) == right


def test_an_interrupt_ends_it(failed: Path, tmp_path: Path) -> None:
    with _backwards(failed, tmp_path) as replay:
        replay.process.send_signal(signal.SIGINT)
        replay.process.communicate(timeout=60)
        assert replay.process.returncode == 128 + signal.SIGINT


def _refused(folder: Path, *words: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _khorig("replay", folder, "--out", folder / "out", "--gdb", _free_port(), *words),
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_several_cpus_are_not_recorded(tmp_path: Path) -> None:
    done = _refused(_run(tmp_path, "q35", "--smp", "2"), "--reverse")
    assert done.returncode == 2
    assert "QEMU records one CPU, and this run has 2" in done.stderr


def test_what_makes_the_disk_is_missing(failed: Path, tmp_path: Path) -> None:
    done = _refused(failed, "--reverse", PATH=str(tmp_path))
    assert done.returncode == 3
    assert "qemu-img is not installed (apt-get install qemu-utils)" in done.stderr


def test_a_store_is_stopped_at_in_one_way(failed: Path) -> None:
    done = _refused(failed, "--reverse", "--before-write", "0x1000")
    assert done.returncode == 2
    assert "--before-write excludes --at and --reverse" in done.stderr
