# SPDX-License-Identifier: BSD-3-Clause
"""Options that several verbs have: each means the same in all of them."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator

import click
import pytest
from rig import Rig, event
from tiny_kernel import build_elf

from khorig.cli import exit_codes
from khorig.cli.main import cli as khorig
from khorig.cli.main import main
from khorig.cli.run_options import machines_of
from khorig.cli.verb import Verb
from khorig.vm.cancellation import ENDING
from khorig.vm.command import Wiring, qemu_argv
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.spec import RunSpec
from khorig.vm.build_outputs import find_images
from khorig.vm.machines import machine_named

# The verbs that run guests.
_RUNNING = ("run", "linux run", "linux grid", "linux selftests", "bench linux", "teeth")
# The options that all of them have or refuse by name.
_EVERYWHERE = ("arch", "machine", "boot", "smp", "mem", "seed", "timeout", "out", "json", "verbose",
               "jobs", "stops", "tamper", "keep", "gdb", "dry_run", "poke")  # fmt: skip

_DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "commandline.md").read_text()

_DONE = [
    event("boot", 1, handover=False, parameters="0x0"),
    event("done", 1, status="pass"),
    ["exit", 33],
]


@pytest.fixture
def cli(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig that the command line finds."""
    for arch in ("x86_64", "arm64"):
        build_elf(rig.folder / "build" / f"khorig-{arch}.elf", {"handover": "h", "refuse": "r"})
    monkeypatch.setenv("KHORIG_OUT", str(rig.out))
    monkeypatch.delenv("NO_COLOR", raising=False)
    rig.play(_DONE)
    return rig


