# SPDX-License-Identifier: BSD-3-Clause
"""Reads what a run was made of from its folder (khorig.run.run_file writes it)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from khorig.guest.spec import RunSpec
from khorig.guest.spec_json import spec_from_json
from khorig.mem.untrusted import Untrusted, fields, read_object, shown, text
from khorig.run.run_file import NAME
from khorig.run.spec_check import check_spec
from khorig.vm.build_outputs import Images
from khorig.vm.errors import InfraError

RECORDED = "recorded"  # folder of the repetition of a failed run
FILES = ("kernel", "archive")  # and "volume" where firmware starts the kernel
VOLUME = "volume"

_LARGEST = 1 << 20  # bytes of run.json
_INSIDE = re.compile(r"[A-Za-z0-9_][\w.+@=-]*(/[A-Za-z0-9_][\w.+@=-]*)*", re.ASCII)


@dataclass(frozen=True)
class UsedFile:
    """A file that QEMU or the rig used in a run."""

    name: str  # as run.json has it: relative to the folder, or absolute
    path: Path
    sha256: str


@dataclass(frozen=True)
class RunFolder:
    """A run that can be repeated."""

    path: Path
    spec: RunSpec
    files: Mapping[str, UsedFile]  # by use
    kernels: Mapping[str, UsedFile]  # by name; those of an archive may be gone
    symbols: Mapping[str, UsedFile]  # ELF of a kernel, by its name
    versions: Mapping[str, Any]

    def images(self) -> Images:
        """The files of then. Raises InfraError for one that is gone or has changed since; symbols
        of which that is true are not used."""
        for use, file in self.files.items():
            _check(use, file)
        volume = self.files[VOLUME].path if VOLUME in self.files else None
        kernel, archive = (self.files[use].path for use in FILES)
        kernels = {name: file.path for name, file in self.kernels.items()}
        elves = {name: file.path for name, file in self.symbols.items() if _is_same(file)}
        return Images(kernel, archive, elves, volume, kernels)


def find_run_folder(place: Path) -> Path:
    """`place`, or the only folder of a run below it. Raises InfraError."""
    if (place / NAME).is_file():
        return place
    found = [path.parent for path in sorted(place.glob(f"**/{NAME}"))]
    found = [path for path in found if path.name != RECORDED]
    if len(found) == 1:
        return found[0]
    if found:
        what = f"{place} has {len(found)} runs; name the folder of one"
        raise InfraError(what, tuple(map(str, found[:8])))
    raise InfraError(f"{place}: no {NAME} (expected the folder of a run)")


def read_run_folder(folder: Path, inside: bool = False) -> RunFolder:
    """Reads anything. `inside`: no file may lie elsewhere, and the specification is not believed.
    Raises Untrusted, and InfraError when there is no run.json to read."""
    path = folder / NAME
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise InfraError(f"{path}: {error.strerror}") from error
    record = read_object(data, _LARGEST)
    spec = spec_from_json(record.get("spec"))
    if inside:
        check_spec(spec)
    files = _files(folder, record.get("files"), inside)
    for use in FILES:
        if use not in files:
            raise Untrusted(f"{NAME}: no {use}")
    kernels = _files(folder, record.get("kernels"), False)
    symbols = _files(folder, record.get("symbols", {}), inside)
    return RunFolder(folder, spec, files, kernels, symbols, fields(record.get("versions", {})))


def _files(folder: Path, value: Any, inside: bool) -> dict[str, UsedFile]:
    found = {}
    for use, entry in fields(value).items():
        name = text(fields(entry).get("file"))
        if inside and _INSIDE.fullmatch(name) is None:
            raise Untrusted(f"{NAME}: {use} is {shown(name)}, expected a name inside")
        found[use] = UsedFile(name, folder / name, text(entry.get("sha256")))
    return found


def _is_same(file: UsedFile) -> bool:
    try:
        _check("symbols", file)
    except InfraError:
        return False
    return True


def _check(use: str, file: UsedFile) -> None:
    try:
        with file.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        what = f"the {use} of this run is gone: {file.path}"
        raise InfraError(what, (f"SHA-256 {file.sha256}", _HINT)) from None
    except OSError as error:
        raise InfraError(f"{file.path}: {error.strerror}") from error
    if digest != file.sha256:
        what = f"the {use} has changed since this run: {file.path}"
        raise InfraError(what, (f"SHA-256 {file.sha256} then", f"SHA-256 {digest} now", _HINT))


_HINT = "rerun.sh in the folder does the run with the kernels of today"
