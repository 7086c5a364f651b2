# SPDX-License-Identifier: BSD-3-Clause
"""Files and lines of code, by binutils' addr2line."""

from __future__ import annotations

import subprocess
from pathlib import Path

_TIMEOUT_S = 20.0  # the first lookup in a vmlinux with debug information reads all of it
_BAZEL = "/proc/self/cwd/"  # what it compiles khorig in
_LONGEST = 200  # characters


class SourceLines:
    """Looks addresses up in the DWARF of one ELF. What cannot be found, for whatever reason, is "":
    a line is a comfort, never a reason to fail."""

    def __init__(self, elf: Path | None, file: str, address_in_file: int | None = None) -> None:
        """Without `elf` nothing is found. `file` is the path in the source tree of the code at
        `address_in_file`: what the compiler wrote before it is cut off all paths."""
        self._elf = elf
        self._known = (file, address_in_file)
        self._prefix: str | None = None
        self._found: dict[int, str] = {}

    def of(self, address: int, function: str = "") -> str:
        """ "kernel/cpus/panic.cc:63" or "". With the name of the function in the symbol table, a
        function that was inlined into it is named, too: "kernel/defects/load.cc:34, WriteBlock"."""
        if self._elf is None:
            return ""
        if address not in self._found:
            inner, line = self._ask(address)
            line = line.removeprefix(self._tree()).removeprefix("./") if line else ""
            is_other = inner not in ("", "??", function)
            self._found[address] = f"{line}, {inner}" if line and is_other else line
        return self._found[address]

    def _tree(self) -> str:
        if self._prefix is None:
            file, address = self._known
            path = self._ask(address)[1].rpartition(":")[0] if address is not None else ""
            self._prefix = path.removesuffix(file) if path.endswith("/" + file) else _BAZEL
        return self._prefix

    def _ask(self, address: int) -> tuple[str, str]:
        """The innermost function, and file and line."""
        assert self._elf is not None
        command = ["addr2line", "-f", "-C", "-i", "-e", str(self._elf), f"{address:#x}"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired):
            self._elf = None
            return "", ""
        function, place = (*done.stdout.splitlines(), "", "")[:2]
        path, _, number = place.partition(" (discriminator")[0].rpartition(":")
        if done.returncode != 0 or not number.isdigit() or number == "0" or path == "??":
            return "", ""
        if not (function + path).isprintable() or len(path) > _LONGEST:
            return "", ""
        return _without_parameters(function), f"{path}:{number}"


def _without_parameters(function: str) -> str:
    """As in the symbol table of khorig's image, for people."""
    depth = 0
    for at in range(len(function) - 1, -1, -1) if function.endswith(")") else ():
        depth += (function[at] == ")") - (function[at] == "(")
        if depth == 0:
            return function[:at]
    return function
