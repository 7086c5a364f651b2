# SPDX-License-Identifier: BSD-3-Clause
"""What the init of a Linux peer tells its crash kernel, and finds in /proc/vmcore
(khorig/linux/init/), with the C library of this machine in place of nolibc."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import libarchive
import pytest

import khorig

_INIT = Path(khorig.__file__).parent / "linux" / "init"
_MACHINE = """
#pragma once
static unsigned long long counter(void) { return 1; }
enum { PRSTATUS_PC = 112 + 16 * 8 };
"""
_MAIN = """
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "crash.h"
#include "vmcore.h"
int main(int argc, char **argv) {
  if (!strcmp(argv[1], "pages")) {
    snprintf(command_line, sizeof(command_line), "khorig.crash=panic");
    remember_pages("reference", 0xabc, 0, 0x10000, 2);
    remember_pages("reference", 0xabc, 2, 0x12000, 1);
    remember_pages("memfd", 0x1, 0, 0x13000, 1);
    remember_pages("memfd", 0x1, 1, 0x20000, 1);
    for (int i = 2; i < argc; i++) remember_pages("many", 0x1, 2 * i, 0x100000 * i, 1);
    end_run();
    fputs(dead_text, stdout);
    return failed;
  }
  if (!strcmp(argv[1], "member")) {
    int file = open(argv[2], O_RDWR | O_CREAT, 0600);
    int done = append_member(file, "dead", argv[3], strlen(argv[3])) &&
               append_member(file, "TRAILER!!!", "", 0);
    return !done;
  }
  snprintf(command_line, sizeof(command_line), "khorig.crash=check elfcorehdr=0x2f000000");
  vmcore_path = argv[2];
  dead_path = argv[3];
  check_vmcore();
  return failed;
}
"""
_PAGE = 4096
_STATE, _ADDRESS = 0x5EED, 0x1000_0000
_MASK = (1 << 64) - 1


@pytest.fixture(scope="module")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("init")
    (folder / "machine.h").write_text(_MACHINE)
    (folder / "main.c").write_text(_MAIN)
    words = ["clang-19", "-D_GNU_SOURCE", "-Wno-unused-result", "-I", str(folder), "-I", str(_INIT)]
    words += ["-fsanitize=address,undefined", str(folder / "main.c"), "-o", str(folder / "main")]
    subprocess.run(words, check=True)
    return folder / "main"


def content(index: int) -> bytes:
    """A page by the formula of docs/abi.md."""
    step = 0x9E3779B97F4A7C15
    z = (_STATE + index + step) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    z ^= z >> 31
    return b"".join(struct.pack("<Q", (z + word * step) & _MASK) for word in range(_PAGE // 8))


def note(name: bytes, kind: int, data: bytes) -> bytes:
    padded = [part + bytes(-len(part) % 4) for part in (name + b"\0", data)]
    return struct.pack("<III", len(name) + 1, len(data), kind) + b"".join(padded)


def prstatus(pc: int) -> bytes:
    return bytes(112 + 16 * 8) + struct.pack("<Q", pc) + bytes(88)


def vmcore(pages: bytes, notes: bytes, **change: int) -> bytes:
    """As /proc/vmcore: notes and one PT_LOAD."""
    at = 64 + 2 * 56
    values = {"type": 4, "entry": 56, "count": 2, "size": len(notes), "width": 2, **change}
    header = struct.pack(
        "<4s4B8xHHIQQQIHHHHHH",
        *(b"\x7fELF", values["width"], 1, 1, 0, values["type"], 62, 1),
        *(0, 64, 0, 0, 64, values["entry"], values["count"], 0, 0, 0),
    )
    table = struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, values["size"], values["size"], 0)
    size = len(pages)
    table += struct.pack("<IIQQQQQQ", 1, 7, at + len(notes), 0, _ADDRESS, size, size, 0)
    return header + table + notes + pages


_NOTES = (
    note(b"CORE", 1, prstatus(0xFFFFFFFF81000000))
    + note(b"CORE", 1, prstatus(0xFFFFFFFF81000010))
    + note(b"VMCOREINFO", 0, b"X=1\nOSRELEASE=7.3.4\nPAGESIZE=4096\n")
)
_PAGES = b"".join(map(content, range(4)))
_LIST = f"reference {_STATE:x} 0 {_ADDRESS:x} 4\n"


def check(init: Path, core: bytes, pages: str = _LIST) -> list[dict[str, Any]]:
    (init.parent / "core").write_bytes(core)
    (init.parent / "dead").write_text(pages)
    words = [str(init), "check", str(init.parent / "core"), str(init.parent / "dead")]
    done = subprocess.run(words, capture_output=True, check=False)
    assert b"Sanitizer" not in done.stderr and b"runtime error" not in done.stderr, done.stderr
    lines = [line.removeprefix("@khorig ") for line in done.stdout.decode().splitlines()]
    events = [json.loads(line) for line in lines]
    assert done.returncode == any(event["ev"] == "fail" for event in events)
    return events


def test_a_dump_of_the_dead_kernel(init: Path) -> None:
    [event] = check(init, vmcore(_PAGES, _NOTES))
    assert (event["ev"], event["cpus"], event["osrelease"]) == ("vmcore", 2, "7.3.4")
    assert (event["pages"], event["wrong"], event["ok"]) == (4, 0, True)
    assert (event["headers"], event["pc"]) == ("0x2f000000", "0xffffffff81000000")


def test_pages_that_are_wrong_or_missing_are_named(init: Path) -> None:
    damaged = _PAGES[: _PAGE + 9] + b"!" + _PAGES[_PAGE + 10 : -1]
    fail, event = check(init, vmcore(damaged, _NOTES))
    wrong, right = (struct.unpack_from("<Q", pages, _PAGE + 8)[0] for pages in (damaged, _PAGES))
    assert fail["text"] == (
        "1 of 4 pages of the dead kernel changed and 1 are not in /proc/vmcore: page 1 of "
        f"reference at 0x10001000: word at +0x8 is {wrong:#x}, expected {right:#x}; page 3 of "
        "reference at 0x10003000 (not there)"
    )
    assert (event["wrong"], event["ok"]) == (2, False)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"width": 1}, "no ELF core"),
        ({"type": 2}, "no ELF core"),
        ({"entry": 32}, "program headers of another size"),
        ({"count": 60000}, "or too many"),
        ({"size": 1 << 40}, "notes of /proc/vmcore cannot be read"),
    ],
)
def test_what_is_no_dump_is_named(init: Path, change: dict[str, int], what: str) -> None:
    assert what in check(init, vmcore(_PAGES, _NOTES, **change))[0]["text"]


@pytest.mark.parametrize("size", range(0, 64 + 2 * 56 + len(_NOTES), 7))
def test_a_dump_that_ends_early_is_no_crash(init: Path, size: int) -> None:
    assert check(init, vmcore(_PAGES, _NOTES)[:size])[0]["ev"] == "fail"


@pytest.mark.parametrize("damage", [b"\xff" * 4, b"\xff" * 12, bytes(12)])
@pytest.mark.parametrize("at", [0, 4, 8, 16])
def test_damaged_notes_are_no_registers(init: Path, damage: bytes, at: int) -> None:
    notes = _NOTES[:at] + damage + _NOTES[at + len(damage) :]
    event = check(init, vmcore(_PAGES, notes))[-1]
    assert event["ev"] == "vmcore" and event["cpus"] < 3


@pytest.mark.parametrize("text", ["", "x", "a b c\n", "reference zz 0 0 9\n", "\n"])
def test_any_list_of_pages_can_be_read(init: Path, text: str) -> None:
    assert check(init, vmcore(_PAGES, _NOTES), text)[-1]["ev"] == "vmcore"


def test_pages_that_lie_together_are_one_run(init: Path) -> None:
    done = subprocess.run([init, "pages"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "reference abc 0 10000 3",
        "memfd 1 0 13000 1",
        "memfd 1 1 20000 1",
    ]


def test_more_runs_than_there_is_room_for_are_a_failure(init: Path) -> None:
    done = subprocess.run([init, "pages", *"x" * 3000], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "too many runs of pages" in done.stdout


@pytest.mark.parametrize("count", [1, 2, 3, 99])
def test_the_list_is_an_archive_that_linux_unpacks(init: Path, tmp_path: Path, count: int) -> None:
    text = "line\n" * count
    archive = tmp_path / "archive"
    subprocess.run([init, "member", archive, text], check=True)
    with libarchive.file_reader(str(archive)) as entries:
        found = [(entry.pathname, b"".join(entry.get_blocks()).decode()) for entry in entries]
    assert found == [("dead", text)]
