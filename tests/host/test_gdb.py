# SPDX-License-Identifier: BSD-3-Clause
"""`--gdb` with real QEMUs: a debugger takes its time, and the run still has a verdict."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

_PACKET = "${}#{:02x}"


class _Debugger:
    """As much of gdb's remote protocol as it takes to let a guest run."""

    def __init__(self, port: int) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "nobody listens"
                time.sleep(0.05)

    def send(self, command: str) -> None:
        checksum = sum(command.encode()) % 256
        self._socket.sendall(b"+" + _PACKET.format(command, checksum).encode())

    def stop(self) -> None:
        self._socket.sendall(b"\x03")
        self.await_halt()

    def await_halt(self) -> None:
        """Reads the reply to `?`, or that the guest has halted."""
        said = b""
        while b"$T" not in said:
            chunk = self._socket.recv(4096)
            assert chunk, "the guest ended before it could be stopped"
            said += chunk


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.mark.parametrize("machine", ["q35", "virt"])
def test_a_debugger_takes_its_time(tmp_path: Path, machine: str) -> None:
    port = _free_port()
    words = ["--machine", machine, "--gdb", str(port), "--timeout", "1", "--generations", "2"]
    command = [sys.executable, "-m", "khorig", "run", *words, "--out", str(tmp_path), "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        debugger = _Debugger(port)
        debugger.send("?")
        debugger.await_halt()
        time.sleep(2)  # longer than --timeout
        debugger.send("c")
        time.sleep(0.1)
        debugger.stop()
        time.sleep(5)  # a guest that says nothing for so long and repeats its CPUs hangs
        debugger.send("c")
        out, err = process.communicate(timeout=60)
    [run] = json.loads(out)["runs"]
    assert run["verdict"] == "PASS", err
    assert f"target remote localhost:{port}" in err
    assert process.returncode == 0


def test_a_port_that_is_taken_is_host_trouble(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ["--machine", "q35", "--gdb", str(taken.getsockname()[1]), "--out", str(tmp_path)]
        done = subprocess.run(
            [sys.executable, "-m", "khorig", "run", *words],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 3
    assert "Address already in use" in done.stdout
