# SPDX-License-Identifier: BSD-3-Clause
"""The command line as a user meets it: a process with arguments, output and an exit status."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
from rig import Rig, Script, event
from tiny_kernel import build_elf

from khorig.cli.main import main

_QUICK: Script = [
    event("boot", 1, handover=False, parameters="0x0"),
    event("done", 1, status="pass"),
    ["exit", 33],
]
_ONE = ("run", "--generations", "1", "--stops", "none")


@pytest.fixture
def cli(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig that the command line finds."""
    for arch in ("x86_64", "arm64"):
        build_elf(rig.folder / "build" / f"khorig-{arch}.elf", {"handover": "h", "chain": "c"})
    monkeypatch.setenv("KHORIG_OUT", str(rig.out))
    monkeypatch.delenv("TEST_UNDECLARED_OUTPUTS_DIR", raising=False)
    rig.play(_QUICK)
    return rig


def _start(*words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "khorig", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def _khorig(*words: str) -> tuple[int, str, str]:
    process = _start(*words)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_run_of_both_architectures_passes(cli: Rig) -> None:
    code, out, err = _khorig(*_ONE)
    assert (code, err) == (0, "")
    assert "PASS  x86_64/q35" in out and "PASS  arm64/virt" in out
    assert "2 runs: 2 passed" in out
    assert "seed 0x5eed0001" in out
    assert (cli.out / "latest" / "handover" / "arm64-virt" / "verdict.json").exists()


def test_json_alone_is_on_stdout(cli: Rig) -> None:
    code, out, err = _khorig(*_ONE, "--json", "--machine", "all")
    assert code == 0
    assert [run["machine"] for run in json.loads(out)["runs"]] == ["q35", "pc", "microvm", "virt"]
    assert "4 runs: 4 passed" in err


def test_runs_side_by_side_keep_their_order_and_folders(cli: Rig) -> None:
    code, out, _ = _khorig(*_ONE, "--json", "--machine", "all", "-j", "4", "--scenario", "handover",
                           "--scenario", "chain")  # fmt: skip
    assert code == 0
    runs = json.loads(out)["runs"]
    assert len({run["id"] for run in runs}) == 8
    assert all((cli.out / "latest" / run["id"] / "console.log").exists() for run in runs)


@pytest.mark.parametrize(
    "words, hint",
    [
        (("rum",), "Did you mean 'run'"),
        (
            ("linux", "rum"),
            "unknown command 'rum'. Did you mean 'run'? (choose from build, grid, list",
        ),
        (("run", "--scenari", "chain"), "Did you mean --scenario"),
        (("run", "--machine", "q53"), "Did you mean 'q35'"),
        (("run", "--arch", "amd64"), "choose from x86_64, arm64"),
        (("run", "--scenario", "handvoer"), "Did you mean 'handover'"),
        (("run", "--fault", "write-after-sael"), "Did you mean 'write-after-seal'"),
        (("run", "--stops", "sealled"), "Did you mean 'sealed'"),
        (("run", "--arch", "arm64", "--machine", "q35"), "no machine selected: q35 is not arm64"),
        (
            ("run", "--poke", "root"),
            "--poke: invalid poke 'root' (expected GENERATION:STOP:ADDRESS|OWNER[+OFFSET], e.g. 2:",
        ),
        (("run", "--poke", "1:seeled:root"), "Did you mean 'sealed'"),
        (("run", "--poke", "4:sealed:root"), "the run has generations 1 to 3"),
        (("run", "--poke", "0:sealed:root"), "the run has generations 1 to 3"),
        (("run", "--poke", "1:entry:0x0", "--stops", "sealed"), "the run stops at sealed"),
        (("linux", "run", "--poke", "1:entry:0x0"), "the run stops at sealed, restored"),
        (("linux", "run", "--poke", "9:sealed:0x0"), "the run has generations 1 to 3"),
        (("run", "--mem", "lots"), "--mem: invalid size 'lots' (expected e.g. 256M, 1G)"),
        (("run", "--mem", "0"), "--mem: invalid size '0'"),
        (("run", "--seed", "abc"), "--seed: 'abc' is not a number"),
        (("run", "--seed", "0x10000000000000000"), "64 bits"),
        (("run", "--generations", "0"), "generations"),
        (("run", "--timeout", "0"), "timeout"),
        (("run", "-j", "0"), "jobs"),
        (("run", "handover"), "unexpected extra argument"),
        (("list", "--", "-d"), "'khorig list' starts no QEMU to pass arguments to"),
    ],
)
def test_wrong_usage_is_said_and_ends_with_2(
    cli: Rig, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], hint: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert hint in err


def test_options_come_from_the_environment_too(cli: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KHORIG_MACHINE", "virt")
    monkeypatch.setenv("KHORIG_SEED", "77")
    monkeypatch.setenv("KHORIG_JSON", "1")
    code, out, _ = _khorig(*_ONE)
    assert code == 0
    assert [(run["machine"], run["seed"]) for run in json.loads(out)["runs"]] == [("virt", 77)]


def test_what_is_asked_for_reaches_guest_and_qemu(cli: Rig) -> None:
    words = ("--machine", "q35", "--mem", "1G", "--seed", "9", "--append", "megabytes=7")
    code, _, err = _khorig(*_ONE, *words, "--fault", "write-after-seal", "--", "-d", "int")
    assert (code, err) == (1, "")  # the defect never took effect
    folder = cli.out / "latest" / "handover" / "x86_64-q35-1024M-write-after-seal"
    argv = (folder / "qemu.argv").read_text().splitlines()
    assert argv[-2:] == ["-d", "int"]
    assert argv[argv.index("-m") + 1] == "1048576K"
    guest = argv[argv.index("-append") + 1]
    assert guest == "scenario=handover generations=1 seed=9 fault=write-after-seal megabytes=7"
    rerun = (folder / "rerun.sh").read_text()
    assert '--append megabytes=7 "$@" -- -d int' in rerun and "--seed 0x9" in rerun


def test_a_failure_ends_with_1_and_a_rerun_line(cli: Rig) -> None:
    cli.play([event("boot", 1, handover=False, parameters="0x0"), ["exit", 35]])
    code, out, _ = _khorig(*_ONE, "--machine", "q35")
    assert code == 1
    assert "FAIL  x86_64/q35" in out and "status 35" in out
    assert "rerun     scripts/khorig run --machine q35" in out


def test_a_command_line_that_the_guest_refuses_ends_with_2(cli: Rig) -> None:
    refusal = event("error", 1, cause="command-line", text="'foo=1': no such option")
    cli.play([event("boot", 1, handover=False, parameters="0x0"), refusal, ["exit", 41]])
    code, out, _ = _khorig(*_ONE, "--machine", "q35", "--append", "foo=1")
    assert code == 2
    assert "'foo=1': no such option" in out


def test_a_hang_ends_with_124(cli: Rig) -> None:
    cli.play([["hang", None]])
    code, out, _ = _khorig(*_ONE, "--machine", "q35")
    assert code == 124
    assert "HANG  x86_64/q35" in out


def test_trouble_ends_with_3(cli: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, out, _ = _khorig(*_ONE)
    assert code == 3
    assert "INFRA x86_64/q35" in out and "qemu-system-x86_64 is not installed" in out


def test_no_kernel_ends_with_3(cli: Rig) -> None:
    (cli.folder / "build" / "khorig-arm64.elf").unlink()
    code, _, err = _khorig("run")
    assert code == 3
    assert "khorig-arm64.elf is not built" in err


def test_nothing_ran_ends_with_4(cli: Rig) -> None:
    code, out, _ = _khorig(*_ONE, "--mem", "100000G")
    assert code == 4
    assert "SKIP" in out and "at most" in out


def test_a_folder_that_cannot_be_written_ends_with_3(cli: Rig) -> None:
    code, _, err = _khorig(*_ONE, "--out", "/proc/nowhere")
    assert code == 3
    assert "/proc/nowhere" in err


def test_list_tells_without_booting(cli: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, out, _ = _khorig("list")
    assert code == 0
    for words in ("handover", "chain", "microvm", "write-after-seal"):
        assert words in out
    code, out, _ = _khorig("list", "--json")
    assert json.loads(out)["scenarios"] == {"chain": "c", "handover": "h"}


def test_doctor_names_what_is_missing(cli: Rig) -> None:
    code, out, _ = _khorig("doctor")
    assert code == 0
    assert "ok       qemu-system-x86_64     7.2.22" in out
    (cli.folder / "bin" / "qemu-system-aarch64").unlink()
    (cli.folder / "bin" / "qemu-system-aarch64").write_text("#!/bin/sh\necho version 5.2.0\n")
    (cli.folder / "bin" / "qemu-system-aarch64").chmod(0o755)
    code, out, _ = _khorig("doctor", "--json")
    assert code == 3
    checks = {check["what"]: check for check in json.loads(out)["checks"]}
    assert checks["qemu-system-aarch64"]["found"] == "5.2.0, but 7.2 is needed"
    assert checks["qemu-system-aarch64"]["fix"] == "apt-get install qemu-system-arm"
    assert "KVM" in checks


def test_help_teaches(cli: Rig) -> None:
    code, out, _ = _khorig("--help")
    assert code == 0
    for words in ("khorig run --machine all", "khorig doctor", "Exit status", "KHORIG_<OPTION>"):
        assert words in out
    code, out, _ = _khorig("run", "--help")
    for option in ("--arch", "--machine", "--scenario", "--generations", "--mem", "--seed",
                   "--timeout", "--out", "--keep", "-v", "--json", "-j"):  # fmt: skip
        assert option in out


def _qemus(rig: Rig) -> list[int]:
    """Processes that were started with this rig's kernels."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(rig.folder / "build") in command:
                found.append(int(entry.name))
    return found


def _wait_until_gone(rig: Rig) -> None:
    deadline = time.monotonic() + 5
    while _qemus(rig):
        assert time.monotonic() < deadline, "QEMU is still there"
        time.sleep(0.02)


def _until(process: subprocess.Popen[str], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


def _has_booted(rig: Rig) -> bool:
    logs = list(rig.out.glob("latest/handover/*/console.log"))
    return any(b"boot" in log.read_bytes() for log in logs)


_MOMENTS: dict[str, Callable[[Rig], object]] = {
    "at once": lambda rig: True,
    "folder": lambda rig: (rig.out / "latest").exists(),
    "qemu": _qemus,
    "guest": _has_booted,
}


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", _MOMENTS)
def test_a_signal_leaves_no_process_and_whole_artifacts(
    cli: Rig, number: signal.Signals, moment: str
) -> None:
    cli.play([event("boot", 1, handover=False, parameters="0x0"), ["busy", 60]])
    process = _start(*_ONE)
    _until(process, lambda: _MOMENTS[moment](cli))
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    if (number, process.returncode) == (signal.SIGINT, 1):
        # Python itself, before it ran a line of khorig.
        assert moment == "at once" and said.endswith("KeyboardInterrupt\n"), said
        assert "khorig" not in said, said
    else:
        assert process.returncode in (128 + number, -number)
    _wait_until_gone(cli)
    if moment == "at once":
        return  # there may be nothing to say yet
    assert process.returncode == 128 + number
    runs = json.loads((cli.out / "latest" / "results.json").read_text())["runs"]
    assert [run["verdict"] for run in runs] in (["INFRA", "SKIP"], ["SKIP", "SKIP"])
    assert all(number.name in run["cause"] for run in runs)
    if runs[0]["verdict"] == "INFRA":
        folder = cli.out / "latest" / runs[0]["id"]
        lines = [json.loads(line) for line in (folder / "events.jsonl").open()]
        assert lines[-1]["ev"] == "verdict"


def test_qemu_dies_with_a_driver_that_is_killed(cli: Rig) -> None:
    cli.play([event("boot", 1, handover=False, parameters="0x0"), ["busy", 60]])
    process = _start(*_ONE)
    _until(process, lambda: _has_booted(cli))  # QEMU needs nothing of the driver any more
    process.kill()
    process.communicate(timeout=10)
    _wait_until_gone(cli)


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """A pipe that nobody reads and that takes no byte more."""
    reader, writer = os.pipe2(os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(1 << 16))
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"\0")
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


def test_a_second_signal_ends_it_at_once(cli: Rig, full_pipe: int) -> None:
    """The first ends the run, whose result nobody reads: the process waits for room."""
    cli.play([event("boot", 1, handover=False, parameters="0x0"), ["busy", 60]])
    process = _start(*_ONE, stdout=full_pipe)
    _until(process, lambda: _qemus(cli))
    process.send_signal(signal.SIGTERM)
    _until(process, lambda: any(cli.out.glob("latest/handover/*/verdict.json")))
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (128 + signal.SIGINT, "")
    _wait_until_gone(cli)
