# SPDX-License-Identifier: BSD-3-Clause
"""Checks the rules of this tree that no other tool knows.

Usage: house_rules.py FILE...

Prints `file:line: rule` for each breach and ends with status 1 when there is any.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

MAX_LINES = 400
LICENSE = "SPDX-License-Identifier: BSD-3-Clause"
CODE = {".cc", ".h", ".S", ".ld", ".py", ".bzl", ".sh", ".cppmap"}
CXX = {".cc", ".h"}
ARCHITECTURE = re.compile(r"__(x86_64|amd64|aarch64|arm|i386)__")
INCLUDE = re.compile(r'\s*#include "((?:khocore|kernel|boot)/[^"]+)"')
NAMESPACE = re.compile(r"namespace (\w+) \{")
# The rooms of the C++ tree; each knows those that stand before it (docs/architecture.md).
ROOMS = [
    "khocore",
    "base",
    "arch",
    "console",
    "drivers",
    "rig",
    "memory",
    "cpus",
    "kexec",
    "handover",
    "clients",
    "scenarios",
    "defects",
    "boot",
]
ARCHITECTURES = {"x86_64", "arm64", "host"}
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")

Breach = tuple[int, str]


def check_license(path: Path, lines: list[str]) -> Iterator[Breach]:
    """The license is on the first line, or on the second of a script."""
    first = 1 if lines and lines[0].startswith("#!") else 0
    if len(lines) <= first or LICENSE not in lines[first]:
        yield first + 1, f"starts with '{LICENSE}'"


def check_length(path: Path, lines: list[str]) -> Iterator[Breach]:
    """A file has one purpose."""
    if len(lines) > MAX_LINES:
        yield MAX_LINES + 1, f"has at most {MAX_LINES} lines, not {len(lines)}"


def check_pragma_once(path: Path, lines: list[str]) -> Iterator[Breach]:
    """Headers say `#pragma once`."""
    if path.suffix == ".h" and "#pragma once" not in lines[:3]:
        yield 2, "a header says #pragma once on its second line"


def check_architecture(path: Path, lines: list[str]) -> Iterator[Breach]:
    """Bazel chooses the architecture, not the preprocessor."""
    if path.suffix in CXX and "arch" not in path.parts and path.parts[0] != "boot":
        for number, line in enumerate(lines, 1):
            if ARCHITECTURE.search(line):
                yield number, "asks for the architecture outside arch/ and boot/"


def room_of(path: Path) -> str:
    """The room that a file of the C++ tree is in."""
    return path.parts[1] if path.parts[0] == "kernel" else path.parts[0]


def is_test(path: Path) -> bool:
    """Whether this is code for unit tests, which run on the host."""
    return "testing" in path.parts or path.name.endswith("_test.cc")


def check_rooms(path: Path, lines: list[str]) -> Iterator[Breach]:
    """Dependencies point one way, and to no architecture but the file's own. A unit test may use
    the `testing/` of any room."""
    if path.suffix not in CXX or path.parts[0] not in ("khocore", "kernel", "boot"):
        return
    room = room_of(path)
    if room not in ROOMS:
        yield 1, f"kernel/{room} is no room of scripts/house_rules.py"
        return
    above = ROOMS[ROOMS.index(room) + 1 :]
    architectures = ARCHITECTURES - {"host"} if is_test(path) else ARCHITECTURES
    for number, line in enumerate(lines, 1):
        if match := INCLUDE.match(line):
            included = Path(match[1])
            if is_test(path) and "testing" in included.parts:
                continue
            if room_of(included) in above:
                yield number, f"{room} includes {included}, which is above it"
            if foreign := architectures & set(included.parts) - set(path.parts):
                yield number, f"includes {included}, but is not of {foreign.pop()}"
        elif (match := NAMESPACE.match(line)) and match[1] in above:
            yield number, f"{room} declares something of {match[1]}, which is above it"


def check_unfinished(path: Path, lines: list[str]) -> Iterator[Breach]:
    """What is in the tree is finished."""
    for number, line in enumerate(lines, 1):
        if UNFINISHED.search(line):
            yield number, "is not finished"


def check_run(path: Path, lines: list[str]) -> Iterator[Breach]:
    """A file of tests is run: the BUILD of its folder names it, or all of them by a pattern."""
    build = path.with_name("BUILD")
    if not re.fullmatch(r"test_\w+\.py", path.name) or not build.is_file():
        return
    names = rf'"((test_)?{path.stem.removeprefix("test_")}(\.py)?|test_\*\.py)"'
    if not re.search(names, build.read_text(encoding="utf-8")):
        yield 1, f"no target of {build} runs it"


RULES: list[Callable[[Path, list[str]], Iterator[Breach]]] = [
    check_license,
    check_length,
    check_pragma_once,
    check_architecture,
    check_rooms,
    check_unfinished,
    check_run,
]


def is_code(path: Path) -> bool:
    """Whether the rules are for this file: code by its name, or a script."""
    if path.suffix in CODE or path.name in ("BUILD", "WORKSPACE"):
        return True
    return not path.suffix and path.is_file() and path.read_bytes().startswith(b"#!")


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    breaches = 0
    for path in filter(is_code, map(Path, arguments)):
        lines = path.read_text(encoding="utf-8").splitlines()
        for rule in RULES:
            for number, text in rule(path, lines):
                print(f"{path}:{number}: {text}")
                breaches += 1
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
