# SPDX-License-Identifier: BSD-3-Clause
"""The files of a user's programs, for the archive of a chain."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping, Sequence

from khorig.guest.chain_run import ChainRun
from khorig.linux.initrd import Initrd, NoInitrd, read_initrd
from khorig.linux.program_file import read_program
from khorig.linux.program_libraries import find_libraries
from khorig.vm.errors import InfraError

LISTS = "programs"  # folder of the lists that init reads (linux/init/program.h)
# What init makes of these, or the rig has in them.
_TAKEN = ("archive", "debug", "dev", "hops", "images", "init", "proc", LISTS, "sys")
_MOST_SCRIPTS = 4  # a script whose interpreter is a script, as in Linux
_LARGEST_LIST = 60 << 10  # bytes


@dataclass
class Programs:
    """Programs and what they need, at the same paths as on the host: a library is found relative
    to its program, too. What `initrd` has is used as it is there."""

    initrd: Initrd | None = None
    members: dict[str, bytes] = field(default_factory=dict)  # by path without leading slash
    archs: dict[str, Path] = field(default_factory=dict)  # the first program for each

    def add(self, path: str, depth: int = 0) -> None:
        """Adds a file of the host unless the initrd has it. Raises InfraError."""
        if self.initrd is not None and path.startswith("/") and self.initrd.has(path):
            return
        place = Path(os.path.abspath(path))  # a link stays one: busybox looks at its name
        if not place.exists():
            if self.initrd is None:
                raise InfraError(f"{path}: no such file")
            if self.initrd.is_complete or not path.startswith("/"):
                raise InfraError(f"{path}: no such file, neither here nor in the initrd")
            return  # Linux will say
        if self.initrd is not None and not self.initrd.is_complete:
            what = f"{path}: the initrd is packed with what only Linux unpacks"
            raise InfraError(what, ("fix: gzip, xz, zstd, or no packing; or the program in it",))
        if depth > _MOST_SCRIPTS:
            raise InfraError(f"{path}: scripts that interpret scripts, more than {_MOST_SCRIPTS}")
        program = read_program(place)
        self._place(place, program.data)
        if not program.arch:
            try:
                self.add(program.interpreter, depth + 1)
            except InfraError as error:
                raise InfraError(f"{path}, a script: {error.what}", error.evidence) from None
            return
        self.archs.setdefault(program.arch, place)
        if not program.interpreter or (self.initrd and self.initrd.has(program.interpreter)):
            return
        for library in find_libraries(program):
            if self.initrd is None or not self.initrd.has(str(library)):
                self._place(library, _read(library))

    def folders(self) -> tuple[str, ...]:
        """Those that have to be made for the members; one of the initrd may be a symbolic link,
        which Linux would replace."""
        above = {str(parent) for name in self.members for parent in Path(name).parents}
        has = self.initrd.has if self.initrd else lambda name: False
        return tuple(sorted(name for name in above if name != "." and not has(f"/{name}")))

    def _place(self, path: Path, data: bytes) -> None:
        name = str(path).lstrip("/")
        if (top := name.partition("/")[0]) in _TAKEN:
            raise InfraError(f"{path}: /{top} is the rig's in a Linux; move it elsewhere")
        self.members[name] = data


def find_programs(commands: Sequence[Sequence[str]], initrd: str) -> Programs:
    """The files of programs given as words. Raises InfraError."""
    try:
        programs = Programs(read_initrd(Path(initrd)) if initrd else None)
    except NoInitrd as error:
        raise InfraError(f"{initrd}: {error}") from None
    for words in commands:
        programs.add(words[0])
    return programs


def programs_of(spec: ChainRun) -> Programs:
    """Those of a run. Raises InfraError."""
    every = range(1, spec.generations + 1)
    try:
        commands = [words for number in every for words in spec.programs_of(number)]
    except ValueError as error:
        raise InfraError(f"program: {error}") from None
    programs = find_programs(commands, spec.extra_initrd)
    for arch, path in programs.archs.items():
        if arch != spec.arch:
            raise InfraError(f"{path} is for {arch}; {spec.machine} is {spec.arch}")
    return programs


def program_lists(spec: ChainRun) -> Mapping[str, bytes]:
    """For the init of each Linux: its programs, as members of the archive. Raises InfraError."""
    lists = {}
    for generation in range(1, spec.generations + 1):
        if not (commands := spec.programs_of(generation)):
            continue
        words = (word for command in commands for word in (str(len(command)), *command))
        text = b"".join(word.encode() + b"\0" for word in words)
        if len(text) > _LARGEST_LIST:
            what = f"programs of generation {generation}: {len(text)} bytes of words"
            raise InfraError(f"{what}, at most {_LARGEST_LIST}")
        lists[f"{LISTS}/{generation}"] = text
    return lists


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InfraError(f"{path}: {error.strerror}") from error
