# SPDX-License-Identifier: BSD-3-Clause
"""`khorig linux run --run`: what is refused before QEMU starts, and what the verdict has."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from made_programs import HERE, OTHER, elf, program
from rig import Rig, Script, event, usage_error

from khorig.cli.appended import check_chain_options
from khorig.cli.user_space import checked_programs
from khorig.guest.chain_run import ChainRun
from khorig.guest.spec_json import spec_from_json, spec_to_json
from khorig.linux.chain_kind import chain_kind
from khorig.out.report.run_record import read_run
from khorig.out.session_documents import SessionDocuments
from khorig.out.text import result_lines
from khorig.rules.finding import Verdict
from khorig.run.rerun import rerun_command
from khorig.run.result import RunResult
from khorig.run.session import Session
from khorig.vm.build_outputs import find_images
from khorig.vm.cancellation import Cancellation

KERNELS = ("linux-7.3", "khorig", "linux-7.3")
_CHAIN = ("linux", "run", "--chain", ",".join(KERNELS))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--run", ""), "--run '': no program"),
        (("--run", "1:"), "--run '1:': no program"),
        (("--run", "1:/x 'a"), "no closing quotation"),
        (("--run", "4:/bin/sh"), "no generation 4 in a chain of 3 kernels"),
        (("--run", "2:/bin/sh"), "generation 2 is khorig, not Linux"),
        (("--chain", "khorig,khorig", "--run", "/bin/sh"), "no Linux in this chain"),
        (("--run", "/bin/sh " + "a" * 5000), "5008 bytes, at most 4096"),
        (("--run", "/none a"), "--run /none: no such file"),
        (("--run", "/etc/passwd"), "--run /etc/passwd: not executable; fix: chmod +x"),
        (("--run", "none"), "/none: no such file"),
    ],
)
def test_what_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    assert why in usage_error(capsys, *_CHAIN, *words)


def test_a_program_chooses_the_machines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    machines = {"x86_64": "q35", "arm64": "virt"}
    path = program(tmp_path, elf(OTHER))
    line = usage_error(capsys, *_CHAIN, "--run", path, "--machine", machines[HERE])
    assert f"{path} is for {OTHER}; no machine among {machines[HERE]} is" in line
    line = usage_error(capsys, *_CHAIN, "--run", path, "--run", program(tmp_path, elf(), "mine"))
    assert f"{path} is for {OTHER}" in line and f"mine is for {HERE}" in line


def test_bisect_has_it_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("bisect", "--source", str(tmp_path), "--good", "a", "--bad", "b", "--run", "/none")
    assert "--run /none: no such file" in usage_error(capsys, *words)


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rerun command runs elsewhere."""
    monkeypatch.chdir(tmp_path)
    programs = checked_programs(KERNELS, ("1:bin/x 'a b'", "./y", "3:/z  a"))
    assert programs == (f"1:{tmp_path}/bin/x 'a b'", f"{tmp_path}/y", "3:/z  a")
    spec = ChainRun("x86_64", "q35", kernels=KERNELS, programs=programs)
    assert spec.programs_of(1)[0] == (f"{tmp_path}/bin/x", "a b")
    assert [len(spec.programs_of(number)) for number in range(5)] == [0, 2, 0, 2, 0]
    assert f"--run {tmp_path}/y --run '3:/z  a'" in rerun_command(spec)


def test_a_program_of_a_file_is_checked() -> None:
    record = spec_to_json(ChainRun("x86_64", "q35", kernels=KERNELS, programs=("1:/x",)))
    assert spec_from_json(record).programs_of(1) == (("/x",),)
    for programs in (["1:/x 'a"], [""], ["/x\n"], [1], "x", [["/x"]]):
        with pytest.raises(ValueError, match="'programs'"):
            spec_from_json({**record, "programs": programs})


# ---- what the verdict has, with a script in place of QEMU


def ends(number: int, path: str, **how: int) -> list[Any]:
    fields = {"errno": 0, "signal": 0, "status": 0, **how}
    return event("program", 1, number=number, path=path, ok=not any(fields.values()), **fields)


def started(number: int, path: str) -> list[Any]:
    return event("program-start", 1, number=number, path=path)


