# SPDX-License-Identifier: BSD-3-Clause
"""What the init of a Linux peer reports of programs of the user (khorig/linux/init/program.h), with
the C library of this machine in place of nolibc."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

import khorig
from khorig.guest.chain_run import ChainRun
from khorig.guest.event import GuestEvent
from khorig.guest.program_end import ProgramEnd
from khorig.linux.programs import program_lists

_INIT = Path(khorig.__file__).parent / "linux" / "init"
_MACHINE = "static unsigned long long counter(void) { return 1; }\n"
_MAIN = """
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "program.h"
int main(int argc, char **argv) {
  (void)argc;
  use_programs(argv[1]);
  return failed;
}
"""


_TYPED = b"typed by the host"


@pytest.fixture(scope="module")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that does with its argument what the init does with programs/N."""
    folder = tmp_path_factory.mktemp("init")
    (folder / "machine.h").write_text(_MACHINE)
    (folder / "main.c").write_text(_MAIN)
    words = ["clang-19", "-D_GNU_SOURCE", "-Wno-unused-result", "-I", str(folder), "-I", str(_INIT)]
    words += ["-fsanitize=address,undefined", str(folder / "main.c"), "-o", str(folder / "main")]
    subprocess.run(words, check=True)
    return folder / "main"


def spec_of(*programs: str) -> ChainRun:
    return ChainRun("x86_64", "q35", kernels=("linux-7.3", "khorig"), programs=programs)


def report_list(init: Path, text: bytes) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and events for a list of programs as it is in the archive."""
    path = init.with_name("list")
    path.write_bytes(text)
    done = subprocess.run([init, path], input=_TYPED, capture_output=True, check=False)
    assert b"Sanitizer" not in done.stderr, done.stderr
    assert _TYPED not in done.stdout  # the console's input is the host's
    lines = done.stdout.decode().splitlines()
    events = [line for line in lines if line.startswith("@khorig ")]
    return done.returncode, [json.loads(line.removeprefix("@khorig ")) for line in events]


def report(init: Path, *programs: str) -> tuple[int, list[dict[str, Any]]]:
    return report_list(init, program_lists(spec_of(*programs))["programs/1"])


def how(event: dict[str, Any], program: str) -> str:
    """As the verdict has it."""
    seen = GuestEvent(event["ev"], event["gen"], 0, 0.0, event)
    return ProgramEnd.of(seen, spec_of(program), ()).how


def script(folder: Path, text: str, mode: int = 0o755) -> Path:
    path = folder / "program"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_programs_that_succeed(init: Path, tmp_path: Path) -> None:
    path = script(tmp_path, '#!/bin/sh\ntest "$#" = 3 -a "$1" = "a b" -a -z "$2" -a "$3" = c,d\n')
    code, events = report(init, f"{path} 'a b' '' c,d", f"1:{path} 'a b' \"\" c,d", f"2:{path}")
    assert code == 0
    kinds = [(event["ev"], event["number"], event["path"]) for event in events]
    both = ("program-start", "program")
    assert kinds == [(kind, number, str(path)) for number in (0, 1) for kind in both]
    assert events[1]["ok"] and (events[1]["errno"], events[1]["status"]) == (0, 0)


def test_a_list_of_any_length_of_words(init: Path) -> None:
    code, [_, event] = report(init, "/bin/true" + " a" * 2000)
    assert code == 0 and event["ok"] is True


@pytest.mark.parametrize(
    ("text", "mode", "what"),
    [
        ("#!/bin/sh\nexit 3\n", 0o755, "exit status 3"),
        ("#!/bin/sh\nexit 127\n", 0o755, "exit status 127"),
        ("#!/bin/sh\nkill -9 $$\n", 0o755, "killed by signal 9 (SIGKILL)"),
        ("#!/bin/sh\nkill -40 $$\n", 0o755, "killed by signal 40"),
        ("no program", 0o755, "not started: ENOEXEC (Exec format error for this kernel)"),
        (
            "#!/no/shell\n",
            0o755,
            "not started: ENOENT (No such file or directory, or its interpreter is missing)",
        ),
        ("#!/bin/sh\n", 0o644, "not started: EACCES (Permission denied)"),
    ],
)
def test_a_program_that_fails(init: Path, tmp_path: Path, text: str, mode: int, what: str) -> None:
    path = script(tmp_path, text, mode)
    code, [_, event] = report(init, str(path))
    assert code == 1 and event["ok"] is False and how(event, str(path)) == what


def test_a_program_after_one_that_failed_is_run(init: Path) -> None:
    code, events = report(init, "/none", "/bin/true")
    assert code == 1 and [event.get("ok") for event in events] == [None, False, None, True]


def test_a_last_line_without_an_end_does_not_hide_the_event(init: Path) -> None:
    code, events = report(init, "/bin/echo -n words")
    assert code == 0 and [event["ev"] for event in events] == ["program-start", "program"]


def test_a_program_reads_nothing_of_the_console(init: Path) -> None:
    code, [_, event] = report(init, "/bin/cat")
    assert code == 0 and event["ok"] is True


@pytest.mark.parametrize(
    "text",
    [
        b"1",
        b"2\0/bin/true\0",
        b"0\0",
        b"x\0/bin/true\0",
        b"4097\0" + b"/bin/true\0" * 4097,
        b"-1\0a\0",
    ],
)
def test_a_list_that_is_damaged_is_named(init: Path, text: bytes) -> None:
    code, [fail] = report_list(init, text)
    assert code == 1 and fail["text"] == "the list of programs in the archive is damaged"


def test_what_stays_in_the_background_is_not_waited_for(init: Path, tmp_path: Path) -> None:
    path = script(tmp_path, "#!/bin/sh\nsleep 600 >/dev/null 2>&1 &\necho $! >$0.pid\n")
    code, [_, event] = report(init, str(path))
    pid = int((tmp_path / "program.pid").read_text())
    os.kill(pid, 9)  # raises when it has been waited for
    assert code == 0 and event["ok"] is True and stat.S_ISREG(path.stat().st_mode)
