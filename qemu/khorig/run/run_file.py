# SPDX-License-Identifier: BSD-3-Clause
"""run.json: what a run is made of, for whoever repeats it elsewhere."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping

from khorig import __version__
from khorig.guest.spec import RunSpec
from khorig.guest.spec_json import spec_to_json
from khorig.run.artifacts import write_whole
from khorig.run.rerun import rerun_words
from khorig.vm.build_outputs import Images, source_root
from khorig.vm.machines.machine import Machine

NAME = "run.json"
_SCHEMA = 1
_RELEASE = Path("/etc/os-release")
_GIT_S = 5.0


class RunFile:
    """Writes run.json into the folder of a run before QEMU starts: the specification, the words for
    khorig that repeat it, every kernel and every file for QEMU with size and SHA-256, and the
    versions of khorig, Python and the host. As a listener of the run's journal it adds the version
    of QEMU and the commit of the checkout once QEMU is up.

    A file in the folder is named relative to it, any other where it was found.
    """

    def __init__(self, folder: Path, spec: RunSpec, machine: Machine, images: Images) -> None:
        """Raises OSError when the folder takes no file."""
        self._path = folder / NAME
        loaded = {
            "kernel": images.kernel,
            "archive": images.archive,
            "volume": images.volume,
        }
        describe = functools.partial(_describe, folder)
        self._document: dict[str, Any] = {
            "schema": _SCHEMA,
            "id": spec.id,
            "rerun": rerun_words(spec),
            "spec": spec_to_json(spec),
            "kernels": {name: describe(path) for name, path in images.kernels.items()},
            "symbols": {name: describe(path) for name, path in images.elves.items()},
            "files": {use: describe(path) for use, path in loaded.items() if path is not None},
            "versions": {
                "khorig": __version__,
                "commit": None,
                "qemu": None,
                "python": sys.version.partition(" ")[0],
                "host": _host(),
            },
            "emulator": machine.emulator(spec.qemu),
        }
        self._write()

    def __call__(self, record: Mapping[str, Any]) -> None:
        """A line of the journal. Raises OSError."""
        if record["ev"] == "qemu":
            self._document["versions"] |= {"qemu": record["version"], "commit": _commit()}
            self._write()

    def _write(self) -> None:
        write_whole(self._path, json.dumps(self._document, indent=1) + "\n")


def kernel_digests(images: Images) -> dict[str, str]:
    """SHA-256 of every kernel of a run, by the kernel's name; "" for a file that cannot be read,
    which QEMU or the loader reports."""
    return {name: _sha256(path) for name, path in images.kernels.items()}


def _describe(folder: Path, path: Path) -> dict[str, Any]:
    inside = path.is_relative_to(folder)
    name = os.fspath(path.relative_to(folder) if inside else path.absolute())
    size = path.stat().st_size if path.exists() else None
    return {"file": name, "bytes": size, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    try:
        found = path.stat()
        return _sha256_of(path, found.st_size, found.st_mtime_ns)
    except OSError:
        return ""


@functools.lru_cache(maxsize=256)
def _sha256_of(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def _host() -> str:
    """Such as "Linux 6.1.0-13-amd64 x86_64, Debian GNU/Linux 12 (bookworm)"."""
    system = os.uname()
    kernel = f"{system.sysname} {system.release} {system.machine}"
    with contextlib.suppress(OSError):
        for line in _RELEASE.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("PRETTY_NAME="):
                name = line.partition("=")[2].strip('"')
                return f"{kernel}, {name}"
    return kernel


@functools.cache
def _commit() -> str | None:
    """Of the checkout, "-dirty" behind it after an edit; None for an installed copy."""
    root = source_root()
    if root is None or not (root / ".git").exists():
        return None
    command = ("git", "-C", os.fspath(root), "describe", "--always", "--dirty", "--abbrev=12")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
