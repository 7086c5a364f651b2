# SPDX-License-Identifier: BSD-3-Clause
"""Makes a bundle of the folder of a run."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

from khorig import __version__
from khorig.mem.untrusted import read_object
from khorig.run.bundle.container import member_of, write_container
from khorig.run.bundle.dumps import Report, pack_dumps
from khorig.run.bundle.manifest import UNPACKED_BYTES, Manifest
from khorig.run.bundle.scrub import Scrubber, absolute_paths
from khorig.run.run_file import NAME as RUN
from khorig.run.run_folder import RECORDED, RunFolder, UsedFile, read_run_folder
from khorig.vm.build_outputs import source_root
from khorig.vm.errors import InfraError

SUFFIX = ".khorig"
DUMPS_BYTES = 2 << 20  # of guest RAM, packed

_FILES = "files"
_TEXTS = ("verdict.json", "events.jsonl", "console.log", "qemu.argv", "qemu.stderr", "qmp.jsonl")
_SYMBOLS_BYTES = 4 << 20  # of a kernel's ELF; what is larger is left out
_LARGEST = 256 << 20  # bytes of a text


@dataclass(frozen=True)
class MadeBundle:
    """A bundle that was written."""

    path: Path
    size: int  # bytes
    members: int
    left_out: tuple[str, ...]


def make_bundle(folder: Path, path: Path, dumps_bytes: int = DUMPS_BYTES) -> MadeBundle:
    """Writes all that another machine needs to do the run of `folder` again: the files that QEMU
    was given, the specification, versions, events, console, verdict, and guest RAM at the stops
    unless that takes more than `dumps_bytes`. No path of this machine is in it.

    Raises InfraError when a kernel has changed or is gone since, or when arguments for QEMU name
    files; Untrusted for a damaged folder; OSError.
    """
    run = read_run_folder(folder)
    run.images()  # they are those of then
    if named := absolute_paths(run.spec.extra_qemu):
        raise InfraError(f"arguments for QEMU name a file of this machine: {named[0]}")
    left_out: list[str] = []
    symbols = _symbols(run, left_out.append)
    names = _member_names([*run.files.values(), *symbols.values()])
    scrubber = _scrubber(run, names)
    contents: dict[str, bytes | Path] = {RUN: _run_json(run, symbols, names, scrubber)}
    for name, file in names.items():
        contents[name] = file
    kept = folder / RECORDED
    for source, prefix in ((folder, ""), (kept, f"{RECORDED}/")):
        contents |= _texts(source, prefix, scrubber)
    with tempfile.TemporaryDirectory(prefix="khorig.") as scratch:
        source = kept if kept.is_dir() else folder
        contents |= pack_dumps(source, Path(scratch), dumps_bytes, left_out.append)
        members = {name: member_of(content) for name, content in contents.items()}
        if (total := sum(member.size for member in members.values())) > UNPACKED_BYTES:
            raise InfraError(f"{total} bytes to bundle, more than {UNPACKED_BYTES}; see --dumps")
        versions = {"khorig": __version__, "qemu": run.versions.get("qemu")}
        write_container(path, Manifest(members, tuple(left_out), versions), contents)
    return MadeBundle(path, path.stat().st_size, len(members), tuple(left_out))


def _symbols(run: RunFolder, leave_out: Report) -> dict[str, UsedFile]:
    """The symbols that are small enough, and those of then."""
    found = {}
    for name, path in run.images().elves.items():
        if (size := path.stat().st_size) > _SYMBOLS_BYTES:
            leave_out(f"{path.name}, symbols of {name}: {size} bytes")
        else:
            found[name] = run.symbols[name]
    return found


def _member_names(files: Sequence[UsedFile]) -> dict[str, Path]:
    """Files of a run by their names in the bundle."""
    names: dict[str, Path] = {}
    for number, file in enumerate(files):
        name = f"{_FILES}/{file.path.name}"
        if names.setdefault(name, file.path) != file.path:
            names[f"{_FILES}/{number}.{file.path.name}"] = file.path
    return names


def _scrubber(run: RunFolder, names: Mapping[str, Path]) -> Scrubber:
    files = {os.fspath(path): name for name, path in names.items()}
    files |= {file.name: file.path.name for file in run.kernels.values()}
    extra = getattr(run.spec, "extra_initrd", "")
    kernels = getattr(run.spec, "kernels", ())
    files |= {name: Path(name).name for name in (*kernels, extra) if os.path.isabs(name)}
    places = {run.path.absolute(), run.path.resolve(), Path.home(), Path.cwd()}
    for used in (run.files, run.kernels, run.symbols):
        places |= {file.path.parent for file in used.values()}
    if (root := source_root()) is not None:
        places |= {root, root.resolve()}
    return Scrubber(files, places)


def _run_json(
    run: RunFolder,
    symbols: Mapping[str, UsedFile],
    names: Mapping[str, Path],
    scrubber: Scrubber,
) -> bytes:
    record = read_object((run.path / RUN).read_bytes(), _LARGEST)
    by_path = {path: name for name, path in names.items()}
    files: dict[str, Any] = record["files"]
    for use, file in run.files.items():
        files[use]["file"] = by_path[file.path]
    record["symbols"] = {name: record["symbols"][name] for name in symbols}
    for name, file in symbols.items():
        record["symbols"][name]["file"] = by_path[file.path]
    for name, file in run.kernels.items():
        record["kernels"][name]["file"] = by_path.get(file.path, file.path.name)
    return scrubber.text(json.dumps(record, indent=1) + "\n").encode()


def _texts(folder: Path, prefix: str, scrubber: Scrubber) -> dict[str, bytes | Path]:
    found: dict[str, bytes | Path] = {}
    for name in _TEXTS:
        path = folder / name
        if not path.is_file():
            continue
        if path.stat().st_size > _LARGEST:
            raise InfraError(f"{path}: more than {_LARGEST} bytes")
        # Any bytes: a console has what the guest sent.
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        found[prefix + name] = scrubber.text(text).encode("utf-8", "surrogateescape")
    return found
