# SPDX-License-Identifier: BSD-3-Clause
"""Opens a bundle that somebody else made."""

from __future__ import annotations

from pathlib import Path

from khorig.mem.untrusted import Untrusted
from khorig.run.bundle.container import unpack_container
from khorig.run.bundle.errors import BrokenBundle
from khorig.run.bundle.manifest import Manifest
from khorig.run.run_folder import RunFolder, read_run_folder
from khorig.vm.errors import InfraError


def open_bundle(path: Path, folder: Path) -> tuple[RunFolder, Manifest]:
    """Unpacks a bundle into the empty `folder` and reads the run in it. Raises BrokenBundle for
    whatever is wrong with it, OSError."""
    manifest = unpack_container(path, folder)
    try:
        run = read_run_folder(folder, inside=True)
        for use, file in run.files.items():
            if file.name not in manifest.members:
                raise BrokenBundle(f"member {file.name}, the {use}, is missing")
        run.images()
    except (Untrusted, InfraError) as error:
        raise BrokenBundle(str(error)) from None
    return run, manifest
