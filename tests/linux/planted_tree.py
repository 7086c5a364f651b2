# SPDX-License-Identifier: BSD-3-Clause
"""Linux with bugs of ours, one at a time (planted/*.patch)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from khorig.linux.build import Builder, only_builder
from khorig.linux.peer import Peer, cache_directory
from khorig.linux.source import DebianSource, OwnSource

PATCHES = Path(__file__).parent / "planted"


def say(line: str) -> None:
    """Progress."""
    print(line, flush=True)


class PlantedTree:
    """A copy of Debian's source, always at the same place, so that a build after a change of the
    patch is incremental. Its files are links but for those that a patch has changed."""

    def __init__(self, version: str) -> None:
        """Raises InfraError."""
        self.folder = cache_directory() / "planted" / f"planted-{version}"
        with only_builder(say):
            source = DebianSource(version).tree(say)
            self._kept = self.folder.with_name(f"{self.folder.name}.kept")
            for folder in (self.folder, self._kept):
                shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(source, self.folder, symlinks=True, copy_function=os.link)
        self._changed: list[str] = []

    def plant(self, patch: Path) -> None:
        """Applies a patch, and takes the one before back."""
        for name in self._changed:
            shutil.copyfile(self._kept / name, self.folder / name)  # newer than its object
        self._changed = re.findall(r"^\+\+\+ b/(\S+)$", patch.read_text(), re.MULTILINE)
        for name in self._changed:
            file, kept = self.folder / name, self._kept / name
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                file.rename(kept)  # the link stays what it is
                shutil.copyfile(kept, file)
        words = ["patch", "--silent", "-p1", "-d", str(self.folder), "-i", str(patch)]
        subprocess.run(words, check=True)

    def build(self, arch: str) -> Peer:
        """Builds the tree as it is. Raises InfraError."""
        with only_builder(say):
            return Builder(OwnSource(self.folder), arch, os.cpu_count() or 1, say).build()