def run(rig: Rig, script: Script, **fields: Any) -> RunResult:
    rig.play([event("boot", 1, handover=False, arch="x86_64", version="7.3.4"), *script])
    kind = dataclasses.replace(
        chain_kind(lambda spec: rig.judge),
        images=lambda spec, machine, folder: find_images(machine, "khorig"),
        complete=lambda spec: spec,
    )
    session = Session(
        rig.out, kind, SessionDocuments(), Cancellation(), record=False, limits=rig.limits
    )
    values: dict[str, Any] = {"memory": 16 << 20, "timeout_s": 20.0, "stops": ()}
    values["kernels"] = ("linux-7.3",)
    return session.run(ChainRun("x86_64", "q35", **{**values, **fields}))


def test_a_run_that_passes_has_its_programs(rig: Rig) -> None:
    programs = ("/x 'a b'", "/y")
    script = [
        started(0, "/x"), ["say", "first"], ["say", "last words"], ["say", ""], ends(0, "/x"),
        started(1, "/y"), ends(1, "/y"), event("done", 1, status="pass"), ["exit", 33],
    ]  # fmt: skip
    result = run(rig, script, programs=programs)
    assert result.verdict is Verdict.PASS, result.findings
    assert [line.strip() for line in result_lines(result)[-2:]] == [
        "generation 1: /x 'a b': exit status 0: last words",
        "generation 1: /y: exit status 0, no output",
    ]
    folder = Path(result.directory)
    [first, second] = json.loads((folder / "verdict.json").read_text())["programs"]
    assert (first["command"], first["output"]) == ("/x 'a b'", ["first", "last words"])
    assert (second["number"], second["status"], second["output"]) == (1, 0, [])
    assert tuple(read_run(folder).result.programs) == tuple(result.programs)
    script_text = (folder / "rerun.sh").read_text()
    assert "--run '/x '\"'\"'a b'\"'\"''" in script_text and "--run /y" in script_text


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"status": 3}, "exit status 3"),
        ({"signal": 11}, "killed by signal 11 (SIGSEGV)"),
        ({"errno": 13}, "not started: EACCES (Permission denied)"),
        ({"errno": 1 << 40}, f"not started: errno {1 << 40}"),
    ],
)
def test_a_program_that_fails_fails_the_run(rig: Rig, how: dict[str, int], words: str) -> None:
    script = [
        ["say", "not of the program"], started(0, "/x"), ["say", "oh no"], ends(0, "/x", **how),
        event("done", 1, status="fail"), ["exit", 35],
    ]  # fmt: skip
    result = run(rig, script, programs=("1:/x -v",))
    assert (result.verdict, result.cause) == (Verdict.FAIL, f"program: /x -v: {words}")
    assert result.findings[0].evidence == ("oh no",) and len(result.findings) == 1
    assert f"  program   generation 1: /x -v: {words}: oh no" in result_lines(result)


def test_a_program_that_does_not_end_is_named(rig: Rig) -> None:
    script: Script = [started(0, "/x"), ["say", "waiting"], ["hang", None], ["sleep", 60]]
    result = run(rig, script, programs=("/x",))
    assert result.verdict is Verdict.HANG
    assert result.findings[-1].what == "program: /x: did not end"
    assert result.findings[-1].evidence == ("waiting",)


@pytest.mark.parametrize(
    "fields", [{}, {"number": "0"}, {"number": 0, "errno": -1}, {"number": 9, "path": 7}]
)
def test_a_program_event_of_a_broken_guest(rig: Rig, fields: dict[str, Any]) -> None:
    script = [event("program", 1, **fields), event("done", 1, status="pass"), ["exit", 33]]
    result = run(rig, script, programs=("/x",))
    assert result.verdict is Verdict.FAIL and "event 'program': " in result.cause
    assert not result.programs


def test_a_program_that_nobody_asked_for_is_not_listed(rig: Rig) -> None:
    script = [ends(7, "/x"), event("done", 1, status="pass"), ["exit", 33]]
    assert not run(rig, script, programs=("/x",)).programs


def test_the_old_way_names_the_new_one() -> None:
    for option in ("khorig.exec=/x", "1:khorig.exec=/x,a"):
        with pytest.raises(Exception, match="run by --run"):
            check_chain_options(KERNELS, (), (option,))