def _verbs(group: click.Group = khorig, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _verbs(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _options(command: click.Command) -> dict[str, click.Option]:
    options = (p for p in command.params if isinstance(p, click.Option))
    return {option.opts[0].lstrip("-").replace("-", "_"): option for option in options}


def _described(option: click.Option) -> dict[str, Any]:
    """What an option is, without its default."""
    fields = option.to_info_dict()
    return {name: fields[name] for name in ("name", "opts", "help", "is_flag", "multiple")} | {
        "type": type(option.type).__name__
    }


def test_an_option_is_the_same_in_every_verb_that_runs_guests() -> None:
    verbs = {name: _options(command) for name, command in _verbs() if name in _RUNNING}
    assert set(verbs) == set(_RUNNING)
    for option in _EVERYWHERE:
        forms = {name: options.get(option) for name, options in verbs.items()}
        assert None not in forms.values(), f"--{option} is unknown to {forms}"
        shown = [_described(form) for form in forms.values() if form and not form.hidden]
        assert shown.count(shown[0]) == len(shown), f"--{option} differs: {shown}"


def test_every_option_has_help() -> None:
    for name, command in _verbs():
        assert command.short_help and command.help, name
        for option, form in _options(command).items():
            assert form.hidden or form.help, f"{name} --{option}"


def test_every_verb_takes_its_options_from_the_environment() -> None:
    for name, command in _verbs():
        assert isinstance(command, Verb), name
        for option, form in _options(command).items():
            assert form.envvar == f"KHORIG_{option.upper()}", name


def test_a_verb_obeys_the_environment(
    cli: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KHORIG_JSON", "1")
    with pytest.raises(SystemExit) as ended:
        main(["list"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["scenarios"] == {"handover": "h", "refuse": "r"}


def _error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    return err.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("bench linux --jobs 2", "--jobs does not apply to 'khorig bench linux': runs at the same"),
        ("bench linux --stops none", "--stops does not apply to 'khorig bench linux': time at"),
        ("teeth --tamper magic", "--tamper does not apply to 'khorig teeth': it chooses"),
        ("bench linux -j 2", "--jobs does not apply"),
        ("teeth --dry-run", "--dry-run does not apply to 'khorig teeth'"),
        ("linux grid --gdb", "--gdb does not apply to 'khorig linux grid': it is more than"),
        ("bench linux --machine microvm", "--machine microvm: Linux has no wall time"),
        ("run --arch arm64 --machine q35", "no machine selected: q35 is not arm64"),
        ("linux run --tamper node-loop", "unknown tampering 'node-loop'"),
        (
            "linux run --chain khorig,linux-7.3 --tamper node-to-itself",
            "--tamper node-to-itself does not apply to khorig to linux-7.3",
        ),
        ("run --gdb", "--gdb needs exactly one run; these options select 2"),
        ("run --gdb 0", "0 is not in the range"),
        ("linux run --arch arm64 --machine q35", "no machine selected: q35 is not arm64"),
        ("teeth --arch arm64 --machine q35", "no machine selected: q35 is not arm64"),
        ("run --machine q35,q35 --scenario refuse --tamper x", "unknown tampering 'x'"),
    ],
)
def test_what_does_not_apply_is_refused_by_name(
    cli: Rig, capsys: pytest.CaptureFixture[str], words: str, reason: str
) -> None:
    assert reason in _error(capsys, *shlex.split(words))


def test_the_environment_does_not_break_verbs_that_refuse_an_option(
    cli: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KHORIG_JOBS", "2")
    monkeypatch.setenv("KHORIG_STOPS", "sealed")
    assert "unknown machine" in _error(capsys, "bench", "linux", "--machine", "q53")


def test_all_machines_is_understood_everywhere() -> None:
    assert [m.name for m in machines_of(None, ("all",))] == ["q35", "pc", "microvm", "virt"]
    assert [m.name for m in machines_of(("x86_64",), ("all",))] == ["q35", "pc", "microvm"]
    assert [m.name for m in machines_of(("arm64",), None)] == ["virt"]


def test_dry_run_prints_commands_and_starts_nothing(
    cli: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit) as ended:
        main(["run", "--dry-run", "--smp", "2", "--mem", "1G", "--", "-d", "int"])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0::2] == ["# handover/x86_64-q35-1024M-smp2", "# handover/arm64-virt-1024M-smp2"]
    for line, program in zip(lines[1::2], ("qemu-system-x86_64", "qemu-system-aarch64")):
        words = shlex.split(line)
        assert words[0] == program and words[-2:] == ["-d", "int"]
        assert words[words.index("-smp") + 1] == "2"
        assert Path(words[words.index("-kernel") + 1]).is_file()
    assert not (cli.out / "latest").exists()


def test_dry_run_names_what_would_be_skipped(cli: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--dry-run", "--machine", "virt", "--mem", "300G"])
    assert "# handover/arm64-virt-307200M: skipped, " in capsys.readouterr().out


def test_gdb_waits_on_localhost(cli: Rig) -> None:
    machine = machine_named("q35")
    argv = qemu_argv(
        machine, KhorigRun("x86_64", "q35"), find_images(machine), Wiring((3,), 4, 5), gdb=4321
    )
    assert argv[argv.index("-gdb") + 1] == "tcp:127.0.0.1:4321"
    assert "-S" in argv


def test_gdb_lets_a_guest_stand_still(cli: Rig) -> None:
    """The guest is not let go by the rig, and neither its silence nor the time is its fault."""
    words = ("--machine", "q35", "--gdb", "4321", "--timeout", "0.5")
    with subprocess.Popen(
        [sys.executable, "-m", "khorig", "run", "--generations", "1", "--stops", "none", *words],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            hint = process.stdout.readline()
            assert "gdb " in hint
            assert "khorig-x86_64.elf -ex 'target remote localhost:4321'" in hint
            log = cli.out / "latest/handover/x86_64-q35/qmp.jsonl"
            patience_s = time.monotonic() + 60
            while not log.exists() or "qmp_capabilities" not in log.read_text():
                assert process.poll() is None and time.monotonic() < patience_s
                time.sleep(0.05)
            time.sleep(4)  # a hang is found after 3
            assert process.poll() is None
            sent = log.read_text()
            assert "cont" not in sent and "query-cpus-fast" not in sent
            process.terminate()
            assert "interrupted by SIGTERM" in process.communicate(timeout=60)[0]
        finally:
            process.kill()


def _on_a_terminal(*words: str, **environment: str) -> str:
    """What a terminal gets."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", **environment}
    variables.pop("CI", None)
    with subprocess.Popen(
        [sys.executable, "-m", "khorig", *words], stdout=theirs, stderr=theirs, env=variables
    ) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            said += chunk
        process.wait()
    os.close(ours)
    return said.decode()


_GREEN, _CURSOR = "\x1b[1;32m", "\x1b[?25l"
_QUICK = ("run", "--generations", "1", "--stops", "none", "--machine", "q35")


def test_a_terminal_gets_a_live_view_in_colours(cli: Rig) -> None:
    said = _on_a_terminal(*_QUICK)
    assert _CURSOR in said and _GREEN in said


def test_no_color_takes_the_colours_and_leaves_the_live_view(cli: Rig) -> None:
    said = _on_a_terminal(*_QUICK, NO_COLOR="1")
    assert _CURSOR in said and "PASS" in said
    assert "\x1b[1;32m" not in said and "[36m" not in said


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("khorig ru", {"run"}),
        ("khorig run --machine q", {"q35"}),
        ("khorig run --machine q35,vi", {"q35,virt"}),
        ("khorig run --machine q35,q", set()),
        ("khorig run --stops se", {"sealed", "settled"}),
        ("khorig linux run --arch a", {"arm64"}),
        ("khorig diff --only pre", {"preserved"}),
        ("khorig explain KHR-I00", {f"KHR-I00{n}" for n in range(1, 10)}),
    ],
)
def test_a_shell_completes_names(cli: Rig, typed: str, offered: set[str]) -> None:
    words = typed.split()
    done = subprocess.run(
        [sys.executable, "-m", "khorig"],
        env={
            **os.environ,
            "_KHORIG_COMPLETE": "bash_complete",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    found = {line.partition(",")[2] for line in done.stdout.split()}
    assert found == offered, done.stderr


def test_the_document_has_what_there_is(cli: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    shared = _DOCUMENT.partition("They differ in their defaults only")[0]
    named = set(re.findall(r"`(--[a-z-]+)`", shared))
    assert named == {f"--{name.replace('_', '-')}" for name in (*_EVERYWHERE, "append")}
    command, shown = re.findall(r"    \$ khorig (.*)\n    (khorig: .*)\n", _DOCUMENT)[0]
    assert _error(capsys, *shlex.split(command)) == shown
    codes = {value for name, value in vars(exit_codes).items() if name.isupper()} - {128}
    rows = re.findall(r"^\| ([\d, ]+) \|", _DOCUMENT, re.MULTILINE)
    documented = {int(number) for row in rows for number in row.split(",")}
    signals = {128 + number for number in (*ENDING, signal.SIGPIPE)}
    assert documented == codes | signals


def test_teeth_takes_the_machine_that_is_asked_for(
    cli: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[RunSpec] = []

    def take(specs: list[RunSpec], *rest: object) -> int:
        tried.extend(specs)
        return 0

    monkeypatch.setattr("khorig.cli.teeth._try", take)
    words = ("--arch", "x86_64", "--machine", "all", "--smp", "2", "--mem", "192M")
    with pytest.raises(SystemExit) as ended:
        main(["teeth", *words, "--timeout", "7"])
    assert ended.value.code == 0
    assert [spec.machine for spec in tried] == ["q35", "pc", "microvm"]
    assert {(spec.smp, spec.memory, spec.timeout_s) for spec in tried} == {(2, 192 << 20, 7.0)}
