# SPDX-License-Identifier: BSD-3-Clause
"""`khorig replay --gdb` stops a failed run at a stop, and before the store that spoilt memory,
where gdb finds the function and the memory as it was."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest

from khorig.vm.errors import InfraError
from khorig.vm.gdb_stub import GdbStub
from khorig.vm.symbols import Symbols

_SMALL = ("--mem", "64M", "--append", "megabytes=8")
_WAITING = "waiting for gdb:  "
_HAS_GDB = shutil.which("gdb") is not None


def _khorig(*words: Any) -> list[str]:
    return [sys.executable, "-m", "khorig", *map(str, words)]


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture(scope="module", params=["q35", "virt"])
def failed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a stray store."""
    out = tmp_path_factory.mktemp("failed")
    words = ("--machine", request.param, "--fault", "write-after-seal", *_SMALL, "--out", out)
    done = subprocess.run(
        _khorig("run", *words), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    [verdict] = out.glob("2*/*/*/verdict.json")
    return verdict.parent


class _Replay:
    """A replay that waits for gdb."""

    def __init__(self, folder: Path, out: Path, *words: str) -> None:
        run = json.loads((folder / "run.json").read_text())
        self.arch = run["spec"]["arch"]
        self.elf = Path(run["symbols"]["khorig"]["file"])
        self.port = _free_port()
        self.process = subprocess.Popen(
            _khorig("replay", folder, "--out", out, "--gdb", self.port, *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""
        for line in self.process.stdout or ():
            self.said += line
            if _WAITING in line:
                break
        assert _WAITING in self.said, self.said
        self.command = self.said.partition(_WAITING)[2].splitlines()[0]

    def gdb(self, *commands: str) -> str:
        """Attaches gdb with the printed command, which lets the guest run at its end."""
        words = " ".join(f"-ex '{command}'" for command in commands)
        done = subprocess.run(
            f"{self.command} -batch {words} -ex detach",
            shell=True,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "detached" in done.stdout, done.stdout + done.stderr
        return done.stdout

    def finish(self) -> str:
        said, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, said
        return said


@pytest.fixture
def replays(failed: Path, tmp_path: Path) -> Iterator[Any]:
    """Starts replays, and ends them however the test ends."""
    started: list[_Replay] = []

    def start(*words: str) -> _Replay:
        started.append(_Replay(failed, tmp_path, *words))
        return started[-1]

    yield start
    for replay in started:
        replay.process.kill()
        replay.process.wait()


def test_at_a_stop(replays: Any) -> None:
    replay = replays("--at", "entry:2")
    assert "stopped in generation 2" in replay.said
    if replay.arch == "x86_64" and _HAS_GDB:
        said = replay.gdb("bt")
        assert "WaitForHost" in said and "KernelMain" in said, said
    else:
        stub = GdbStub(replay.port, replay.arch)
        # In the wait for the host, or in what that calls.
        assert re.search(r"WaitForHost|Pause|Console", Symbols(replay.elf).describe(stub.pc()))
        stub.go()
        stub.close()
    assert replay.finish().splitlines()[-1] == "same verdict, rule and cause"


def test_before_the_store(replays: Any, failed: Path) -> None:
    [finding, *_] = json.loads((failed / "verdict.json").read_text())["findings"]
    address = int(finding["where"], 16)
    replay = replays("--before-write", hex(address))
    assert "stopped in generation 1" in replay.said
    if replay.arch == "x86_64" and _HAS_GDB:
        said = replay.gdb("bt", f"x/gx {address:#x}", "stepi", f"x/gx {address:#x}")
        assert "WriteBlock" in said, said
        words = [int(word, 16) for word in re.findall(rf"{address:#x}:\t(0x[0-9a-f]+)", said)]
    else:
        stub = GdbStub(replay.port, replay.arch)
        words = [stub.read_u64(address)]
        assert "WriteBlock" in Symbols(replay.elf).describe(stub.pc())
        stub.step()
        words.append(stub.read_u64(address))
        stub.go()
        stub.close()
    assert len(words) == 2 and words[0] ^ words[1] == 1, words
    assert replay.finish().splitlines()[-1] == "same verdict, rule and cause"


def test_a_store_that_no_cpu_does(failed: Path, tmp_path: Path) -> None:
    spec = json.loads((failed / "run.json").read_text())["spec"]
    last = (0x40000000 if spec["arch"] == "arm64" else 0) + spec["memory"] - 4096
    done = subprocess.run(
        _khorig("replay", failed, "--out", tmp_path, "--gdb", _free_port(),
                "--before-write", hex(last + (1 << 40))),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "no CPU stored to 0x00000100" in done.stderr


@pytest.mark.parametrize(
    "words, why",
    [
        (("--at", "entry:2"), "need --gdb"),
        (("--gdb", "--at", "entry:9"), "the run has generations 1 to 3"),
        (("--gdb", "--at", "refused:2"), "generation 2 stops at sealed, entry, restored"),
        (("--gdb", "--at", "entry"), "expected STOP:GENERATION"),
        (("--gdb", "--at", "nowhere:2"), "nowhere"),
        (("--gdb", "--at", "entry:2", "--before-write", "1"), "excludes --at and"),
    ],
)
def test_places_that_no_run_reaches(
    failed: Path, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    if words[0] == "--gdb":
        words = ("--gdb", str(_free_port()), *words[1:])
    done = subprocess.run(
        _khorig("replay", failed, "--out", tmp_path, *words),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert why in done.stderr


def test_a_stub_that_goes_away() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def accept() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=accept)
        thread.start()
        with pytest.raises(InfraError, match="gdb stub"):
            GdbStub(listener.getsockname()[1], "x86_64")
        thread.join()
