# SPDX-License-Identifier: BSD-3-Clause
"""A file of the host that a Linux is to execute."""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from khorig.vm.errors import InfraError

_LARGEST = 1 << 29  # bytes
_ELF = b"\x7fELF"
_HEADER = struct.Struct("<16sHHIQQQIHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_INTERPRETER = 3  # PT_INTERP
_EXECUTABLE, _SHARED = 2, 3  # ET_EXEC, ET_DYN
_ARCHITECTURES = {62: "x86_64", 183: "arm64"}
_MOST_SEGMENTS = 1024
_LONGEST = 4096  # bytes of an interpreter's path
_LONGEST_LINE = 255  # bytes of a script's first line that Linux reads


@dataclass(frozen=True)
class ProgramFile:
    """A program or a script."""

    path: Path
    data: bytes
    arch: str = ""  # "" of a script: its interpreter has one
    interpreter: str = ""  # of a script, or the dynamic loader; "" of a static program


def read_program(path: Path) -> ProgramFile:
    """Raises InfraError for a file that no Linux of the rig executes."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InfraError(f"{path}: not a regular file")
        if not status.st_mode & 0o111:
            raise InfraError(f"{path}: not executable", (f"fix: chmod +x {path}",))
        if status.st_size > _LARGEST:
            raise InfraError(f"{path}: more than {_LARGEST} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise InfraError(f"{path}: {error.strerror}") from error
    if data.startswith(b"#!"):
        return ProgramFile(path, data, interpreter=_of_script(path, data))
    if not data.startswith(_ELF):
        raise InfraError(f"{path}: neither a program (ELF) nor a script (#!)")
    try:
        return _program(path, data)
    except (struct.error, OverflowError):  # beyond the file, however far
        raise InfraError(f"{path}: truncated ELF file") from None


def _of_script(path: Path, data: bytes) -> str:
    line = data[2:_LONGEST_LINE].partition(b"\n")[0]
    words = line.decode("utf-8", "replace").split()
    if not words or not words[0].startswith("/") or not words[0].isprintable():
        raise InfraError(f"{path}: no interpreter with an absolute path in its first line")
    if os.path.basename(words[0]) == "env":
        what = f"{path}: '{' '.join(words)}' searches $PATH, which the rig's user space lacks"
        raise InfraError(what, ("fix: #! with the path of the interpreter",))
    return words[0]


def _program(path: Path, data: bytes) -> ProgramFile:
    if data[4:6] != b"\x02\x01":
        raise InfraError(f"{path}: not a 64-bit little-endian program")
    fields = _HEADER.unpack_from(data)
    kind, machine, first, size, count = fields[1], fields[2], fields[5], fields[9], fields[10]
    if machine not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES.values())
        raise InfraError(f"{path}: for ELF machine {machine}, expected one of {known}")
    if kind not in (_EXECUTABLE, _SHARED) or not 0 < count <= _MOST_SEGMENTS:
        raise InfraError(f"{path}: not an executable (ELF type {kind}, {count} segments)")
    loader = ""
    for number in range(count):
        segment = _SEGMENT.unpack_from(data, first + number * size)
        if segment[0] == _INTERPRETER:
            offset, length = segment[2], segment[5]
            text = data[offset : offset + min(length, _LONGEST)].partition(b"\0")[0]
            loader = text.decode("utf-8", "replace")
            if not loader.startswith("/") or not loader.isprintable():
                raise InfraError(f"{path}: its dynamic loader is {loader!r}")
    return ProgramFile(path, data, _ARCHITECTURES[machine], loader)
