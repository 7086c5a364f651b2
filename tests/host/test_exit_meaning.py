# SPDX-License-Identifier: BSD-3-Clause
"""Why a program of the host ended."""

from __future__ import annotations

import pytest

from khorig.vm.exit_meaning import cause_in, describe_status, last_lines

_QEMU = "qemu-system-x86_64"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exited with status 0"),
        (2, "exited with status 2"),
        (126, "exited with status 126 (cannot be executed)"),
        (127, "exited with status 127 (not found)"),
        (137, "exited with status 137 (SIGKILL)"),
        (255, "exited with status 255 (signal 127)"),
        (-6, "was killed by SIGABRT"),
        (-9, "was killed by SIGKILL (perhaps by the OOM killer, see dmesg)"),
        (-99, "was killed by signal 99"),
    ],
)
def test_a_status_in_words(status: int, words: str) -> None:
    assert describe_status(status) == words


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ([f"{_QEMU}: -device edu: not a valid device model name"], 0),
        ([f"{_QEMU}: -smp 3: invalid", "Valid values are 2, 3, 4"], 0),
        ([f"{_QEMU}: cannot start", f"{_QEMU}: warning: -mon is deprecated"], 0),
        (["KeyError", "Traceback", "the end"], 2),
        ([f"{_QEMU}: warning: this is all"], 0),
        (["first", "second", "", " "], 1),
    ],
)
def test_the_cause_is_no_warning_and_no_advice(lines: list[str], cause: int) -> None:
    assert cause_in(lines, _QEMU) == lines[cause].strip()


def test_no_lines_have_no_cause() -> None:
    assert cause_in([], _QEMU) == ""


def test_the_compilers_error_stays_before_the_end_of_make() -> None:
    lines = [
        "  CC a.o",
        "a.c:3:1: error: expected ';'",
        *(f"make[{n}]: leaving" for n in range(20)),
    ]
    assert last_lines(lines, 3) == (lines[1], *lines[-3:])
    assert last_lines(lines[:2], 6) == tuple(lines[:2])
