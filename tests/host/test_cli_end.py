# SPDX-License-Identifier: BSD-3-Clause
"""How khorig ends when something comes between: a bug, a signal, an output that takes no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
from rig import Rig, event
from tiny_kernel import build_elf

from khorig.cli.main import main

_RUN = ("run", "--generations", "1", "--stops", "none", "--machine", "q35,virt")


@pytest.fixture
def cli(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig that the command line finds."""
    for arch in ("x86_64", "arm64"):
        build_elf(rig.folder / "build" / f"khorig-{arch}.elf", {"handover": "h"})
    monkeypatch.setenv("KHORIG_OUT", str(rig.out))
    rig.play(
        [
            event("boot", 1, handover=False, parameters="0x0"),
            event("done", 1, status="pass"),
            ["exit", 33],
        ]
    )
    return rig


def _khorig(*words: str, stdout: int) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "khorig", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def _closed() -> int:
    """The end of a pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    return write


def _verdicts(rig: Rig) -> list[str]:
    runs = json.loads((rig.out / "latest" / "results.json").read_text())["runs"]
    return [run["verdict"] for run in runs]


@pytest.mark.parametrize("words", [("--help",), ("run", "--help"), ("list",), ("list", "--json")])
def test_closed_stdout_is_sigpipe_and_silent(cli: Rig, words: tuple[str, ...]) -> None:
    assert _khorig(*words, stdout=_closed()) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("option", [(), ("--verbose",), ("--json",)])
def test_closed_stdout_costs_a_run_nothing(cli: Rig, option: tuple[str, ...]) -> None:
    status, said = _khorig(*_RUN, *option, stdout=_closed())
    assert status == 128 + signal.SIGPIPE
    assert "Broken pipe" not in said
    assert _verdicts(cli) == ["PASS", "PASS"]
    assert (cli.out / "latest" / "report.html").exists()


@pytest.mark.parametrize("words", [("list",), _RUN, (*_RUN, "--json")])
def test_full_stdout_is_trouble_with_the_host(cli: Rig, words: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        status, said = _khorig(*words, stdout=full.fileno())
    assert status == 3
    assert said.splitlines()[-1] == "khorig: stdout: No space left on device"
    if words[0] == "run":
        assert _verdicts(cli) == ["PASS", "PASS"]


def _broken(**settings: Any) -> click.Command:
    def fail(**options: Any) -> None:
        raise KeyError("frames")

    return click.Command("list", callback=fail, **settings)


def test_a_bug_is_70_and_never_broken(
    cli: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("khorig.cli.listing.list_command", _broken())
    with pytest.raises(SystemExit) as ended:
        main(["list"])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (70, "")
    lines = err.splitlines()
    assert lines[0] == "khorig: bug in khorig: KeyError: 'frames'"
    assert any("test_cli_end.py" in line and "in fail" in line for line in lines)
    assert lines[-1].strip() == "please report it, with the command: khorig list"


def test_a_bug_is_a_document_with_json(
    cli: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options: list[click.Parameter] = [click.Option(["--json"], is_flag=True)]
    monkeypatch.setattr("khorig.cli.listing.list_command", _broken(params=options))
    with pytest.raises(SystemExit):
        main(["list", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["status"]) == (1, 70)
    assert document["error"] == "bug in khorig: KeyError: 'frames'"


@pytest.mark.parametrize("words", [("run", "--mem", "x", "--json"), ("check", "/no", "--json")])
def test_wrong_usage_is_a_document_with_json(
    cli: Rig, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit):
        main(words)
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["status"] == 2
    assert f"khorig: {document['error']}" == err.splitlines()[0]


def test_json_is_asked_for_by_the_environment_too(
    cli: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KHORIG_JSON", "1")
    with pytest.raises(SystemExit):
        main(["run", "--mem", "x"])
    assert json.loads(capsys.readouterr().out)["status"] == 2


_SIGNALS = [signal.SIGHUP, signal.SIGINT, signal.SIGTERM]


def _waiting_doctor(rig: Rig) -> subprocess.Popen[bytes]:
    """khorig while a QEMU does not answer."""
    here = rig.folder / "here"
    program = rig.folder / "bin" / "qemu-system-x86_64"
    program.unlink()
    program.write_text(f"#!/bin/sh\ntouch {here}\nexec sleep 60\n")
    program.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "khorig", "doctor"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 30
    while not here.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", _SIGNALS)
def test_a_signal_is_the_status_of_every_verb(cli: Rig, number: signal.Signals) -> None:
    process = _waiting_doctor(cli)
    process.send_signal(number)
    _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (128 + number, b"")


_HALF_WRITTEN = """
import os, signal, sys
from pathlib import Path
from khorig.vm.cancellation import Cancellation
from khorig.vm.partial_file import partial_file
Cancellation().install()
with partial_file(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    print("written", flush=True)
    while True:
        signal.pause()
"""


def test_a_second_signal_leaves_nothing_half_written(tmp_path: Path) -> None:
    words = [sys.executable, "-c", _HALF_WRITTEN, str(tmp_path / "image")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"written\n"
    assert [path.name for path in tmp_path.iterdir()] == [".image.partial"]
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None, "the first signal only asks"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


_TWICE = """
import os, signal, sys, time
from khorig.vm.cancellation import Cancellation
cancellation = Cancellation()
cancellation.install()
for _ in range(2):
    os.kill(os.getpid(), signal.SIGTERM)
print(cancellation.signal_number, flush=True)
time.sleep(0.6)
os.kill(os.getpid(), signal.SIGTERM)
print("not reached")
"""


def test_a_signal_sent_twice_is_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TWICE], stdout=subprocess.PIPE, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("15\n", 128 + signal.SIGTERM)


def test_timeout_leaves_a_verdict_and_results(cli: Rig) -> None:
    """timeout(1) sends its signal to the process and to its group."""
    cli.play([event("boot", 1, handover=False, parameters="0x0"), ["busy", 600]])
    words = ("timeout", "20", sys.executable, "-m", "khorig", *_RUN[:-1], "q35")
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=100, check=False)
    assert done.returncode == 124 and "interrupted by SIGTERM" in done.stdout
    assert _verdicts(cli) == ["INFRA"]


def test_handlers_are_what_they_were_afterwards(cli: Rig) -> None:
    before = [signal.getsignal(number) for number in _SIGNALS]
    with pytest.raises(SystemExit):
        main(["--version"])
    assert [signal.getsignal(number) for number in _SIGNALS] == before


def test_hangup_is_ignored_below_nohup(cli: Rig) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = _waiting_doctor(cli)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert process.poll() is None
        process.terminate()
        process.communicate(timeout=10)
        assert process.returncode == 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGHUP, before)
