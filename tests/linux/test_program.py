# SPDX-License-Identifier: BSD-3-Clause
"""What the init of a Linux peer reports of a user's program (khorig/linux/init/program.h), with the
C library of this machine in place of nolibc."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

import khorig

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
  snprintf(command_line, sizeof(command_line), "quiet khorig.exec=%s", argv[1]);
  use_program();
  return failed;
}
"""


@pytest.fixture(scope="module")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that does with its argument what the init does with khorig.exec=."""
    folder = tmp_path_factory.mktemp("init")
    (folder / "machine.h").write_text(_MACHINE)
    (folder / "main.c").write_text(_MAIN)
    words = ["clang-19", "-D_GNU_SOURCE", "-Wno-unused-result", "-I", str(folder), "-I", str(_INIT)]
    words += [str(folder / "main.c"), "-o", str(folder / "main")]
    subprocess.run(words, check=True)
    return folder / "main"


def report(init: Path, text: str) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run([init, text], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("@khorig ")]
    return done.returncode, [json.loads(line.removeprefix("@khorig ")) for line in lines]


def script(folder: Path, text: str, mode: int = 0o755) -> Path:
    path = folder / "program"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_program_that_succeeds(init: Path, tmp_path: Path) -> None:
    path = script(tmp_path, '#!/bin/sh\ntest "$1" = one -a "$2" = two\n')
    code, [event] = report(init, f"{path},one,two")
    assert code == 0 and event["ok"] is True
    assert (event["errno"], event["signal"], event["status"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "mode", "what"),
    [
        ("#!/bin/sh\nexit 3\n", 0o755, "exit status 3"),
        ("#!/bin/sh\nexit 127\n", 0o755, "exit status 127"),
        ("#!/bin/sh\nkill -9 $$\n", 0o755, "killed by signal 9"),
        ("no program", 0o755, "errno 8, ENOEXEC: not an executable for this kernel"),
        ("#!/no/shell\n", 0o755, "errno 2, ENOENT: no such file, or its interpreter is missing"),
        ("#!/bin/sh\n", 0o644, "errno 13, EACCES: no permission to execute it"),
    ],
)
def test_a_program_that_fails(init: Path, tmp_path: Path, text: str, mode: int, what: str) -> None:
    path = script(tmp_path, text, mode)
    code, [event, fail] = report(init, str(path))
    assert code == 1 and event["ok"] is False
    assert (fail["ev"], fail["what"], fail["text"]) == ("fail", "program", f"{path}: {what}")


def test_a_program_that_is_not_there(init: Path) -> None:
    code, [event, fail] = report(init, "/none")
    assert (code, event["errno"], event["status"]) == (1, 2, 0)
    assert fail["text"].startswith("/none: errno 2, ENOENT")


def test_more_words_than_there_is_room_for(init: Path) -> None:
    assert report(init, "/bin/true" + ",a" * 7)[0] == 0
    for text, what in (("/bin/true" + ",a" * 8, "8 words"), ("/" + "a" * 300, "254 bytes")):
        code, [fail] = report(init, text)
        assert code == 1 and what in fail["text"]


def test_what_stays_in_the_background_is_not_waited_for(init: Path, tmp_path: Path) -> None:
    path = script(tmp_path, "#!/bin/sh\nsleep 600 >/dev/null 2>&1 &\necho $! >$0.pid\n")
    code, [event] = report(init, str(path))
    pid = int((tmp_path / "program.pid").read_text())
    os.kill(pid, 9)  # raises when it has been waited for
    assert code == 0 and event["ok"] is True and stat.S_ISREG(path.stat().st_mode)
