# SPDX-License-Identifier: BSD-3-Clause
"""Paths of a machine do not leave it, and nothing else is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from khorig.run.bundle.scrub import Scrubber, absolute_paths


@pytest.mark.parametrize(
    "text, expected",
    [
        ('"file": "/home/me/build/k.elf"', '"file": "files/k.elf"'),
        ("-D /home/me/x.log", "-D .../x.log"),
        ("memory,file=/root/a/b", "memory,file=.../a/b"),
        ("owner khorig/root/x of page 1", "owner khorig/root/x of page 1"),
        ("/rooted/x", "/rooted/x"),
        ("/proc/self/fd/8", "/proc/self/fd/8"),
        ("", ""),
    ],
)
def test_paths(text: str, expected: str) -> None:
    files = {"/home/me/build/k.elf": "files/k.elf"}
    folders = (Path("/home/me"), Path("/home/me/build"), Path("/root"), Path("/"))
    assert Scrubber(files, folders).text(text) == expected


@pytest.mark.parametrize(
    "words, named",
    [
        (("-d", "int"), []),
        (("-D", "qemu.log"), []),
        (("-D", "/tmp/x"), ["/tmp/x"]),
        (("-drive", "if=none,file=/dev/sda"), ["if=none,file=/dev/sda"]),
        (("-chardev", "socket,path=~/x"), ["socket,path=~/x"]),
        (("-incoming", "exec:/bin/sh"), ["exec:/bin/sh"]),
    ],
)
def test_words_that_name_a_file(words: tuple[str, ...], named: list[str]) -> None:
    assert absolute_paths(words) == named
