# SPDX-License-Identifier: BSD-3-Clause
"""The lists of planted bugs in tests/mutants/*.toml, one list for each part of the tree.

    tests = ["tests/host/view/test_radix.py"]    # for every mutant of this list

    [[mutant]]
    id = "radix-slot-mask"
    file = "qemu/khorig/kho/radix.py"
    text = "the text, as it stands in the file once"
    becomes = "what it is replaced with"
    bug = "what an engineer would have got wrong"
    tests = ["//khocore:radix_test"]             # instead of the list's, where those do not fit
    survives = "why no test can notice it"       # only where that is so

A test is a pytest file or folder, one test in a file ("FILE::TEST"), or a Bazel label; those named
first run first.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LISTS = Path("tests/mutants")
_STRINGS = {"id", "file", "text", "becomes", "bug", "survives"}
_REQUIRED = {"id", "file", "text", "becomes", "bug"}


class ListError(Exception):
    """A list that cannot be read."""


@dataclass(frozen=True)
class Mutant:
    """One planted bug."""

    room: str  # the name of the list
    id: str
    file: str  # relative to the root of the tree
    text: str
    becomes: str
    bug: str
    tests: tuple[str, ...]
    survives: str = ""  # the reason, where no test can notice it

    @property
    def name(self) -> str:
        """Unique in the tree."""
        return f"{self.room}/{self.id}"

    def apply(self, content: str) -> str:
        """The file with the bug."""
        return content.replace(self.text, self.becomes, 1)


def read_lists(root: Path) -> list[Mutant]:
    """All mutants of the tree at `root`. Raises ListError."""
    paths = sorted((root / LISTS).glob("*.toml"))
    if not paths:
        raise ListError(f"there is no list in {LISTS}")
    return [mutant for path in paths for mutant in read_list(path)]


def read_list(path: Path) -> list[Mutant]:
    """The mutants of one list. Raises ListError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ListError(f"{path.name}: {error}") from error
    if unknown := set(document) - {"tests", "mutant"}:
        raise ListError(f"{path.name}: unknown key '{min(unknown)}'")
    tests = _tests(document.get("tests", []), path.name)
    entries = document.get("mutant", [])
    return [_mutant(path, entry, tests) for entry in entries]


def _mutant(path: Path, entry: dict[str, Any], tests: tuple[str, ...]) -> Mutant:
    place = f"{path.name}: mutant '{entry.get('id', '')}'"
    if missing := _REQUIRED - set(entry):
        raise ListError(f"{place} has no '{min(missing)}'")
    if unknown := set(entry) - _STRINGS - {"tests"}:
        raise ListError(f"{place} has the unknown key '{min(unknown)}'")
    strings = {key: entry[key] for key in _STRINGS & set(entry)}
    for key, value in strings.items():
        if not isinstance(value, str) or not value and key != "becomes":
            raise ListError(f"{place}: '{key}' is not a text")
    own = _tests(entry.get("tests", []), place) or tests
    if not own:
        raise ListError(f"{place} names no test")
    return Mutant(room=path.stem, tests=own, **strings)


def _tests(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(test, str) and test for test in value):
        raise ListError(f"{place}: 'tests' is not a list of names")
    return tuple(value)


def faults(mutants: Sequence[Mutant], root: Path) -> Iterator[str]:
    """What makes entries useless in the tree at `root`, one line each: a text that is not there
    exactly once, a Python file that the bug leaves unreadable, code that it leaves with the same
    meaning, a test that does not exist, a name that is taken."""
    for name, count in Counter(mutant.name for mutant in mutants).items():
        if count > 1:
            yield f"{name}: {count} mutants have this name"
    for mutant in mutants:
        for fault in _faults_of(mutant, root):
            yield f"{mutant.name}: {fault}"


def file_of(test: str) -> str:
    """The file, folder or label that a test is in."""
    return test if test.startswith("//") else test.partition("::")[0]


def _faults_of(mutant: Mutant, root: Path) -> Iterator[str]:
    for test in mutant.tests:
        if not (root / _place_of(test)).exists():
            yield f"the test {test} does not exist"
    try:
        content = (root / mutant.file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        yield f"{mutant.file} cannot be read: {error}"
        return
    count = content.count(mutant.text)
    if count != 1:
        yield f"its text is {count} times in {mutant.file}, expected once: {mutant.text!r}"
        return
    if mutant.becomes == mutant.text:
        yield "it changes nothing"
    elif mutant.file.endswith(".py"):
        yield from _python_faults(content, mutant)
    elif mutant.file.endswith((".cc", ".h")):
        if _cpp_code(content) == _cpp_code(mutant.apply(content)):
            yield f"it changes no code of {mutant.file}"


def _place_of(test: str) -> Path:
    """What must exist for a test: its file, or the folder of its target."""
    if not test.startswith("//"):
        return Path(file_of(test))
    folder = test[2:].partition(":")[0]
    return Path(folder.removesuffix("..."), "BUILD")


def _cpp_code(content: str) -> str:
    """Without comments and blanks, as far as text alone shows them."""
    return re.sub(r"//.*|\s", "", content)


def _python_faults(content: str, mutant: Mutant) -> Iterator[str]:
    try:
        changed = ast.dump(ast.parse(mutant.apply(content)))
    except SyntaxError as error:
        yield f"{mutant.file} is no Python with it: {error.msg}, line {error.lineno}"
        return
    if changed == ast.dump(ast.parse(content)):
        yield f"it changes no code of {mutant.file}"
