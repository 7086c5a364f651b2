# SPDX-License-Identifier: BSD-3-Clause
"""Shared libraries of a program, found by its dynamic loader."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from khorig.linux.program_file import ProgramFile, read_program
from khorig.vm.errors import InfraError
from khorig.vm.exit_meaning import describe_status

_CACHE = Path("/etc/ld.so.cache")  # where the loader found what is in no standard folder
_LOADER = re.compile(r"ld(-[\w.-]+)?\.so\.\d+")
_FOUND = re.compile(r"(?:^|=> )(/.+) \(0x[0-9a-f]+\)$")
_MISSING = re.compile(r"^(.+) => not found$")
_TIMEOUT_S = 20.0
_FIX = ("fix: link it statically, or add it with its libraries by --initrd",)


def find_libraries(program: ProgramFile) -> list[Path]:
    """The loader and the libraries. Nothing of the program runs. Raises InfraError with what is
    missing, and for which architecture."""
    loader, who = Path(program.interpreter), f"{program.path} for {program.arch}"
    if _LOADER.fullmatch(loader.name) is None:
        raise InfraError(f"{who}: {loader} is no known dynamic loader", _FIX)
    if not loader.exists():
        raise InfraError(f"{who}: its dynamic loader {loader} is not on this host", _FIX)
    found = read_program(loader)
    if found.arch != program.arch:
        raise InfraError(f"{who}: its dynamic loader {loader} is for {found.arch} here", _FIX)
    paths = [loader]
    lines = [line.strip() for line in _list(loader, program.path, who)]
    if missing := [match[1] for line in lines if (match := _MISSING.search(line))]:
        raise InfraError(f"{who}: {loader} does not find {', '.join(missing)}", _FIX)
    paths += [Path(os.path.normpath(match[1])) for line in lines if (match := _FOUND.search(line))]
    return [*dict.fromkeys(paths), *([_CACHE] if _CACHE.is_file() else [])]


def _list(loader: Path, program: Path, who: str) -> list[str]:
    try:
        done = subprocess.run(
            [loader, "--list", program],
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        what = f"{who}: its dynamic loader {loader} does not run here ({error.strerror})"
        raise InfraError(what, _FIX) from error
    except subprocess.TimeoutExpired as error:
        raise InfraError(f"{who}: {loader} --list did not end in {_TIMEOUT_S:g} s") from error
    if done.returncode:
        why = (done.stderr or done.stdout).strip().splitlines()
        words = why[-1] if why else describe_status(done.returncode)
        raise InfraError(f"{who}: {loader} --list: {words}", _FIX)
    return done.stdout.splitlines()
